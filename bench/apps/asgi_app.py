"""The workloads as plain ASGI without any framework: what the server alone allows. Hand-written, pydantic for W2, W3 and W5.

It leaves out what a framework must do (matching by pattern, errors in a common form, conditional requests for the file, which is
held in memory), so it is a control, not a contender.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from bench.apps.content import CHUNKS, ITEMS, STATIC_FOLDER, USERS, Item, User, UserIn, UserOut

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ItemQuery(TypedDict):
    """W2: the parameters of one request."""

    item_id: int
    q: str
    limit: Annotated[int, Field(ge=1, le=100)]


ITEM_QUERY = TypeAdapter(ItemQuery)
USER_IN = TypeAdapter(UserIn)
USER_OUT = TypeAdapter(UserOut)
ITEM_LIST = TypeAdapter(list[Item])
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
FILE = (STATIC_FOLDER / "10k.txt").read_bytes()


async def respond(send: Send, body: bytes, status: int = 200, content_type: tuple[bytes, bytes] = JSON) -> None:
    headers = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, to_json({"message": "hello"}))


async def read_item(scope: Scope, receive: Receive, send: Send) -> None:
    values = {"limit": "10", **dict(parse_qsl(scope["query_string"].decode())), "item_id": scope["path"][7:]}
    try:
        query = ITEM_QUERY.validate_python(values)
    except ValidationError as error:
        await respond(send, error.json(include_url=False).encode(), 422)
        return
    await respond(send, to_json({"item_id": query["item_id"], "q": query["q"], "limit": query["limit"]}))


async def create_user(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        user = USER_IN.validate_json(body)
    except ValidationError as error:
        await respond(send, error.json(include_url=False).encode(), 422)
        return
    await respond(send, USER_OUT.dump_json(USER_OUT.validate_python(user, from_attributes=True)), 201)


@asynccontextmanager
async def current_user(token: str | None) -> AsyncIterator[User | None]:
    yield USERS.get(token or "")


async def read_me(scope: Scope, receive: Receive, send: Send) -> None:
    async with current_user(header(scope, b"x-token")) as user:
        if user is None or not user.active:
            await respond(send, b'{"detail":"Unauthorized"}', 401)
            return
        await respond(send, to_json({"name": user.name}))


async def list_items(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, ITEM_LIST.dump_json(ITEM_LIST.validate_python(ITEMS)))


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    for chunk in CHUNKS:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def static_file(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, FILE, content_type=TEXT)


async def suspend(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0)
    await respond(send, to_json({"message": "hello"}))


def answer_token(scope: Scope) -> bytes | None:
    token = header(scope, b"x-token")
    return None if token is None else to_json({"token": token})


async def read_sync(scope: Scope, receive: Receive, send: Send) -> None:
    body = await asyncio.get_running_loop().run_in_executor(None, answer_token, scope)
    await respond(send, b"{}" if body is None else body, 422 if body is None else 200)


async def echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


HANDLERS = {
    "/": hello,
    "/users": create_user,
    "/me": read_me,
    "/list": list_items,
    "/stream": stream,
    "/static/10k.txt": static_file,
    "/suspend": suspend,
    "/sync": read_sync,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        path = scope["path"]
        handler = read_item if path.startswith("/items/") else HANDLERS.get(path)
        if handler is None:
            await respond(send, b'{"detail":"Not Found"}', 404)
        else:
            await handler(scope, receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await lifespan(receive, send)
