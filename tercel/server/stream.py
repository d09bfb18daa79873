"""A response that is sent in pieces: gathers small ones, frames them, keeps to the promised length.

Knows its exchange and its connection, not who writes. `tercel.server.exchange` makes it at `start`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from tercel.http.exchange import Head
from tercel.server.wire import render, status_forbids_body

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange
    from tercel.server.http1 import HttpConnection

__all__ = ["ResponseStream", "client_gone"]

# A writer that never suspends, to a client that reads as fast, would keep the event loop to itself: it yields this often.
_YIELD_AFTER_BYTES: Final = 1_048_576


def client_gone() -> OSError:
    """The error of writing to a client that is gone (ASGI specification 2.4: `send` raises an OSError)."""
    return ConnectionResetError("the client has closed the connection")


class ResponseStream:
    """Begins a response; nothing is sent before the coroutine suspends, ends, or enough is held.

    Attributes:
        is_events: the response is an event stream (`text/event-stream`), which goes on until somebody ends it.

    Raises:
        ValueError: the head has a field that would split the response.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_exchange",
        "_flush_scheduled",
        "_gather_bytes",
        "_head",
        "_held",
        "_held_bytes",
        "_left_bytes",
        "_silent",
        "_since_yield_bytes",
        "is_events",
    )

    def __init__(self, exchange: HttpExchange, connection: HttpConnection, head: Head) -> None:
        rendered = render(head)
        wire, said_length = rendered[0], rendered[1]
        status = head.status
        self._exchange = exchange
        self._connection = connection
        self._gather_bytes = connection.server.config.gather_bytes
        self._silent = exchange.method == "HEAD" or status_forbids_body(status) or status == 205
        self._chunked = False
        self._left_bytes: int | None = None
        framing = b""
        if status == 205:
            framing = b"content-length: 0\r\n"
        elif status_forbids_body(status):
            if status == 304 and said_length is not None:
                framing = b"content-length: %d\r\n" % said_length
        elif said_length is not None:
            framing = b"content-length: %d\r\n" % said_length
            self._left_bytes = said_length
        elif exchange.http_version == "1.1":
            framing = b"transfer-encoding: chunked\r\n"
            self._chunked = True
        else:
            # RFC 9112 §6.3: to an HTTP/1.0 client a body of unknown length ends with the connection.
            exchange.close_after()
        self.is_events = b"\r\ncontent-type: text/event-stream" in wire.lower()
        if connection.server.draining.begun:
            connection.loop.call_soon(exchange.drain)
        exchange.started = True
        exchange.status = status
        exchange.sent_body_bytes = 0
        self._head: bytes | None = wire + exchange.ending(rendered, framing)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._since_yield_bytes = 0
        self._flush_scheduled = False
        self._schedule_flush()

    @property
    def ends_with_connection(self) -> bool:
        """The body has no other end than that of the connection."""
        return not (self._chunked or self._silent) and self._left_bytes is None

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled and not self._exchange.in_place:
            self._flush_scheduled = True
            self._connection.loop.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._flush_scheduled = False
        if not self._exchange.finished:
            self.flush_quietly()

    def flush_quietly(self) -> None:
        """As `flush`; that the client is gone is for the next write to say."""
        if self._connection.lost:
            self._held.clear()
            self._held_bytes = 0
            return
        with contextlib.suppress(OSError):
            self.flush()

    def write_at_once(self, data: bytes) -> bool:
        """Hold a piece for later, in the usual case; False where `write` has more to look at."""
        size = len(data)
        held_bytes = self._held_bytes + size
        if size == 0 or held_bytes >= self._gather_bytes or self._left_bytes is not None or self._silent:
            return False
        connection = self._connection
        if connection.lost or connection.write_paused:
            return False
        self._held.append(data)
        self._held_bytes = held_bytes
        self._schedule_flush()
        return True

    async def write_each(self, pieces: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        """Send what an iterator gives; see `Exchange.write_each`."""
        held = self._held
        gather_bytes = self._gather_bytes if self._left_bytes is None and not self._silent else 0
        async for piece in pieces:
            data = piece if type(piece) is bytes else encode(piece)
            # What is held already goes out when this coroutine suspends, and this with it.
            if held and (held_bytes := self._held_bytes + len(data)) < gather_bytes:
                held.append(data)
                self._held_bytes = held_bytes
            elif not self.write_at_once(data):
                await self.write(data)

    async def write(self, data: bytes) -> None:
        """Send a piece.

        Raises:
            OSError: the client is gone.
            RuntimeError: more than the Content-Length of the head, or after the end; the connection is closed.
        """
        exchange = self._exchange
        connection = self._connection
        if connection.lost:
            raise client_gone()
        size = len(data)
        if self._left_bytes is not None:
            if size > self._left_bytes:
                connection.break_off(exchange)
                raise RuntimeError("the response body is longer than its content-length")
            self._left_bytes -= size
        if size == 0 or self._silent:
            return
        self._held.append(data)
        self._held_bytes += size
        if self._held_bytes >= self._gather_bytes:
            self._since_yield_bytes += self._held_bytes
            self.flush()
            if connection.write_paused:
                self._since_yield_bytes = 0
                await connection.drained()
            elif self._since_yield_bytes >= _YIELD_AFTER_BYTES:
                self._since_yield_bytes = 0
                await asyncio.sleep(0)
        else:
            self._schedule_flush()
            if connection.write_paused:
                await connection.drained()

    def flush(self, last: bool = False) -> None:
        """Hand to the transport what is held.

        Args:
            last: end the body as well.
        """
        pieces: list[bytes] = []
        if self._head is not None:
            pieces.append(self._head)
            self._head = None
        if self._held:
            self._exchange.sent_body_bytes += self._held_bytes
            if self._chunked:
                # How a body is cut into chunks means nothing (RFC 9112 §7.1), so what was gathered is one chunk.
                pieces.append(b"%x\r\n" % self._held_bytes)
                pieces.extend(self._held)
                pieces.append(b"\r\n0\r\n\r\n" if last else b"\r\n")
                last = False
            else:
                pieces.extend(self._held)
            self._held.clear()
            self._held_bytes = 0
        if last and self._chunked and not self._silent:
            pieces.append(b"0\r\n\r\n")
        if pieces:
            self._connection.send(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def finish(self) -> None:
        """End the response.

        Raises:
            RuntimeError: less than the Content-Length of the head was written; the connection is closed.
        """
        exchange = self._exchange
        if self._connection.lost:
            raise client_gone()
        if self._left_bytes and not self._silent:
            connection = self._connection
            connection.break_off(exchange)
            raise RuntimeError(f"the response body is {self._left_bytes} bytes shorter than its content-length")
        self.flush(last=True)
        exchange.stream_finished()
