"""The classes of the compiled protocol: those of the pure one, with the functions of the usual request in C.

Importing this module fails where the extension was not built. Only `tercel.server.protocols` imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Final, cast
from urllib.parse import unquote

from tercel.http.exchange import Head
from tercel.server import _http1
from tercel.server.body import RequestBody
from tercel.server.config import ServerConfig
from tercel.server.exchange import HttpExchange
from tercel.server.handle import Draining, PerRequest
from tercel.server.handling import settle, settle_exit
from tercel.server.head_reader import HeadReader
from tercel.server.http1 import HttpConnection
from tercel.server.request_head import Rejected, check_host, known_hosts
from tercel.server.stream import ResponseStream

__all__ = ["CompiledConnection", "CompiledExchange"]


class CompiledExchange(HttpExchange):
    """One that began as a whole request of the usual kind; every other one is a plain `HttpExchange`."""

    __slots__ = ()

    respond = _http1.respond  # type: ignore[assignment]  # awaitable, but no coroutine
    respond_at_once = _http1.respond_at_once
    respond_now = _http1.respond_now
    header = _http1.header
    json_at_once = _http1.json_at_once
    write_each = _http1.write_each  # type: ignore[assignment]  # awaitable, but no coroutine
    text_of = _http1.text_of
    headers = property(_http1.read_fields, HttpExchange.headers.fset)  # type: ignore[attr-defined,misc]


class CompiledConnection(HttpConnection):
    """As `HttpConnection`, which it is for everything but the usual request."""

    __slots__ = ()

    data_received = _http1.data_received


def _example() -> CompiledExchange:
    """An exchange from whose slots new ones are copied; what belongs to one request is filled in there."""
    reader = HeadReader(ServerConfig())
    reader.keep_alive = True
    connection = SimpleNamespace(server=SimpleNamespace(draining=Draining()), root_path="", client=None, scheme="http")
    exchange = CompiledExchange(cast("HttpConnection", connection), reader, "", b"", b"", None, None)
    # Not the head in lower case: these look for fields in the head itself.
    exchange._lowered = b""
    return exchange


def _example_body() -> RequestBody:
    body = RequestBody(cast("HttpConnection", None), None, False)
    body.feed(b" ")
    body.end()
    return body


async def _example_pieces() -> AsyncGenerator[bytes]:
    yield b"piece"


_PARTS: Final = {
    "check_host": check_host,
    "draining": Draining,
    "head": Head,
    "known_hosts": known_hosts,
    "pieces": _example_pieces(),
    "reader": HeadReader,
    "rejected": Rejected,
    "server": PerRequest,
    "settle": settle,
    "settle_exit": settle_exit,
    "stream": ResponseStream,
    "task": asyncio.Task,
    "unquote": unquote,
}

_http1.bind(CompiledConnection, _example(), _example_body(), _PARTS)
