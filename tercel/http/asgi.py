"""An exchange over ASGI messages, for any ASGI server and for ASGI middleware of the user's.

The messages are the ASGI HTTP ones (ASGI specification 3.0, "HTTP Connection Scope" 2.5). Knows nothing of routes. Read
`tercel.http.exchange` for what an exchange promises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.websockets import WebSocket

from tercel.http.exchange import Exchange, Head, Message, Scope
from tercel.http.leaving import Listening

__all__ = ["ASGIExchange", "WebSocketExchange"]

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_NONE: Final[dict[str, Any]] = {}


class ASGIExchange(Exchange):
    """One HTTP request of an ASGI server.

    Args:
        scope: of type `http`.
        request: the request that user code was given already, whose cached body and form are used.
    """

    __slots__ = ("_body", "_disconnected", "_receive", "_scope", "_send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, request: Request | None = None) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body: bytes | None = None
        self._disconnected = False
        self.method = scope["method"]
        self.path = scope["path"]
        self.query_string = scope.get("query_string", b"")
        self.headers = scope["headers"]
        self.root_path = scope.get("root_path", "")
        self.path_params = scope.get("path_params") or {}
        self.started = False
        self.entry = None
        self.view = request

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def receive(self) -> Receive:
        return self._receive

    @property
    def send(self) -> Send:
        return self._send_watched

    async def _send_watched(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
        await self._send(message)

    async def body(self) -> bytes:
        body = self._body
        if body is None:
            if self.view is not None:
                body = await self.view.body()
            else:
                parts = [chunk async for chunk in self.chunks()]
                body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._body = body
        return body

    @property
    def known_body(self) -> bytes | None:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnected = True
                raise ClientDisconnect()
            data = message.get("body", b"")
            if data:
                yield data
            if not message.get("more_body", False):
                return

    @property
    def disconnected(self) -> bool:
        return self._disconnected

    @property
    def notices_leaving(self) -> bool:
        return "tercel" in self._scope.get("extensions", _NONE)

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        if self.notices_leaving:  # behind ASGI middleware on Tercel's own server
            manager: AbstractContextManager[None] = self._scope["extensions"]["tercel"].cancelled_on_disconnect(unless_started)
            return manager
        listening = Listening(self._receive, unless_started)
        self._receive = listening.receive
        if self.view is not None and isinstance(self.view, Request):
            self.view._receive = listening.receive
        return listening

    async def respond(self, head: Head, body: bytes) -> None:
        headers = head.headers
        status = head.status
        # RFC 9110 §8.6: no Content-Length in 1xx and 204; a 304 describes another response.
        if status >= 200 and status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
            headers = [(b"content-length", b"%d" % len(body)), *headers]
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def start(self, head: Head) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": head.status, "headers": head.headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class WebSocketExchange:
    """One WebSocket connection as plans see it: the same reading attributes as an `Exchange`, and the `WebSocket` itself.

    Attributes:
        view: the one `WebSocket` object that every dependency, the endpoint and exception handlers share.
    """

    __slots__ = ("entry", "headers", "path", "path_params", "query_string", "root_path", "scope", "view")

    native = False
    method = "WS"

    def __init__(self, websocket: WebSocket) -> None:
        scope: Any = websocket.scope
        self.scope = scope
        self.view: HTTPConnection = websocket
        self.path: str = scope["path"]
        self.root_path: str = scope.get("root_path", "")
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.query_string: bytes = scope.get("query_string", b"")
        self.path_params: dict[str, Any] = scope.get("path_params") or {}
        self.entry: Any = None

    header = Exchange.header
    text_of = Exchange.text_of

    async def afterwards(self, task: Callable[[], Awaitable[None]], always: bool = False) -> None:
        """As of an `Exchange`: nothing has to wait, so it runs at once."""
        await task()
