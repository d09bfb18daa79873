"""The workloads as plain ASGI without any framework: what a server alone allows. Hand-written, pydantic for W2, W3 and W5.

It leaves out what a framework must do (matching by pattern, errors in a common form, conditional requests for the file, which is
held in memory), so it is a control, not a contender.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import to_json

from bench.apps.by_hand import Refused, answer_item, answer_list, answer_user, current_user, require_token
from bench.apps.content import CHUNKS, STATIC_FOLDER

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
FILE = (STATIC_FOLDER / "10k.txt").read_bytes()


async def respond(send: Send, body: bytes, status: int = 200, content_type: tuple[bytes, bytes] = JSON) -> None:
    headers = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def token_of(scope: Scope) -> str | None:
    for key, value in scope["headers"]:
        if key == b"x-token":
            return bytes(value).decode("latin-1")
    return None


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, to_json({"message": "hello"}))


async def read_item(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, answer_item(scope["path"][7:], dict(parse_qsl(scope["query_string"].decode()))))


async def create_user(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await respond(send, answer_user(body), 201)


async def read_me(scope: Scope, receive: Receive, send: Send) -> None:
    # A generator stepped by hand, which costs less than any context manager around it.
    users = current_user(require_token(token_of(scope)))
    user = await anext(users)
    try:
        if not user.active:
            raise Refused(403, b'{"detail":"Forbidden"}')
        await respond(send, to_json({"name": user.name}))
    except BaseException as error:
        await users.athrow(error)
        raise
    await anext(users, None)


async def list_items(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, answer_list())


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


def answer_token(token: str | None) -> bytes:
    return to_json({"token": require_token(token)})


async def read_sync(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, await asyncio.get_running_loop().run_in_executor(None, answer_token, token_of(scope)))


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
        handler = HANDLERS.get(path) or (read_item if path.startswith("/items/") else None)
        if handler is None:
            await respond(send, b'{"detail":"Not Found"}', 404)
            return
        try:
            await handler(scope, receive, send)
        except Refused as error:
            await respond(send, error.body, error.status)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await lifespan(receive, send)
