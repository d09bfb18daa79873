"""An application for several workers; files in the folder `SWITCHES` hold, break and block its processes while they are there."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

FOLDER = Path(os.environ["SWITCHES"])


def is_on(name: str) -> bool:
    """Whether a switch is there."""
    return (FOLDER / name).exists()


def say(text: str) -> None:
    """One write: the processes share the output."""
    os.write(1, f"{text} {os.getpid()}\n".encode())


def takes(name: str) -> bool:
    """Whether this process is the one that takes a switch away."""
    try:
        (FOLDER / name).unlink()
    except FileNotFoundError:
        return False
    return True


if is_on("broken"):
    raise RuntimeError("no such module")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    say("starting")
    while is_on("hold"):
        await asyncio.sleep(0.01)
    if is_on("fail") or takes("fail-once"):
        raise RuntimeError("no database")
    yield
    say("shutdown")


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=PlainTextResponse)
async def root() -> str:
    return str(os.getpid())


@app.get("/block", response_class=PlainTextResponse)
async def block() -> str:
    say("blocking")
    while is_on("block"):
        time.sleep(0.01)  # noqa: ASYNC251
    return str(os.getpid())


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Goes on until its switch is away."""

    async def body() -> AsyncIterator[str]:
        yield f"{os.getpid()}\n"
        while is_on("stream"):
            await asyncio.sleep(0.01)
        yield "whole\n"

    return StreamingResponse(body(), media_type="text/plain")


@app.get("/events")
async def events() -> StreamingResponse:
    """Never ends by itself."""

    async def body() -> AsyncIterator[str]:
        try:
            while True:
                yield f"data: {os.getpid()}\n\n"
                await asyncio.sleep(0.05)
        finally:
            say("events ended")

    return StreamingResponse(body(), media_type="text/event-stream")


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(str(os.getpid()))
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as gone:
        say(f"ws left {gone.code}")
