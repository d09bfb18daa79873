"""One HTTP/1.1 connection: bytes to requests, one at a time, in order, within limits of size and time.

llhttp (httptools) reads the heads; bodies are counted or decoded here, since the boundary between two messages has to be exact: a
pipelined request is not looked at before the one in front of it is answered. Knows no routes and no ASGI. Read
`tercel.server.exchange` next for what a request becomes, `tercel.server.handling` for who answers it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from tercel.server.body import BodySyntaxError, ChunkedDecoder, RequestBody
from tercel.server.exchange import HttpExchange
from tercel.server.flow import FLOW_SLOTS, FlowControl
from tercel.server.handle import ConnectionHandle
from tercel.server.handling import EAGER, settle, settle_exit, start_task
from tercel.server.handshake import wants_websocket
from tercel.server.head_reader import HeadReader, split_fields
from tercel.server.request_head import Rejected, parse_target, read_framing
from tercel.server.sockets import address_of
from tercel.server.stream import client_gone
from tercel.server.wire import CONTINUE, plain_text

if TYPE_CHECKING:
    from tercel.server.serving import Server

__all__ = ["HttpConnection"]

# What the connection waits for.
_HEAD: Final = 0  # a request
_LENGTH: Final = 1  # the rest of a body whose length is known
_CHUNKED: Final = 2  # the rest of a chunked body
_WAITING: Final = 3  # the answer; the request is complete
_CLOSING: Final = 4  # its end; what still arrives is dropped
_UPGRADED: Final = 5  # a WebSocket to take it over


class HttpConnection(FlowControl, asyncio.Protocol):
    """One client.

    Attributes:
        exchange: the request that waits for its answer, or None.
        gone: the client has closed its side at least (RFC 9112 §9.6: it may still read).
        deadline: when `tick` has something to do, on the loop's clock.
    """

    __slots__ = (
        *FLOW_SLOTS,
        "_ahead",
        "_client_closes",
        "_config",
        "_consuming",
        "_decoder",
        "_discarded_bytes",
        "_handle",
        "_left_bytes",
        "_reader",
        "_ready",
        "_state",
        "_trusted",
        "_used",
        "client",
        "deadline",
        "drain_callbacks",
        "exchange",
        "gone",
        "local_address",
        "root_path",
        "scheme",
        "server",
        "write",
    )

    write: Callable[[bytes], None]
    client: tuple[str, int | None] | None
    local_address: tuple[str, int | None] | None
    scheme: str
    _trusted: bool

    def __init__(self, server: Server) -> None:
        self.server = server
        self.init_flow(server.loop)
        self._config = server.config
        self.root_path = server.config.root_path
        self.exchange: HttpExchange | None = None
        self._ready: HttpExchange | None = None
        self.gone = False
        self.deadline = math.inf
        self.drain_callbacks = 0
        self._handle: ConnectionHandle | None = None
        self._state = _HEAD
        self._consuming = False
        self._client_closes = False
        self._used = False
        self._reader = HeadReader(server.config)
        self._ahead: bytearray | None = None
        self._left_bytes = 0
        self._discarded_bytes = 0
        self._decoder: ChunkedDecoder | None = None

    # -- the transport's calls ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self.reads = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        config = self._config
        self.transport.set_write_buffer_limits(config.write_high_water_bytes, config.write_low_water_bytes)
        self.client = address_of(transport.get_extra_info("peername"))
        self.local_address = address_of(transport.get_extra_info("sockname"), unix=True)
        self.scheme = "https" if transport.get_extra_info("sslcontext") is not None else "http"
        self._trusted = self.server.forwarded.trusts(self.client)
        self.deadline = self.loop.time() + config.head_timeout_s
        self.server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.gone = True
        self._state = _CLOSING
        self._reader.close()
        self._handle = None
        self._ahead = None
        self.server.closed(self)
        if self.exchange is not None:
            self.exchange.client_left()
        self.wake_writers()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if self._ahead is not None and state != _CLOSING:
            # Behind what waits already, also when that is about to be consumed.
            self._look_ahead(data)
        elif state == _HEAD and not self._reader.begun and data.find(b"\r\n\r\n", 1) + 4 == len(data) > 4:
            self._consume_head(data)
        elif state <= _CHUNKED:
            self._consume(data)
        elif state != _CLOSING:
            self._look_ahead(data)

    def eof_received(self) -> bool:
        self.gone = True
        exchange = self.exchange
        if exchange is None and self._ahead is None:
            # Nothing is owed. An incomplete head is not answered: the client said that it has no more to say.
            self._state = _CLOSING
            return False
        # RFC 9112 §9.6: a client may close its side and still read. Over TLS there is no such state.
        reads = self.scheme != "https"
        if exchange is not None:
            if reads and self._state in (_LENGTH, _CHUNKED) and not exchange.started:
                self._reject(Rejected(400, "the request body is incomplete"))
            else:
                exchange.client_left(certain=not reads)
        return reads

    # -- bytes to requests -------------------------------------------------------------------------------------------------

    def _consume_head(self, head: bytes) -> None:
        """As `_consume`, for the usual case: one whole head and nothing else."""
        self._consuming = True
        try:
            if head[0] in (13, 10):
                self._consume(head)
                return
            self._reader.read(head)
            self._open_exchange()
            if self._ready is not None:
                self._launch()
        except Rejected as rejected:
            self._reject(rejected)
        finally:
            self._consuming = False
        if self._state in (_LENGTH, _CHUNKED):
            self.deadline = self.loop.time() + self._config.body_timeout_s

    def _consume(self, data: bytes) -> None:
        position = 0
        size = len(data)
        self._consuming = True
        try:
            while position < size:
                state = self._state
                if state == _HEAD:
                    position = self._read_head(data, position)
                elif state == _LENGTH:
                    position = self._read_length(data, position)
                elif state == _CHUNKED:
                    position = self._read_chunked(data, position)
                else:
                    if state != _CLOSING:
                        self._look_ahead(data[position:])
                    return
                if self._ready is not None and self._state == _WAITING:
                    self._launch()
            if self._ready is not None:
                # Its body is still coming, but the handler may want to read it as it does, or to refuse it.
                self._launch()
        except Rejected as rejected:
            self._reject(rejected)
        finally:
            self._consuming = False
        if self._state in (_LENGTH, _CHUNKED):
            self.deadline = self.loop.time() + self._config.body_timeout_s

    def _look_ahead(self, data: bytes) -> None:
        if self._ahead is None:
            self._ahead = bytearray(data)
        else:
            self._ahead += data
        if len(self._ahead) >= self._config.look_ahead_bytes:
            self.hold_reading()

    def _consume_ahead(self) -> None:
        if self._state != _HEAD or self._consuming:
            return
        ahead = self._ahead
        self._ahead = None
        self.release_reading()
        if ahead is not None:
            self._consume(bytes(ahead))
        if self.gone:
            self._close_when_done()

    def _close_when_done(self) -> None:
        # The client will send nothing more, and all it has sent is answered (or is the beginning of a head without an end).
        if self._state == _HEAD and self._ahead is None and not self.lost:
            self._close()

    def left_http(self) -> bytes:
        """Another protocol takes over. Returns the bytes behind the upgrade request, which are its."""
        # There is no further head, and the parser of the last one has a kilobyte.
        self._reader.close()
        self._handle = None
        ahead = self._ahead
        self._ahead = None
        self.release_reading()
        return b"" if ahead is None else bytes(ahead)

    def _read_head(self, data: bytes, position: int) -> int:
        reader = self._reader
        fresh = not reader.begun
        if fresh:
            position = reader.skip_empty_lines(data, position)
            if position == len(data):
                return position
        position = reader.feed(data, position)
        if not reader.begun:
            self._open_exchange()
        elif fresh and not self.server.draining.begun:
            self.deadline = self.loop.time() + self._config.head_timeout_s
        return position

    def _open_exchange(self) -> None:
        reader = self._reader
        server = self.server
        target = reader.target
        fields: list[tuple[bytes, bytes]] | None = None
        # Numbers, since searching bytes in bytes raises and catches an exception inside: "/", "%", "#".
        if target[0] == 47 and 37 not in target and 35 not in target:
            raw_path, _, query_string = target.partition(b"?")
            path = raw_path.decode("latin-1")
        else:
            path, raw_path, query_string, authority = parse_target(target, reader.method)
            if authority is not None:
                # RFC 9112 §3.2.2: the authority of the target replaces whatever Host says.
                fields = [(b"host", authority), *(field for field in split_fields(reader.head) if field[0] != b"host")]
        if self.root_path:
            path = self.root_path + path
            raw_path = self.root_path.encode() + raw_path
        if reader.has_body:
            body = self._expect_body()
        else:
            body = None
            self._state = _WAITING
        self._client_closes = not reader.keep_alive
        exchange = HttpExchange(self, reader, path, raw_path, query_string, body, fields)
        self.exchange = self._ready = exchange
        self._used = True
        if server.access_log is not None:
            exchange.began_s = self.loop.time()
        # From the end, in which direction bytes are searched in half the time.
        if self._trusted and reader.lowered.rfind(server.forwarded.mark) >= 0:
            server.forwarded.apply(exchange)
        if reader.upgrade:
            reader.upgrade = False
            self._consider_upgrade(exchange)

    def _consider_upgrade(self, exchange: HttpExchange) -> None:
        # RFC 9110 §7.8: an upgrade may be ignored, and every one but that to WebSocket is.
        wanted = exchange.method == "GET" and exchange.http_version == "1.1"
        if wanted and wants_websocket(exchange.header(b"upgrade") or b""):
            self._ready = None
            exchange.close_after()
            self._state = _UPGRADED
            self.server.open_websocket(self, exchange)

    def _expect_body(self) -> RequestBody:
        reader = self._reader
        length, expects_continue = read_framing(reader.head, reader.lowered, reader.version)
        limit = self._config.max_body_bytes
        if limit is not None and length > limit:
            raise Rejected(413, "the request body is too large")
        self._discarded_bytes = 0
        if length < 0:
            self._state = _CHUNKED
            self._decoder = ChunkedDecoder(self._config.max_head_bytes)
        else:
            self._state = _LENGTH
            self._left_bytes = length
        return RequestBody(self, limit, expects_continue)

    def _read_length(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._left_bytes]
        self._left_bytes -= len(piece)
        self._take_body(piece)
        if self._left_bytes == 0:
            self._end_body()
        return position + len(piece)

    def _read_chunked(self, data: bytes, position: int) -> int:
        decoder = self._decoder
        assert decoder is not None
        pieces: list[bytes] = []
        try:
            position = decoder.feed(data, position, pieces)
        except BodySyntaxError as error:
            raise Rejected(400, f"the chunked body is malformed: {error}") from None
        for piece in pieces:
            self._take_body(piece)
        if decoder.complete and self._state == _CHUNKED:
            self._decoder = None
            self._end_body()
        return position

    def _take_body(self, piece: bytes) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.request_body is not None:
            body = exchange.request_body
            body.feed(piece)
            if body.buffered_bytes >= self._config.body_buffer_bytes or body.too_large:
                self.hold_reading()
            return
        # Answered already; a little is read to the end for the sake of the next request.
        self._discarded_bytes += len(piece)
        if self._discarded_bytes > self._config.discard_body_bytes:
            self._linger()

    def _end_body(self) -> None:
        exchange = self.exchange
        if exchange is None:
            self._become_idle()
            return
        self._state = _WAITING
        if exchange.request_body is not None:
            exchange.request_body.end()
        # Whatever was held back is in memory now; reading on is how a client's leaving is noticed.
        self.release_reading()

    # -- requests to answers -----------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        exchange = self._ready
        assert exchange is not None
        self._ready = None
        handler = self.server.handler
        if EAGER:
            # `start_task`, written out: this is the one place where its call would be felt.
            try:
                task: asyncio.Task[None] = asyncio.Task(handler(exchange), loop=self.loop, eager_start=True)  # type: ignore[call-arg]
            except SystemExit as error:
                settle_exit(exchange, self, error)
                return
        else:
            task = start_task(handler(exchange), self.loop)
        if not task.done():
            self.watch(exchange, task)
        elif not exchange.finished or task.cancelled() or task.exception() is not None:
            settle(exchange, self, task)
        else:
            exchange.view = None
        del task  # the traceback of its exception knows this frame

    def watch(self, exchange: HttpExchange, task: asyncio.Task[None]) -> None:
        """The handler has suspended for the first time, or has not begun yet."""
        exchange.suspended(task)
        task.add_done_callback(partial(settle, exchange, self))
        self.server.keep_task(task)

    def can_continue(self, exchange: HttpExchange) -> bool:
        """Whether the connection may outlive the response whose head is being written."""
        body = exchange.request_body
        if body is None or body.complete:
            return True
        # The client waits for a 100 that will not come, and may or may not send its body (RFC 9110 §10.1.1).
        if body.waits_for_continue or body.too_large:
            return False
        return self._state == _CHUNKED or self._left_bytes <= self._config.discard_body_bytes

    def answered(self, exchange: HttpExchange) -> None:
        """The response of the current exchange is complete."""
        self.exchange = None
        server = self.server
        server.response_count += 1
        if server.watches_responses:
            server.response_ended(exchange)
        if self._state == _CLOSING:
            return
        if self.gone and self._state != _WAITING:
            # The client closed its side in the middle of the body: nothing more will come.
            self._close()
            return
        body = exchange.request_body
        if not exchange.keep_alive:
            # Who asked for the close sends nothing more; who did not may be sending its next request right now.
            if self._client_closes and self._ahead is None and (body is None or body.complete):
                self._close()
            else:
                if body is not None and not body.complete:
                    body.lose()
                self._linger()
        elif self._state == _WAITING:
            self._become_idle()
        else:
            if body is not None:
                body.lose()
            if self.gone:
                # The rest of the request will not come.
                self._close()
            else:
                self.release_reading()

    def _become_idle(self) -> None:
        self._state = _HEAD
        self._paused_by_app = False
        self.deadline = self.server.idle_deadline_s
        if not self._consuming:
            if self._ahead is not None or self._reading_paused or self.gone:
                self.loop.call_soon(self._consume_ahead)
            if self.server.draining.begun and self._ahead is None:
                self._close()

    def break_off(self, exchange: HttpExchange) -> None:
        """End an exchange whose response can not be completed, so that the client sees that something is missing."""
        if exchange.finished:
            return
        unseen = exchange.ends_with_connection
        exchange.give_up()
        self.exchange = None
        self.server.response_ended(exchange)
        if self.lost:
            return
        if unseen:
            # An orderly end would look like the end of the body.
            self._reset()
        else:
            self._close()

    def _reject(self, rejected: Rejected) -> None:
        exchange = self.exchange
        self._ready = None
        self.exchange = None
        reader = HeadReader(self._config)
        raw_path = query_string = b""
        if exchange is not None:
            # Its body turned out to be broken while it was being answered.
            reader.method, raw_path, query_string = exchange.method, exchange.raw_path, exchange.query_string
            started = exchange.started
            exchange.give_up()
            exchange.client_left()
            if started:
                self._close()
                return
        self._state = _WAITING
        self._client_closes = False
        head, body = plain_text(rejected.status, rejected.reason + "\n")
        head.headers.extend(rejected.headers)
        self._reader.close()
        answer = HttpExchange(self, reader, "", raw_path, query_string, None, [])
        answer.began_s = self.loop.time()
        answer.respond_now(head, body)

    # -- the end -----------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        self._state = _CLOSING
        self.deadline = self.loop.time() + self._config.write_timeout_s
        self.transport.close()

    def _reset(self) -> None:
        self.reset_at_end()
        self.abort()

    def _linger(self) -> None:
        """Close our side and drop what still comes: closing both with bytes unread would reset the connection and, with it, take
        the response out of the client's hands (RFC 9112 §9.6)."""
        self._state = _CLOSING
        self._ahead = None
        if self.lost:
            return
        self.deadline = self.loop.time() + self._config.linger_timeout_s
        self._paused_by_app = False
        self.release_reading()
        if self.gone:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    def drain(self) -> None:
        """The server has begun to stop: an idle connection ends now, a busy one after its answer."""
        if self.exchange is not None:
            self.exchange.drain()
        elif self._state == _HEAD and self._ahead is None:
            if self._used and not self._reader.begun:
                self._close()
            else:
                # Its first request or the rest of one is on its way, and a client does not repeat that elsewhere.
                self.deadline = min(self.deadline, self.loop.time() + self._config.linger_timeout_s)

    def end_after_answer(self) -> None:
        """The answer to the request that is here is the last one, and says so."""
        if self.exchange is not None:
            self.exchange.close_after()

    def tick(self, now_s: float) -> None:
        """Look at what has taken too long. Called by the server after `deadline`, and regularly while writing is paused."""
        state = self._state
        if self.write_paused or state == _CLOSING:
            if self.stalled(now_s, self._config.write_timeout_s):
                self.abort()
                return
            if state == _CLOSING and self.transport.get_write_buffer_size():
                # The response is still on its way.
                return
        if now_s < self.deadline:
            return
        self.deadline = math.inf
        if state == _CLOSING:
            self.abort()
        elif state == _HEAD:
            if self._reader.begun:
                self._reject(Rejected(408, "the request head took too long"))
            else:
                self._close()
        elif state in (_LENGTH, _CHUNKED):
            if self._reading_paused:
                self.deadline = now_s + self._config.body_timeout_s
            elif self.exchange is None:
                self._linger()
            else:
                self._reject(Rejected(408, "the request body took too long"))

    # -- flow control ------------------------------------------------------------------------------------------------------

    def send_continue(self) -> None:
        """See `BodySource`."""
        if not self.lost and self.exchange is not None and not self.exchange.started:
            self.send(CONTINUE)

    def send(self, data: bytes) -> None:
        """Hand bytes to the transport.

        Raises:
            OSError: the client is gone.
        """
        try:
            self.write(data)
        except RuntimeError:
            raise self.write_failed() from None

    def write_failed(self) -> OSError:
        """The transport has found out that the client is gone, and has not told us yet; uvloop then raises RuntimeError."""
        self.lost = self.gone = True
        return client_gone()

    def body_taken(self) -> None:
        """See `BodySource`."""
        if self._reading_paused and self._state in (_LENGTH, _CHUNKED):
            self.deadline = self.loop.time() + self._config.body_timeout_s
            self.release_reading()

    # -- what a handle may do ----------------------------------------------------------------------------------------------

    @property
    def handle(self) -> ConnectionHandle:
        """The connection as its application may see it."""
        if self._handle is None:
            self._handle = ConnectionHandle(self, self.server.draining)
        return self._handle

    def abort(self) -> None:
        self._state = _CLOSING
        if not self.lost:
            self.lost = self.gone = True
            self.transport.abort()

    def drain_subscribed(self, change: int) -> None:
        self.drain_callbacks += change
