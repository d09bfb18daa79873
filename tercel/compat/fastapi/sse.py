# ruff: noqa: F401 - names, for others to import
"""FastAPI's `sse`."""

from starlette.responses import StreamingResponse as StreamingResponse

from tercel.http.sse import PING_INTERVAL_S as _PING_INTERVAL
from tercel.sse import KEEPALIVE_COMMENT as KEEPALIVE_COMMENT
from tercel.sse import EventSourceResponse as EventSourceResponse
from tercel.sse import ServerSentEvent as ServerSentEvent
from tercel.sse import format_sse_event as format_sse_event
