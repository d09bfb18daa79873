"""`GET /report`: a thousand sales as CSV, streamed from the database to the client.

The endpoint is a generator and holds one batch of rows at a time, so the report may have a thousand rows or a billion. The session
stays open until the last row is sent, because a dependency with `yield` ends after the response.
"""

import csv
import io
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import select

from demo.database import SessionDep
from demo.tables import Sale
from tercel import APIRouter, Depends, Response
from tercel.responses import StreamingResponse

__all__ = ["router"]

BATCH_ROWS = 50  # about 3 KB of text: small enough to hold, large enough not to send row by row

router = APIRouter(tags=["streams"])


class CSVResponse(StreamingResponse):
    """What a generator endpoint yields, as it is, with the media type of RFC 4180."""

    media_type = "text/csv"


async def as_download(response: Response) -> None:
    """A browser saves the response under this name. Set in a dependency: when the generator runs, the headers have been sent."""
    response.headers["Content-Disposition"] = 'attachment; filename="sales.csv"'


@router.get("/report", response_class=CSVResponse, dependencies=[Depends(as_download)])
async def report(session: SessionDep) -> AsyncIterator[str]:
    """All sales, oldest first."""
    yield _as_csv([("number", "sold_at", "item", "quantity", "unit_price", "total")])
    # `stream` reads from a cursor as rows are asked for; `execute` would fetch all of them first. Columns rather than objects:
    # nothing here will be changed, so the session need not keep track of it.
    columns = select(Sale.sold_at, Sale.item, Sale.quantity, Sale.price_cents).order_by(Sale.id)
    sales = await session.stream(columns.execution_options(yield_per=BATCH_ROWS))
    number = 0
    async for batch in sales.partitions():
        lines = []
        for sold_at, item, quantity, cents in batch:
            number += 1
            lines.append((number, f"{sold_at:%Y-%m-%d %H:%M}", item, quantity, _money(cents), _money(cents * quantity)))
        yield _as_csv(lines)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _as_csv(rows: Sequence[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
