"""The workloads for Litestar, with pydantic models, its own validation, dependencies and static files."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException, WebSocketDisconnect
from litestar.params import Parameter
from litestar.plugins.pydantic import PydanticDTO
from litestar.response import Stream
from litestar.static_files import create_static_files_router

from bench.apps.content import CHUNKS, ITEMS, STATIC_FOLDER, USERS, Item, User, UserIn, UserOut

Token = Annotated[str, Parameter(header="X-Token")]


@get("/")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@get("/items/{item_id:int}")
async def read_item(item_id: int, q: str, limit: Annotated[int, Parameter(ge=1, le=100)] = 10) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "limit": limit}


@post("/users", return_dto=PydanticDTO[UserOut])
async def create_user(data: UserIn) -> UserOut:
    return UserOut.model_validate(data, from_attributes=True)


async def get_token(x_token: Token) -> str:
    return x_token


def get_token_sync(x_token: Token) -> str:
    return x_token


async def current_user(token: str) -> AsyncIterator[User]:
    user = USERS.get(token)
    if user is None:
        raise HTTPException(status_code=401)
    yield user


async def active_user(user: User) -> User:
    if not user.active:
        raise HTTPException(status_code=403)
    return user


@get("/me", dependencies={"token": get_token, "user": current_user, "active": active_user})
async def read_me(active: User) -> dict[str, str]:
    return {"name": active.name}


@get("/list")
async def list_items() -> list[Item]:
    return ITEMS


@websocket("/ws")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


@get("/stream", media_type="text/plain")
async def stream() -> Stream:
    return Stream(stream_chunks())


@get("/suspend")
async def suspend() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"message": "hello"}


@get("/sync", sync_to_thread=True, dependencies={"token": Provide(get_token_sync, sync_to_thread=True)})
def read_sync(token: str) -> dict[str, str]:
    return {"token": token}


def refuse(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """422 like the others; Litestar's own answer has 400."""
    return Response({"detail": error.detail, "extra": error.extra}, status_code=422)


app = Litestar(
    [
        hello,
        read_item,
        create_user,
        read_me,
        list_items,
        echo,
        stream,
        suspend,
        read_sync,
        create_static_files_router("/static", [STATIC_FOLDER]),
    ],
    exception_handlers={ValidationException: refuse},
)
