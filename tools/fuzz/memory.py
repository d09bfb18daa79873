"""Connections without sockets for the fuzzer: bytes in, everything that happened out, and what must be true of every connection.

`Connection` is one client whose bytes arrive in pieces; each piece is followed by as many turns of the event loop as there is
something to do. `converse` runs a conversation to its end and raises `Broken` when a rule is broken that holds for all of them.
Read `tools/fuzz/targets.py` for what is asked of each target beyond that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from tercel.http.exchange import Exchange
from tercel.server import Server, ServerConfig
from tests.protocol.feeding import Protocol, Transport, connect
from tests.protocol.peer import TEXT

__all__ = ["Answers", "Broken", "Conversation", "answer", "converse", "parse_answers", "run", "settle"]

# Turns of the event loop after which something is taken for an endless loop.
_MAX_TURNS = 2_000
T = TypeVar("T")


class Broken(AssertionError):
    """A rule was broken; the message says which."""


_loop: asyncio.AbstractEventLoop | None = None


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on the one event loop of this process: making one for each input would be most of the time.

    Raises:
        Broken: a callback raised, or a task is left.
    """
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    errors: list[dict[str, Any]] = []
    _loop.set_exception_handler(lambda _, context: errors.append(context))
    result = _loop.run_until_complete(main)
    if errors:
        raise Broken(f"raised out of a callback: {errors}") from errors[0].get("exception")
    left = asyncio.all_tasks(_loop)
    if left:
        for task in left:
            task.cancel()
        _loop.run_until_complete(asyncio.wait(left))
        raise Broken(f"tasks are left: {left}")
    return result


async def settle() -> None:
    """Return when the event loop has nothing to do until something arrives.

    Raises:
        Broken: it never has.
    """
    loop: Any = asyncio.get_running_loop()
    for _ in range(_MAX_TURNS):
        if not loop._ready:
            return
        await asyncio.sleep(0)
    raise Broken("the event loop does not come to rest")


@dataclass(frozen=True)
class Answers:
    """A client's view of what came.

    Args:
        responses: status, fields and body of each final response, in order; the body of the last may have been cut off.
        interim_count: how many `100 Continue`.
        complete: nothing was cut off.
    """

    responses: list[tuple[int, list[tuple[bytes, bytes]], bytes]]
    interim_count: int
    complete: bool


_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t\x20-\x7e\x80-\xff]*)")


def parse_answers(data: bytes, methods: list[str], stream: bytes) -> Answers:
    """Read responses as strictly as RFC 9112 §6 has them.

    Args:
        data: all that the server has written.
        methods: of the requests that the application was given; the answers to HEAD have no body.
        stream: all that the client has sent; a request that was refused before the application knew of it may be a HEAD.

    Raises:
        Broken: not a sequence of responses.
    """
    responses: list[tuple[int, list[tuple[bytes, bytes]], bytes]] = []
    interim_count = 0
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        match = _STATUS_LINE.fullmatch(line)
        if not end or match is None:
            raise Broken(f"not a response head: {head[:200]!r}")
        status = int(match[1])
        if status == 100:
            interim_count += 1
            continue
        fields = []
        for text in lines:
            found = _FIELD.fullmatch(text)
            if found is None:
                raise Broken(f"not a field: {text!r}")
            fields.append((found[1].lower(), found[2]))
        if len(responses) < len(methods):
            method = methods[len(responses)]
        else:
            method = "HEAD" if not data and b"HEAD " in stream else "GET"
        body, data, complete = _body_of(status, dict(fields), data, method)
        responses.append((status, fields, body))
        if not complete:
            return Answers(responses, interim_count, False)
    return Answers(responses, interim_count, True)


