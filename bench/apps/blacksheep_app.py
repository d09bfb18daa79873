"""The workloads for BlackSheep: its bindings, pydantic models and static files; a generator as a dependency is written by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from blacksheep import (
    Application,
    Content,
    FromHeader,
    FromJSON,
    FromQuery,
    FromRoute,
    Request,
    Response,
    StreamedContent,
    WebSocket,
    WebSocketDisconnectError,
    json,
)
from pydantic import TypeAdapter

from bench.apps.by_hand import JSON, Refused, active_user, answer_list, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER, UserIn, UserOut

app = Application()
USER_OUT = TypeAdapter(UserOut)


class FromToken(FromHeader[str]):
    """The header that W4 and W10 depend on."""

    name = "X-Token"


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status, None, Content(JSON.encode(), body))


@app.router.get("/")
async def hello() -> Response:
    return json({"message": "hello"})


@app.router.get("/items/{item_id}")
async def read_item(item_id: FromRoute[int], q: FromQuery[str], limit: FromQuery[int] = FromQuery(10)) -> Response:
    if not 1 <= limit.value <= 100:
        raise Refused(422, b'{"detail":"limit is out of range"}')
    return json({"item_id": item_id.value, "q": q.value, "limit": limit.value})


@app.router.post("/users")
async def create_user(data: FromJSON[UserIn]) -> Response:
    return answer(USER_OUT.dump_json(USER_OUT.validate_python(data.value, from_attributes=True)), 201)


@app.router.get("/me")
async def read_me(token: FromToken) -> Response:
    async with active_user(token.value) as user:
        return json({"name": user.name})


@app.router.get("/list")
async def list_items() -> Response:
    return answer(answer_list())


@app.router.ws("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnectError:
        pass


async def stream_chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


@app.router.get("/stream")
async def stream() -> Response:
    return Response(200, None, StreamedContent(b"text/plain; charset=utf-8", stream_chunks))


@app.router.get("/suspend")
async def suspend() -> Response:
    await asyncio.sleep(0)
    return json({"message": "hello"})


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


@app.router.get("/sync")
async def read_sync(token: FromToken) -> Response:
    checked = await asyncio.to_thread(require_token, token.value)
    return answer(await asyncio.to_thread(answer_token, checked))


async def refuse(app: Any, request: Request, error: Refused) -> Response:
    return answer(error.body, error.status)


app.exceptions_handlers[Refused] = refuse
app.serve_files(STATIC_FOLDER, root_path="static")
