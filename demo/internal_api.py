"""`/internal`: an application of its own for operators: one key for everything in it, no documentation, errors in plain text.

The key is a dependency of the application, so that no route can be without it. The lifespan runs a task that measures how long the
event loop makes others wait: the number to look at first when a server feels slow.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from demo.metrics import MetricsDep
from demo.settings import SettingsDep
from tercel import Depends, FastAPI, Request, Security
from tercel.exceptions import HTTPException
from tercel.responses import PlainTextResponse
from tercel.security import APIKeyHeader

__all__ = ["internal_api"]

LAG_INTERVAL_S = 0.5


class LoopLag:
    """How much later than asked the event loop wakes a sleeper."""

    def __init__(self) -> None:
        self.last_ms = 0.0
        self.worst_ms = 0.0

    async def measure(self) -> None:
        """For ever, until cancelled."""
        while True:
            due = time.monotonic() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.last_ms = (time.monotonic() - due) * 1000
            self.worst_ms = max(self.worst_ms, self.last_ms)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Measure as long as the application runs."""
    app.state.lag = LoopLag()
    task = asyncio.create_task(app.state.lag.measure())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def check_key(
    settings: SettingsDep,
    key: Annotated[str | None, Security(APIKeyHeader(name="X-Internal-Key", auto_error=False))],
) -> None:
    """401 unless the header carries the key."""
    # The comparison takes as long for a key that is nearly right as for one that is quite wrong.
    if key is None or not secrets.compare_digest(key.encode(), settings.internal_key.encode()):
        raise HTTPException(401, "The header X-Internal-Key is missing or wrong.", {"WWW-Authenticate": "X-Internal-Key"})


# Without openapi_url there is no schema and hence no page that could show it. Leaving out only docs_url would leave the schema
# public.
internal_api = FastAPI(title="Tercel demo: internal", openapi_url=None, lifespan=lifespan, dependencies=[Depends(check_key)])


@internal_api.get("/metrics/")
async def show_metrics(request: Request, metrics: MetricsDep) -> dict[str, Any]:
    """What the application has done since its start, and what it is doing."""
    room, hub, lag = request.state.room, request.state.hub, request.app.state.lag
    return {
        "uptime_s": round(metrics.uptime_s, 1),
        "requests": dict(metrics.requests),
        "loop_lag_ms": {"last": round(lag.last_ms, 2), "worst": round(lag.worst_ms, 2)},
        "chat": {"members": len(room), "messages": room.messages, "dropped": room.dropped},
        "feed": {"connections": hub.connections},
        "mails": {"sent": metrics.mails_sent, "failed": metrics.mails_failed},
        "generations": {
            "running": metrics.generations_running,
            "finished": metrics.generations_finished,
            "abandoned": metrics.generations_abandoned,
        },
    }


@internal_api.exception_handler(HTTPException)
@internal_api.exception_handler(404)
@internal_api.exception_handler(405)
async def answer_http_exception(request: Request, error: HTTPException) -> PlainTextResponse:
    """Operators read this in a terminal."""
    return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code, headers=dict(error.headers or {}))
