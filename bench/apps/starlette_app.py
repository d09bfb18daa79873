"""The workloads for Starlette: validation and dependencies by hand, as one writes them where the framework offers neither."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.apps.content import CHUNKS, ITEMS, STATIC_FOLDER, USERS, Item, User, UserIn, UserOut

USER_OUT = TypeAdapter(UserOut)
ITEM_LIST = TypeAdapter(list[Item])


class ItemQuery(BaseModel):
    """W2: the parameters of one request."""

    item_id: int
    q: str
    limit: Annotated[int, Field(ge=1, le=100)] = 10


def refuse(error: ValidationError) -> Response:
    return Response(error.json(include_url=False), status_code=422, media_type="application/json")


async def hello(request: Request) -> Response:
    return JSONResponse({"message": "hello"})


async def read_item(request: Request) -> Response:
    try:
        query = ItemQuery.model_validate({**request.path_params, **request.query_params})
    except ValidationError as error:
        return refuse(error)
    return JSONResponse({"item_id": query.item_id, "q": query.q, "limit": query.limit})


async def create_user(request: Request) -> Response:
    try:
        user = UserIn.model_validate_json(await request.body())
    except ValidationError as error:
        return refuse(error)
    shown = USER_OUT.validate_python(user, from_attributes=True)
    return Response(USER_OUT.dump_json(shown), status_code=201, media_type="application/json")


@asynccontextmanager
async def current_user(token: str) -> AsyncIterator[User]:
    user = USERS.get(token)
    if user is None:
        raise HTTPException(401)
    yield user


async def read_me(request: Request) -> Response:
    token = request.headers.get("x-token")
    if token is None:
        raise HTTPException(422)
    async with current_user(token) as user:
        if not user.active:
            raise HTTPException(403)
        return JSONResponse({"name": user.name})


async def list_items(request: Request) -> Response:
    return Response(ITEM_LIST.dump_json(ITEM_LIST.validate_python(ITEMS)), media_type="application/json")


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


async def stream(request: Request) -> Response:
    return StreamingResponse(stream_chunks(), media_type="text/plain")


async def suspend(request: Request) -> Response:
    await asyncio.sleep(0)
    return JSONResponse({"message": "hello"})


def get_token(request: Request) -> str:
    token = request.headers.get("x-token")
    if token is None:
        raise HTTPException(422)
    return token


def answer_token(token: str) -> Response:
    return JSONResponse({"token": token})


async def read_sync(request: Request) -> Response:
    return await run_in_threadpool(answer_token, await run_in_threadpool(get_token, request))


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/items/{item_id}", read_item),
        Route("/users", create_user, methods=["POST"]),
        Route("/me", read_me),
        Route("/list", list_items),
        WebSocketRoute("/ws", echo),
        Route("/stream", stream),
        Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
        Route("/suspend", suspend),
        Route("/sync", read_sync),
    ]
)
