"""The seam between a server and a handler: one request and its response, as calls rather than messages.

A server (Tercel's own, or any ASGI server through `tercel.serve.asgi`) makes one `Exchange` per request and passes it to the
application; compiled handlers read from it and answer through it. This module must not know routes, plans or sockets. Read
`tercel.serve.dispatch` next for what happens to an exchange, and `tercel.server.http1` for where it comes from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from tercel.http.body import has_only_json_numbers, is_json_content_type

__all__ = ["BodyTooLarge", "Exchange", "Head"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


class BodyTooLarge(Exception):
    """The request body is longer than the limit in force. Answered with 413 (RFC 9110 §15.5.14).

    Args:
        limit_bytes: the limit that was exceeded.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"request body exceeds {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class Head:
    """Status and header fields of a response, without Content-Length, which `Exchange.respond` adds.

    A head that does not depend on the request is made once, at freeze, and reused; a server may keep its rendered form in `wire`.

    Args:
        status: the status code, 200 to 599.
        headers: lower-case names and values, in the order in which they are sent.
    """

    __slots__ = ("headers", "status", "wire")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.headers = headers
        self.wire: bytes | None = None

    def __repr__(self) -> str:
        return f"Head({self.status}, {self.headers!r})"


class Exchange(ABC):
    """One HTTP request and its response, as the application sees them.

    Attributes:
        method: the request method, case kept (RFC 9110 §9.1: methods are case-sensitive).
        path: the percent-decoded path, with `root_path` in front when a proxy or a mount stripped nothing.
        query_string: the bytes after `?`, undecoded.
        headers: header fields in the order received, names in lower case.
        root_path: the prefix under which the application is mounted, without trailing slash.
        path_params: what the router took from the path; set by dispatch, empty before.
        started: True once the head of a response has been handed over; from then on no other response is possible.
        entry: what the router matched; set by dispatch, for views that are built later.
        view: the `Request` that user code was given, once one was; set by dispatch to None before the handler runs.
        rescue: answers what the handler raised, or None where that was seen to; set by dispatch where `rescued` is true.
    """

    __slots__ = ("entry", "headers", "method", "path", "path_params", "query_string", "rescue", "root_path", "started", "view")

    native: ClassVar[bool] = False
    """True on Tercel's own server: no anyio task group or cancel scope surrounds the handler, and writes are not ASGI messages."""

    interruptible: ClassVar[bool] = False
    """On a native exchange: somebody may cancel the handler through an anyio scope all the same, as middleware functions can."""

    rescued: ClassVar[bool] = False
    """Who runs the handler calls `rescue` with what it raised, in the same context, so that nothing has to surround the handler."""

    method: str
    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    root_path: str
    path_params: dict[str, Any]
    started: bool
    entry: Any
    view: Any
    rescue: Callable[[Exchange, Exception], Coroutine[Any, Any, None]] | None

    # -- the request -------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def scope(self) -> Scope:
        """The ASGI HTTP connection scope, built on first use and then the same object for the rest of the exchange."""

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header field, or None.

        Args:
            name: in lower case.
        """
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def text_of(self, name: bytes) -> str | None:
        """The first value of a header field as text (Latin-1, which RFC 9110 §5.5 leaves to the reader), or None.

        Args:
            name: in lower case.
        """
        value = self.header(name)
        return None if value is None else value.decode("latin-1")

    @abstractmethod
    async def body(self) -> bytes:
        """The whole request body. Calling it again returns the same bytes.

        Raises:
            BodyTooLarge: longer than the limit in force.
            starlette.requests.ClientDisconnect: the client went away before its end.
        """

    def body_at_once(self) -> bytes | None:
        """What `body` would return, if it need not wait for it; otherwise None."""
        return None

    def json_at_once(self, strict: bool) -> bytes | None:
        """The body, if `body` need not wait for it and it may be given to a validator of JSON as it is; otherwise None.

        It is not empty, says that it is JSON, and has none of the words that only `tercel.http.body.parse_json` can judge.

        Args:
            strict: one that does not say what it is, is no JSON.
        """
        body = self.body_at_once()
        if body and has_only_json_numbers(body):
            content_type = self.header(b"content-type")  # as `says_json`, without a call
            if is_json_content_type(content_type) if content_type else not strict:
                return body
        return None

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """The request body as it arrives, never an empty chunk; raises like `body`."""

    @property
    @abstractmethod
    def known_body(self) -> bytes | None:
        """What `body` returned, if it was read; never reads."""

    @property
    @abstractmethod
    def disconnected(self) -> bool:
        """True once the client is known to be gone. Never blocks."""

    @property
    def notices_leaving(self) -> bool:
        """Whether `cancelled_on_disconnect` costs no task of its own and takes nothing of the body: on Tercel's server."""
        return self.native

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        """While inside, the client's going away cancels the current task, and leaving raises `ClientDisconnect` in its place.

        Args:
            unless_started: once a response has begun on this exchange, nothing is cancelled any more.
        """
        raise NotImplementedError

    # -- the response ------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def respond(self, head: Head, body: bytes) -> None:
        """Send a complete response.

        Adds Content-Length unless the status forbids a body (RFC 9110 §8.6) or the head carries it already. Returns when the bytes
        are handed to the transport; waits first while the client reads too slowly.
        """

    def respond_at_once(self, head: Head, body: bytes) -> bool:
        """Does what `respond` does, if it need not wait for the client. False: nothing was done, `respond` must be awaited."""
        return False

    @abstractmethod
    async def start(self, head: Head) -> None:
        """Begin a response whose body follows through `write`; chunked unless the head carries Content-Length."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Send a piece of the body. Suspends while the client reads too slowly; small pieces may be gathered.

        Raises:
            OSError: the client is gone.
        """

    def write_at_once(self, data: bytes) -> bool:
        """Does what `write` does, if it need not wait. False: nothing was done, `write` must be awaited."""
        return False

    async def write_each(self, pieces: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        """Writes what an iterator gives, piece by piece; raises as `write`.

        Args:
            encode: makes bytes of pieces of another type.
        """
        async for piece in pieces:
            await self.write(piece if type(piece) is bytes else encode(piece))

    @abstractmethod
    async def finish(self) -> None:
        """End a response begun with `start`."""

    async def take(self, response: Any) -> bool:
        """Takes over a response object that sends itself, before it has begun; True when it did, and then it is not called.

        Middleware functions get responses this way; a server's exchange takes none.
        """
        return False

    async def afterwards(self, task: Callable[[], Awaitable[None]], always: bool = False) -> None:
        """Runs what has to wait until the response was sent: at once where `respond` and `finish` return only then.

        Args:
            always: it leaves something, so it also runs when no response will be sent after all.
        """
        await task()

    # -- the same as ASGI messages -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def receive(self) -> Callable[[], Awaitable[Message]]:
        """ASGI `receive` over this exchange: `http.request` messages, then `http.disconnect`."""

    @property
    @abstractmethod
    def send(self) -> Callable[[Message], Awaitable[None]]:
        """ASGI `send` over this exchange: `http.response.start` and `http.response.body`."""
