"""The opening handshake of a WebSocket: is this request one, is it valid, and the bytes of the 101 (RFC 6455 §4.2).

Pure; knows no connection. Read `tercel.server.websocket` next for what follows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tercel.http.exchange import Head
from tercel.server.deflate import Deflate, choose_offer
from tercel.server.request_head import Rejected
from tercel.server.wire import render

__all__ = ["Opening", "check_opening", "switching_protocols", "wants_websocket"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Fields of the 101 that are the handshake's own.
_OWN: Final = frozenset((b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-extensions"))


class Opening(NamedTuple):
    """A valid opening handshake.

    Args:
        key: the client's nonce.
        subprotocols: what the client offers, in its order of preference.
        deflate: the compression to use, or None.
    """

    key: bytes
    subprotocols: list[str]
    deflate: Deflate | None = None


def wants_websocket(upgrade: bytes) -> bool:
    """True when an Upgrade field offers WebSocket; other protocols are ignored, as RFC 9110 §7.8 allows."""
    return any(token.strip().lower() == b"websocket" for token in upgrade.split(b","))


def check_opening(
    headers: Sequence[tuple[bytes, bytes]], allowed_origins: Iterable[str] | None, *, compression: bool = False
) -> Opening:
    """Check what RFC 6455 §4.2.1 asks of the fields of a GET that wants WebSocket.

    Args:
        headers: the fields.
        allowed_origins: see `ServerConfig.ws_allowed_origins`.
        compression: take an offer of permessage-deflate.

    Raises:
        Rejected: 400, 403 for an origin that is not allowed, or 426 for a version other than 13.
    """
    keys: list[bytes] = []
    versions: list[bytes] = []
    origins: list[bytes] = []
    offered: list[str] = []
    extensions: list[str] = []
    for name, value in headers:
        if name == b"sec-websocket-key":
            keys.append(value)
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"origin":
            origins.append(value)
        elif name == b"sec-websocket-protocol":
            offered += [token.strip() for token in value.decode("latin-1").split(",") if token.strip()]
        elif name == b"sec-websocket-extensions":
            extensions.append(value.decode("latin-1"))
        elif (name == b"content-length" and value.strip(b"0")) or name == b"transfer-encoding":
            raise Rejected(400, "a WebSocket request has no body")
    if versions != [b"13"]:
        # RFC 6455 §4.4: say which versions are spoken.
        raise Rejected(426, "WebSocket version 13 is spoken here", [(b"sec-websocket-version", b"13")])
    if len(keys) != 1 or not _is_nonce(keys[0]):
        raise Rejected(400, "Sec-WebSocket-Key is missing or malformed")
    if allowed_origins is not None and origins:
        origin = origins[0].decode("latin-1").lower()
        if len(origins) > 1 or origin not in (allowed.lower() for allowed in allowed_origins):
            raise Rejected(403, "the origin is not allowed")
    return Opening(keys[0], offered, choose_offer(",".join(extensions)) if compression else None)


def _is_nonce(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def switching_protocols(
    key: bytes, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]], tail: bytes, deflate: Deflate | None = None
) -> bytes:
    """The bytes of the 101.

    Args:
        key: the client's nonce.
        subprotocol: the one chosen, or None.
        headers: further fields of the application.
        tail: the server's own fields, each ended by CRLF.
        deflate: the compression to use, or None.

    Raises:
        ValueError: a field that would split the response.
    """
    own = _OWN if subprotocol is None else _OWN | {b"sec-websocket-protocol"}
    fields = [(name, value) for name, value in headers if bytes(name).lower() not in own]
    if subprotocol is not None:
        fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    if deflate is not None:
        fields.append((b"sec-websocket-extensions", deflate.response))
    lines = render(Head(200, fields))[0].partition(b"\r\n")[2]
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: %b\r\n%b%b\r\n" % (accept, lines, tail)
    )
