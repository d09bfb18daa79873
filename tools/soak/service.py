"""The application that is soaked: a route of every kind, and `/census`, where it says what is in the process."""

from __future__ import annotations

import asyncio
import gc
import linecache
import os
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from tercel import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from tercel.responses import FileResponse, PlainTextResponse, StreamingResponse

app = FastAPI()


class Item(BaseModel):
    """A body and an answer."""

    name: str
    tags: list[str] = []


async def resource_of() -> AsyncIterator[str]:
    """A dependency that is given back."""
    yield "resource"


@app.get("/items/{number}")
async def read(
    number: int,
    held: Annotated[str, Depends(resource_of)],
    q: Annotated[str | None, Query(max_length=50)] = None,
    x_token: Annotated[str | None, Header()] = None,
    session: Annotated[str | None, Cookie()] = None,
) -> dict[str, Any]:
    return {"number": number, "q": q, "held": held, "token": x_token, "session": session}


@app.post("/items", status_code=201)
async def create(item: Item) -> Item:
    return item


@app.post("/form")
async def form(name: Annotated[str, Form()], file: UploadFile) -> list[Any]:
    return [name, len(await file.read())]


@app.post("/length")
async def length(request: Request) -> int:
    return sum([len(piece) async for piece in request.stream()])


@app.post("/unread")
async def unread() -> str:
    return "not read"


@app.get("/blocking")
def blocking() -> str:
    return "from a thread"


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(asyncio.sleep, 0)
    return "started"


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@app.get("/fails")
async def fails() -> None:
    raise RuntimeError("as asked")


@app.get("/forbidden")
async def forbidden() -> None:
    raise HTTPException(403, "no")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000
            await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="text/plain")


@app.get("/endless")
async def endless(pauses: bool = False) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            if pauses:
                await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="application/octet-stream")


@app.get("/events")
async def events() -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(body(), media_type="text/event-stream")


@app.get("/slow", cancel_on_disconnect=True)
async def slow() -> None:
    await asyncio.sleep(30)


@app.get("/waits")
async def waits(request: Request) -> str:
    while not await request.is_disconnected():  # noqa: ASYNC110 - what people write
        await asyncio.sleep(0.01)
    return "alone"


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@app.websocket("/broken")
async def broken(websocket: WebSocket) -> None:
    await websocket.accept()
    raise RuntimeError("as asked")


@app.websocket("/refused")
async def refused(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("no", 403))


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


@app.get("/census")
async def census() -> dict[str, Any]:
    """What is in the process; see `tools.soak.census.Census`."""
    # The task that has set this very connection up has its end then.
    await asyncio.sleep(0.02)
    for _ in range(3):
        gc.collect()
    objects = gc.get_objects()
    kinds = Counter(type(one) for one in objects)
    own = {
        f"{kind.__module__}.{kind.__qualname__}": count
        for kind, count in kinds.items()
        if str(kind.__module__).startswith("tercel.")
    }
    found = {
        "rss_kib": _resident_kib(),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "tasks": len(asyncio.all_tasks()),
        "lines": len(linecache.cache),
        "objects": len(objects),
        "blocks": sys.getallocatedblocks(),
        "own": own,
    }
    del objects, kinds
    return found
