"""A client of raw bytes, and applications that do one thing each, for tests of the server's protocol.

`Peer` sends exactly what it is given and reads responses strictly: what it does not understand is an error. `direct_app` and
`asgi_app` run the same handler without and with ASGI messages in between. Read the tests beside this file next.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange, Head
from tercel.server import Server, ServerConfig, serving

WAIT_S = 30.0
"""How long anything that must happen may take; only a failing test ever waits that long."""

Handler = Callable[[Exchange], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

TEXT = Head(200, [(b"content-type", b"text/plain")])


async def no_websocket(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"unexpected scope {scope['type']}")


class DirectApp:
    """An application with a direct handler; what is not HTTP goes to `other`."""

    def __init__(self, handler: Handler, other: App = no_websocket) -> None:
        self.handler = handler
        self.other = other

    def direct_handler(self) -> Handler:
        return self.handler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(receive, send)
        else:
            await self.other(scope, receive, send)


def direct_app(handler: Handler) -> App:
    """The handler gets the server's own exchanges."""
    return DirectApp(handler)


def asgi_app(handler: Handler) -> App:
    """The handler gets exchanges over ASGI messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(receive, send)
        else:
            await handler(ASGIExchange(scope, receive, send))

    return app


async def run_lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def config(**options: Any) -> ServerConfig:
    """Settings for a test: any port, no access log, a grace period that ends."""
    return ServerConfig(**{"port": 0, "access_log": False, "graceful_timeout_s": 2.0, **options})


@dataclass
class Response:
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    chunks: list[bytes] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, f"{name} appears {len(values)} times in {self.fields}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, target: str = "/", **options: Any) -> Response:
        await self.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return await self.response(**options)

    async def head_of_response(self) -> Response:
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, reason = line.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = []
        for text in lines:
            name, colon, value = text.partition(": ")
            assert colon, f"not a field: {text!r}"
            assert name == name.strip()
            fields.append((name.lower(), value))
        return Response(int(status), reason, fields, b"")

    async def response(self, *, method: str = "GET") -> Response:
        """The next response, read by the rules of RFC 9112 §6.3."""
        found = await self.head_of_response()
        async with asyncio.timeout(WAIT_S):
            if method == "HEAD" or found.status in (204, 304) or found.status < 200:
                return found
            if "transfer-encoding" in found:
                assert found["transfer-encoding"] == "chunked"
                assert "content-length" not in found
                while True:
                    size = int(await self.reader.readuntil(b"\r\n"), 16)
                    data = await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                    if not size:
                        break
                    found.chunks.append(data)
                found.body = b"".join(found.chunks)
            elif "content-length" in found:
                found.body = await self.reader.readexactly(int(found["content-length"]))
            else:
                assert found["connection"] == "close"
                found.body = await self.reader.read()
        return found

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read()
            except OSError:
                return b""

    async def ended(self) -> None:
        """Assert that the server has closed and sent nothing more."""
        assert await self.rest() == b""

    def end_sending(self) -> None:
        self.writer.write_eof()

    def reset(self) -> None:
        """Leave without a goodbye."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


@asynccontextmanager
async def connected(server: Server, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Peer]:
    """A connection to a server, closed at the end of the block."""
    name = "localhost" if tls is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls, server_hostname=name, **options)
    peer = Peer(reader, writer)
    try:
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def exchange_with(app: App, **options: Any) -> AsyncIterator[Peer]:
    """A server for the block, and one connection to it."""
    async with serving(app, config(**options)) as server, connected(server) as peer:
        yield peer


async def until(condition: Callable[[], bool]) -> None:
    """Return when something has become true in the server, which runs in the same loop."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def time_passes(seconds: float) -> None:
    """Let time pass where it is what the test is about: a slow client, limits that must not strike. `until` waits for events."""
    await asyncio.sleep(seconds)
