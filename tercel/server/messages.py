"""Frames to messages: fragments joined, compressed ones inflated, text checked, all within limits (RFC 6455 §5.4, RFC 7692 §6.2).

Knows frames as picows makes them and no connection. Read `tercel.server.websocket` for who feeds it; a message of one plain frame,
which is the usual case, does not come here.
"""

from __future__ import annotations

import codecs
from typing import Final

from picows import WSFrame, WSMsgType

from tercel.server.deflate import Inflating, InflationError

__all__ = ["MessageReader", "Violation", "close_frame", "is_close_code"]

_TEXT: Final = WSMsgType.TEXT
_CONTINUATION: Final = WSMsgType.CONTINUATION

# RFC 6455 §5.5: the payload of a control frame is at most 125 bytes, two of them are the code.
_REASON_MAX_BYTES: Final = 123


def is_close_code(code: int) -> bool:
    """Whether a CLOSE frame may carry this code: RFC 6455 §7.4 and its registry; 3000 to 4999 are for everybody."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def close_frame(code: int, reason: str) -> bytes:
    """A server's CLOSE frame (RFC 6455 §5.5.1). The reason is cut where it is too long; never half a character."""
    # RFC 6455 §7.4.1: 1005 is the absence of a code.
    payload = b""
    if code != 1005:
        text = str(reason).encode("utf-8", "replace")
        if len(text) > _REASON_MAX_BYTES:
            text = text[:_REASON_MAX_BYTES].decode("utf-8", "ignore").encode()
        payload = code.to_bytes(2, "big") + text
    return bytes((0x88, len(payload))) + payload


class Violation(Exception):
    """The peer has broken the protocol or a limit.

    Args:
        code: the close code that says so.
        reason: in words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class MessageReader:
    """Reads the messages of one WebSocket that are more than a plain frame.

    Args:
        max_bytes: the longest message, inflated.
        max_fragments: the most frames of one message.
        compression: permessage-deflate was negotiated.

    Attributes:
        begun: a message has begun and not ended.
        size_bytes: of the message that `take` has returned last.
    """

    __slots__ = (
        "_compression",
        "_count",
        "_decoder",
        "_inflating",
        "_max_bytes",
        "_max_fragments",
        "_parts",
        "begun",
        "size_bytes",
    )

    def __init__(self, max_bytes: int, max_fragments: int, compression: bool) -> None:
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._compression = compression
        self._parts: list[str] | bytearray = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._inflating: Inflating | None = None
        self._count = 0
        self.begun = False
        self.size_bytes = 0

    def take(self, frame: WSFrame) -> str | bytes | None:
        """Take a data frame. Returns the payload of the message that ends with it, or None.

        Raises:
            Violation: with the close code.
        """
        if frame.msg_type is _CONTINUATION:
            if not self.begun:
                raise Violation(1002, "a continuation without a message")
            # RFC 7692 §6.1: only the first frame of a message says that it is compressed.
            if frame.rsv1:
                raise Violation(1002, "reserved bits are set")
        else:
            if self.begun:
                raise Violation(1002, "a new message inside a fragmented one")
            self._begin(frame)
        self._count += 1
        if self._count > self._max_fragments:
            # Each costs time and memory, however short it is.
            raise Violation(1008, "the message has too many fragments")
        last = bool(frame.fin)
        self._append(self._payload(frame, last), last)
        if not last:
            return None
        self.begun = False
        parts = self._parts
        self._parts = bytearray()
        self._decoder = self._inflating = None
        if isinstance(parts, bytearray):
            return bytes(parts)
        return "".join(parts)

    def _begin(self, frame: WSFrame) -> None:
        if frame.rsv1 and not self._compression:
            raise Violation(1002, "reserved bits are set")
        self.begun = True
        self.size_bytes = self._count = 0
        text = frame.msg_type is _TEXT
        self._parts = [] if text else bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if text else None
        self._inflating = Inflating() if frame.rsv1 else None

    def _payload(self, frame: WSFrame, last: bool) -> bytes:
        data = frame.get_payload_as_bytes()
        if self._inflating is not None:
            try:
                data = self._inflating.feed(data, self._max_bytes - self.size_bytes, last=last)
            except InflationError as error:
                raise Violation(error.code, error.reason) from None
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise Violation(1009, "the message is too big")
        return data

    def _append(self, data: bytes, last: bool) -> None:
        parts = self._parts
        if isinstance(parts, bytearray):
            parts += data
            return
        assert self._decoder is not None
        try:
            text = self._decoder.decode(data, final=last)
        except UnicodeDecodeError:
            raise Violation(1007, "text is not UTF-8") from None
        if text:
            parts.append(text)
