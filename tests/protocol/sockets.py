"""WebSocket applications that do one thing each, and frames in raw bytes, for tests of RFC 6455 over the server's connections.

`served` runs an application, `opened` shakes hands over a `Peer`; from then on `frame` and `read_frame` are what the wire carries.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.client import connect

from tercel.http.exchange import Exchange
from tercel.server import Server, serving
from tests.protocol.peer import TEXT, DirectApp, Peer, config

Socket = Callable[[Any, Any, Any], Awaitable[None]]

KEY = base64.b64encode(b"0123456789abcdef").decode()


async def hello(ex: Exchange) -> None:
    await ex.respond(TEXT, b"hello")


@contextlib.asynccontextmanager
async def served(socket: Socket, **options: Any) -> AsyncIterator[Server]:
    async with serving(DirectApp(hello, socket), config(**options)) as server:
        yield server


def echo_with(seen: list[Any]) -> Socket:
    """Accepts, sends back what it gets, and keeps what ended it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive()) == {"type": "websocket.connect"}
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
            await send({**message, "type": "websocket.send"})
        seen.append(message)
        assert await receive() == message

    return app


def sink_of(seen: list[Any]) -> Socket:
    """Accepts, and keeps what it gets."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
        seen.append(message)

    return app


def websocket_url(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/chat?room=1"


def client(server: Server, **options: Any) -> Any:
    return connect(websocket_url(server), **{"compression": None, "ping_interval": None, **options})


def request(*, method: str = "GET", version: str = "HTTP/1.1", leave_out: str = "", **changes: str) -> bytes:
    fields = {
        "Host": "test",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = [f"{method} /chat {version}", *(f"{name}: {value}" for name, value in fields.items() if name != leave_out)]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    first = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = first + bytes([masked | len(payload)])
    elif len(payload) < 65_536:
        head = first + bytes([masked | 126]) + struct.pack("!H", len(payload))
    else:
        head = first + bytes([masked | 127]) + struct.pack("!Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


async def read_frame(peer: Peer) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        first, length = await peer.reader.readexactly(2)
        assert first & 0x70 == 0, "reserved bits"
        assert length & 0x80 == 0, "a server does not mask"
        if length == 126:
            (length,) = struct.unpack("!H", await peer.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await peer.reader.readexactly(8))
        return first, await peer.reader.readexactly(length)


async def opened(peer: Peer, **changes: str) -> None:
    await peer.send(request(**changes))
    assert (await peer.head_of_response()).status == 101


async def closed_with(peer: Peer) -> int:
    """The code of the CLOSE that comes next; asserts that the connection ends behind it."""
    first, payload = await read_frame(peer)
    assert first == 0x88
    assert len(payload) <= 125
    payload[2:].decode()
    await peer.ended()
    return int.from_bytes(payload[:2], "big") if payload else 1005
