"""The body of one request on its way from the connection to whoever reads it, and the decoder of chunked bodies.

Knows of the connection only that reading can be resumed and that an interim response can be sent. `tercel.server.http1` feeds it,
`tercel.server.exchange` and `tercel.server.asgi` read it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

from starlette.requests import ClientDisconnect

from tercel.http.exchange import BodyTooLarge
from tercel.server.waiting import Waiters

__all__ = ["BodySource", "BodySyntaxError", "ChunkedDecoder", "RequestBody"]


class BodySource(Protocol):
    """What a body asks of its connection."""

    def send_continue(self) -> None:
        """Tell the client that its body is wanted (RFC 9110 §10.1.1)."""

    def body_taken(self) -> None:
        """The application has taken what was buffered: reading may go on."""


class RequestBody:
    """A request body as it arrives.

    Args:
        source: the connection.
        limit_bytes: the longest body taken, or None.
        expects_continue: the client waits for `100 Continue` before it sends.

    Attributes:
        complete: its last byte has arrived.
        buffered_bytes: arrived and not yet taken.
        received_bytes: arrived so far.
        started: somebody has begun to read.
        too_large: the limit was passed; nothing further is kept.
    """

    __slots__ = (
        "_chunks",
        "_expects_continue",
        "_gone",
        "_limit_bytes",
        "_source",
        "_waiters",
        "_whole",
        "buffered_bytes",
        "complete",
        "received_bytes",
        "started",
        "too_large",
    )

    def __init__(self, source: BodySource, limit_bytes: int | None, expects_continue: bool) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._expects_continue = expects_continue
        self._chunks: list[bytes] = []
        self._waiters: Waiters | None = None
        self._whole: bytes | None = None
        self._gone = False
        self.buffered_bytes = 0
        self.received_bytes = 0
        self.complete = False
        self.started = False
        self.too_large = False

    # -- the connection's side ---------------------------------------------------------------------------------------------

    @property
    def whole(self) -> bytes | None:
        """What `read_all` returned, or None before."""
        return self._whole

    @property
    def waits_for_continue(self) -> bool:
        """The client was not told to send, so it may never do."""
        return self._expects_continue

    def feed(self, data: bytes) -> None:
        """Take a piece that arrived; never an empty one."""
        # The client did not wait: the interim response would be late (RFC 9110 §10.1.1 lets the server omit it).
        self._expects_continue = False
        self.received_bytes += len(data)
        if self._limit_bytes is not None and self.received_bytes > self._limit_bytes:
            self.too_large = True
            self._chunks.clear()
            self.buffered_bytes = 0
        else:
            self._chunks.append(data)
            self.buffered_bytes += len(data)
        if self._waiters is not None:
            self._waiters.wake()

    def end(self) -> None:
        """The last piece has arrived."""
        self.complete = True
        self._expects_continue = False
        if self._waiters is not None:
            self._waiters.wake()

    def lose(self) -> None:
        """The rest will never come."""
        self._gone = True
        if self._waiters is not None:
            self._waiters.wake()

    # -- the reader's side -------------------------------------------------------------------------------------------------

    async def next_chunk(self) -> bytes:
        """What has arrived since the last call, waiting for at least one byte; empty at the end.

        Raises:
            BodyTooLarge: past the limit.
            ClientDisconnect: the client went away before the end.
        """
        self.started = True
        while True:
            if self.too_large:
                assert self._limit_bytes is not None
                raise BodyTooLarge(self._limit_bytes)
            if self._chunks:
                return self._take()
            if self.complete:
                return b""
            if self._gone:
                raise ClientDisconnect
            if self._expects_continue:
                self._expects_continue = False
                self._source.send_continue()
            if self._waiters is None:
                self._waiters = Waiters()
            await self._waiters.future()

    def take_whole(self) -> bytes | None:
        """The whole body if it has arrived, otherwise None."""
        if self._whole is None and self.complete and not self.started and not self.too_large:
            self.started = True
            self._whole = self._take() if self._chunks else b""
        return self._whole

    async def read_all(self) -> bytes:
        """The whole body; the same bytes when called again. Raises as `next_chunk`."""
        whole = self.take_whole()
        if whole is None:
            pieces: list[bytes] = []
            while chunk := await self.next_chunk():
                pieces.append(chunk)
            whole = self._whole = b"".join(pieces)
        return whole

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece. Raises as `next_chunk`."""
        if self._whole is not None:
            if self._whole:
                yield self._whole
            return
        while chunk := await self.next_chunk():
            yield chunk

    async def deliver(self) -> bytes:
        """As `next_chunk`, but after `read_all` the whole body once more, for a second reader that starts late."""
        if self._whole is not None:
            return self._whole
        return await self.next_chunk()

    @property
    def exhausted(self) -> bool:
        """Nothing more will come out."""
        return self.complete and not self._chunks

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self.buffered_bytes = 0
        if not self.complete:
            self._source.body_taken()
        return data


