"""The workloads for FastAPI and for Tercel: one file for both, `BENCH_PACKAGE` says which of them is imported."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from starlette.responses import StreamingResponse
from starlette.staticfiles import StaticFiles

from bench.apps.content import CHUNKS, ITEMS, STATIC_FOLDER, USERS, Item, User, UserIn, UserOut

if TYPE_CHECKING or os.environ.get("BENCH_PACKAGE", "tercel") == "tercel":
    from tercel import Depends, FastAPI, Header, HTTPException, Query, WebSocket, WebSocketDisconnect
else:
    from fastapi import Depends, FastAPI, Header, HTTPException, Query, WebSocket, WebSocketDisconnect

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "limit": limit}


@app.post("/users", response_model=UserOut, status_code=201)
async def create_user(user: UserIn) -> Any:
    return user


def get_token(x_token: Annotated[str, Header()]) -> str:
    return x_token


async def get_token_async(x_token: Annotated[str, Header()]) -> str:
    return x_token


async def current_user(token: Annotated[str, Depends(get_token_async)]) -> AsyncIterator[User]:
    user = USERS.get(token)
    if user is None:
        raise HTTPException(status_code=401)
    yield user


async def active_user(user: Annotated[User, Depends(current_user)]) -> User:
    if not user.active:
        raise HTTPException(status_code=403)
    return user


@app.get("/me")
async def read_me(user: Annotated[User, Depends(active_user)]) -> dict[str, str]:
    return {"name": user.name}


@app.get("/list", response_model=list[Item])
async def list_items() -> Any:
    return ITEMS


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(stream_chunks(), media_type="text/plain")


app.mount("/static", StaticFiles(directory=STATIC_FOLDER))


@app.get("/suspend")
async def suspend() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"message": "hello"}


def same(value: str) -> str:
    return value


def get_token_by_call(x_token: Annotated[str, Header()]) -> str:
    return same(x_token)


if os.environ.get("BENCH_CALLS") == "unknown":

    @app.get("/sync")
    def read_sync_by_call(token: Annotated[str, Depends(get_token_by_call)]) -> dict[str, str]:
        return {"token": same(token)}
else:

    @app.get("/sync")
    def read_sync(token: Annotated[str, Depends(get_token)]) -> dict[str, str]:
        return {"token": token}
