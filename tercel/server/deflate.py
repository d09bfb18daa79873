"""permessage-deflate (RFC 7692): which offer is taken, and messages to compressed bytes and back within a limit.

Without context takeover in either direction: a compressor's memory (about 300 KiB) exists while a message is compressed and not as
long as its socket is open, and what one message said cannot show in the size of another. Pure; knows no connection. Read
`tercel.server.handshake` for the offer's way here, `tercel.server.messages` for who inflates.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, NamedTuple

__all__ = ["Deflate", "Inflating", "InflationError", "choose_offer", "deflate"]

# RFC 7692 §7.2.1: what a compressor's flush ends with is left out on the wire.
_TAIL: Final = b"\x00\x00\xff\xff"
# zlib cannot make a raw stream with a window of 256 bytes (8 bits), which is the smallest that may be asked for.
_WINDOW_BITS: Final = {str(bits): bits for bits in range(9, 16)}
_WINDOW_BITS_MAX: Final = 15
# Speed before size: the second half of the levels gains a few per cent for several times the time, in the event loop.
_LEVEL: Final = 3
# A message shorter than this rarely gets shorter by more than what compressing costs.
_MIN_BYTES: Final = 128

_PARAMETER: Final = re.compile(r"""\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*(?:=\s*(?:([0-9A-Za-z]+)|"([0-9A-Za-z]+)")\s*)?""")


class InflationError(Exception):
    """What was compressed is not, or is more than is taken.

    Args:
        code: the WebSocket close code for it.
        reason: in words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Deflate(NamedTuple):
    """A negotiated compression.

    Args:
        window_bits: of what the server compresses; the client may have asked for less than 15.
        response: the value of the handshake's Sec-WebSocket-Extensions.
    """

    window_bits: int
    response: bytes


def choose_offer(value: str) -> Deflate | None:
    """The first offer of a Sec-WebSocket-Extensions field that can be taken, or None (RFC 7692 §7.1)."""
    for offer in value.split(","):
        name, *parameters = offer.split(";")
        if name.strip().lower() == "permessage-deflate":
            taken = _take(parameters)
            if taken is not None:
                return taken
    return None


def _take(parameters: list[str]) -> Deflate | None:
    found: dict[str, str | None] = {}
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        # RFC 7692 §7.1: an offer with an unknown, repeated or invalid parameter is declined.
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2] or match[3]
    window_bits = _WINDOW_BITS_MAX
    response = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    for name, value in found.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name == "client_max_window_bits":
            # Whatever its window is, it fits into ours.
            if value is not None and value not in _WINDOW_BITS and value != "8":
                return None
        elif name == "server_max_window_bits" and value in _WINDOW_BITS:
            window_bits = _WINDOW_BITS[value]
            response += b"; server_max_window_bits=%d" % window_bits
        else:
            return None
    return Deflate(window_bits, response)


def deflate(data: bytes, window_bits: int) -> bytes | None:
    """A message compressed as it goes over the wire, or None when it is not worth it."""
    if len(data) < _MIN_BYTES:
        return None
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits)
    compressed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(compressed) >= len(data):
        return None
    return compressed[: -len(_TAIL)]


class Inflating:
    """One compressed message that arrives."""

    __slots__ = ("_inflater",)

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-_WINDOW_BITS_MAX)

    def feed(self, data: bytes, room_bytes: int, *, last: bool) -> bytes:
        """Inflate a fragment.

        Args:
            data: its payload.
            room_bytes: how many bytes may come out; never more are made.
            last: the message ends with it.

        Raises:
            InflationError: more than that (1009), or no deflated data (1007).
        """
        if last:
            data += _TAIL
        inflater = self._inflater
        try:
            # One byte more than allowed tells too much from just enough; 0 would mean without limit.
            found = inflater.decompress(data, room_bytes + 1)
        except zlib.error:
            raise InflationError(1007, "the compressed data is malformed") from None
        if len(found) > room_bytes:
            raise InflationError(1009, "the message is too big")
        # RFC 7692 §7.2.3.4: a stream may have said itself that it ends; then only the tail is left.
        if inflater.unused_data not in (b"", _TAIL):
            raise InflationError(1007, "something stands behind the compressed data")
        return found
