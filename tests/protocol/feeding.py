"""A connection of the server fed from memory: no sockets, so that every byte and every turn of the event loop is the test's.

`feed` returns what the client would have got. Both protocols are fed the same way; `PROTOCOLS` are those to test.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, cast

import pytest

from tercel.server import Server, ServerConfig
from tercel.server.http1 import HttpConnection
from tercel.server.protocols import compiled_connection, connection_class

Protocol = Literal["pure", "compiled"]

# Where CI builds the extension, a test that cannot run is one that fails.
_missing = compiled_connection() is None and os.environ.get("TERCEL_EXTENSION") != "required"
needs_compiled = pytest.mark.skipif(_missing, reason="the compiled protocol was not built: it needs a C compiler")

PROTOCOLS = ["pure", pytest.param("compiled", marks=needs_compiled)]


class Transport:
    """Keeps what is written; closing is calling back in the next turn, as a real one does."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol: Any = protocol
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after closing"
        self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))

    abort = close

    def write_eof(self) -> None:
        self.close()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def connect(server: Server, protocol: Protocol, kind: type[Transport] = Transport) -> tuple[HttpConnection, Transport]:
    """A connection that has just been made, over a transport of this kind."""
    connection = connection_class(protocol)(server)
    transport = kind(connection)
    connection.connection_made(cast(asyncio.Transport, transport))
    return connection, transport


def feed(
    app: Any,
    settings: ServerConfig,
    data: bytes,
    cuts: list[int],
    protocol: Protocol,
    look: Callable[[HttpConnection], None] = lambda connection: None,
) -> bytes:
    """All that the server answers to these bytes, cut at these places; the client closes its side behind them.

    Args:
        look: called once before that.
    """

    async def main() -> bytes:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        connection, transport = connect(Server(app, settings), protocol)
        for start, stop in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
            if transport.closed:
                break
            connection.data_received(data[start:stop])
            await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
        look(connection)
        if not transport.closed and not connection.eof_received():
            transport.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not errors, errors
        return transport.written

    return asyncio.run(main())
