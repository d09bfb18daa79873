"""Server-sent events."""

from tercel.http.sse import KEEPALIVE_COMMENT as KEEPALIVE_COMMENT
from tercel.http.sse import EventSourceResponse as EventSourceResponse
from tercel.http.sse import ServerSentEvent as ServerSentEvent
from tercel.http.sse import format_sse_event as format_sse_event

__all__ = [
    "EventSourceResponse",
    "KEEPALIVE_COMMENT",
    "ServerSentEvent",
    "format_sse_event",
]
