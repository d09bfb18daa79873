"""The limit: hand-written handlers that Tercel's own server calls directly. What a framework costs is the distance from here.

As `asgi_app` it leaves out what a framework must do: matching by pattern, errors in a common form, conditional requests. It reads
and answers exchanges as compiled handlers do, and has Tercel's `WebSocket` for sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic_core import to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.apps.asgi_app import FILE, lifespan
from bench.apps.by_hand import Refused, answer_item, answer_list, answer_user, current_user, require_token
from bench.apps.content import CHUNKS
from tercel.http.exchange import Exchange, Head
from tercel.http.threads import in_thread
from tercel.http.websocket import websocket_of

Handler = Callable[[Exchange], Awaitable[None]]

_JSON: Final = [(b"content-type", b"application/json")]
_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]
OK: Final = Head(200, _JSON)
CREATED: Final = Head(201, _JSON)
NOT_FOUND: Final = Head(404, _JSON)
TEXT: Final = Head(200, _TEXT)
REFUSED: Final = {status: Head(status, _JSON) for status in (401, 403, 422)}


async def hello(ex: Exchange) -> None:
    await ex.respond(OK, to_json({"message": "hello"}))


async def read_item(ex: Exchange) -> None:
    await ex.respond(OK, answer_item(ex.path[7:], dict(parse_qsl(ex.query_string.decode()))))


async def create_user(ex: Exchange) -> None:
    await ex.respond(CREATED, answer_user(await ex.body()))


def token_of(ex: Exchange) -> str | None:
    value = ex.header(b"x-token")
    return None if value is None else value.decode("latin-1")


async def read_me(ex: Exchange) -> None:
    # A generator stepped by hand, which costs less than any context manager around it.
    users = current_user(require_token(token_of(ex)))
    user = await anext(users)
    try:
        if not user.active:
            raise Refused(403, b'{"detail":"Forbidden"}')
        await ex.respond(OK, to_json({"name": user.name}))
    except BaseException as error:
        await users.athrow(error)
        raise
    await anext(users, None)


async def list_items(ex: Exchange) -> None:
    await ex.respond(OK, answer_list())


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


async def stream(ex: Exchange) -> None:
    await ex.start(TEXT)
    await ex.write_each(stream_chunks(), bytes)
    await ex.finish()


async def static_file(ex: Exchange) -> None:
    await ex.respond(TEXT, FILE)


async def suspend(ex: Exchange) -> None:
    await asyncio.sleep(0)
    await ex.respond(OK, to_json({"message": "hello"}))


def answer_token(token: str | None) -> bytes:
    return to_json({"token": require_token(token)})


async def read_sync(ex: Exchange) -> None:
    body = await in_thread(answer_token, token_of(ex))
    await ex.respond(OK, body)


HANDLERS: Final[dict[str, Handler]] = {
    "/": hello,
    "/users": create_user,
    "/me": read_me,
    "/list": list_items,
    "/stream": stream,
    "/static/10k.txt": static_file,
    "/suspend": suspend,
    "/sync": read_sync,
}


async def handle(ex: Exchange) -> None:
    """Any request: the handler by its path, and what it refuses."""
    path = ex.path
    handler = HANDLERS.get(path) or (read_item if path.startswith("/items/") else None)
    if handler is None:
        await ex.respond(NOT_FOUND, b'{"detail":"Not Found"}')
        return
    try:
        await handler(ex)
    except Refused as error:
        await ex.respond(REFUSED[error.status], error.body)


async def echo(socket: WebSocket) -> None:
    """W6: every text back."""
    await socket.accept()
    while True:
        try:
            text = await socket.receive_text()
        except WebSocketDisconnect:
            return
        await socket.send_text(text)


class Limit:
    """What Tercel's server takes for an application: its handler, and a call for each WebSocket and for the lifespan."""

    def direct_handler(self) -> Handler:
        return handle

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(websocket_of(scope, receive, send))
        else:
            await lifespan(receive, send)


app = Limit()
