"""Exchanges for tests: what a handler did to them is in their attributes; the client can go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from starlette.requests import ClientDisconnect

from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange, Head


def http_scope(
    path: str = "/", method: str = "GET", query: str = "", headers: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """The scope of one request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("client", 1),
        "server": ("server", 80),
        **more,
    }


class Recorded:
    """The two functions of an ASGI server, with what was sent through them."""

    def __init__(self, *parts: bytes) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self._parts = list(parts) or [b""]

    async def receive(self) -> Any:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        """Of the one response that was begun."""
        (start,) = [message for message in self.sent if message["type"] == "http.response.start"]
        return int(start["status"])

    @property
    def headers(self) -> dict[str, str]:
        """Of the response; those that occur twice are joined."""
        found: dict[str, str] = {}
        (start,) = [message for message in self.sent if message["type"] == "http.response.start"]
        for name, value in start["headers"]:
            key = name.decode()
            found[key] = f"{found[key]}, {value.decode()}" if key in found else value.decode()
        return found

    @property
    def parts(self) -> list[bytes]:
        """The pieces of the body."""
        bodies = [message["body"] for message in self.sent if message["type"] == "http.response.body"]
        return [body for body in bodies if body]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    @property
    def complete(self) -> bool:
        """Whether the response was ended."""
        return bool(self.sent) and not self.sent[-1].get("more_body", False) and self.sent[-1]["type"] == "http.response.body"


def asgi_exchange(*parts: bytes, **scope: Any) -> tuple[ASGIExchange, Recorded]:
    """An exchange over ASGI and what its server sees of it.

    Args:
        parts: the request body.
        scope: arguments of `http_scope`.
    """
    server = Recorded(*parts)
    ex = ASGIExchange(http_scope(**scope), server.receive, server.send)
    return ex, server


class NativeExchange(Exchange):
    """An exchange like those of Tercel's own server, whose client leaves when `leave` is called.

    Attributes:
        calls: what the handler did, in order: `("respond", head, body)`, `("start", head)`, `("write", data)`, `("finish",)`.
    """

    __slots__ = ("_body", "_scope", "_task", "calls", "gone")

    native: ClassVar[bool] = True

    def __init__(self, body: bytes = b"", **scope: Any) -> None:
        self._scope = http_scope(**scope)
        self._body = body
        self._task: asyncio.Task[Any] | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.gone = False
        self.method = self._scope["method"]
        self.path = self._scope["path"]
        self.query_string = self._scope["query_string"]
        self.headers = self._scope["headers"]
        self.root_path = ""
        self.path_params = {}
        self.started = False
        self.entry = None
        self.view = None

    @property
    def scope(self) -> Any:
        return self._scope

    async def body(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body

    @property
    def known_body(self) -> bytes | None:
        return self._body

    @property
    def disconnected(self) -> bool:
        return self.gone

    def leave(self) -> None:
        """The client goes away."""
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    @contextmanager
    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> Iterator[None]:
        self._task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if not self.gone:
                raise
            raise ClientDisconnect from None
        finally:
            self._task = None

    async def respond(self, head: Head, body: bytes) -> None:
        self.started = True
        self.calls.append(("respond", head, body))

    async def start(self, head: Head) -> None:
        self.started = True
        self.calls.append(("start", head))

    async def write(self, data: bytes) -> None:
        self.calls.append(("write", data))

    async def finish(self) -> None:
        self.calls.append(("finish",))

    @property
    def receive(self) -> Any:
        raise AssertionError("no ASGI messages on the direct path")

    @property
    def send(self) -> Any:
        raise AssertionError("no ASGI messages on the direct path")