def _body_of(status: int, fields: dict[bytes, bytes], data: bytes, method: str) -> tuple[bytes, bytes, bool]:
    if method == "HEAD" or status in (204, 304) or status < 200:
        return b"", data, True
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"] != b"chunked" or b"content-length" in fields:
            raise Broken(f"ambiguous framing: {fields}")
        body = b""
        while True:
            line, end, rest = data.partition(b"\r\n")
            if not end:
                return body, b"", False
            size = int(line, 16)
            if len(rest) < size + 2:
                return body + rest, b"", False
            if rest[size : size + 2] != b"\r\n":
                raise Broken(f"a chunk does not end where it says: {rest[: size + 2]!r}")
            body += rest[:size]
            data = rest[size + 2 :]
            if size == 0:
                return body, data, True
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        return data[:length], data[length:], len(data) >= length
    if fields.get(b"connection") != b"close":
        raise Broken(f"a body without an end: {fields}")
    return data, b"", True


class _NoSocket:
    def fileno(self) -> int:
        return -1


class WireTransport(Transport):
    """Also for picows, which asks for a socket and writes to it itself when nothing waits to be written."""

    def get_write_buffer_size(self) -> int:
        return 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _NoSocket() if name == "socket" else super().get_extra_info(name, default)

    def writelines(self, data: Any) -> None:
        self.write(b"".join(data))


@dataclass(frozen=True)
class Conversation:
    """What has happened on one connection.

    Args:
        written: all that the server has sent.
        handled: method of each request that the application was given.
        closed: whether the server closed before the client did, or with an answer to that.
    """

    written: bytes
    handled: list[str]
    closed: bool


async def answer(ex: Exchange) -> None:
    """Answers when all of the body is here, so that the answer cannot depend on how the bytes were cut."""
    body = await ex.body()
    if "wait" in ex.path:
        await asyncio.sleep(0)
    text = f"{ex.method} {ex.path} {ex.query_string!r} {ex.http_version} {ex.headers!r}".encode("utf-8", "replace") + body
    if "stream" in ex.path:
        await ex.start(TEXT)
        await ex.write(text)
        await ex.write(b"!")
        await ex.finish()
    else:
        await ex.respond(TEXT, text)


def converse(
    app: Any,
    settings: ServerConfig,
    data: bytes,
    cuts: list[int],
    protocol: Protocol,
) -> Conversation:
    """Feed bytes cut at these places, then the end of the client's side.

    Args:
        app: the application; a direct one, or ASGI.
        settings: of the server.
        data: from the client.
        cuts: positions in it.
        protocol: the compiled or the pure one.

    Raises:
        Broken: see the module; also when the client has said its last word and the connection stays.
    """

    async def main() -> Conversation:
        server = Server(app, settings)
        handled: list[str] = []
        handler = server.handler

        def counted(ex: Exchange) -> Any:
            handled.append(ex.method)
            return handler(ex)

        server.handler = counted
        connection, transport = connect(server, protocol, WireTransport)
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for start, stop in pairwise(places):
            if transport.closed or not transport.reading:
                break
            receiver(transport)(data[start:stop])
            await settle()
        closed, answered_bytes = transport.closed, len(transport.written)
        if not closed and not transport.protocol.eof_received():
            transport.close()
        await settle()
        # What is answered at the end of the client's side is half a request (RFC 9112 §8), and the last answer.
        closed = closed or len(transport.written) > answered_bytes
        if not transport.closed:
            raise Broken(f"the connection stays open: {connection!r} in state {connection._state}")
        if server.connections or server._tasks:
            raise Broken(f"left in the server: {server.connections} {server._tasks}")
        return Conversation(transport.written, handled, closed)

    return run(main())


def receiver(transport: Transport) -> Callable[[bytes], None]:
    """How bytes reach whoever is the transport's protocol now: picows has buffers of its own."""
    protocol: Any = transport.protocol
    if isinstance(protocol, asyncio.Protocol):
        return protocol.data_received

    def receive(data: bytes) -> None:
        while data and transport.reading and not transport.closed and transport.protocol is protocol:
            buffer = protocol.get_buffer(-1)
            piece = data[: len(buffer)]
            buffer[: len(piece)] = piece
            protocol.buffer_updated(len(piece))
            data = data[len(piece) :]

    return receive
