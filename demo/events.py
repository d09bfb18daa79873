"""`GET /events`: server-sent events that go on where the client lost them.

Each event carries its number as `id`. A browser that loses the connection comes back by itself and sends the last number it saw as
`Last-Event-ID`; the stream then continues with the next one, and the server need not remember anybody.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel

from demo.settings import SettingsDep
from tercel import APIRouter, Header
from tercel.sse import EventSourceResponse, ServerSentEvent

__all__ = ["router"]

RECONNECT_AFTER_MS = 1000  # browsers take several seconds when they are not told
LARGEST_COUNT = 2**53  # beyond it JavaScript cannot tell one integer from the next

router = APIRouter(tags=["streams"])


class Tick(BaseModel):
    """The data of one event."""

    count: int
    time: datetime


@router.get("/events", response_class=EventSourceResponse)
async def events(
    settings: SettingsDep,
    last_event_id: Annotated[int, Header(ge=0, le=LARGEST_COUNT, description="the number of the last event that arrived")] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Count upwards, one event at a time, until the client goes away."""
    count = last_event_id
    while True:
        count += 1
        tick = Tick(count=count, time=datetime.now(UTC))
        yield ServerSentEvent(data=tick, id=str(count), retry=RECONNECT_AFTER_MS)
        await asyncio.sleep(settings.event_interval_s)
