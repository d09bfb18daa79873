"""The end of the server, for endpoints that stream or hold a WebSocket."""

from typing import Annotated

from anyio import Event

from tercel.declare.params import Depends
from tercel.http.stopping import shutdown_event as shutdown_event

__all__ = [
    "ShutdownEvent",
    "shutdown_event",
]

ShutdownEvent = Annotated[Event, Depends(shutdown_event)]
"""Annotate a parameter with it: `stopping: ShutdownEvent`; then `stopping.is_set()`, or `await stopping.wait()`."""
