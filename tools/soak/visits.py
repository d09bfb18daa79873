"""What clients do, good and bad: each visit is one connection, and returns how many requests it made.

A visit checks what it is answered, as far as an answer is due; what the server keeps of it is `tools.soak.__main__`'s question.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable

from tests.attacks.attacker import OPENING, close_frame, frame

__all__ = ["VISITS", "Visitor", "visit"]

WAIT_S = 60.0
_PIPELINED = 4


class Visitor:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send without waiting."""
        self.writer.write(data)

    def ask(self, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> None:
        """Send a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: soak", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    async def head(self, status: int) -> bytes:
        """The next response head, which has this status."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), (status, head)
        return head.lower()

    async def answer(self, status: int = 200) -> bytes:
        """The next response."""
        head = await self.head(status)
        if b"\r\ncontent-length:" in head:
            return await self.reader.readexactly(int(head.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0]))
        if b"\r\ntransfer-encoding: chunked" in head:
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
            return body
        return await self.reader.read() if status not in (101, 204, 304) else b""

    async def end(self) -> None:
        """Read what comes until the server closes."""
        while await self.reader.read(65_536):
            pass

    def reset(self) -> None:
        """Leave without a goodbye."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def _ordinary(client: Visitor) -> int:
    for number in range(10):
        client.ask(f"/items/{number}?q=x", "X-Token: t", "Cookie: session=s")
        assert b'"held":"resource"' in (await client.answer()).replace(b" ", b"")
    client.ask("/items", "Content-Type: application/json", method="POST", body=b'{"name": "n", "tags": ["a"]}')
    await client.answer(201)
    return 11


async def _pipelined(client: Visitor) -> int:
    for number in range(_PIPELINED):
        client.ask(f"/items/{number}")
    for _ in range(_PIPELINED):
        await client.answer()
    return _PIPELINED


async def _kinds(client: Visitor) -> int:
    for target, status in (("/blocking", 200), ("/background", 200), ("/file", 200), ("/stream", 200), ("/missing", 404)):
        client.ask(target)
        await client.answer(status)
    return 5


async def _form(client: Visitor) -> int:
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = part.format("name", "n") + part.format('file"; filename="f', "content") + "--b--\r\n"
    client.ask("/form", "Content-Type: multipart/form-data; boundary=b", method="POST", body=body.encode())
    await client.answer()
    return 1


async def _chunked(client: Visitor) -> int:
    client.ask("/length", "Transfer-Encoding: chunked", method="POST")
    for _ in range(3):
        client.send(b"3\r\nabc\r\n")
        await asyncio.sleep(0)
    client.send(b"0\r\nT: t\r\n\r\n")
    assert await client.answer() == b"9"
    return 1


async def _expect(client: Visitor) -> int:
    client.ask("/length", "Expect: 100-continue", "Content-Length: 3", method="POST")
    await client.head(100)
    client.send(b"abc")
    assert await client.answer() == b"3"
    return 1


async def _errors(client: Visitor) -> int:
    for target, status in (("/forbidden", 403), ("/items/x", 422), ("/fails", 500)):
        client.ask(target)
        await client.answer(status)
    return 3


async def _aborted_upload(client: Visitor) -> int:
    client.ask("/length", "Content-Length: 1000000", method="POST")
    client.send(b"x" * random.choice((0, 10, 100_000)))
    await client.writer.drain()
    client.reset()
    return 1


async def _unread_upload(client: Visitor) -> int:
    client.ask("/unread", "Content-Length: 1000000", method="POST")
    client.send(b"x" * 1000)
    await client.answer()
    return 1


async def _aborted_download(client: Visitor, target: str = "/endless") -> int:
    client.ask(target)
    await client.head(200)
    await client.reader.read(10)
    client.reset()
    return 1


async def _aborted_download_with_pauses(client: Visitor) -> int:
    return await _aborted_download(client, "/endless?pauses=true")


async def _aborted_events(client: Visitor) -> int:
    client.ask("/events")
    await client.head(200)
    await client.reader.read(10)
    client.reset()
    return 1


async def _left(client: Visitor) -> int:
    client.ask(random.choice(("/slow", "/waits")))
    await asyncio.sleep(0.01)
    client.reset()
    return 1


async def _half_closed(client: Visitor) -> int:
    client.ask("/items/1")
    client.writer.write_eof()
    await client.answer()
    await client.end()
    return 1


_MALFORMED = (
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /length HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
)


async def _malformed(client: Visitor) -> int:
    client.send(random.choice(_MALFORMED))
    await client.head(400)
    await client.end()
    return 1


async def _half_a_head(client: Visitor) -> int:
    client.send(b"GET /items/1 HTTP/1.1\r\nHo")
    await asyncio.sleep(0)
    client.reset()
    return 1


async def _slow(client: Visitor) -> int:
    for piece in (b"GET /ite", b"ms/1 HT", b"TP/1.1\r\nHost: h\r", b"\n\r", b"\n"):
        client.send(piece)
        await asyncio.sleep(0.002)
    await client.answer()
    return 1


async def _upgrade_ignored(client: Visitor) -> int:
    client.ask("/items/1", "Connection: upgrade", "Upgrade: h2c")
    await client.answer()
    return 1


def _open(client: Visitor, target: str, *, key: str = "dGhlIHNhbXBsZSBub25jZQ==") -> None:
    client.send(OPENING.format(target=target, fields="").replace("dGhlIHNhbXBsZSBub25jZQ==", key).encode())


async def _websocket(client: Visitor) -> int:
    _open(client, "/echo")
    await client.head(101)
    for _ in range(5):
        client.send(frame(1, b"hello"))
        assert await client.reader.readexactly(7) == b"\x81\x05hello"
    client.send(close_frame(1000))
    await client.end()
    return 1


async def _aborted_websocket(client: Visitor) -> int:
    _open(client, "/echo")
    await client.head(101)
    client.send(frame(1, b"half", fin=False))
    await client.writer.drain()
    client.reset()
    return 1


async def _violating_websocket(client: Visitor) -> int:
    _open(client, "/echo")
    await client.head(101)
    client.send(frame(1, b"good") + frame(3, b"bad"))
    await client.end()
    return 1


async def _broken_websocket(client: Visitor) -> int:
    target, status = random.choice((("/broken", 101), ("/refused", 403), ("/nowhere", 403)))
    _open(client, target)
    await client.head(status)
    if status == 101:
        await client.reader.read(4)
        client.send(close_frame(1011))
    return 1


async def _websocket_with_a_bad_key(client: Visitor) -> int:
    _open(client, "/echo", key="short")
    await client.head(400)
    return 1


VISITS: dict[str, Callable[[Visitor], Awaitable[int]]] = {
    "ordinary requests": _ordinary,
    "pipelined requests": _pipelined,
    "threads, tasks, files, streams, 404": _kinds,
    "forms": _form,
    "chunked bodies": _chunked,
    "expectations": _expect,
    "errors": _errors,
    "aborted uploads": _aborted_upload,
    "uploads nobody reads": _unread_upload,
    "aborted downloads": _aborted_download,
    "aborted downloads with pauses": _aborted_download_with_pauses,
    "aborted event streams": _aborted_events,
    "clients that leave": _left,
    "half-closed clients": _half_closed,
    "malformed requests": _malformed,
    "half a head": _half_a_head,
    "slow clients": _slow,
    "upgrades that are ignored": _upgrade_ignored,
    "WebSockets": _websocket,
    "aborted WebSockets": _aborted_websocket,
    "WebSockets with violations": _violating_websocket,
    "WebSockets that fail or are refused": _broken_websocket,
    "WebSockets with a bad key": _websocket_with_a_bad_key,
}


async def visit(kind: str, port: int) -> int:
    """Make one visit; the connection is closed behind it. Returns the number of requests."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await VISITS[kind](Visitor(reader, writer))
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass
