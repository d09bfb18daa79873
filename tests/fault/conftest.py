"""Driving an application without a server: the test decides every `receive` and `send`, and where a request is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest


class Driver:
    """Calls an application with one request and keeps what it sent.

    Code under test awaits `point()` wherever it may be interrupted; `receive` and `send` do the same. With `cancel_at=n` the
    request is cancelled at the n-th point, through an anyio scope around the application as servers and middleware have it.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.cancel_at = 0
        self.points = 0
        self.after_start: BaseException | None = None
        self._scope: anyio.CancelScope | None = None

    async def point(self) -> None:
        """A place where a request may be interrupted."""
        self.points += 1
        if self.points == self.cancel_at and self._scope is not None:
            self._scope.cancel()
        await anyio.lowlevel.checkpoint()

    @property
    def status(self) -> int | None:
        """The status that was sent, if any."""
        return next((message["status"] for message in self.sent if message["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")

    async def request(
        self,
        app: Callable[..., Awaitable[None]],
        path: str = "/",
        *,
        method: str = "GET",
        chunks: tuple[bytes, ...] = (b"",),
        leaves: asyncio.Event | None = None,
        cuts_body: bool = False,
    ) -> BaseException | None:
        """Make a request; returns what the application raised.

        Args:
            app: the application.
            path: what is asked for.
            method: how.
            chunks: the body in pieces.
            leaves: when it is set the client is gone; None is never.
            cuts_body: the client leaves before the last piece.
        """
        pending = list(chunks)

        async def receive() -> dict[str, Any]:
            await self.point()
            if pending:
                chunk = pending.pop(0)
                return {"type": "http.request", "body": chunk, "more_body": bool(pending) or cuts_body}
            if not cuts_body:
                await (leaves or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            await self.point()
            if self.after_start is not None and self.status is not None:
                raise self.after_start
            self.sent.append(dict(message))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
            "client": ("client", 1),
            "server": ("testserver", 80),
        }
        with anyio.CancelScope() as self._scope:
            try:
                await app(scope, receive, send)
            except Exception as error:
                return error
        return None


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine on an event loop of its own and checks that it leaves no task behind."""

    def run_to_end(awaitable: Awaitable[Any]) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(10):
                result = await awaitable
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                # A worker thread of anyio has no task; a task that only waits to be forgotten ends at once.
                with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                    await asyncio.wait_for(asyncio.shield(task), 1)
            assert all(task.done() for task in left), left
            return result

        return asyncio.run(main())

    return run_to_end


@pytest.fixture
def leave() -> Callable[..., socket.socket]:
    """Sends some bytes to a port, over a connection that is closed politely or, with `reset`, is not."""

    def send(port: int, raw: bytes, *, reset: bool = False) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(raw)
        return connection

    return send


@pytest.fixture
def driver() -> Driver:
    """A fresh `Driver`."""
    return Driver()
