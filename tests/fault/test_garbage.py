"""What a request had is freed when it ends, whatever its end was: nothing of it waits for the garbage collector.

An upload may be large, and the collector counts objects, not bytes: a hundred aborted uploads would stay before it looks.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from tercel import BackgroundTasks, Depends, FastAPI, HTTPException, Request, UploadFile, WebSocket
from tercel.middleware.gzip import GZipMiddleware
from tercel.responses import StreamingResponse
from tercel.server import Server, serving
from tests.attacks.attacker import OPENING, close_frame, frame

BOUNDARY = "multipart/form-data; boundary=B"
PART = b'--B\r\nContent-Disposition: form-data; name="file"; filename="name"\r\n\r\n' + b"x" * 20_000
ENDPOINTS: list[tuple[str, str, bytes, int]] = [
    ("/upload", BOUNDARY, PART + b"\r\n--B--\r\n", 200),
    ("/upload", "multipart/form-data; boundary=C", PART, 400),
    ("/body", "text/plain", b"some text", 200),
    ("/pieces", "text/plain", b"some text", 200),
    ("/form", BOUNDARY, PART + b"\r\n--B--\r\n", 200),
    ("/item", "application/json", b'{"name": "owl"}', 200),
    ("/item", "application/json", b"{}", 422),
    ("/item", "application/json", b"{", 422),
    ("/conflict", "text/plain", b"some text", 409),
    ("/conflict?late=1", "text/plain", b"some text", 409),
    ("/error", "text/plain", b"some text", 500),
    ("/error?late=1", "text/plain", b"some text", 500),
    ("/refused", "text/plain", b"", 403),
    ("/later", "text/plain", b"", 200),
    ("/stream", "text/plain", b"", 200),
    ("/thread", "text/plain", b"", 200),
    ("/nowhere", "text/plain", b"", 404),
]


class Item(BaseModel):
    name: str


async def resource() -> Any:
    yield 1


async def refuse(request: Request) -> None:
    await request.body()
    raise HTTPException(403)


def application(around: str, engine: Any) -> FastAPI:
    """All kinds of endpoints, behind middleware of a kind."""
    app = FastAPI(engine=engine)
    if "ASGI middleware" in around:
        app.add_middleware(GZipMiddleware)
    if "a function" in around:

        @app.middleware("http")
        async def function(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    @app.post("/upload")
    async def upload(file: UploadFile) -> str:
        return str(file.filename)

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.post("/pieces")
    async def pieces(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.post("/form")
    async def form(request: Request) -> int:
        async with request.form() as form:
            return len(form)

    @app.post("/item")
    async def item(item: Item, request: Request, resource: Any = Depends(resource)) -> Item:
        return item

    async def take(request: Request, late: bool) -> None:
        await request.body()
        if late:
            await asyncio.sleep(0)

    @app.post("/conflict")
    async def conflict(request: Request, late: bool = False) -> None:
        await take(request, late)
        raise HTTPException(409)

    @app.post("/error")
    async def error(request: Request, late: bool = False) -> None:
        await take(request, late)
        raise RuntimeError("of the application")

    @app.post("/refused", dependencies=[Depends(refuse)])
    async def refused(resource: Any = Depends(resource)) -> None: ...

    @app.post("/later")
    async def later(request: Request, tasks: BackgroundTasks) -> None:
        tasks.add_task(asyncio.sleep, 0)

    @app.post("/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def numbers() -> Any:
            for number in range(3):
                yield str(number)
                await asyncio.sleep(0)

        return StreamingResponse(numbers())

    @app.post("/thread")
    def thread(request: Request) -> str:
        return request.url.path

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    return app


@contextmanager
def garbage(found: Counter[str]) -> Iterator[None]:
    """Counts what only the garbage collector has found, by its class."""
    gc.collect()
    gc.freeze()  # what there was before is not looked at
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.unfreeze()
        left = list(gc.garbage)
        gc.garbage.clear()
    kinds = (f"{type(one).__module__}.{type(one).__qualname__}" for one in left)
    found.update(kind for kind in kinds if kind.startswith(("tercel.", "starlette.", "fastapi.")))


async def always_left(work: Callable[[], Awaitable[None]]) -> Counter[str]:
    """What some work leaves each time: once it may be a thread of an earlier test that has ended just then."""
    for _ in range(3):
        found: Counter[str] = Counter()
        with garbage(found):
            await work()
        if not found:
            break
    return found


async def ended(server: Server) -> None:
    async with asyncio.timeout(10):
        while server.connections or server._tasks:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def ask(server: Server, target: str, kind: str, body: bytes, length: int, status: int | None) -> None:
    """One request over a connection of its own; with no status to expect, the client leaves in the middle of the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    if status is not None:
        assert (await reader.read()).startswith(b"HTTP/1.1 %d" % status)
    else:
        async with asyncio.timeout(10):
            while not server._tasks:
                await asyncio.sleep(0.001)
    writer.close()
    await writer.wait_closed()
    await ended(server)


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
@pytest.mark.parametrize("around", ["nothing", "a function", "ASGI middleware", "a function around ASGI middleware"])
def test_nothing_of_a_request_waits_for_the_garbage_collector(around: str, engine: str) -> None:
    left: dict[str, Counter[str]] = {}

    async def run() -> None:
        async with serving(application(around, engine)) as server:
            requests: list[tuple[str, str, bytes, int, int | None]] = [
                (target, kind, body, len(body), status) for target, kind, body, status in ENDPOINTS
            ]
            requests += [(target, BOUNDARY, PART, 1_000_000, None) for target in ("/upload", "/body", "/pieces", "/form")]
            for request in requests:
                await ask(server, *request)
                found = await always_left(lambda: ask(server, *request))  # noqa: B023
                if found:
                    left[f"{request[0]} {request[2][:10]!r} {request[4]}"] = found

    asyncio.run(run())
    assert left == {}


@pytest.mark.parametrize("end", ["a close", "no word"])
def test_nothing_of_a_websocket_waits_for_the_garbage_collector(end: str) -> None:
    found: list[Counter[str]] = []

    async def talk(server: Server) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(OPENING.format(target="/echo", fields="").encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(1, b"hello"))
        assert await reader.readexactly(7) == b"\x81\x05hello"
        if end == "a close":
            writer.write(close_frame(1000))
            await reader.read()
        writer.close()
        await writer.wait_closed()
        await ended(server)

    async def run() -> None:
        async with serving(application("nothing", "compiled")) as server:
            await talk(server)
            found.append(await always_left(lambda: talk(server)))

    asyncio.run(run())
    assert found == [Counter()]
