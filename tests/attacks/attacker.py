"""What an attacker has: raw sockets, and what an operator has: the process, its output, its exit code.

`Service` runs `tercel run --dropin` in a process of its own; `Wire` is one TCP connection that sends exactly what it is given and
reads responses strictly by RFC 9112; `Socket` is a WebSocket of raw frames on top. Synchronous, and nothing of it is the server's.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.processes import Watched, cpu_time_s, wait_until

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]

WAIT_S = Watched.wait_s


class Service(Watched):
    """An application in a process of its own, served by `tercel run --dropin`, or by uvicorn.

    Args:
        app: `module:attribute` in the folder of programs.
        options: of the command line.
        limit_files: file descriptors the process may have.
        folder: where the module is, if not among the programs.
        comes_up: it is expected to serve, and is waited for.
        variables: of its environment, besides the test's own.
        uvicorn: serves it, and says "Uvicorn running on" where Tercel says its name; the drop-in is not installed then.
    """

    def __init__(
        self,
        app: str,
        *options: str,
        limit_files: int | None = None,
        folder: Path = PROGRAMS,
        comes_up: bool = True,
        variables: Mapping[str, str] = MappingProxyType({}),
        uvicorn: bool = False,
    ) -> None:
        server = ["uvicorn"] if uvicorn else ["tercel", "run", "--dropin"]
        command = [sys.executable, "-m", *server, app, "--port", "0", "--no-access-log", *options]
        if limit_files is not None:
            command = ["sh", "-c", f'ulimit -n {limit_files}; exec "$@"', "sh", *command]
        settings = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "default", **variables}
        super().__init__(command, folder=folder, environment={**os.environ, **settings})
        self._sockets: list[socket.socket] = []
        if comes_up:
            self.port = int(self.saw("(Tercel|Uvicorn) running on").split("running on ")[1].split()[0].rsplit(":", 1)[1])

    def connect(self, **options: Any) -> Wire:
        """A new connection."""
        wire = Wire(self.port, **options)
        self._sockets.append(wire.socket)
        return wire

    def ask(self, data: bytes) -> list[Response]:
        """Send bytes over a connection of their own; all responses up to its end, which must come."""
        with self.connect() as wire:
            wire.send(data)
            return wire.all_responses()

    def get(self, target: str) -> Response:
        """One good request, answered on a connection of its own."""
        with self.connect() as wire:
            return wire.get(target)

    def request(self, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> Response:
        """One request with fields or a body, answered on a connection of its own."""
        with self.connect() as wire:
            return wire.get(target, *fields, method=method, body=body)

    def until_answer(self, target: str, body: bytes) -> None:
        """Wait until a GET is answered with this body."""
        wait_until(lambda: self.get(target).body, body.__eq__)

    def health(self) -> dict[str, int]:
        """What the service says of itself."""
        told: dict[str, int] = json.loads(self.get("/health").body)
        return told

    def until(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait until the service says of itself what it should."""
        return wait_until(self.health, condition)

    def close(self) -> None:
        """End it, however it is, and all connections to it."""
        for one in self._sockets:
            one.close()
        super().close()


def assert_linear_time(service: Service, attack: Callable[[int], None], short: int) -> None:
    """Eight times the size must take nowhere near sixty-four times as long.

    Counted in the time that the service is on a processor: another program, or a machine that stands still, adds nothing to it.

    Args:
        service: is attacked.
        attack: with so many bytes.
        short: the smaller number of them.
    """

    def seconds(size: int) -> float:
        begun_s = cpu_time_s(service.process.pid)
        attack(size)
        return cpu_time_s(service.process.pid) - begun_s

    short_s, long_s = (min(seconds(size) for _ in range(3)) for size in (short, 8 * short))
    assert long_s < max(32 * short_s, 1.0)


