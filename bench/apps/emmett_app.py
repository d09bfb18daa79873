"""The workloads for emmett55 over RSGI on granian, validation and dependencies by hand."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from emmett55 import App, Pipe, request, response, websocket
from emmett55.tools import service

from bench.apps.by_hand import JSON, Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER


class Refusals(Pipe):
    """Answers what the endpoints refuse."""

    async def pipe_request(self, next_pipe: Any, **parameters: Any) -> Any:
        try:
            return await next_pipe(**parameters)
        except Refused as error:
            response.status = error.status
            response.content_type = JSON
            return error.body


# It makes folders beside the application, which belong neither into the repository nor into an installation.
app = App(__name__, root_path=tempfile.mkdtemp(prefix="emmett55-"))
app.static_path = str(STATIC_FOLDER.resolve())
app.pipeline = [Refusals()]


@app.route("/", methods="get")
@service.json
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.route("/items/<str:item_id>", methods="get", output="bytes")
async def read_item(item_id: str) -> bytes:
    response.content_type = JSON
    return answer_item(item_id, request.query_params)


@app.route("/users", methods="post", output="bytes")
async def create_user() -> bytes:
    response.status = 201
    response.content_type = JSON
    return answer_user(await request.body)


@app.route("/me", methods="get", output="bytes")
async def read_me() -> bytes:
    async with active_user(request.headers.get("x-token")) as user:
        response.content_type = JSON
        return to_json({"name": user.name})


@app.route("/list", methods="get", output="bytes")
async def list_items() -> bytes:
    response.content_type = JSON
    return answer_list()


@app.websocket("/ws")
async def echo() -> None:
    await websocket.accept()
    while True:
        await websocket.send(await websocket.receive())


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


@app.route("/stream", methods="get")
async def stream() -> Any:
    response.content_type = "text/plain"
    return response.wrap_aiter(stream_chunks())


@app.route("/suspend", methods="get")
@service.json
async def suspend() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"message": "hello"}


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


@app.route("/sync", methods="get", output="bytes")
async def read_sync() -> bytes:
    token = await asyncio.to_thread(require_token, request.headers.get("x-token"))
    response.content_type = JSON
    return await asyncio.to_thread(answer_token, token)
