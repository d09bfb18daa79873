"""Streams, server-sent events, JSON lines, and WebSockets whose dependencies decide who may come in."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.exceptions import WebSocketRequestValidationError
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

app = FastAPI()
LEFT: list[str] = []


class Row(BaseModel):
    n: int
    text: str = "t"


async def resource() -> AsyncIterator[str]:
    yield "resource"
    LEFT.append("resource")


Held = Annotated[str, Depends(resource)]


@app.get("/lines")
async def lines(held: Held, count: int = 3) -> AsyncIterable[Row]:
    for number in range(count):
        yield Row(n=number, text=held)


@app.get("/sync-lines")
def sync_lines() -> Iterator[dict[str, Any]]:
    yield {"a": 1}
    yield {"b": [1, None]}


@app.get("/events", response_class=EventSourceResponse)
async def events(last_event_id: Annotated[int | None, Header()] = None) -> AsyncIterable[Any]:
    for number in range(last_event_id or 0, 3):
        yield ServerSentEvent(data={"n": number}, event="tick", id=str(number), retry=10, comment="c")
    yield Row(n=9)
    yield ServerSentEvent(raw_data="two\nlines")


@app.post("/sync-events", response_class=EventSourceResponse)
def sync_events() -> Iterator[str]:
    yield "a"
    yield "b"


@app.get("/raw", response_class=StreamingResponse)
async def raw(response: Response) -> AsyncIterator[bytes]:
    response.headers["x-raw"] = "1"
    yield b"one"
    await asyncio.sleep(0)
    yield b"two"


@app.get("/bytes")
async def large() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 10_000

    return StreamingResponse(pieces(), media_type="application/octet-stream", headers={"content-length": "500000"})


@app.get("/early-error")
async def early_error(held: Held) -> AsyncIterator[int]:
    if held:
        raise HTTPException(409, "before anything")
    yield 1


@app.get("/left")
async def left() -> Any:
    seen = sorted(LEFT)
    LEFT.clear()
    return len(seen) > 0


# -- sockets -----------------------------------------------------------------------------------------------------------------------


async def token(websocket: WebSocket, token: Annotated[str | None, Query()] = None) -> str:
    if token is None:
        raise WebSocketException(1008, "no token")
    if token == "forbidden":
        raise HTTPException(403, "forbidden", headers={"x-why": "token"})
    if token == "payment":
        raise HTTPException(402, {"pay": "now"})
    return token


Token = Annotated[str, Depends(token)]


class Room:
    def __init__(self) -> None:
        self.members: list[WebSocket] = []

    async def say(self, text: str) -> None:
        for member in self.members:
            await member.send_text(text)


rooms: dict[str, Room] = {}


@app.websocket("/room/{name}")
async def room(websocket: WebSocket, name: str, token: Token, held: Held) -> None:
    await websocket.accept()
    members = rooms.setdefault(name, Room())
    members.members.append(websocket)
    await members.say(f"{token} came")
    try:
        while True:
            text = await websocket.receive_text()
            if text == "bye":
                await websocket.close(4001, "you said bye")
                break
            await members.say(f"{token}: {text}")
    except WebSocketDisconnect as gone:
        LEFT.append(f"gone {gone.code}")
    finally:
        members.members.remove(websocket)


@app.websocket("/json")
async def in_json(websocket: WebSocket, size: int, session: Annotated[str | None, Cookie()] = None) -> None:
    await websocket.accept(subprotocol="chat" if "chat" in websocket.scope["subprotocols"] else None, headers=[(b"x-a", b"b")])
    data = await websocket.receive_json()
    await websocket.send_json({"got": data, "size": size, "session": session, "path": websocket.url.path})
    await websocket.send_bytes(b"\x00\xff")
    await websocket.close()


@app.websocket("/iterate")
async def iterate(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text[::-1])
        if text == "end":
            await websocket.close()


@app.websocket("/never")
async def never(websocket: WebSocket) -> None:
    await websocket.close(4000, "never")


@app.websocket("/deny")
async def deny(websocket: WebSocket) -> None:
    await websocket.send_denial_response(Response("denied", 451, {"x-denied": "1"}))


@app.websocket("/raise-later")
async def raise_later(websocket: WebSocket) -> None:
    await websocket.accept()
    raise WebSocketException(4002, "later")


router = APIRouter(prefix="/in", dependencies=[Depends(token)])


@router.websocket("/router/{number}")
async def in_router(websocket: WebSocket, number: int) -> None:
    await websocket.accept()
    await websocket.send_json([number, websocket.scope["path"], websocket.path_params])
    await websocket.close(reason="done")


app.include_router(router)

sub = FastAPI()


@sub.websocket("/ws")
async def sub_ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.scope["root_path"] + " " + websocket.scope["path"])
    await websocket.close()


app.mount("/sub", sub)


@app.exception_handler(WebSocketRequestValidationError)
async def invalid(websocket: WebSocket, exc: WebSocketRequestValidationError) -> None:
    await websocket.close(4422, str(len(exc.errors())))


@app.exception_handler(LookupError)
async def lookup(connection: Request, exc: LookupError) -> Response:
    return Response("lookup", 404)


@app.get("/lookup")
async def looking() -> None:
    raise KeyError("x")