@dataclass
class Response:
    """One response as it came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    complete: bool = True

    def __getitem__(self, name: str) -> str:
        values = [value for key, value in self.fields if key == name]
        assert len(values) == 1, f"{name} appears {len(values)} times in {self.fields}"
        return values[0]

    def get(self, name: str) -> str | None:
        """The value of a field that is there once at most."""
        return self[name] if any(key == name for key, _ in self.fields) else None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, port: int, *, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(WAIT_S)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False
        self._how = "ended"

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send; a server that has closed already is seen when reading."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end_sending(self) -> None:
        """Close this side only."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        if self.ended:
            return False
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            self._how = "was reset"
            piece = b""
        if not piece:
            self.ended = True
            return False
        self.buffer += piece
        return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(f"the connection {self._how} in {self.buffer[:200]!r}")
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < size:
            if not self._more():
                raise EOFError(f"the connection {self._how} after {len(self.buffer)} of {size} bytes")
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while self._more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def head(self) -> Response:
        """The next response head."""
        line, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]*", line)
        assert match, f"not a status line: {line!r}"
        fields = []
        for text in lines:
            found = re.fullmatch(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\t -~\x80-\xff]*)", text)
            assert found, f"not a field: {text!r}"
            fields.append((found[1].lower(), found[2]))
        return Response(int(match[1]), fields, b"")

    def response(self, *, method: str = "GET") -> Response:
        """The next response (RFC 9112 §6.3)."""
        found = self.head()
        if method == "HEAD" or found.status in (204, 304) or found.status < 200:
            return found
        try:
            if found.get("transfer-encoding") is not None:
                assert found["transfer-encoding"] == "chunked"
                assert found.get("content-length") is None
                while size := int(self._until(b"\r\n"), 16):
                    found.body += self.exactly(size)
                    assert self.exactly(2) == b"\r\n"
                assert self.exactly(2) == b"\r\n"
            elif found.get("content-length") is not None:
                found.body = self.exactly(int(found["content-length"]))
            else:
                assert found["connection"] == "close"
                found.body = self.rest()
        except EOFError:
            found.body += self.buffer
            self.buffer = b""
            found.complete = False
        return found

    def get(self, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> Response:
        """One request and its response; the host is `test` unless it is among the fields."""
        host = [] if any(field.startswith("Host:") for field in fields) else ["Host: test"]
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {target} HTTP/1.1", *host, *fields, *length, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)
        return self.response(method=method)

    def all_responses(self) -> list[Response]:
        """Responses up to the end of the connection; nothing may be left over."""
        found = []
        while self.buffer or self._more():
            found.append(self.response())
        return found


OPENING = (
    "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """One frame of a client (RFC 6455 §5.2)."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    masked = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if not mask:
        return head + payload
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[number % 4] for number, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A CLOSE with a code."""
    return frame(8, struct.pack("!H", code) + reason)


class Socket:
    """A WebSocket of raw frames; `response` is what answered the handshake."""

    def __init__(self, service: Service, target: str, *fields: str, **options: Any) -> None:
        self.wire = service.connect(**options)
        self.wire.send(OPENING.format(target=target, fields="".join(f"{field}\r\n" for field in fields)).encode("latin-1"))
        self.response = self.wire.head()
        if self.response.status != 101:
            length = self.response.get("content-length")
            self.response.body = self.wire.exactly(int(length)) if length is not None else self.wire.rest()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.socket.close()

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.wire.send(data)

    def frame(self) -> tuple[int, bytes]:
        """The next frame, which must be whole, unmasked and without reserved bits."""
        first, second = self.wire.exactly(2)
        assert first & 0x80, "a fragment"
        assert not first & 0x70, "reserved bits"
        assert not second & 0x80, "masked by the server"
        size = second
        if size == 126:
            size = struct.unpack("!H", self.wire.exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.wire.exactly(8))[0]
        return first & 15, self.wire.exactly(size)

    def message(self) -> bytes:
        """The next data frame's payload."""
        opcode, payload = self.frame()
        assert opcode in (1, 2), (opcode, payload)
        return payload

    def closed(self) -> tuple[int, str]:
        """Code and reason of the server's CLOSE, behind which nothing may come; 1006 when it ends without one."""
        while True:
            try:
                opcode, payload = self.frame()
            except EOFError:
                return 1006, ""
            if opcode == 8:
                break
        if len(payload) >= 2:
            self.send(frame(8, payload[:2]))
        assert self.wire.rest() == b""
        if not payload:
            return 1005, ""
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()


def nonce() -> str:
    """A Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16)).decode()
