"""The workloads for Sanic on its own server, validation and dependencies by hand: `python -m bench.apps.sanic_app PORT`."""

import asyncio
import sys

from sanic import Request, Sanic, Websocket
from sanic.response import HTTPResponse, json, raw

from bench.apps.by_hand import JSON, Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER

app = Sanic("bench")


@app.get("/")
async def hello(request: Request) -> HTTPResponse:
    return json({"message": "hello"})


@app.get("/items/<item_id>")
async def read_item(request: Request, item_id: str) -> HTTPResponse:
    return raw(answer_item(item_id, dict(request.query_args)), content_type=JSON)


@app.post("/users")
async def create_user(request: Request) -> HTTPResponse:
    return raw(answer_user(request.body), status=201, content_type=JSON)


@app.get("/me")
async def read_me(request: Request) -> HTTPResponse:
    async with active_user(request.headers.get("x-token")) as user:
        return json({"name": user.name})


@app.get("/list")
async def list_items(request: Request) -> HTTPResponse:
    return raw(answer_list(), content_type=JSON)


@app.websocket("/ws")
async def echo(request: Request, socket: Websocket) -> None:
    async for message in socket:
        await socket.send(message)


@app.get("/stream")
async def stream(request: Request) -> None:
    response = await request.respond(content_type="text/plain; charset=utf-8")
    for chunk in CHUNKS:
        await response.send(chunk)
    await response.eof()


@app.get("/suspend")
async def suspend(request: Request) -> HTTPResponse:
    await asyncio.sleep(0)
    return json({"message": "hello"})


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


@app.get("/sync")
async def read_sync(request: Request) -> HTTPResponse:
    token = await asyncio.to_thread(require_token, request.headers.get("x-token"))
    return raw(await asyncio.to_thread(answer_token, token), content_type=JSON)


@app.exception(Refused)
async def refuse(request: Request, error: Refused) -> HTTPResponse:
    return raw(error.body, status=error.status, content_type=JSON)


app.static("/static", STATIC_FOLDER)


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), access_log=False, single_process=True, motd=False)
