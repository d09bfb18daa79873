"""The workloads for Robyn on its own server: `python -m bench.apps.robyn_app PORT --log-level WARN`.

Pydantic is called by hand: Robyn's own support for it has no limits of numbers and does not filter what is answered.
"""

import asyncio
import os
import sys
from typing import Any

from robyn import Headers, Request, Response, Robyn, StreamingResponse, WebSocketAdapter, WebSocketDisconnect

from bench.apps.by_hand import JSON, Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER

app = Robyn(__file__)
AS_JSON = Headers({"Content-Type": JSON})


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status, AS_JSON, body)


def refuse(error: Refused) -> Response:
    return answer(error.body, error.status)


@app.get("/")
async def hello(request: Request) -> dict[str, str]:
    return {"message": "hello"}


@app.get("/items/:item_id")
async def read_item(request: Request) -> Response:
    try:
        return answer(answer_item(request.path_params["item_id"], dict(request.query_params.items())))
    except Refused as error:
        return refuse(error)


@app.post("/users")
async def create_user(request: Request) -> Response:
    try:
        return answer(answer_user(request.body), 201)
    except Refused as error:
        return refuse(error)


@app.get("/me")
async def read_me(request: Request) -> Any:
    try:
        async with active_user(request.headers.get("x-token")) as user:
            return {"name": user.name}
    except Refused as error:
        return refuse(error)


@app.get("/list")
async def list_items(request: Request) -> Response:
    return answer(answer_list())


@app.websocket("/ws")
async def echo(websocket: WebSocketAdapter) -> None:
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


async def stream_chunks() -> Any:
    for chunk in CHUNKS:
        yield chunk


@app.get("/stream")
async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(stream_chunks(), headers=Headers({"Content-Type": "text/plain"}), media_type="text/plain")


@app.get("/suspend")
async def suspend(request: Request) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"message": "hello"}


def answer_token(token: str) -> Response:
    return answer(to_json({"token": token}))


@app.get("/sync")
def read_sync(request: Request) -> Response:
    try:
        return answer_token(require_token(request.headers.get("x-token")))
    except Refused as error:
        return refuse(error)


app.serve_directory("/static", str(STATIC_FOLDER))


if __name__ == "__main__":
    os.environ.setdefault("ROBYN_HOST", "127.0.0.1")
    app.start(host="127.0.0.1", port=int(sys.argv[1]), _check_port=False)
