"""The `WebSocket` of user code on Tercel's own server: Starlette's, with the usual calls straight to the connection.

Starlette's methods hand each message through three coroutines. Where both sides are connected and nothing has to wait,
`receive_text` and its like need one, and `send_text` and its like need no message. Everything else is Starlette's own code. This
module must not know the server: it calls what `DirectSession` says.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterator
from types import CodeType
from typing import Any, Final, Protocol, cast

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

__all__ = ["DirectSession", "DirectWebSocket", "stepped", "websocket_of"]

_CONNECTED: Final = WebSocketState.CONNECTED


class DirectSession(Protocol):
    """A connection that can be asked without awaiting.

    Attributes:
        websocket_class: for user code, made as `DirectWebSocket` is.
    """

    websocket_class: type[DirectWebSocket]

    def take_at_once(self) -> str | bytes | Message | None:
        """What has arrived: text, bytes, or the message that says that the connection is over; None for nothing."""
        ...

    def arrival(self) -> Awaitable[None]:
        """Ends when something arrives that `take_at_once` may return. To be awaited at once."""
        ...

    def send_at_once(self, data: str | bytes) -> bool:
        """Sends a text or binary message. False, and nothing was done, if it has to wait or cannot be sent: then `send` decides."""
        ...

    def stepped(self, work: Awaitable[None]) -> Awaitable[None]:
        """The same work, awaited in a way that lets it go on where a message arrives. To be awaited at once."""
        ...


class DirectWebSocket(WebSocket):
    """See the module.

    Args:
        session: the connection whose `receive` and `send` are given.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, session: DirectSession) -> None:
        super().__init__(scope, receive, send)
        self._session = session

    async def receive_text(self) -> str:
        if self.application_state is not _CONNECTED or self.client_state is not _CONNECTED:
            return await super().receive_text()
        session = self._session
        while (payload := session.take_at_once()) is None:
            await session.arrival()
        if type(payload) is str:
            return payload
        raise self._other(payload, "text")

    async def receive_bytes(self) -> bytes:
        if self.application_state is not _CONNECTED or self.client_state is not _CONNECTED:
            return await super().receive_bytes()
        session = self._session
        while (payload := session.take_at_once()) is None:
            await session.arrival()
        if type(payload) is bytes:
            return payload
        raise self._other(payload, "bytes")

    def _other(self, payload: str | bytes | Message, wanted: str) -> Exception:
        """The exception for what is not the wanted kind of message."""
        if isinstance(payload, str | bytes):
            return KeyError(wanted)  # as Starlette's, which looks for it in the message
        self.client_state = WebSocketState.DISCONNECTED
        return WebSocketDisconnect(payload["code"], payload.get("reason"))

    async def send_text(self, data: str) -> None:
        if self.application_state is not _CONNECTED or type(data) is not str or not self._session.send_at_once(data):
            await super().send_text(data)

    async def send_bytes(self, data: bytes) -> None:
        if self.application_state is not _CONNECTED or type(data) is not bytes or not self._session.send_at_once(data):
            await super().send_bytes(data)

    async def send_json(self, data: Any, mode: str = "text") -> None:
        if mode == "text":
            await self.send_text(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
        else:
            await super().send_json(data, mode)


DirectWebSocket.__name__ = WebSocket.__name__  # for those who print the type of what they got


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


# The function which Starlette's exception handling puts around `send`, to look at denial responses.
_SENDERS: Final = [code for code in _codes(wrap_app_handling_exceptions.__code__) if code.co_name == "sender"]


def _unwrapped(send: Any) -> Any:
    """`send` without what Starlette's exception handling puts around it."""
    while (code := getattr(send, "__code__", None)) in _SENDERS:
        send = send.__closure__[code.co_freevars.index("send")].cell_contents
    return send


_ORIGINAL: Final = {name: value for name, value in vars(WebSocket).items() if callable(value)}


def websocket_of(scope: Scope, receive: Receive, send: Send) -> WebSocket:
    """The `WebSocket` for user code: a direct one where the server's own functions are called and nobody has replaced a method."""
    session: Any = getattr(receive, "__self__", None)
    if (
        session is getattr(_unwrapped(send), "__self__", None)
        and hasattr(session, "send_at_once")
        and all(vars(WebSocket).get(name) is value for name, value in _ORIGINAL.items())
    ):
        return cast(DirectSession, session).websocket_class(scope, receive, send, cast(DirectSession, session))
    return WebSocket(scope, receive, send)


def stepped(websocket: WebSocket, work: Awaitable[None]) -> Awaitable[None]:
    """What talks to a WebSocket, to be awaited at once: the nearer to the endpoint, the fewer coroutines a message has to pass."""
    return websocket._session.stepped(work) if isinstance(websocket, DirectWebSocket) else work
