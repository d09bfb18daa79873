"""The workloads for aiohttp on its own server, validation and dependencies by hand: `python -m bench.apps.aiohttp_app PORT`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import WSMsgType, web

from bench.apps.by_hand import JSON, Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER

routes = web.RouteTableDef()


@routes.get("/")
async def hello(request: web.Request) -> web.Response:
    return web.json_response({"message": "hello"})


@routes.get("/items/{item_id}")
async def read_item(request: web.Request) -> web.Response:
    return web.Response(body=answer_item(request.match_info["item_id"], request.query), content_type=JSON)


@routes.post("/users")
async def create_user(request: web.Request) -> web.Response:
    return web.Response(body=answer_user(await request.read()), status=201, content_type=JSON)


@routes.get("/me")
async def read_me(request: web.Request) -> web.Response:
    async with active_user(request.headers.get("x-token")) as user:
        return web.json_response({"name": user.name})


@routes.get("/list")
async def list_items(request: web.Request) -> web.Response:
    return web.Response(body=answer_list(), content_type=JSON)


@routes.get("/ws")
async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    for chunk in CHUNKS:
        await response.write(chunk)
    await response.write_eof()
    return response


@routes.get("/suspend")
async def suspend(request: web.Request) -> web.Response:
    await asyncio.sleep(0)
    return web.json_response({"message": "hello"})


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


@routes.get("/sync")
async def read_sync(request: web.Request) -> web.Response:
    token = await asyncio.to_thread(require_token, request.headers.get("x-token"))
    return web.Response(body=await asyncio.to_thread(answer_token, token), content_type=JSON)


@web.middleware
async def refuse(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as error:
        return web.Response(body=error.body, status=error.status, content_type=JSON)


def make_app() -> web.Application:
    app = web.Application(middlewares=[refuse])
    routes.static("/static", STATIC_FOLDER)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
