"""A service as people write them for FastAPI: what the attacks of this folder are aimed at. Served by `tercel run --dropin`."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Body,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    say("startup")
    yield
    say(f"shutdown with {len(open_streams)} streams and {len(open_sockets)} sockets")


app = FastAPI(lifespan=lifespan)
open_streams: set[int] = set()
open_sockets: set[int] = set()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@app.get("/")
async def root() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str | None = None) -> dict[str, int | str | None]:
    return {"item_id": item_id, "q": q}


@app.post("/items", status_code=201)
async def create_item(item: Item) -> Item:
    return item


@app.get("/text/{name:path}", response_class=PlainTextResponse)
async def text(name: str) -> str:
    return name


@app.api_route("/echo", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def echo(request: Request) -> Response:
    body = await request.body()
    told = {
        "method": request.method,
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]],
        "body": body.decode("latin-1"),
        "version": request.scope["http_version"],
        "scheme": request.scope["scheme"],
        "client": request.client.host if request.client else None,
    }
    return Response(json.dumps(told), media_type="application/json")


@app.post("/length")
async def length(request: Request) -> int:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return total


@app.post("/unread")
async def unread() -> str:
    return "not read"


@app.get("/slow")
async def slow(seconds: float = 0.3) -> str:
    say("slow")
    await asyncio.sleep(seconds)
    return "slow"


@app.get("/blocking")
def blocking() -> str:
    return "from a thread"


@app.get("/stuck")
def stuck() -> None:
    say("stuck")
    time.sleep(1000)


@app.get("/exits")
async def exits() -> None:
    await asyncio.sleep(0)
    sys.exit(5)


@app.get("/exits/at-once")
async def exits_at_once() -> None:
    sys.exit(5)


class Last(Exception):
    pass


@app.exception_handler(Last)
async def exits_for(request: Request, error: Last) -> Response:
    sys.exit(5)


@app.get("/exits/handler")
async def exits_in_a_handler() -> None:
    raise Last


@app.get("/exits/sync")
def exits_sync() -> None:
    sys.exit(5)


@app.get("/fails")
async def fails() -> None:
    raise RuntimeError("a secret of the program")


@app.get("/forbidden")
async def forbidden() -> None:
    raise HTTPException(403, "no", headers={"X-Why": "because"})


@app.get("/status/{code}")
async def status(code: int) -> Response:
    return Response(b"content" if code not in (204, 304) else b"", status_code=code)


@app.get("/header")
async def header(value: str, name: str = "X-Echo") -> Response:
    return PlainTextResponse("ok", headers={name: value})


@app.get("/cookie")
async def cookie(value: str) -> Response:
    response = PlainTextResponse("ok")
    response.set_cookie("c", value)
    return response


@app.get("/wrong-length")
async def wrong_length(said: int) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"0123456789"

    return StreamingResponse(body(), headers={"Content-Length": str(said)})


@app.get("/stream")
async def stream(chunks: int = 5, size: int = 10, pause: float = 0.0) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield b"x" * size
            if pause:
                await asyncio.sleep(pause)

    return StreamingResponse(body(), media_type="text/plain")


@app.get("/stream-fails")
async def stream_fails() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100
        await asyncio.sleep(0.01)
        raise RuntimeError("half way")

    return StreamingResponse(body(), media_type="text/plain")


@app.get("/endless")
async def endless(size: int = 65536) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        key = len(open_streams) + 1
        open_streams.add(key)
        try:
            while True:
                yield b"x" * size
        finally:
            open_streams.discard(key)
            say("endless ended")

    return StreamingResponse(body(), media_type="application/octet-stream")


@app.get("/events")
async def events(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        key = id(request)
        open_streams.add(key)
        try:
            number = 0
            while True:
                yield f"id: {number}\ndata: tick\n\n"
                number += 1
                await asyncio.sleep(0.1)
        finally:
            open_streams.discard(key)
            say("events ended")

    return StreamingResponse(body(), media_type="text/event-stream")


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    async def later() -> None:
        await asyncio.sleep(0.3)
        say("background done")

    tasks.add_task(later)
    return "started"


@app.get("/guarded")
async def guarded(x_token: Annotated[str, Header()], limit: Annotated[int, Query(le=100)] = 10) -> dict[str, int | str]:
    return {"token": x_token, "limit": limit}


@app.get("/proxied")
async def proxied(request: Request) -> dict[str, str]:
    return {"url": str(request.url), "base": str(request.base_url), "root": request.scope.get("root_path", "")}


@app.get("/health")
async def health() -> dict[str, int]:
    return {
        "streams": len(open_streams),
        "sockets": len(open_sockets),
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "max_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "rss_kib": int(Path("/proc/self/statm").read_text().split()[1]) * 4,
    }


# -- WebSockets ----------------------------------------------------------------------------------------------------------------


@app.websocket("/ws")
async def ws_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    open_sockets.add(id(websocket))
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                say(f"ws left {message['code']}")
                break
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    finally:
        open_sockets.discard(id(websocket))


@app.websocket("/ws/text")
async def ws_text(websocket: WebSocket) -> None:
    await websocket.accept()
    open_sockets.add(id(websocket))
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as gone:
        say(f"ws left {gone.code}")
    finally:
        open_sockets.discard(id(websocket))


@app.websocket("/ws/queue")
async def ws_queue(websocket: WebSocket) -> None:
    await websocket.accept()
    open_sockets.add(id(websocket))
    news: asyncio.Queue[str] = asyncio.Queue()
    try:
        while True:
            await websocket.send_text(await news.get())
    finally:
        open_sockets.discard(id(websocket))
        say("queue left")


@app.websocket("/ws/json")
async def ws_json(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_json(await websocket.receive_json())


@app.websocket("/ws/protocol")
async def ws_protocol(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="two", headers=[(b"x-extra", b"yes")])
    await websocket.send_json(websocket.scope["subprotocols"])
    await websocket.close(4000, "é" * 100)


@app.websocket("/ws/refuses")
async def ws_refuses(websocket: WebSocket) -> None:
    await websocket.close()


@app.websocket("/ws/denies")
async def ws_denies(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("pay first", 402, headers={"X-Why": "money"}))


@app.websocket("/ws/fails")
async def ws_fails(websocket: WebSocket) -> None:
    await websocket.accept()
    raise RuntimeError("a secret of the program")


@app.websocket("/ws/exits")
async def ws_exits(websocket: WebSocket) -> None:
    await websocket.accept()
    sys.exit(5)


@app.websocket("/ws/fails-before")
async def ws_fails_before(websocket: WebSocket) -> None:
    raise RuntimeError("a secret of the program")


@app.websocket("/ws/policy")
async def ws_policy(websocket: WebSocket) -> None:
    await websocket.accept()
    raise WebSocketException(1008, "not allowed")


@app.websocket("/ws/typed/{number}")
async def ws_typed(websocket: WebSocket, number: int, limit: Annotated[int, Query(le=10)] = 1) -> None:
    await websocket.accept()
    await websocket.send_json({"number": number, "limit": limit})
    await websocket.close()


async def token_of(websocket: WebSocket, token: Annotated[str | None, Query()] = None) -> str:
    if token != "good":
        raise WebSocketException(1008, "bad token")
    return token


@app.websocket("/ws/guarded")
async def ws_guarded(websocket: WebSocket, token: Annotated[str, Depends(token_of)]) -> None:
    await websocket.accept()
    await websocket.send_text(token)
    await websocket.close()


@app.websocket("/ws/flood")
async def ws_flood(websocket: WebSocket) -> None:
    await websocket.accept()
    open_sockets.add(id(websocket))
    try:
        while True:
            await websocket.send_bytes(b"x" * 65536)
    finally:
        open_sockets.discard(id(websocket))
        say("flood ended")


@app.websocket("/ws/deaf")
async def ws_deaf(websocket: WebSocket) -> None:
    await websocket.accept()
    open_sockets.add(id(websocket))
    try:
        await asyncio.sleep(2)
    finally:
        open_sockets.discard(id(websocket))


@app.post("/sum")
async def total(numbers: Annotated[list[int], Body()]) -> int:
    return sum(numbers)
