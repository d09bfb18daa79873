"""How picows takes a connection over from the HTTP protocol: the transport it sees, the handshake it believes in, its log.

picows expects to see the upgrade request and to answer it. It gets a constant one, its answer is dropped (the real one is sent by
`tercel.server.websocket`), and then it is the transport's protocol and reads frames into its own buffer. Checked with picows 2.0
to 2.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from picows import WSAutoPingStrategy, WSListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

__all__ = ["Lingering", "TransportFace", "take_over"]

_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
# The smallest picows takes; it grows with the messages.
_READ_BUFFER_BYTES: Final = 2048


class TransportFace:
    """The transport as picows sees it.

    Args:
        transport: the real one.

    Attributes:
        silent: nothing may be written: before the takeover is complete, and after a CLOSE frame.
        gate: what sends past the transport when that has nothing to send; None where there is none.
    """

    __slots__ = ("_get_size", "_transport", "gate", "silent", "write_real")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._get_size = transport.get_write_buffer_size
        self.write_real = transport.write
        self.silent = True
        self.gate: Any = None

    def get_write_buffer_size(self) -> int:
        """As the transport's, but never 0 when silent: with an empty buffer picows writes to the socket itself."""
        return 1 if self.silent else self._get_size()

    def write(self, data: Any) -> None:
        if not self.silent:
            if self.gate is not None:
                self.gate.queues = True
            self.write_real(data)

    def writelines(self, data: Sequence[Any]) -> None:
        # Joined: asyncio's own `writelines` forgets to pause the protocol before Python 3.12.9 and 3.13.2 (CVE-2024-12254).
        self.write(b"".join(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return _SocketFace(self._transport.get_extra_info("socket"))
        return self._transport.get_extra_info(name, default)

    def close(self) -> None:
        """picows ends a connection after an error of the peer; when, is decided by the session."""

    def abort(self) -> None:
        """See `close`."""


class _SocketFace:
    """The socket as picows sees it: a Unix socket refuses the TCP options that picows sets without asking."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def fileno(self) -> int:
        return cast(int, self._socket.fileno())

    def setsockopt(self, *_: Any) -> None:
        """The server has set what it wants when it accepted."""

    def getsockopt(self, *_: Any) -> int:
        return 0


class _Log:
    """picows' logger: silent, but it is how the parser tells of a violation of the protocol."""

    __slots__ = ("_on_violation", "violated")

    def __init__(self, on_violation: Callable[[int, str], None]) -> None:
        self._on_violation = on_violation
        self.violated = False

    def isEnabledFor(self, level: int) -> bool:
        return False

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing of this is for the operator."""

    debug = info = warning = log

    def error(self, _: str, *args: Any) -> None:
        self.violated = True
        details = args[0] if args else ()
        if isinstance(details, tuple) and len(details) == 2:
            code: Any = details[0]
            self._on_violation(int(getattr(code, "value", code)), str(details[1]))
        else:
            self._on_violation(1002, "protocol error")

    exception = error


def take_over(
    listener: WSListener,
    face: TransportFace,
    max_frame_bytes: int,
    on_violation: Callable[[int, str], None],
    ahead: bytes,
    in_front: Callable[[Any], Any],
) -> Any:
    """Make picows the protocol of a connection. Returns the connection's protocol object.

    Args:
        listener: gets the frames; `on_ws_connected` is called before this returns.
        face: the transport, silent; it speaks when this returns.
        max_frame_bytes: a longer frame is a violation with code 1009.
        on_violation: called with close code and reason when the peer breaks the protocol, before picows sends its CLOSE.
        ahead: bytes that came behind the upgrade request.
        in_front: given picows' protocol, returns what gets the bytes in its place: itself, or something that hands them on.
    """
    log = _Log(on_violation)
    protocol = WSProtocol(
        None,  # host and port, of a client
        None,  # path, of a client
        False,  # is_client_side
        lambda request: listener,
        log,
        True,  # disconnect_on_exception
        None,  # handshake timeout: the handshake is over
        False,  # auto ping: the session's tick does it
        1.0,
        1.0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # auto pong: only while the peer reads, which the session knows
        max_frame_bytes,
        None,  # extra headers, of a client
        _READ_BUFFER_BYTES,
    )
    protocol.connection_made(face)
    _feed(protocol, _REQUEST, log)
    face.silent = False
    protocol = in_front(protocol)
    face._transport.set_protocol(protocol)
    if ahead:
        _feed(protocol, ahead, log)
    return protocol


def _feed(protocol: Any, data: bytes, log: _Log) -> None:
    position = 0
    # Behind a violation picows would read on.
    while position < len(data) and not log.violated:
        buffer = protocol.get_buffer(-1)
        piece = data[position : position + len(buffer)]
        buffer[: len(piece)] = piece
        protocol.buffer_updated(len(piece))
        position += len(piece)


class Lingering(asyncio.Protocol):
    """Drops what arrives until the peer closes."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()
