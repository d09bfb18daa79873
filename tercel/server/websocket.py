"""One WebSocket: from the upgrade request over messages to the closing handshake, as the ASGI application sees it.

picows reads and writes the frames; what RFC 6455 says about messages, closing, limits and time is here. Read
`tercel.server.handshake` for the request, `tercel.server.http1` for the connection before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from starlette.websockets import WebSocketDisconnect

from tercel.http.exchange import Message, Scope
from tercel.server.deflate import Deflate, deflate
from tercel.server.flow import FLOW_SLOTS, FlowControl
from tercel.server.frames import make_gate, make_receivers, step_by_step, websocket_class
from tercel.server.handle import ConnectionHandle
from tercel.server.handshake import Opening, switching_protocols
from tercel.server.messages import MessageReader, Violation, close_frame, is_close_code
from tercel.server.parting import PARTING_SLOTS, Parting
from tercel.server.stream import client_gone
from tercel.server.takeover import Lingering, TransportFace, take_over
from tercel.server.wire import plain_text

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange
    from tercel.server.http1 import HttpConnection

__all__ = ["WebSocketSession"]

_log: Final = logging.getLogger("tercel.error")

# States.
_CONNECTING: Final = 0  # the application has not answered the handshake
_DENYING: Final = 1  # it is sending a response instead
_OPEN: Final = 2
_CLOSING: Final = 3  # our CLOSE is sent, the peer's is awaited
_CLOSED: Final = 4
_FAILING: Final = 5  # picows has found a violation, and the frame in front of it is still to come

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CLOSE: Final = WSMsgType.CLOSE
_PING, _PONG = WSMsgType.PING, WSMsgType.PONG
_DATA: Final = (_TEXT, _BINARY, WSMsgType.CONTINUATION)

_FORBIDDEN: Final = plain_text(403, "Forbidden")
_INTERNAL_ERROR: Final = plain_text(500, "Internal Server Error")


class WebSocketSession(FlowControl, Parting, WSListener):
    """A WebSocket and the connection under it.

    Attributes:
        deadline: when `tick` has something to do, on the loop's clock.
        websocket_class: what user code gets.
    """

    __slots__ = (
        *FLOW_SLOTS,
        *PARTING_SLOTS,
        "_awaits_pong",
        "_close_sent",
        "_config",
        "_connect_delivered",
        "_connection",
        "_deflate",
        "_disconnect",
        "_drain_callbacks",
        "_exchange",
        "_face",
        "_gate",
        "_key",
        "_lingering",
        "_next_ping_s",
        "_protocol",
        "_queue",
        "_queue_bytes",
        "_reader",
        "_receivers",
        "_seen_progress",
        "_state",
        "_violation",
        "_ws",
        "deadline",
        "websocket_class",
    )

    def __init__(self, connection: HttpConnection, exchange: HttpExchange, opening: Opening) -> None:
        self._connection = connection
        self._exchange = exchange
        self._key = opening.key
        self._config = connection.server.config
        self.init_flow(connection.loop)
        self.init_parting(connection.server)
        self.transport = self.reads = connection.transport
        self._state = _CONNECTING
        self._connect_delivered = False
        self._queue: deque[str | bytes] = deque()
        self._queue_bytes = 0
        self._receivers = make_receivers(connection)
        self.websocket_class = websocket_class(self._receivers)
        self._disconnect: Message | None = None
        self._deflate: Deflate | None = opening.deflate
        self._reader = MessageReader(
            self._config.ws_max_message_bytes, self._config.ws_max_fragments, compression=opening.deflate is not None
        )
        self._drain_callbacks = 0
        self._awaits_pong = False
        self._next_ping_s = math.inf
        self._seen_progress = 0
        self._lingering = False
        self._violation = (_OPEN, 0, "")
        self._close_sent = False
        self._face: TransportFace | None = None
        self._ws: WSTransport | None = None
        self._protocol: Any = None
        self._gate: Any = None
        self.deadline = math.inf

    def make_scope(self, opening: Opening) -> Scope:
        """The ASGI scope. It knows this session, which for that reason does not keep it."""
        exchange = self._exchange
        scope = dict(exchange.scope)
        del scope["method"]
        scope["type"] = "websocket"
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        scope["scheme"] = "wss" if exchange.scheme == "https" else "ws"
        scope["subprotocols"] = opening.subprotocols
        scope["extensions"] = {"websocket.http.response": {}, "tercel": ConnectionHandle(self, self._server.draining)}
        return scope

    # -- ASGI: receive -----------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """`websocket.connect`, then messages, then `websocket.disconnect` for ever."""
        if not self._connect_delivered:
            self._connect_delivered = True
            return {"type": "websocket.connect"}
        if self._state <= _DENYING:
            # Nothing comes before the handshake is answered, but the client may leave.
            await self._exchange.wait_end()
            if self._state <= _DENYING:
                return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        while not self._queue:
            if self._disconnect is not None:
                return self._tell(self._disconnect)
            await self._receivers.future()
        payload = self._queue.popleft()
        if self._reading_paused:
            self._taken()
        return {"type": "websocket.receive", "text" if type(payload) is str else "bytes": payload}

    def take_at_once(self) -> str | bytes | Message | None:
        """What has arrived on a connection that was accepted: a payload, or the message that says it is over; None for nothing."""
        if not self._queue:
            return None if self._disconnect is None else self._tell(self._disconnect)
        payload = self._queue.popleft()
        if self._reading_paused:
            self._taken()
        return payload

    def arrival(self) -> asyncio.Future[None]:
        """Ends when `take_at_once` may have something. To be awaited at once."""
        return self._receivers.future()

    def _taken(self) -> None:
        # What is left is counted when it matters, so that the usual case counts nothing.
        self._queue_bytes = sum(map(len, self._queue))
        config = self._config
        if self._queue_bytes <= config.ws_queue_bytes // 2 and len(self._queue) <= config.ws_queue_messages // 2:
            self.release_reading()

    def _deliver(self, payload: str | bytes, size_bytes: int) -> None:
        queue = self._queue
        queue.append(payload)
        if len(queue) == 1:
            self._queue_bytes = size_bytes
        else:
            self._queue_bytes += size_bytes
            config = self._config
            if self._queue_bytes > config.ws_queue_bytes or len(queue) > config.ws_queue_messages:
                if config.ws_queue_policy == "close":
                    self._fail(1008, "too much waits to be read")
                else:
                    self.hold_reading()
        self._receivers.wake()

    def stepped(self, work: Awaitable[None]) -> Awaitable[None]:
        """The same, to be awaited at once: where nothing is in the way, what it does with a message is called as that arrives."""
        return step_by_step(self._receivers, work)

    # -- ASGI: send --------------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take one message of the application.

        Raises:
            OSError: the client is gone.
            RuntimeError: a message that does not fit here.
        """
        state = self._state
        kind = message["type"]
        if state == _OPEN:
            if kind == "websocket.send":
                if self.write_paused:
                    await self._room_to_write()
                self._send_data(message)
                return
            if kind == "websocket.close":
                code = message.get("code", 1000)
                if code != 1005 and not is_close_code(code):
                    raise ValueError(f"a WebSocket cannot be closed with code {code} (RFC 6455 §7.4)")
                self._closed_by_app = True
                self.close(code, message.get("reason") or "")
                return
        elif state == _CONNECTING:
            if await self._answer_handshake(kind, message):
                return
        elif state == _DENYING:
            if kind == "websocket.http.response.body":
                await self._exchange.send({**message, "type": "http.response.body"})
                if self._exchange.finished:
                    self._state = _CLOSED
                    self._closed_by_app = True
                return
        elif self._disconnect is not None and not self._closed_by_app:
            if kind == "websocket.close":
                # What the application wants is the case already.
                return
            if kind == "websocket.send":
                raise self._refuse_data()
        elif self._server_closed(kind):
            return
        raise RuntimeError(f"ASGI message {kind!r} does not fit a WebSocket that is {self._state_name()}")

    def send_at_once(self, data: str | bytes) -> bool:
        """Send a message, unless it would have to wait or cannot be sent; then False, and nothing was done."""
        ws = self._ws
        if self._state != _OPEN or self.write_paused or self._deflate is not None or ws is None:
            return False
        if self._gate is None or not self._gate.send_now(data):
            ws.send(_TEXT if isinstance(data, str) else _BINARY, data)
        return True

    async def _room_to_write(self) -> None:
        if self._config.ws_queue_policy == "close":
            # No CLOSE: it would wait behind what the peer does not read.
            self._disconnected(1006, "")
            self.abort()
            raise self._refuse_data()
        await self.drained()
        if self._state != _OPEN:
            raise self._refuse_data()

    def _server_closed(self, kind: str) -> bool:
        """The server has begun to close on its own, which the application can not know yet."""
        if self._closed_by_app:
            return False
        if kind == "websocket.send":
            raise self._refuse_data()
        return kind == "websocket.close"

    def _state_name(self) -> str:
        return ("not accepted", "being denied", "open", "closing", "closed", "failing")[self._state]

    async def _answer_handshake(self, kind: str, message: Message) -> bool:
        if kind == "websocket.accept":
            self._accept(message.get("subprotocol"), list(message.get("headers", ())))
        elif kind == "websocket.close":
            # ASGI: closing instead of accepting is a 403.
            self._state = _CLOSED
            self._closed_by_app = True
            await self._exchange.respond(*_FORBIDDEN)
        elif kind == "websocket.http.response.start":
            await self._exchange.send({**message, "type": "http.response.start"})
            self._state = _DENYING
        else:
            return False
        return True

    def _accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        connection = self._connection
        if connection.lost or connection.gone:
            raise client_gone()
        response = switching_protocols(self._key, subprotocol, headers, self._server.tail, self._deflate)
        connection.write(response)
        self._exchange.switched_protocols()
        self._server.upgraded(connection, self, self._exchange)
        self._state = _OPEN
        self._face = TransportFace(self.transport)
        interval_s = self._config.ws_ping_interval_s
        if interval_s is not None:
            self._next_ping_s = self.loop.time() + interval_s
        self.deadline = self._next_ping_s
        ahead = connection.left_http()
        self._protocol = take_over(self, self._face, self._config.ws_max_message_bytes, self._violated, ahead, self._with_gate)
        if self._gate is not None and self._state == _OPEN:
            self._gate.join()

    def _with_gate(self, protocol: Any) -> Any:
        gate = make_gate(self, self._receivers, protocol, self._config.ws_max_message_bytes, self._server)
        if gate is None:
            return protocol
        assert self._face is not None
        self._gate = self.reads = self._face.gate = gate
        return gate

    def _send_data(self, message: Message) -> None:
        ws = self._ws
        assert ws is not None
        text = message.get("text")
        kind = _BINARY if text is None else _TEXT
        data = message.get("bytes") if text is None else text
        if data is None:
            raise RuntimeError("'websocket.send' needs 'text' or 'bytes'")
        if self._deflate is not None:
            plain = data.encode() if isinstance(data, str) else bytes(data)
            compressed = deflate(plain, self._deflate.window_bits)
            if compressed is not None:
                ws.send(kind, compressed, True, True)
                return
        ws.send(kind, data)

    # -- closing -----------------------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (RFC 6455 §7.1.2); the peer has `ws_close_timeout_s` to answer."""
        if self._state != _OPEN:
            return
        self._state = _CLOSING
        self._send_close(code, reason)
        self._queue.clear()
        self._disconnected(code, reason)
        self.deadline = self.loop.time() + self._config.ws_close_timeout_s
        # The peer's CLOSE may wait behind messages that were held back.
        self._paused_by_app = False
        self.release_reading()

    def _send_close(self, code: int, reason: str) -> None:
        face = self._face
        if face is None or self._close_sent or self.lost:
            return
        self._close_sent = face.silent = True
        with contextlib.suppress(RuntimeError):  # uvloop, when it has found out before us that the peer is gone
            # Not through picows, which may believe that it has sent one itself.
            self.transport.write(close_frame(code, reason))

    def _disconnected(self, code: int, reason: str) -> None:
        """The application is told with its next `receive` (behind what is queued)."""
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._receivers.wake()
        self.wake_writers()

    def _fail(self, code: int, reason: str) -> None:
        """The peer has broken the protocol: say so and end (RFC 6455 §7.1.7)."""
        if self._state not in (_OPEN, _CLOSING):
            return
        self._state = _CLOSED
        self._send_close(code, reason)
        self._disconnected(code, reason)
        self.loop.call_soon(self._linger)

    def _violated(self, code: int, reason: str) -> None:
        """picows has found a violation, and is about to send a CLOSE. It reads one frame ahead: the frame in front comes next."""
        if self._face is not None:
            self._face.silent = True
        if self._state in (_OPEN, _CLOSING):
            self._violation = (self._state, code, reason)
            self._state = _FAILING
            # picows would read on behind the violation.
            self.hold_reading()
            # If there is no frame in front.
            self.loop.call_soon(self._fail_after, None)

    def _fail_after(self, frame: WSFrame | None) -> None:
        """Take the frame in front of a violation, which is as good as if it had come alone, then fail."""
        if self._state == _FAILING:
            self._state, code, reason = self._violation
            if frame is not None and self._ws is not None:
                self.on_ws_frame(self._ws, frame)
            self._fail(code, reason)

    def _linger(self) -> None:
        """Drop what still comes for a while: closing with bytes unread would reset the connection and lose our CLOSE."""
        if self.transport.is_closing():
            return
        protocol = self._protocol
        if self._gate is not None:
            self._gate.give_back()
        self._lingering = True
        self.transport.set_protocol(Lingering(self.end))
        if protocol is not None:
            protocol.connection_lost(None)
        self.deadline = self.loop.time() + self._config.linger_timeout_s
        self._paused_by_app = False
        self.release_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def end(self) -> None:
        """The connection under it is gone."""
        if self._face is not None:
            self._face.silent = True
            self._face.gate = None
        self._state = _CLOSED
        self._disconnected(1006, "")
        self._server.closed(self)
        if self.task is not None:
            self._server.left_behind.add(self)
        self.lost = True
        self.wake_writers()
        connection = self._connection
        connection.lost = connection.gone = True
        connection.exchange = None
        # The gate and picows' objects refer to this one.
        self._protocol = self._ws = self._gate = None
        self.reads = self.transport

    # -- what picows calls -------------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self._lingering:
            self.end()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._state == _OPEN:
            self._awaits_pong = False
            # RFC 6455 §5.2: reserved bits belong to extensions; RSV1 says that a message is compressed (RFC 7692 §6).
            if frame.rsv2 or frame.rsv3 or (frame.rsv1 and kind not in _DATA):
                self._fail(1002, "reserved bits are set")
            elif frame.rsv1:
                self._on_part(frame)
            elif kind is _TEXT and frame.fin and not self._reader.begun:
                try:
                    text = frame.get_payload_as_utf8_text()
                except UnicodeDecodeError:
                    self._fail(1007, "text is not UTF-8")
                else:
                    self._deliver(text, frame.payload_size)
            elif kind is _BINARY and frame.fin and not self._reader.begun:
                self._deliver(frame.get_payload_as_bytes(), frame.payload_size)
            elif kind is _PING:
                # RFC 6455 §5.5.3: only the latest ping needs an answer; a peer that does not read gets none.
                if not self.write_paused:
                    transport.send(_PONG, frame.get_payload_as_bytes())
            elif kind is _CLOSE:
                self._peer_closes(frame.get_payload_as_bytes())
            elif kind is not _PONG:
                self._on_part(frame)
        elif self._state == _CLOSING and kind is _CLOSE:
            self._close_transport()
        elif self._state == _FAILING:
            self._fail_after(frame)

    def _on_part(self, frame: WSFrame) -> None:
        """A frame that is not a whole plain message."""
        try:
            payload = self._reader.take(frame)
        except Violation as violation:
            self._fail(violation.code, violation.reason)
            return
        if payload is not None:
            self._deliver(payload, self._reader.size_bytes)

    def _peer_closes(self, payload: bytes) -> None:
        code = 1005
        reason = ""
        if payload:
            # picows has checked that there are two bytes, and that the reason is UTF-8.
            code = int.from_bytes(payload[:2], "big")
            reason = payload[2:].decode("utf-8", "replace")
            if not is_close_code(code):
                self._fail(1002, "the close code is invalid")
                return
        self._state = _CLOSED
        self._send_close(code, "")
        self._disconnected(code, reason)
        # RFC 6455 §7.1.1: the server closes the connection.
        self._close_transport()

    def _close_transport(self) -> None:
        self._state = _CLOSED
        self.deadline = self.loop.time() + self._config.ws_close_timeout_s
        self._stop_reading()
        self.transport.close()

    # -- time --------------------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Look at what has taken too long. Called by the server after `deadline`, and regularly while writing is paused."""
        if self.write_paused and self.stalled(now_s, self._config.write_timeout_s):
            self.abort()
            return
        if now_s < self.deadline:
            return
        if self._state != _OPEN:
            self.deadline = math.inf
            self.abort()
            return
        if self._awaits_pong and not self._reading_paused:
            progress = self._progress()
            if progress == self._seen_progress:
                self._send_close(1011, "no answer to a ping")
                self.abort()
                return
            # A part of a long message has arrived, behind which the pong waits.
            self._seen_progress = progress
            self.deadline = now_s + self._config.ws_pong_timeout_s
        elif now_s >= self._next_ping_s:
            self._ping(now_s)
        else:
            self.deadline = self._next_ping_s

    def _ping(self, now_s: float) -> None:
        interval_s = self._config.ws_ping_interval_s
        assert interval_s is not None
        assert self._ws is not None
        self.deadline = self._next_ping_s = now_s + interval_s
        # A peer that does not read can not answer: that is the write timeout's business.
        if self.write_paused:
            return
        self._ws.send(_PING, b"")
        # Nor can one that is held back, but sending is how one notices that it has left.
        if not self._reading_paused:
            self._awaits_pong = True
            self._seen_progress = self._progress()
            self.deadline = now_s + self._config.ws_pong_timeout_s

    def _progress(self) -> int:
        """A number that changes with every byte that arrives: without a gate, of the free bytes in picows' buffer."""
        if self._gate is not None:
            return cast(int, self._gate.received_bytes)
        return len(self._protocol.get_buffer(-1)) if self._protocol is not None else 0

    # -- what a handle and the server may do -------------------------------------------------------------------------------

    def abort(self) -> None:
        self._stop_reading()
        self.transport.abort()

    def _stop_reading(self) -> None:
        if self._gate is not None:
            self._gate.leave()

    def drain_subscribed(self, change: int) -> None:
        self._drain_callbacks += change

    def drain(self) -> None:
        """The server has begun to stop (RFC 6455, IANA registry: 1012, service restart)."""
        if not self._drain_callbacks:
            self.close(1012, "service restart")
            self._end_soon()

    def end_after_answer(self) -> None:
        """A WebSocket has no answer."""

    # -- the application's end ---------------------------------------------------------------------------------------------

    def app_ended(self, error: BaseException | None) -> None:
        """The application has returned or raised."""
        self.task_ended()
        quiet = isinstance(error, (OSError, WebSocketDisconnect)) and (self._disconnect is not None or self._connection.gone)
        if error is not None and not quiet:
            _log.error("Exception in the application for WebSocket %s", self._printable(), exc_info=error)
        if self._state == _OPEN:
            if error is None:
                self.close(1000, "")
            else:
                # RFC 6455 §7.4.1: an unexpected condition.
                self.close(1011, "internal error")
        elif self._state <= _DENYING:
            self._deny_after_end(error)

    def _deny_after_end(self, error: BaseException | None) -> None:
        exchange = self._exchange
        if self._connection.lost:
            exchange.give_up()
        elif exchange.started:
            self._connection.break_off(exchange)
        else:
            if error is None:
                _log.error("The application ended without answering the WebSocket handshake of %s", self._printable())
            exchange.respond_now(*_INTERNAL_ERROR)
        self._state = _CLOSED

    def _printable(self) -> str:
        return self._exchange.raw_path.decode("latin-1")
