"""HTTP between a client and an application in the same event loop: an httpx transport that streams both ways.

Each request is a call of the application in a task of its own, as on a server. The response begins when the application begins it,
its pieces arrive as they are sent, and closing it before its end is the client going away. Knows HTTP over ASGI, not what the
application is. Read `tercel.testing.client` next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from tercel.testing.library import httpx
from tercel.testing.outbox import Outbox
from tercel.testing.running import ASGIApp, ClientLeft, Message, RunningApplication, Scope

__all__ = ["ASGITransport", "connection_scope"]

_DROPPED_IN_PLACE = 16
_DROPPED_MAX = 256
"""What an application sends to a client that has left is dropped. At first without suspending, so that cancellation reaches a
generator at an `await` of its own and not at the `yield` where it waits for its message to be sent; then suspending, for one that
never does; an application that still sends learns it from an exception."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def connection_scope(kind: str, request: httpx.Request, *, scheme: str, root_path: str, client: tuple[str, int]) -> Scope:
    """What `http` and `websocket` scopes have in common (ASGI specification 3.0).

    Version 2.3 of the HTTP part says that an application learns of a client that left through `receive`, as under most servers.
    """
    url = request.url
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": client,
        "server": (url.host, url.port or _DEFAULT_PORTS.get(url.scheme)),
    }


class _RequestBody:
    """The body of a request as ASGI messages. A body that is a stream is read by a task, since its source may wait for the answer.

    Args:
        failed: called when reading the stream raised: the test's own mistake, which is then in `error`.
    """

    def __init__(self, request: httpx.Request, failed: Callable[[], None]) -> None:
        self._outbox: Outbox[Message] = Outbox()
        self._failed = failed
        self.error: Exception | None = None
        self._pump: asyncio.Task[None] | None = None
        if isinstance(request.stream, httpx.ByteStream):
            self._put_last(b"".join(request.stream))
        else:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            self._pump = asyncio.get_running_loop().create_task(self._read(request.stream), name="request body")

    def _put_last(self, part: bytes) -> None:
        self._outbox.put_nowait({"type": "http.request", "body": part, "more_body": False})
        self._outbox.close()

    async def _read(self, stream: httpx.AsyncByteStream) -> None:
        try:
            async for part in stream:
                await self._outbox.put({"type": "http.request", "body": part, "more_body": True}, len(part))
        except Exception as error:
            self.error = error
            self._failed()
        else:
            self._put_last(b"")

    async def receive(self) -> Message | None:
        """The next message; None when there is none any more."""
        return await self._outbox.get(None)

    def abandon(self) -> None:
        """Nobody will read the rest."""
        self._outbox.abandon()

    async def close(self) -> None:
        """Stops reading the stream."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])


class _Exchange:
    """One request in flight, between the application on one side and httpx on the other.

    Attributes:
        head: status and headers, once the application sent them.
    """

    def __init__(self, transport: ASGITransport, request: httpx.Request) -> None:
        self._transport = transport
        self._request = request
        self._body = _RequestBody(request, self._body_failed)
        self._outbox: Outbox[bytes] = Outbox()
        self._timeout_s: float | None = request.extensions.get("timeout", {}).get("read")
        self.head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._begun = asyncio.Event()
        self._complete = False
        self._left = False
        self._dropped = 0
        self._closed = False
        self._over = asyncio.Event()
        scope = connection_scope("http", request, scheme=request.url.scheme, root_path=transport.root_path, client=transport.client)
        scope.update(method=request.method, state=dict(transport.state))
        self.what = f"{request.method} {request.url.path}"
        self.running = RunningApplication(transport.app, scope, self._receive, self._send, self.what)
        self.running.task.add_done_callback(self._application_ended)

    def _application_ended(self, task: asyncio.Task[None]) -> None:
        self._begun.set()
        self._outbox.close()
        self._end()

    def _end(self) -> None:
        """The response is complete or the client left: what `http.disconnect` says."""
        self._over.set()
        self._body.abandon()

    def _body_failed(self) -> None:
        self.leave()
        self._begun.set()

    # -- the application's side --------------------------------------------------------------------------------------------------

    async def _receive(self) -> Message:
        message = await self._body.receive()
        if message is None:
            await self._over.wait()
            return {"type": "http.disconnect"}
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._left:
            await self._drop()
        elif kind == "http.response.start":
            if self.head is not None:
                raise RuntimeError("'http.response.start' was sent twice")
            self.head = message["status"], [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            self._begun.set()
        elif kind == "http.response.body":
            if self.head is None or self._complete:
                raise RuntimeError(
                    f"'http.response.body' was sent {'after the end of' if self._complete else 'before'} the response"
                )
            await self._send_body(bytes(message.get("body", b"")), message.get("more_body", False))
        else:
            raise RuntimeError(f"ASGI message {kind!r} does not fit an HTTP connection")

    async def _send_body(self, part: bytes, more_body: bool) -> None:
        if self._request.method == "HEAD":
            part = b""  # RFC 9110 §9.3.2: a response to HEAD has no content
        if not more_body:
            self._complete = True
            if part:
                self._outbox.put_nowait(part)
            self._outbox.close()
            self._end()
        elif part:
            await self._outbox.put(part, len(part))

    async def _drop(self) -> None:
        self._dropped += 1
        if self._dropped > _DROPPED_MAX:
            raise ClientLeft(f"the client of {self.what} has left")
        if self._dropped > _DROPPED_IN_PLACE:
            await asyncio.sleep(0)

    # -- the client's side ---------------------------------------------------------------------------------------------------------

    async def begin(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of the response, when they are there."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._begun.wait()
        except TimeoutError:
            raise self._read_timeout("begin its response") from None
        if self._body.error is not None:
            raise self._body.error
        if self.head is not None:
            return self.head
        if self._transport.raise_app_exceptions:
            self.running.raise_error()
            raise RuntimeError(f"The application returned without a response to {self.what}.")
        self.head = 500, [(b"content-type", b"text/plain; charset=utf-8")]  # as servers do
        self._complete = True
        return self.head

    async def next_part(self) -> bytes | None:
        """The next piece of the body; None when it is complete and the application has returned.

        Raises:
            httpx.RemoteProtocolError: the application ended in the middle of it.
        """
        try:
            part = await self._outbox.get(self._timeout_s)
        except TimeoutError:
            raise self._read_timeout("send more of its response") from None
        if part is None:
            await self.close()
            if not self._complete:
                raise httpx.RemoteProtocolError(
                    f"The application ended {self.what} in the middle of the body.", request=self._request
                )
        return part

    def _read_timeout(self, what: str) -> Exception:
        text = f"The application did not {what} to {self.what} within {self._timeout_s:g} s."
        return httpx.ReadTimeout(text, request=self._request)

    def leave(self) -> None:
        """The client goes away, unless everything is over."""
        if not self._complete and not self.running.ended:
            self._left = True
        self._end()
        self._outbox.abandon()

    async def close(self) -> None:
        """The client's end of the exchange; returns when the application has ended too.

        Raises:
            ApplicationStillRunning: it did not within the deadline.
            Exception: what the application raised, if that is to be seen.
        """
        if self._closed:
            return
        self._closed = True
        self.leave()
        try:
            await self._body.close()
            await self.running.finish(self._transport.deadline_s)
        finally:
            self._transport.in_flight.discard(self)
        if self._body.error is not None:
            raise self._body.error
        if self._transport.raise_app_exceptions:
            self.running.raise_error(client_left=self._left)

    async def abort(self) -> None:
        """The client went away before the response began; the application is waited for when the transport closes."""
        self.leave()
        await self._body.close()


class _ResponseStream(httpx.AsyncByteStream):
    """The body of a response, as the application sends it."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._exchange.next_part()) is not None:
            yield part

    async def aclose(self) -> None:
        await self._exchange.close()


