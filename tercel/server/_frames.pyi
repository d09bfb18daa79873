"""The usual frame of a WebSocket, compiled; see `_frames.pyx`. It may be missing: only `tercel.server.frames` imports it."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from tercel.server.websocket import WebSocketSession

class Receivers:
    """As `tercel.server.waiting.Waiters`, with `arrived`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def future(self) -> asyncio.Future[None]: ...
    def wake(self) -> None: ...
    def arrived(self) -> None:
        """As `wake`, but the one task that waits goes on before this returns, unless this is called by a task."""

class Stepped:
    """A coroutine that is called where a message arrives, without its task, as often as it waits for the next one.

    To be awaited once, by a task, which it is still part of: `current_task()` and the context are the task's.
    """

    def __await__(self) -> Generator[Any, Any]: ...

def step_by_step(receivers: Receivers, coroutine: Coroutine[Any, Any, None]) -> Stepped: ...

class Hub:
    """Reads from the sockets of a server: asks for all that have something at once, and reads from each one time.

    It has a descriptor of its own (epoll) while there is a socket. On other systems than Linux it reads from none.

    Args:
        room_bytes: how much is read at most from one socket; into memory of which nothing is kept between two readings.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, room_bytes: int) -> None: ...
    def read(self) -> None: ...

class Gate:
    """A connection's protocol in front of picows': takes usual frames and hands over every other.

    Args:
        session: gets the messages.
        inner: picows' protocol.
        hub: reads, from `join` on, in place of the transport.
        max_bytes: the longest frame, as picows has it.
        descriptor: of the socket; -1 where bytes have to go through the transport.

    Attributes:
        received_bytes: all that have come.
        queues: whether the transport may have something to send, behind which everything else has to wait.
    """

    received_bytes: int
    queues: bool

    def __init__(self, session: WebSocketSession, inner: Any, hub: Hub, max_bytes: int, descriptor: int) -> None: ...
    def get_buffer(self, sizehint: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def join(self) -> None:
        """From here on the hub reads, where it can."""

    def give_back(self) -> None:
        """From here on the transport reads, if anybody does."""

    def leave(self) -> None:
        """From here on nobody reads."""

    def send_now(self, data: str | bytes) -> bool:
        """Send text or bytes as one frame; False, and nothing was done, if that is too long."""

class Talk:
    """The attributes of a `WebSocket` where compiled code finds them at once."""

    scope: Scope
    _receive: Receive
    _send: Send
    _session: Any
    client_state: WebSocketState
    application_state: WebSocketState

def receive_text(self: WebSocket) -> Coroutine[Any, Any, str]: ...
def receive_bytes(self: WebSocket) -> Coroutine[Any, Any, bytes]: ...
def send_text(self: WebSocket, data: str) -> Coroutine[Any, Any, None]: ...
def send_bytes(self: WebSocket, data: bytes) -> Coroutine[Any, Any, None]: ...
