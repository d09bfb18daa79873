"""The end of the server, as those can see it who stream: an event that is set when it begins to stop, before the lifespan ends.

Knows the handle that Tercel's server puts into every scope; other servers say nothing, and then the event is never set. Public as
`tercel.shutdown`; `tercel.server.handle` is next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from anyio import Event
from starlette.requests import HTTPConnection

__all__ = ["shutdown_event"]


async def shutdown_event(connection: HTTPConnection) -> AsyncIterator[Event]:
    """A dependency: an event that is set when the server begins to stop, for a request or a WebSocket.

    Whoever asks for it ends by itself: the server leaves it alone until `graceful_timeout_s` is over, also where it would have
    ended an event stream or closed a WebSocket. Under a server other than Tercel's the event is never set.
    """
    event = Event()
    handle = connection.scope.get("extensions", {}).get("tercel")
    if handle is None:
        yield event
        return
    forget = handle.on_drain(event.set)
    try:
        yield event
    finally:
        forget()