class ASGITransport(httpx.AsyncBaseTransport):
    """Sends the requests of an `httpx.AsyncClient` to an application.

    Unlike `httpx.ASGITransport` it gives a response back when it begins, not when it has ended.

    Args:
        app: an ASGI 3 application.
        raise_app_exceptions: what the application raises is raised in the test, even where it was answered with 500.
        root_path: `scope["root_path"]`.
        client: address and port that the application sees.
        state: copied into every scope.
        deadline_s: how long the application may go on after the end of a response, or after its client left.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        raise_app_exceptions: bool,
        root_path: str,
        client: tuple[str, int],
        state: dict[str, Any],
        deadline_s: float,
    ) -> None:
        self.app = app
        self.raise_app_exceptions = raise_app_exceptions
        self.root_path = root_path
        self.client = client
        self.state = state
        self.deadline_s = deadline_s
        self.in_flight: set[_Exchange] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(self, request)
        self.in_flight.add(exchange)
        try:
            status, headers = await exchange.begin()
        except BaseException:
            await exchange.abort()
            if exchange.running.ended:
                self.in_flight.discard(exchange)
            raise
        return httpx.Response(status, headers=headers, stream=_ResponseStream(exchange), extensions={"http_version": b"HTTP/1.1"})

    async def aclose(self) -> None:
        """Waits for the application to end what clients left behind.

        Raises:
            ApplicationStillRunning: something goes on past the deadline.
            Exception: what the application raised since.
        """
        failure: BaseException | None = None
        for exchange in list(self.in_flight):
            try:
                await exchange.close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure
