"""The usual frame of a WebSocket, compiled; see `_frames.pyx`. It may be missing: only `tercel.server.frames` imports it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket

from tercel.server.websocket import WebSocketSession

class Receivers:
    """As `tercel.server.waiting.Waiters`; the one task that waits for a usual frame goes on in the read callback."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def future(self) -> asyncio.Future[None]: ...
    def wake(self) -> None: ...
    def arrived(self) -> None:
        """As `wake`, but the one task that waits goes on before this returns, unless this is called by a task."""

class Gate:
    """A connection's protocol in front of picows': takes usual frames and hands over every other.

    Args:
        session: gets the messages.
        inner: picows' protocol.
        room: where bytes are read into; nothing is kept there between two callbacks, so one event loop needs no more than one.
        max_bytes: the longest frame, as picows has it.
        descriptor: of the socket; -1 where bytes have to go through the transport.

    Attributes:
        received_bytes: all that have come.
    """

    received_bytes: int

    def __init__(self, session: WebSocketSession, inner: Any, room: bytearray, max_bytes: int, descriptor: int) -> None: ...
    def get_buffer(self, sizehint: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def send_now(self, data: str | bytes) -> bool:
        """Send text or bytes as one frame; False, and nothing was done, if that is too long."""

def receive_text(self: WebSocket) -> Coroutine[Any, Any, str]: ...
def receive_bytes(self: WebSocket) -> Coroutine[Any, Any, bytes]: ...
def send_text(self: WebSocket, data: str) -> Coroutine[Any, Any, None]: ...
def send_bytes(self: WebSocket, data: bytes) -> Coroutine[Any, Any, None]: ...
