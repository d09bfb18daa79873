"""ASGI over an exchange: `receive` and `send` for HTTP, and the handler that runs an ASGI application with them.

Knows an exchange's methods only, no connection. The WebSocket side of ASGI is `tercel.server.websocket`, lifespan is
`tercel.server.lifespan`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from tercel.http.exchange import Exchange, Head, Message, Scope

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange

__all__ = ["AsgiApp", "AsgiBridge", "Handler", "Receive", "Send", "asgi_handler", "handler_for"]

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


def handler_for(app: AsgiApp) -> Handler:
    """What answers HTTP exchanges: the application's own direct handler when it has one, otherwise ASGI."""
    direct_handler = getattr(app, "direct_handler", None)
    if direct_handler is not None:
        handler: Handler = direct_handler()
        return handler
    return asgi_handler(app)


def asgi_handler(app: AsgiApp) -> Handler:
    """A handler that runs an ASGI application for each exchange."""

    async def handle(exchange: Exchange) -> None:
        await app(exchange.scope, exchange.receive, exchange.send)

    return handle


class AsgiBridge:
    """ASGI messages of one HTTP exchange."""

    __slots__ = ("_body_delivered", "_error", "_exchange", "_head")

    def __init__(self, exchange: HttpExchange) -> None:
        self._exchange = exchange
        self._body_delivered = False
        self._head: Head | None = None
        self._error: Exception | None = None

    async def receive(self) -> Message:
        """The body in `http.request` messages, then `http.disconnect` once the client is gone or the response is complete."""
        exchange = self._exchange
        if not self._body_delivered:
            body = exchange.request_body
            if body is None:
                self._body_delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            try:
                chunk = await body.deliver()
            except ClientDisconnect:
                self._body_delivered = True
                return {"type": "http.disconnect"}
            more_body = not body.exhausted
            self._body_delivered = not more_body
            return {"type": "http.request", "body": chunk, "more_body": more_body}
        await exchange.wait_end()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take one response message.

        Raises:
            OSError: the client is gone.
            RuntimeError: a message that does not fit here.
        """
        kind = message["type"]
        exchange = self._exchange
        if kind == "http.response.start":
            if exchange.started or self._head is not None:
                raise RuntimeError("'http.response.start' was sent twice")
            self._head = Head(message["status"], list(message.get("headers", ())))
            # The head waits for the first body message, so that a whole response is one write and gets a Content-Length; but not
            # longer than until the application suspends: an event stream has to be open before its first event.
            exchange.call_soon(self.start_held)
        elif kind == "http.response.body":
            if self._error is not None:
                raise self._error
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(body)
            head = self._head
            if head is not None:
                self._head = None
                if not message.get("more_body", False):
                    await exchange.respond(head, body)
                    return
                exchange.start_now(head)
            elif not exchange.started:
                raise RuntimeError("'http.response.body' was sent before 'http.response.start'")
            await exchange.write(body)
            if not message.get("more_body", False):
                await exchange.finish()
        else:
            raise RuntimeError(f"ASGI message {kind!r} does not fit an HTTP connection")

    def start_held(self) -> None:
        """Begin the response whose head has waited for a body."""
        head = self._head
        exchange = self._exchange
        if head is None or exchange.finished or exchange.disconnected:
            return
        self._head = None
        try:
            exchange.start_now(head)
        except Exception as error:
            self._error = error
