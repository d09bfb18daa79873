"""One request and its response on a connection: what a handler reads from and answers through.

The parts that only some exchanges need are made when they are used: a `RequestBody` when there is one, a `ResponseStream` when a
response is streamed, an `AsgiBridge` when an application speaks ASGI. Knows of its connection what `Wire` says, and nothing of
routes. Read `tercel.server.http1` for where exchanges come from.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from anyio import current_effective_deadline
from starlette.requests import ClientDisconnect

from tercel.http.exchange import Exchange, Head, Message, Scope
from tercel.http.leaving import UntilClientLeaves
from tercel.server.body import RequestBody
from tercel.server.handling import EAGER
from tercel.server.head_reader import HeadReader, split_fields
from tercel.server.request_head import find_field
from tercel.server.stream import ResponseStream, client_gone
from tercel.server.waiting import Waiters
from tercel.server.wire import RenderedHead, render, status_forbids_body

if TYPE_CHECKING:
    from tercel.server.handle import ConnectionHandle
    from tercel.server.http1 import HttpConnection

__all__ = ["HttpExchange"]

# Above this a body is handed to the transport on its own instead of being copied behind its head.
_COPY_MAX_BYTES: Final = 65_536


class HttpExchange(Exchange):
    """One request on a connection of Tercel's server.

    Attributes:
        raw_path: the path as it was sent, without the query; `root_path` in front as in `path`.
        http_version: `1.0` or `1.1`.
        client: address and port of the client, or None when it has none (Unix socket).
        scheme: `http` or `https`.
        request_body: the body, or None when the request has none.
        keep_alive: the connection may be used again afterwards.
        finished: the response is complete, or was given up.
        given_up: no (complete) response was or will be sent, the connection ends.
        dismissed: an event stream whose handler was told to end since the server stops.
        status: of the response; set when it is started or given up.
        sent_body_bytes: of the response body so far; set with `status`.
        in_place: the handler has not suspended yet, so what it writes is sent when it does.
        began_s: when the head was complete, on the loop's clock; set when there is an access log.
    """

    __slots__ = (
        "_body_delivered",
        "_connection",
        "_end_waiters",
        "_fields",
        "_head",
        "_held",
        "_lowered",
        "_on_leave",
        "_scope",
        "_simple",
        "_stream",
        "_task",
        "began_s",
        "client",
        "dismissed",
        "finished",
        "given_up",
        "http_version",
        "in_place",
        "keep_alive",
        "raw_path",
        "request_body",
        "scheme",
        "sent_body_bytes",
        "status",
    )

    native = True
    rescued = EAGER  # before 3.12 the context of a task cannot be asked for

    client: tuple[str, int | None] | None
    scheme: str
    status: int
    sent_body_bytes: int
    began_s: float

    def __init__(
        self,
        connection: HttpConnection,
        reader: HeadReader,
        path: str,
        raw_path: bytes,
        query_string: bytes,
        request_body: RequestBody | None,
        fields: list[tuple[bytes, bytes]] | None,
    ) -> None:
        self._connection = connection
        self._head = reader.head
        self._lowered = reader.lowered
        self._fields = fields
        self.method = method = reader.method
        self.path = path
        self.raw_path = raw_path
        self.query_string = query_string
        self.http_version = http_version = reader.version
        self.keep_alive = keep_alive = reader.keep_alive and not connection.server.draining.begun
        self.request_body = request_body
        self.root_path = connection.root_path
        self.client = connection.client
        self.scheme = connection.scheme
        self.path_params: dict[str, Any] = {}
        self.rescue = None
        self.started = False
        self.finished = False
        self.given_up = False
        # The usual case, in which the end of the head depends on nothing but the length of the body.
        self._simple = keep_alive and http_version == "1.1" and method != "HEAD"
        self._scope: Scope | None = None
        self._stream: ResponseStream | None = None
        self._body_delivered = False
        # The head of an ASGI response that waits for its body, or what was wrong with it.
        self._held: Head | Exception | None = None
        self._end_waiters: Waiters | None = None
        self._on_leave: Callable[[bool], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.dismissed = False
        self.in_place = EAGER

    # -- the request -------------------------------------------------------------------------------------------------------

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Made when somebody asks: most handlers want one or two fields, for which `header` searches the head."""
        fields = self._fields
        if fields is None:
            fields = self._fields = split_fields(self._head)
        return fields

    @headers.setter
    def headers(  # pyright: ignore[reportIncompatibleVariableOverride] # a property in place of an attribute
        self, fields: list[tuple[bytes, bytes]]
    ) -> None:
        self._fields = fields

    def header(self, name: bytes) -> bytes | None:
        fields = self._fields
        if fields is not None:
            for key, value in fields:
                if key == name:
                    return value
            return None
        return find_field(self._head, self._lowered, name)

    @property
    def scope(self) -> Scope:
        scope = self._scope
        if scope is None:
            connection = self._connection
            scope = self._scope = {
                "type": "http",
                # Not 2.4, although sending to a client that is gone raises OSError: Starlette's streams would then not listen for
                # `http.disconnect`, and one that waits for its next piece would wait for ever.
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": self.http_version,
                "server": connection.local_address,
                "client": self.client,
                "scheme": self.scheme,
                "method": self.method,
                "root_path": self.root_path,
                "path": self.path,
                "raw_path": self.raw_path,
                "query_string": self.query_string,
                "headers": self.headers,
                "state": connection.server.state.copy(),
                "extensions": {"tercel": connection.handle},
            }
        return scope

    @property
    def connection(self) -> ConnectionHandle:
        """What an application may know of and do to the connection itself; the same as `scope["extensions"]["tercel"]`."""
        return self._connection.handle

    async def body(self) -> bytes:
        body = self.request_body
        if body is None:
            return b""
        whole = body.take_whole()
        return whole if whole is not None else await body.read_all()

    def body_at_once(self) -> bytes | None:
        body = self.request_body
        return b"" if body is None else body.take_whole()

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.request_body is not None:
            async for chunk in self.request_body.chunks():
                yield chunk

    @property
    def known_body(self) -> bytes | None:
        return b"" if self.request_body is None else self.request_body.whole

    @property
    def disconnected(self) -> bool:
        return self._connection.gone or self.dismissed

    @property
    def half_closed(self) -> bool:
        """The client has closed its side of the connection, and nothing says that it does not read."""
        connection = self._connection
        return connection.gone and not connection.lost and not self.dismissed

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        return _UntilClientLeaves(self, unless_started)

    # -- the response ------------------------------------------------------------------------------------------------------

    async def respond(self, head: Head, body: bytes) -> None:
        if self._connection.write_paused:
            await self._connection.drained()
        self.respond_now(head, body)

    def respond_at_once(self, head: Head, body: bytes) -> bool:
        if self._connection.write_paused:
            return False
        self.respond_now(head, body)
        return True

    def respond_now(self, head: Head, body: bytes) -> None:
        """As `respond`, without waiting for a slow client.

        Raises:
            RuntimeError: a response was begun before, or the head names another length than the body has.
            OSError: the client is gone.
            ValueError: the head has a field that would split the response.
        """
        if self.started:
            raise client_gone() if self.given_up else RuntimeError("the response was started already")
        connection = self._connection
        if connection.lost:
            raise client_gone()
        request_body = self.request_body
        wire = head.wire
        length = len(body)
        if wire is not None and self._simple and length <= _COPY_MAX_BYTES and (request_body is None or request_body.complete):
            data = b"%b%bcontent-length: %d\r\n\r\n%b" % (wire, connection.server.tail, length, body)
            self.started = True
            self.status = head.status
            self.sent_body_bytes = length
            try:
                connection.write(data)
            except RuntimeError:
                raise connection.write_failed() from None
        else:
            self._respond_in_full(head, body)
        self.finished = True
        if self._end_waiters is not None:
            self._end_waiters.wake()
        connection.answered(self)

    def _respond_in_full(self, head: Head, body: bytes) -> None:
        rendered = render(head)
        wire, said_length = rendered[0], rendered[1]
        length: int | None = len(body)
        if status_forbids_body(head.status):
            # RFC 9110 §8.6: no Content-Length in a 204; in a 304 it is the length the body of a 200 would have had.
            length = said_length if head.status == 304 else None
            body = b""
        elif head.status == 205:
            # RFC 9110 §15.3.6: a 205 has no content, which on HTTP/1.1 is said by a length of zero.
            length = 0
            body = b""
        elif self.method == "HEAD":
            # RFC 9110 §9.3.2: the fields of a GET, no content. An application that leaves the body out names its length.
            if said_length is not None:
                length = said_length
            body = b""
        elif said_length is not None and said_length != length:
            raise RuntimeError(f"the response body has {length} bytes, its content-length says {said_length}")
        self.started = True
        self.status = head.status
        self.sent_body_bytes = len(body)
        ending = self.ending(rendered, b"" if length is None else b"content-length: %d\r\n" % length)
        connection = self._connection
        if len(body) <= _COPY_MAX_BYTES:
            connection.send(b"%b%b%b" % (wire, ending, body))
        else:
            connection.send(wire + ending)
            connection.send(body)

    def ending(self, rendered: RenderedHead, framing: bytes) -> bytes:
        """The end of a head: what depends on the connection, the given framing fields and the empty line."""
        connection = self._connection
        server = connection.server
        _, _, wants_close, has_date, has_server = rendered
        if has_date:
            tail = b"" if has_server else server.tail_server
        else:
            tail = server.tail_date if has_server else server.tail
        if wants_close or not connection.can_continue(self):
            self.keep_alive = False
        if not self.keep_alive:
            return b"%b%bconnection: close\r\n\r\n" % (tail, framing)
        if self.http_version == "1.0":
            # RFC 9112 §9.3: an HTTP/1.0 client that asked to persist has to be told that it may.
            return b"%b%bconnection: keep-alive\r\n\r\n" % (tail, framing)
        return b"%b%b\r\n" % (tail, framing)

    def close_after(self) -> None:
        """Do not use the connection again after this response."""
        self.keep_alive = False
        self._simple = False

    async def start(self, head: Head) -> None:
        self.start_now(head)

    def start_now(self, head: Head) -> None:
        """As `start`: nothing is waited for, since nothing is sent yet."""
        if self.started:
            raise client_gone() if self.given_up else RuntimeError("the response was started already")
        if self._connection.lost:
            raise client_gone()
        self._stream = ResponseStream(self, self._connection, head)

    async def write(self, data: bytes) -> None:
        if self._stream is None:
            raise self._not_streaming()
        await self._stream.write(data)

    def write_at_once(self, data: bytes) -> bool:
        return self._stream is not None and self._stream.write_at_once(data)

    async def write_each(self, pieces: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        if self._stream is None:
            raise self._not_streaming()
        await self._stream.write_each(pieces, encode)

    async def finish(self) -> None:
        if self._stream is None:
            raise self._not_streaming()
        self._stream.finish()

    def _not_streaming(self) -> Exception:
        if self.given_up:
            return client_gone()
        return RuntimeError("the response is complete already" if self.finished else "the response was not started")

    def switched_protocols(self) -> None:
        """The connection has left HTTP with a 101; it is not the exchange's any more."""
        self.status = 101
        self.sent_body_bytes = 0
        self.started = True
        self.finished = True
        if self._end_waiters is not None:
            self._end_waiters.wake()

    def stream_finished(self) -> None:
        """The stream has sent its last byte."""
        self.finished = True
        # It refers to this exchange: what refers to itself waits for the garbage collector.
        self._stream = None
        if self._end_waiters is not None:
            self._end_waiters.wake()
        self._connection.answered(self)

    @property
    def ends_with_connection(self) -> bool:
        """The body being sent has no other end than that of the connection."""
        return self._stream is not None and self._stream.ends_with_connection

    def give_up(self) -> None:
        """End the exchange without (the rest of) a response; what was written so far still goes out."""
        if not self.finished:
            if self._stream is not None:
                self._stream.flush_quietly()
                self._stream = None
            if not self.started:
                self.status = self.sent_body_bytes = 0
            self.started = True
            self.finished = True
            self.given_up = True
            if self._end_waiters is not None:
                self._end_waiters.wake()

    # -- the same as ASGI messages -----------------------------------------------------------------------------------------

    @property
    def receive(self) -> Callable[[], Awaitable[Message]]:
        return self._receive

    async def _receive(self) -> Message:
        if not self._body_delivered:
            body = self.request_body
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
        await self.wait_end()
        return {"type": "http.disconnect"}

    @property
    def send(self) -> Callable[[Message], Awaitable[None]]:
        return self._send

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        held = self._held
        if kind == "http.response.start":
            if self.started or held is not None:
                raise client_gone() if self.given_up else RuntimeError("'http.response.start' was sent twice")
            # The head waits for the first body message, so that a whole response is one write and gets a Content-Length; but not
            # longer than until the application suspends: an event stream has to be open before its first event.
            self._held = Head(message["status"], list(message.get("headers", ())))
            if not self.in_place:
                self._connection.loop.call_soon(self._start_held)
        elif kind == "http.response.body":
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(body)
            if held is not None:
                self._held = None
                if isinstance(held, Exception):
                    raise held
                if not message.get("more_body", False):
                    if self._connection.write_paused:
                        await self._connection.drained()
                    self.respond_now(held, body)
                    return
                self.start_now(held)
            elif not self.started:
                raise RuntimeError("'http.response.body' was sent before 'http.response.start'")
            await self.write(body)
            if not message.get("more_body", False):
                await self.finish()
        else:
            raise RuntimeError(f"ASGI message {kind!r} does not fit an HTTP connection")

    def _start_held(self) -> None:
        head = self._held
        if isinstance(head, Head) and not self.finished and not self._connection.lost:
            self._held = None
            try:
                self.start_now(head)
            except Exception as error:
                # For the next `send` to raise: this is nobody's call.
                self._held = error

    # -- its end -----------------------------------------------------------------------------------------------------------

    def suspended(self, task: asyncio.Task[None]) -> None:
        """The handler has suspended for the first time: what it has begun to say goes out.

        Args:
            task: the handler's.
        """
        self.in_place = False
        self._task = task
        if self._held is not None:
            self._start_held()
        if self._stream is not None and not self.finished:
            self._stream.flush_quietly()

    async def wait_end(self) -> None:
        """Return when the response is complete or the client is gone, whom nobody knows to be gone when it has closed its side."""
        connection = self._connection
        if self.finished or connection.lost:
            return
        if connection.gone:
            if current_effective_deadline() == -math.inf:
                # Starlette's `is_disconnected` asks in a scope that is cancelled already: it wants to know at once.
                return
            self.watch_half_closed()
        if self._end_waiters is None:
            self._end_waiters = Waiters()
        await self._end_waiters.future()

    def client_left(self, *, certain: bool = True) -> None:
        """The connection is gone, or the client will send nothing more.

        Args:
            certain: nobody reads any more; otherwise the client has closed its side, and may read on or have left.
        """
        if self.request_body is not None and not self.request_body.complete:
            self.request_body.lose()
        if self._on_leave is not None:
            self._on_leave(certain)
        if self._end_waiters is not None:
            if certain:
                self._end_waiters.wake()
            else:
                self.watch_half_closed()

    def watch_half_closed(self) -> None:
        """Find out whether a client that has closed its side still reads (RFC 9112 §9.6).

        If it has left, the next piece is answered by a reset. If nothing is sent for `half_closed_timeout_s`, it is taken to have.
        """
        connection = self._connection
        sent_bytes = self.sent_body_bytes if self.started else -1
        connection.loop.call_later(connection.server.config.half_closed_timeout_s, self._look_half_closed, sent_bytes)

    def _look_half_closed(self, sent_bytes: int) -> None:
        connection = self._connection
        if self.finished or connection.lost or self.dismissed:
            return
        if connection.write_paused or (self.started and self.sent_body_bytes > sent_bytes):
            self.watch_half_closed()
        else:
            self.client_left()

    def drain(self) -> None:
        """The server has begun to stop: the connection ends with this response.

        An event stream has no end of its own and is dismissed, unless the application has asked to be told: then it ends it itself.
        """
        self.close_after()
        stream = self._stream
        if stream is not None and stream.is_events and not self.dismissed and not self._connection.drain_callbacks:
            self.dismissed = True
            if self._on_leave is not None:
                self._on_leave(True)
            elif self._task is not None:
                self._task.cancel()

    def task_ended(self) -> None:
        """The handler has ended. What a dismissed event stream has written is complete as it is."""
        # It may have an exception, whose traceback knows this exchange: what refers to itself waits for the garbage collector.
        self._task = None
        if self.dismissed and not self.finished and self._stream is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._stream.finish()

    def call_on_leave(self, callback: Callable[[bool], None] | None) -> Callable[[bool], None] | None:
        """Call back when the client goes away, with whether that is certain; it may be called again when it is.

        None takes the request back. Returns what would have been called so far.
        """
        before, self._on_leave = self._on_leave, callback
        return before


class _UntilClientLeaves(UntilClientLeaves):
    """See `Exchange.cancelled_on_disconnect`; what was to be called before is called again afterwards."""

    __slots__ = ("_around", "_exchange")

    def __init__(self, exchange: HttpExchange, unless_started: Exchange | None) -> None:
        super().__init__(unless_started)
        self._exchange = exchange

    def _begin(self) -> None:
        exchange = self._exchange
        half_closed = exchange.half_closed
        if exchange.disconnected and not (half_closed and self._unless_started is None):
            raise ClientDisconnect
        self._around = exchange.call_on_leave(self._noticed)
        if half_closed:
            exchange.watch_half_closed()

    def _noticed(self, certain: bool) -> None:
        # An endpoint is cancelled as soon as its client may have left: its route says that it is worth nothing then. A stream that
        # somebody may be reading goes on.
        if certain or self._unless_started is not None:
            self.leave()
        else:
            self._exchange.watch_half_closed()

    def _end(self) -> None:
        self._exchange.call_on_leave(self._around)
