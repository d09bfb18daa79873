"""The workloads for django-bolt on its own server, with msgspec, its native validation. It has no generators as dependencies.

Endpoints say what they return only where a response model is asked for (W3, W5): a return type takes it off its fast path.

Also the settings of the Django project it needs: `python -m django runbolt --settings bench.apps.bolt_app`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import msgspec
from django_bolt import BoltAPI, StreamingResponse, WebSocket
from django_bolt.exceptions import HTTPException
from django_bolt.param_functions import Depends, Header, Query
from django_bolt.websocket import WebSocketDisconnect

from bench.apps.content import CHUNKS, STATIC_FOLDER
from bench.apps.content import ITEMS as ROWS

SECRET_KEY = "not a secret: the benchmark signs nothing"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django_bolt"]
DATABASES: dict[str, Any] = {}
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = str(STATIC_FOLDER)
# Its default logs every request, which no other contender does.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING"},
    "loggers": {name: {"level": "WARNING"} for name in ("django", "django.server", "django_bolt")},
}
BOLT_API = ["bench.apps.bolt_app:api"]

api = BoltAPI()


class Address(msgspec.Struct):
    street: str
    city: str
    zip_code: str


class UserOut(msgspec.Struct):
    name: str
    age: int
    tags: list[str]
    address: Address


class UserIn(UserOut, kw_only=True):
    password: str


class Item(msgspec.Struct):
    id: int
    name: str
    price: float
    created: datetime
    active: bool


class User(msgspec.Struct):
    name: str
    active: bool


ITEMS = [Item(**row.model_dump()) for row in ROWS]
USERS = {"secret-token": User("ada", True)}


@api.get("/")
async def hello():
    return {"message": "hello"}


@api.get("/items/{item_id}")
async def read_item(item_id: int, q: str, limit: Annotated[int, Query(ge=1, le=100)] = 10):
    return {"item_id": item_id, "q": q, "limit": limit}


@api.post("/users", response_model=UserOut, status_code=201)
async def create_user(user: UserIn) -> UserOut:
    return UserOut(user.name, user.age, user.tags, user.address)


async def get_token(x_token: Annotated[str, Header()]) -> str:
    return x_token


def get_token_sync(x_token: Annotated[str, Header()]) -> str:
    return x_token


@asynccontextmanager
async def current_user(token: str) -> AsyncIterator[User]:
    user = USERS.get(token)
    if user is None:
        raise HTTPException(401)
    yield user


@api.get("/me")
async def read_me(token: Annotated[str, Depends(get_token)]):
    async with current_user(token) as user:
        if not user.active:
            raise HTTPException(403)
        return {"name": user.name}


@api.get("/list")
async def list_items() -> list[Item]:
    return ITEMS


@api.websocket("/ws")
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


@api.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(stream_chunks(), media_type="text/plain")


@api.get("/suspend")
async def suspend():
    await asyncio.sleep(0)
    return {"message": "hello"}


@api.get("/sync")
def read_sync(token: Annotated[str, Depends(get_token_sync)]):
    return {"token": token}
