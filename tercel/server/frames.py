"""What is compiled of a WebSocket, where it was built: usual frames, the wait for them, and the methods of user code.

Without it picows reads and writes every frame. `tercel.server._frames` has the functions, `tercel.server.websocket` uses them. Read
`docs/design/0015-usual-frames.md` for the reasons.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from tercel.http.websocket import DirectWebSocket
from tercel.server.http1 import HttpConnection
from tercel.server.waiting import Waiters

if TYPE_CHECKING:
    from tercel.server._frames import Receivers
    from tercel.server.serving import Server
    from tercel.server.websocket import WebSocketSession

__all__ = ["COMPILED", "make_gate", "make_receivers", "step_by_step", "websocket_class"]

# All connections of a server are read into this, in turn. Not more: what one reading brings is delivered before a queue is full.
_ROOM_BYTES: Final = 16_384

try:
    from tercel.server import _frames
except ImportError:
    COMPILED = False
else:
    COMPILED = True

    class _Gate(_frames.Gate, asyncio.BufferedProtocol):  # asyncio asks for the class, uvloop for the methods
        __slots__ = ()

    def _marked(method: Any) -> Any:
        """The method, which those who ask take for a coroutine function, as on other WebSockets."""
        method._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)  # what asyncio looks for before Python 3.14
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(method)
        return method

    class _CompiledWebSocket(_frames.Talk, DirectWebSocket):
        """What its methods return are no coroutines of Python's, but coroutines by `collections.abc`."""

        receive_text = _marked(_frames.receive_text)
        receive_bytes = _marked(_frames.receive_bytes)
        send_text = _marked(_frames.send_text)
        send_bytes = _marked(_frames.send_bytes)

    _CompiledWebSocket.__name__ = DirectWebSocket.__name__


def make_receivers(connection: HttpConnection) -> Waiters | Receivers:
    """Who waits for messages on a connection that becomes a WebSocket."""
    if COMPILED and type(connection) is not HttpConnection:
        return _frames.Receivers(connection.loop)  # pyright: ignore[reportPossiblyUnboundVariable]
    return Waiters()


def websocket_class(receivers: Waiters | Receivers) -> type[DirectWebSocket]:
    """The class of user code's `WebSocket`."""
    return DirectWebSocket if isinstance(receivers, Waiters) else _CompiledWebSocket


def step_by_step(receivers: Waiters | Receivers, work: Awaitable[None]) -> Awaitable[None]:
    """Around a coroutine, what can call it where a message arrives; anything else stays as it is."""
    if isinstance(receivers, Waiters) or type(work) is not CoroutineType:
        return work
    return _frames.step_by_step(receivers, work)  # pyright: ignore[reportPossiblyUnboundVariable]


def make_gate(session: WebSocketSession, receivers: Waiters | Receivers, inner: Any, max_bytes: int, server: Server) -> Any:
    """What stands in front of picows' protocol; None where nothing was compiled.

    Args:
        server: gets a hub when it needs one for the first time.
    """
    if isinstance(receivers, Waiters):
        return None
    if server.websocket_hub is None:
        server.websocket_hub = _frames.Hub(server.loop, _ROOM_BYTES)  # pyright: ignore[reportPossiblyUnboundVariable]
    transport = session.transport
    secure = transport.get_extra_info("ssl_object") is not None
    descriptor = -1 if secure else transport.get_extra_info("socket").fileno()
    return _Gate(session, inner, server.websocket_hub, max_bytes, descriptor)