class BodySyntaxError(Exception):
    """A chunked body that is not one (RFC 9112 §7.1); the argument says what is wrong."""


# RFC 9112 §7.1.1: extensions are names with token or quoted values; they mean nothing here. The optional white space around them
# ("bad", says the RFC) is refused, as by llhttp: what recipients read differently is a way to smuggle.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
# A size line carries at most 15 digits; the rest is for extensions, which nobody uses.
_CHUNK_LINE_MAX_BYTES: Final = 512
_TRAILER_LINE_MAX_BYTES: Final = 8192


class ChunkedDecoder:
    """Decodes `Transfer-Encoding: chunked` and stops exactly behind the last byte of the body.

    llhttp decodes chunks too, but it goes on with whatever follows in the same buffer, so that a pipelined request would be parsed
    before the one in front of it is answered. Trailer fields are checked, counted and dropped: merging them into the header would
    let a client set fields behind a proxy's back (RFC 9110 §6.5.1).

    Args:
        max_trailer_bytes: the longest trailer section.

    Attributes:
        complete: the end of the body was seen.
    """

    __slots__ = ("_in_trailer", "_left_bytes", "_line", "_max_trailer_bytes", "_trailer_bytes", "complete")

    def __init__(self, max_trailer_bytes: int) -> None:
        self._max_trailer_bytes = max_trailer_bytes
        self._left_bytes = 0  # of the current chunk, with the CRLF behind it
        self._line = b""  # a line whose end has not come yet
        self._in_trailer = False
        self._trailer_bytes = 0
        self.complete = False

    def feed(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Decode from a position on; pieces of the body are appended to `out`. Returns the position behind what was used.

        Raises:
            BodySyntaxError: not a chunked body; nothing further may be fed.
        """
        size = len(data)
        while position < size and not self.complete:
            if self._left_bytes:
                position = self._feed_chunk(data, position, out)
                continue
            end = data.find(b"\n", position)
            stop = size if end < 0 else end + 1
            line = self._line + data[position:stop]
            position = stop
            limit = _TRAILER_LINE_MAX_BYTES if self._in_trailer else _CHUNK_LINE_MAX_BYTES
            # First what comes first, so that the answer does not depend on how the bytes are cut.
            if line.find(b"\r", 0, min(limit - 1, len(line) - (1 if end < 0 else 2))) >= 0:
                raise BodySyntaxError("a line has a bare CR")
            if len(line) > limit:
                raise BodySyntaxError("a line is too long")
            if end < 0:
                self._line = line
                return position
            self._line = b""
            # RFC 9112 §2.2 lets a recipient take a bare LF; it is refused, since two recipients that differ are a way to smuggle.
            if line[-2:] != b"\r\n":
                raise BodySyntaxError("a line ends with a bare LF")
            self._end_line(line[:-2])
        return position

    def _feed_chunk(self, data: bytes, position: int, out: list[bytes]) -> int:
        left = self._left_bytes
        if left > 2:
            piece = data[position : position + left - 2]
            out.append(piece)
            self._left_bytes -= len(piece)
            return position + len(piece)
        expected = b"\r\n"[2 - left : 2 - left + 1]
        if data[position : position + 1] != expected:
            raise BodySyntaxError("a chunk is longer than its size")
        self._left_bytes -= 1
        return position + 1

    def _end_line(self, line: bytes) -> None:
        if self._in_trailer:
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > self._max_trailer_bytes:
                raise BodySyntaxError("the trailer section is too long")
            if not line:
                self.complete = True
            elif _TRAILER_LINE.fullmatch(line) is None:
                raise BodySyntaxError("a trailer field is malformed")
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BodySyntaxError("a chunk size is malformed")
        size = int(match[1], 16)
        if size:
            self._left_bytes = size + 2
        else:
            self._in_trailer = True
