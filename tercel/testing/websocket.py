"""A WebSocket between a test and an application in the same event loop.

Refusals and closes become exceptions; messages are awaited for a limited time. Knows WebSockets over ASGI, no frames and no
sockets. Read `tercel.testing.client` next, whose `websocket` opens sessions.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from starlette.websockets import WebSocketDisconnect

from tercel.testing.library import httpx
from tercel.testing.outbox import Outbox
from tercel.testing.running import ClientLeft, Message, RunningApplication
from tercel.testing.transport import ASGITransport, connection_scope

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AsyncWebSocketSession", "WebSocketClosed", "WebSocketDenied"]

JSONMode = Literal["text", "binary"]

_TIMEOUT_S = 5.0  # httpx's default for anything that a server has to do next
_NORMAL = 1000  # RFC 6455 §7.4.1: the purpose of the connection is fulfilled
_ABNORMAL = 1006  # RFC 6455 §7.4.1: there was no close frame
_INTERNAL_ERROR = 1011  # RFC 6455 §7.4.1: what servers send when the application raised


class WebSocketClosed(WebSocketDisconnect):
    """The application closed the connection. A `WebSocketDisconnect`, as `TestClient` raises.

    Attributes:
        code: the close code (RFC 6455 §7.4).
        reason: the text that came with it, often empty.
    """


class WebSocketDenied(WebSocketClosed):
    """The application did not accept the connection.

    Attributes:
        response: the denial response (ASGI extension `websocket.http.response`); 403 without a body when the application just
            closed before it accepted, which is what a server makes of that.
        code, reason: what the application closed with; 1006 and "" with a denial response.
        status_code, headers, content: of the response.
    """

    def __init__(self, response: httpx.Response, code: int = _ABNORMAL, reason: str = "") -> None:
        super().__init__(code, reason)
        self.response = response

    def __str__(self) -> str:
        return f"refused with {self.status_code}: {self.response.text or self.reason or 'no body'}"

    @property
    def status_code(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self.response.headers

    @property
    def content(self) -> bytes:
        return self.response.content

    def json(self) -> Any:
        """The body of the denial response, parsed."""
        return self.response.json()


class AsyncWebSocketSession:
    """One WebSocket, made by `AsyncTestClient.websocket` and opened with `async with`.

    Leaving closes the connection with 1000 if nobody has closed it, and waits for the application to end.

    Args:
        transport: how the application is called.
        request: the handshake.
        subprotocols: offered to the application.
        timeout_s: how long the application may take to accept or refuse.
        answered: told what the handshake was answered with.

    Attributes:
        subprotocol: the one that the application chose, or None.
        headers: the header fields that the application accepted with.
    """

    def __init__(
        self,
        transport: ASGITransport,
        request: httpx.Request,
        *,
        subprotocols: list[str],
        timeout_s: float | None,
        answered: Callable[[httpx.Response], None],
    ) -> None:
        self._transport = transport
        self._request = request
        self._timeout_s = timeout_s
        self._answered = answered
        scheme = {"http": "ws", "https": "wss"}.get(request.url.scheme, request.url.scheme)
        scope = connection_scope("websocket", request, scheme=scheme, root_path=transport.root_path, client=transport.client)
        scope.update(subprotocols=subprotocols, extensions={"websocket.http.response": {}}, state=dict(transport.state))
        self._scope = scope
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: Outbox[Message] = Outbox()
        self._running: RunningApplication | None = None
        self._closed: WebSocketClosed | None = None
        self._accepted = False
        self._left = False
        self.subprotocol: str | None = None
        self.headers = httpx.Headers()

    # -- opening and closing -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Raises `WebSocketDenied` when the application does not accept."""
        assert self._running is None, "A session can be entered once; ask the client for another."
        what = f"WebSocket {self._request.url.path}"
        self._inbox.put_nowait({"type": "websocket.connect"})
        running = self._running = RunningApplication(self._transport.app, self._scope, self._inbox.get, self._send, what)
        running.task.add_done_callback(lambda task: self._outbox.close())
        try:
            await self._handshake(await self._next(self._timeout_s))
        except BaseException:
            self._leave(_ABNORMAL)
            await self._finish()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(_NORMAL)
        await self._finish()

    async def _handshake(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            self.headers = self._response(101, list(message.get("headers", ())), b"").headers
            self._accepted = True
        elif kind == "websocket.close":
            raise WebSocketDenied(self._response(403, [], b""), message.get("code", 1000), message.get("reason") or "")
        elif kind == "websocket.http.response.start":
            parts = []
            more_body = True
            while more_body:
                part = await self._next(self._timeout_s)
                parts.append(part.get("body", b""))
                more_body = part.get("more_body", False)
            raise WebSocketDenied(self._response(message["status"], list(message.get("headers", ())), b"".join(parts)))
        else:
            raise AssertionError(f"The application sent {kind!r} before it accepted the WebSocket.")

    def _response(self, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> httpx.Response:
        response = httpx.Response(status, headers=headers, content=content, request=self._request)
        self._answered(response)
        return response

    def _leave(self, code: int, reason: str = "") -> None:
        if not self._left:
            self._left = True
            if self._closed is None:
                self._inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._outbox.abandon()

    async def _finish(self) -> None:
        assert self._running is not None
        await self._running.finish(self._transport.deadline_s)
        if self._transport.raise_app_exceptions:
            self._running.raise_error(client_left=True)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection from the client's side; returns at once, leaving the session waits for the application.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455 §7.4.2).
        """
        self._leave(code, reason)
        self._closed = self._closed or WebSocketClosed(code, reason)

    # -- the application's side ----------------------------------------------------------------------------------------------------

    async def _send(self, message: Message) -> None:
        if self._left:
            raise ClientLeft(f"the client of {self._request.url.path} has left")
        kind = message["type"]
        if kind == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._outbox.put_nowait(message)
        else:
            payload = message.get("bytes") or message.get("text") or message.get("body") or b""
            await self._outbox.put(message, len(payload))

    # -- messages ------------------------------------------------------------------------------------------------------------

    async def send_text(self, data: str) -> None:
        """Sends a text message.

        Raises:
            WebSocketClosed: the connection is closed.
        """
        self._put({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Sends a binary message; raises as `send_text` does."""
        self._put({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: JSONMode = "text") -> None:
        """Sends data as JSON in a text or a binary message; raises as `send_text` does."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        if mode == "text":
            await self.send_text(text)
        else:
            await self.send_bytes(text.encode())

    def _put(self, message: Message) -> None:
        if self._closed is not None:
            raise self._closed
        self._inbox.put_nowait(message)

    async def _next(self, timeout_s: float | None) -> Message:
        assert self._running is not None, "Open the session first: `async with client.websocket(...) as ws:`"
        try:
            message = await self._outbox.get(timeout_s)
        except TimeoutError:
            text = f"The application sent nothing on {self._running.what} within {timeout_s:g} s."
            raise TimeoutError(text) from None
        if message is not None:
            return message
        # The application has ended without closing: what it raised, or what a server makes of that.
        if self._transport.raise_app_exceptions:
            self._running.raise_error()
        if not self._accepted:
            raise WebSocketDenied(self._response(500, [], b""))
        self._closed = WebSocketClosed(_INTERNAL_ERROR if self._running.error() is not None else _NORMAL)
        raise self._closed

    async def receive(self, timeout_s: float | None = _TIMEOUT_S) -> str | bytes:
        """The next message of either kind.

        Args:
            timeout_s: how long to wait; None for ever.

        Raises:
            WebSocketClosed: the connection was closed.
            TimeoutError: there was no message in time.
        """
        if self._closed is not None:
            raise self._closed
        message = await self._next(timeout_s)
        kind = message["type"]
        if kind == "websocket.close":
            self._closed = WebSocketClosed(message.get("code", 1000), message.get("reason") or "")
            raise self._closed
        assert kind == "websocket.send", f"The application sent {kind!r} on an open WebSocket."
        text: str | None = message.get("text")
        return bytes(message["bytes"]) if text is None else text

    async def receive_text(self, timeout_s: float | None = _TIMEOUT_S) -> str:
        """The next message, which must be text; arguments and errors as for `receive`."""
        message = await self.receive(timeout_s)
        assert isinstance(message, str), f"The application sent a binary message, not text: {message!r}"
        return message

    async def receive_bytes(self, timeout_s: float | None = _TIMEOUT_S) -> bytes:
        """The next message, which must be binary; arguments and errors as for `receive`."""
        message = await self.receive(timeout_s)
        assert isinstance(message, bytes), f"The application sent a text message, not a binary one: {message!r}"
        return message

    async def receive_json(self, mode: JSONMode = "text", timeout_s: float | None = _TIMEOUT_S) -> Any:
        """The next message, parsed as JSON; arguments and errors as for `receive`."""
        return json.loads(await (self.receive_text(timeout_s) if mode == "text" else self.receive_bytes(timeout_s)))

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every message until the application closes with 1000 or 1001 (RFC 6455 §7.4.1: an ordinary end)."""
        while True:
            try:
                yield await self.receive()
            except WebSocketClosed as closed:
                if closed.code in (1000, 1001):
                    return
                raise
