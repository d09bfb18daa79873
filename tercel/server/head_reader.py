"""Bytes to one request head: llhttp checks the syntax, this module finds the end, keeps to the limits and takes the head apart.

llhttp is called without callbacks for fields: a call into Python for each of them costs more than everything else about a request.
It vouches for the syntax (no folding, no controls, no bare line ends, no ambiguous lengths), and then the lines are what they look
like. Knows no connection. Read `tercel.server.http1` next, which feeds it.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from tercel.server.config import ServerConfig
from tercel.server.request_head import (
    Rejected,
    check_host,
    explain_syntax_error,
    known_hosts,
    may_become_request_line,
)

__all__ = ["HeadReader", "split_fields"]

_EMPTY_LINES: Final = re.compile(rb"[\r\n]*")
_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")}


def split_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a head that llhttp has accepted, names in lower case."""
    return [((parts := line.split(b":", 1))[0].lower(), parts[1].strip()) for line in head.split(b"\r\n")[1:-2]]


def _announces_body(fields: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in fields)


class HeadReader:
    """Reads the heads of one connection, one after the other.

    Args:
        config: the limits.

    Attributes:
        method, target, version: of the request line; the version is `1.0` or `1.1`.
        head: the whole head.
        lowered: the same in lower case, for looking up names.
        keep_alive: the client wants to use the connection again (RFC 9112 §9.3).
        has_body: something follows the head that belongs to the request.
        upgrade: `Connection: upgrade` came with an Upgrade field.
        begun: a part of a head is here.
    """

    __slots__ = (
        "_config",
        "_empty_bytes",
        "_max_head_bytes",
        "_max_headers",
        "_max_target_bytes",
        "_message_complete",
        "_parser",
        "_partial",
        "_syntax_error",
        "begun",
        "has_body",
        "head",
        "keep_alive",
        "lowered",
        "method",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._max_head_bytes = config.max_head_bytes
        self._max_headers = config.max_headers
        self._max_target_bytes = config.max_target_bytes
        self._parser: httptools.HttpRequestParser | None = None
        self._empty_bytes = 0
        self._partial = bytearray()
        self._syntax_error: str | None = None
        self._message_complete = False
        self.begun = False
        self.method = ""
        self.target = self.head = self.lowered = b""
        self.version = "1.1"
        self.keep_alive = self.has_body = self.upgrade = False

    # httptools asks for these; finding None is faster than finding nothing.
    on_message_begin = on_url = on_header = on_body = on_chunk_header = on_chunk_complete = None

    # -- what llhttp calls -------------------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """For llhttp: the only moment at which it can be asked about the connection."""
        assert self._parser is not None
        self.keep_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """For llhttp: the request ends with its head."""
        self._message_complete = True

    # -- reading -----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the parser, which refers to this object."""
        self._parser = None

    def skip_empty_lines(self, data: bytes, position: int) -> int:
        """RFC 9112 §2.2: empty lines in front of a request line are ignored. Returns the position behind them.

        Raises:
            Rejected: they are longer than a head may be, and still nothing has come behind them.
        """
        if data[position] not in b"\r\n":
            return position
        found = _EMPTY_LINES.match(data, position)
        assert found is not None
        end = found.end()
        self._empty_bytes += end - position
        if self._empty_bytes > self._max_head_bytes:
            raise Rejected(400, "there are too many empty lines")
        if end < len(data):
            self._empty_bytes = 0
        return end

    def feed(self, data: bytes, position: int) -> int:
        """Read on. Returns the position behind what was used; `begun` is False when the head is complete.

        Raises:
            Rejected: this becomes no request.
        """
        if not self.begun:
            end = data.find(b"\r\n\r\n", position)
            if end >= 0:
                self.read(data[position : end + 4])
                return end + 4
            self.begun = True
            self._partial = bytearray()
        # The head comes in pieces. llhttp sees them as they come, so that nonsense is answered at once.
        partial = self._partial
        overlap = min(3, len(partial))
        end = (bytes(partial[len(partial) - overlap :]) + data[position : position + 4]).find(b"\r\n\r\n")
        if end >= 0:
            stop = position + end + 4 - overlap
        else:
            end = data.find(b"\r\n\r\n", position)
            stop = len(data) if end < 0 else end + 4
        piece = data[position:stop]
        partial += piece
        self._parse(piece, partial)
        if end >= 0:
            self.begun = False
            self._take_apart(bytes(partial))
        return stop

    def read(self, head: bytes) -> None:
        """Read a head that is whole and alone.

        Raises:
            Rejected: it is no request.
        """
        parser = self._parser
        if parser is None or len(head) > self._max_head_bytes or self._syntax_error is not None:
            self._parse(head, head)
        else:
            # `_parse`, written out for the usual case.
            try:
                parser.feed_data(head)
            except httptools.HttpParserUpgrade:
                self.upgrade = True
            except httptools.HttpParserError as error:
                self._syntax_error = str(error)
                self._refuse_syntax(head)
        self._take_apart(head)

    def _parse(self, piece: bytes, head: bytes | bytearray) -> None:
        excess = len(head) - self._max_head_bytes
        if excess > 0:
            # What is wrong within the limit comes first, and nothing behind it is looked at: so it is when the bytes come singly.
            head = bytes(head[: self._max_head_bytes + 1])
            self._parse(piece[: max(len(piece) - excess, 0)], head[:-1])
            if head.find(b"\r\n", 0, self._config.max_target_bytes + 64) < 0:
                if not may_become_request_line(head[: head.find(b"\r")]):
                    raise Rejected(400, "the request is malformed")
                raise Rejected(414, "the request target is too long")
            raise Rejected(431, "the request head is too large")
        if self._syntax_error is not None:
            self._refuse_syntax(bytes(head))
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self.upgrade = True
        except httptools.HttpParserError as error:
            self._syntax_error = str(error)
            self._refuse_syntax(bytes(head))

    def _refuse_syntax(self, head: bytes) -> None:
        # While the request line is incomplete the right answer is not known: 501 for a method nobody knows needs all of it. So the
        # answer is the same however the bytes are cut; what is no request line at all is not waited for.
        if head.find(b"\n") >= 0 or not may_become_request_line(head):
            assert self._syntax_error is not None
            raise explain_syntax_error(head, self._syntax_error)

    def _take_apart(self, head: bytes) -> None:
        parts = head.split(b" ", 2)
        if len(parts) != 3:
            raise Rejected(400, "the request line is malformed")
        method, target, rest = parts
        if rest.startswith(b"HTTP/1.1\r\n"):
            self.version = "1.1"
        elif rest.startswith(b"HTTP/1.0\r\n"):
            self.version = "1.0"
        else:
            raise explain_syntax_error(head, "version")
        if not target:
            # RFC 9112 §3: single spaces. llhttp takes several.
            raise Rejected(400, "the request line is malformed")
        name = _METHODS.get(method)
        if name is None:
            if method == b"CONNECT":
                # RFC 9110 §9.3.6: for proxies; an origin server has nothing to tunnel to.
                raise Rejected(501, "CONNECT is not implemented")
            name = method.decode()
        if len(target) > self._max_target_bytes:
            raise Rejected(414, "the request target is too long")
        field_count = head.count(b"\n") - 2
        if field_count > self._max_headers:
            raise Rejected(431, "too many header fields")
        self.method = name
        self.target = target
        self.head = head
        self.lowered = lowered = head.lower()
        # RFC 9112 §3.2: exactly one valid Host; an HTTP/1.0 client may leave it out. (Searching costs less than splitting.)
        found = lowered.find(b"\r\nhost:")
        if found >= 0:
            host = head[found + 7 : head.find(b"\r\n", found + 7)]
            if host not in known_hosts:
                check_host(host)
            # From the end, in which direction bytes are searched in half the time.
            if field_count > 1 and lowered.rfind(b"\r\nhost:") != found:
                raise Rejected(400, "more than one Host field")
        elif self.version == "1.1":
            raise Rejected(400, "the Host field is missing")
        self.has_body = not self._message_complete
        self._message_complete = False
        if self.upgrade:
            # llhttp takes what follows for the new protocol, but the server may stay with HTTP, and then it is the body.
            self.has_body = _announces_body(split_fields(head))
        elif self.keep_alive and self.version == "1.0":
            # RFC 9112 §9.3: close wins over keep-alive; llhttp sees it the other way round.
            options = [value for name, value in split_fields(head) if name == b"connection"]
            self.keep_alive = b"close" not in b",".join(options).lower().replace(b" ", b"").split(b",")
        if self.has_body:
            # llhttp stands in front of a body it will never see; the next head gets a new parser.
            self._parser = None
