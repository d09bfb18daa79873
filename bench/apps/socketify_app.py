"""The workloads for socketify on its own server, validation and dependencies by hand: `python -m bench.apps.socketify_app PORT`."""

import asyncio
import sys
from typing import Any

from socketify import App, AppListenOptions, OpCode

from bench.apps.by_hand import Refused, active_user, answer_item, answer_list, answer_user, require_token, to_json
from bench.apps.content import CHUNKS, STATIC_FOLDER

JSON = b"application/json"


def refuse(response: Any, error: Refused) -> None:
    response.cork_send(error.body, JSON, error.status)


def hello(response: Any, request: Any) -> None:
    response.send(to_json({"message": "hello"}), JSON)


def read_item(response: Any, request: Any) -> None:
    try:
        given = {"q": request.get_query("q"), "limit": request.get_query("limit")}
        query = {name: value for name, value in given.items() if value is not None}
        response.send(answer_item(request.get_parameter(0), query), JSON)
    except Refused as error:
        refuse(response, error)


async def create_user(response: Any, request: Any) -> None:
    body = await response.get_data()
    try:
        response.cork_send(answer_user(body.getvalue()), JSON, b"201 Created")
    except Refused as error:
        refuse(response, error)


async def read_me(response: Any, request: Any) -> None:
    try:
        async with active_user(request.get_header("x-token")) as user:
            response.cork_send(to_json({"name": user.name}), JSON)
    except Refused as error:
        refuse(response, error)


def list_items(response: Any, request: Any) -> None:
    response.send(answer_list(), JSON)


def echo(socket: Any, message: Any, kind: OpCode) -> None:
    socket.send(message, kind)


def stream(response: Any, request: Any) -> None:
    def write(response: Any) -> None:
        response.write_header("Content-Type", "text/plain")
        for chunk in CHUNKS:
            response.write(chunk)
        response.end(b"")

    response.cork(write)


async def suspend(response: Any, request: Any) -> None:
    await asyncio.sleep(0)
    response.cork_send(to_json({"message": "hello"}), JSON)


def answer_token(token: str) -> bytes:
    return to_json({"token": token})


async def read_sync(response: Any, request: Any) -> None:
    header = request.get_header("x-token")
    try:
        token = await asyncio.to_thread(require_token, header)
        response.cork_send(await asyncio.to_thread(answer_token, token), JSON)
    except Refused as error:
        refuse(response, error)


app = App()
app.get("/", hello)
app.get("/items/:item_id", read_item)
app.post("/users", create_user)
app.get("/me", read_me)
app.get("/list", list_items)
app.ws("/ws", {"message": echo})
app.get("/stream", stream)
app.static("/static", str(STATIC_FOLDER))
app.get("/suspend", suspend)
app.get("/sync", read_sync)


if __name__ == "__main__":
    app.listen(AppListenOptions(int(sys.argv[1]), "127.0.0.1"))
    app.run()
