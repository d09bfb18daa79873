"""One request on its way down through middleware functions: what each of them and what is below it reads.

A `Journey` is the request; each function gets a `MiddlewareRequest`, and what is below a function sees the request as a `Passage`,
which is an exchange. This module must not know how functions are found, routes matched or responses kept. Read
`tercel.serve.handover` next for the way up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request

from tercel.http.exchange import Exchange, Head, Message, Scope
from tercel.serve.captured import NextResponse

__all__ = ["Journey", "MiddlewareRequest", "Passage", "Receive", "Send"]

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Waiting(Protocol):
    """What cannot go on before a response was sent."""

    async def settle(self) -> None:
        """One was sent, its own or another."""

    async def abandon(self, reason: BaseException) -> None:
        """None will be sent."""


class Journey:
    """One request on its way down through the functions and back.

    Args:
        exchange: the server's.
        app: the application, for the scope.

    Attributes:
        seen: the ASGI scope, once user code may have it in its hands; from then on it says what the request is.
        inner: what the innermost handler sees, once there is one.
        waiting: what goes on when a response was sent, outermost last.
        over: a response was sent, or none will be.
    """

    __slots__ = ("app", "exchange", "inner", "over", "seen", "waiting")

    def __init__(self, exchange: Exchange, app: Any) -> None:
        self.exchange = exchange
        self.app = app
        self.seen: Scope | None = None
        self.inner: Passage | None = None
        self.waiting: list[Waiting] = []
        self.over = False

    def scope(self) -> Scope:
        """The scope for user code; with the route in it, once that is known."""
        scope = self.seen
        if scope is None:
            scope = self.seen = self.exchange.scope
            scope["app"] = self.app
            inner = self.inner
            if inner is not None and inner.entry is not None:
                inner.entry.describe(scope, inner.path_params)
        return scope

    async def settle(self) -> None:
        """Lets everything go on that waited for the response to be sent; the first failure is raised when all have ended."""
        if self.waiting:
            waiting = self.waiting.pop()
            try:
                await waiting.settle()
            finally:
                await self.settle()

    async def abandon(self, reason: BaseException) -> None:
        """Ends everything that waits, since no response will be sent any more."""
        while self.waiting:
            await self.waiting.pop().abandon(reason)


class MiddlewareRequest(Request):
    """The request that a function gets. What it reads whole, of the body or as a form, can be read again further down.

    What it takes from `stream()` is gone, and those below find an empty body, as with Starlette's middleware.
    """

    def __init__(self, journey: Journey, exchange: Exchange) -> None:
        # Not the initialiser of Starlette's class: the scope is made when somebody asks for it.
        self._journey = journey
        self._exchange = exchange
        self._stream_consumed = False
        self._is_disconnected = False
        self._form = exchange.request._form if isinstance(exchange, Passage) else None
        self._own_scope: Scope | None = None
        self._own_receive: Receive | None = None
        self._own_send: Send | None = None

    @property
    def scope(self) -> Scope:
        return self._own_scope or self._journey.scope()

    @scope.setter
    def scope(self, scope: Scope) -> None:
        self._own_scope = scope

    @property
    def _receive(self) -> Receive:
        return self._own_receive or self._exchange.receive

    @_receive.setter
    def _receive(self, receive: Receive) -> None:
        self._own_receive = receive

    @property
    def _send(self) -> Send:
        return self._own_send or self._exchange.send

    @_send.setter
    def _send(self, send: Send) -> None:
        self._own_send = send


class Passage(Exchange):
    """The request as it is seen below a function: read through the function's request, answered to the function.

    Args:
        outer: what the function itself is in: the server's exchange, or the passage below the function around it.
        request: the one that the function has.

    Attributes:
        response: what came up, once it did.
        info: what `http.response.debug` said.
    """

    __slots__ = ("_body_delivered", "_disconnected", "_fields", "_held", "info", "journey", "outer", "request", "response")

    def __init__(self, journey: Journey, outer: Exchange, request: MiddlewareRequest) -> None:
        self.journey = journey
        self.outer = outer
        self.request = request
        scope = journey.seen
        if scope is None:
            self.method = outer.method
            self.path = outer.path
            self.query_string = outer.query_string
            self.root_path = outer.root_path
            self._fields: list[tuple[bytes, bytes]] | None = None
        else:
            self.method = scope["method"]
            self.path = scope["path"]
            self.query_string = scope.get("query_string", b"")
            self.root_path = scope.get("root_path", "")
            self._fields = scope["headers"]
        self.path_params = {}
        self.started = False
        self.entry = None
        self.view = None
        self.rescue = None
        self.response: NextResponse | None = None
        self.info: Any = None
        self._held: Head | None = None
        self._body_delivered = False
        self._disconnected = False

    @property
    def native(self) -> bool:  # type: ignore[override]
        return self.outer.native

    # -- the request -----------------------------------------------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return self.journey.scope()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:  # type: ignore[override]
        return self.outer.headers if self._fields is None else self._fields

    def header(self, name: bytes) -> bytes | None:
        return self.outer.header(name) if self._fields is None else super().header(name)

    async def body(self) -> bytes:
        body = self.known_body
        if body is None:
            request = self.request
            if request._own_receive is not None:
                body = await request.body()
            else:
                body = await self.outer.body()
                request._body = body  # so that the function can still read it when the response has come up
        return body

    @property
    def known_body(self) -> bytes | None:
        request = self.request
        body: bytes | None = request.__dict__.get("_body")
        if body is not None:
            return body
        if request._stream_consumed:
            return b""
        return None if request._own_receive is not None else self.outer.known_body

    async def chunks(self) -> AsyncIterator[bytes]:
        body = self.known_body
        if body is not None:
            if body:
                yield body
            return
        request = self.request
        if request._own_receive is not None:
            async with aclosing(request.stream()) as stream:
                async for chunk in stream:
                    if chunk:
                        yield chunk
        else:
            async for chunk in self.outer.chunks():
                yield chunk
            request._stream_consumed = True

    @property
    def disconnected(self) -> bool:
        return self._disconnected or self.outer.disconnected

    @property
    def notices_leaving(self) -> bool:
        return self.outer.notices_leaving

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        return self.outer.cancelled_on_disconnect(unless_started)

    @property
    def receive(self) -> Receive:
        return self._receive_message

    async def _receive_message(self) -> Message:
        """The body, from where the function left it, then `http.disconnect`, also once the response was sent."""
        request = self.request
        if self._disconnected or (self._body_delivered and (request._is_disconnected or self.journey.over)):
            self._disconnected = True
            return {"type": "http.disconnect"}
        if self._body_delivered:
            while (message := await request.receive())["type"] != "http.disconnect":
                if request._own_receive is not None:
                    raise RuntimeError(f"Unexpected message received: {message['type']}")
            self._disconnected = True
            return message
        body = request.__dict__.get("_body")
        if body is None and request._stream_consumed:
            body = b""
        if body is not None:
            self._body_delivered = True
            return {"type": "http.request", "body": body, "more_body": False}
        try:
            async with aclosing(request.stream()) as stream:
                chunk = await anext(stream)
        except ClientDisconnect:
            self._disconnected = True
            return {"type": "http.disconnect"}
        self._body_delivered = request._stream_consumed
        return {"type": "http.request", "body": chunk, "more_body": not self._body_delivered}

    # -- the response ----------------------------------------------------------------------------------------------------------

    def _begin(self, response: NextResponse) -> None:
        if self.response is not None:
            raise RuntimeError("the response was started already")
        self.started = True
        self.response = response

    @property
    def send(self) -> Send:
        return self._send_message

    async def _send_message(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            data = message.get("body", b"")
            data = data if type(data) is bytes else bytes(data)
            held, self._held = self._held, None
            if held is not None:
                if not message.get("more_body", False):
                    await self.respond(held, data)
                    return
                await self.start(held)
            elif self.response is None:
                raise RuntimeError("'http.response.body' was sent before 'http.response.start'")
            if data:
                await self.write(data)
            if not message.get("more_body", False):
                await self.finish()
        elif kind == "http.response.start":
            if self.started:
                raise RuntimeError("'http.response.start' was sent twice")
            self.started = True
            # Held until the first body message, so that a whole response stays whole; `_hold` sees to it that it is not for long.
            self._held = Head(message["status"], list(message.get("headers", ())))
            self._hold()
        elif kind == "http.response.debug":
            self.info = message["info"]
        else:
            await self._send_other(message)

    def _hold(self) -> None:
        """The head of a response is held."""

    async def _send_other(self, message: Message) -> None:
        await self.journey.exchange.send(message)
