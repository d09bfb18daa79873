"""The workloads for Falcon's ASGI side: resources; validation and dependencies by hand, as Falcon leaves them to applications."""

import asyncio
from collections.abc import AsyncIterator

import falcon
import falcon.asgi
from falcon.asgi import Request, Response, WebSocket

from bench.apps.by_hand import JSON, Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER


class Hello:
    async def on_get(self, request: Request, response: Response) -> None:
        response.media = {"message": "hello"}


class Items:
    async def on_get(self, request: Request, response: Response, item_id: str) -> None:
        response.content_type = JSON
        response.data = answer_item(item_id, request.params)


class Users:
    async def on_post(self, request: Request, response: Response) -> None:
        response.status = falcon.HTTP_201
        response.content_type = JSON
        response.data = answer_user(await request.stream.read())


class Me:
    async def on_get(self, request: Request, response: Response) -> None:
        async with active_user(request.get_header("x-token")) as user:
            response.media = {"name": user.name}


class List:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = JSON
        response.data = answer_list()


class Echo:
    async def on_websocket(self, request: Request, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except falcon.WebSocketDisconnected:
            pass


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


class Stream:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.stream = stream_chunks()


class Suspend:
    async def on_get(self, request: Request, response: Response) -> None:
        await asyncio.sleep(0)
        response.media = {"message": "hello"}


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


class Sync:
    async def on_get(self, request: Request, response: Response) -> None:
        token = await falcon.sync_to_async(require_token, request.get_header("x-token"))
        response.content_type = JSON
        response.data = await falcon.sync_to_async(answer_token, token)


async def refuse(request: Request, response: Response, error: Refused, params: object) -> None:
    response.status = error.status
    response.content_type = JSON
    response.data = error.body


app = falcon.asgi.App()
app.add_error_handler(Refused, refuse)
app.add_route("/", Hello())
app.add_route("/items/{item_id}", Items())
app.add_route("/users", Users())
app.add_route("/me", Me())
app.add_route("/list", List())
app.add_route("/ws", Echo())
app.add_route("/stream", Stream())
app.add_route("/suspend", Suspend())
app.add_route("/sync", Sync())
app.add_static_route("/static", str(STATIC_FOLDER))
