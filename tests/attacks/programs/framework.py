"""An application for FastAPI that trusts its framework: bodies, forms, files, headers, addresses, security schemes."""

import atexit
import enum
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any

from fastapi import (
    Body,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    UploadFile,
    WebSocket,
)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials, HTTPBearer, HTTPDigest, OAuth2PasswordRequestForm
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

EVIL = "</title></script><script>alert(1)</script>"

folder = Path(mkdtemp())
atexit.register(shutil.rmtree, folder, ignore_errors=True)
(folder / "secret.txt").write_text("SECRET")
site = folder / "site"
site.mkdir()
(site / "index.html").write_text("<h1>index</h1>")
(site / "a.txt").write_text("hello\n")
(site / "empty.txt").write_text("")
(site / "big.bin").write_bytes(bytes(range(256)) * 4096)
(site / "link.txt").symlink_to(folder / "secret.txt")
(site / "sub").mkdir()

app = FastAPI(title=EVIL, swagger_ui_parameters={"filter": EVIL})
app.mount("/static", StaticFiles(directory=site, html=True))
app.mount("/plain", StaticFiles(directory=site))
app.frontend("/front", directory=site)


class Colour(enum.Enum):
    red = "red"


class Item(BaseModel):
    name: str
    number: int = 0
    price: float = 0
    when: datetime | None = None
    day: date | None = None
    hour: time | None = None
    delta: timedelta | None = None
    amount: Decimal | None = None
    key: uuid.UUID | None = None
    data: bytes | None = None
    extra: dict[str, Any] = {}


@app.post("/items")
async def items(item: Item) -> Item:
    return item


@app.post("/any")
async def anything(body: Annotated[Any, Body()]) -> Any:
    return body


@app.get("/query")
async def query(
    i: int | None = None,
    f: float | None = None,
    b: bool | None = None,
    when: datetime | None = None,
    day: date | None = None,
    hour: time | None = None,
    delta: timedelta | None = None,
    amount: Decimal | None = None,
    key: uuid.UUID | None = None,
    data: bytes | None = None,
    colour: Colour | None = None,
    letters: Annotated[str | None, Query(pattern="^(a+)+$")] = None,
    many: Annotated[list[int], Query()] = [],  # noqa: B006 - as people write it
):
    return [i, f, b, when, day, hour, delta, amount, key, data, colour, letters, many]


@app.get("/number/{number}")
async def number(number: int) -> int:
    return number


@app.get("/text/{text}")
async def text(text: str) -> str:
    return text


@app.get("/headers")
async def headers(x_text: Annotated[str | None, Header()] = None, x_number: Annotated[int | None, Header()] = None) -> list[Any]:
    return [x_text, x_number]


@app.get("/cookies")
async def cookies(request: Request, c: Annotated[str | None, Cookie()] = None) -> Any:
    return [c, len(request.cookies)]


@app.post("/form")
async def form(request: Request) -> int:
    async with request.form() as form:
        return len(form)


@app.post("/login")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> str:
    return form.username


@app.post("/vote")
async def vote(choice: Annotated[str, Form()], weight: Annotated[int, Form()] = 1) -> list[Any]:
    return [choice, weight]


@app.post("/upload")
async def upload(file: UploadFile) -> list[Any]:
    return [file.filename, len(await file.read())]


@app.post("/bytes")
async def as_bytes(file: Annotated[bytes, File()]) -> int:
    return len(file)


# -- what comes from the client and goes into the head of a response -------------------------------------------------------------


@app.get("/redirect")
async def redirect(to: str) -> Response:
    return RedirectResponse(to)


@app.get("/set-cookie")
async def set_cookie(value: str, response: Response) -> str:
    response.set_cookie("choice", value)
    return "set"


@app.get("/set-header")
async def set_header(value: str) -> Response:
    return Response("x", headers={"x-choice": value})


@app.get("/inject-header")
async def inject_header(value: str, response: Response) -> str:
    response.headers["x-choice"] = value
    return "set"


@app.get("/refuse")
async def refuse(value: str) -> None:
    raise HTTPException(400, "no", headers={"x-choice": value})


@app.get("/download")
async def download(name: str) -> Response:
    return FileResponse(site / "a.txt", filename=name)


@app.get("/media-type")
async def media_type(value: str) -> Response:
    return Response("x", media_type=value)


@app.get("/events", response_class=EventSourceResponse)
async def events(data: str = "", event: str | None = None, id: str | None = None) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(raw_data=data, event=event, id=id)


@app.websocket("/socket")
async def socket(websocket: WebSocket, subprotocol: str) -> None:
    await websocket.accept(subprotocol=subprotocol)
    await websocket.close()


# -- addresses, security, errors -------------------------------------------------------------------------------------------------


@app.get("/address")
async def address(request: Request) -> str:
    return str(request.url)


@app.get("/slash/")
async def slash() -> str:
    return "slash"


@app.get("/basic")
async def basic(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    return credentials.username


@app.get("/bearer")
async def bearer(credentials: Annotated[Any, Depends(HTTPBearer())]) -> str:
    return credentials.credentials


@app.get("/digest")
async def digest(credentials: Annotated[Any, Depends(HTTPDigest())]) -> str:
    return credentials.credentials


@app.get("/fails")
async def fails() -> None:
    raise ValueError("TOP SECRET")


@app.get("/promises", response_model=Item)
async def promises() -> Any:
    return {"password": "TOP SECRET"}


@app.get("/stream-fails", response_class=EventSourceResponse)
async def stream_fails() -> AsyncIterator[str]:
    yield "first"
    raise ValueError("TOP SECRET")


inner = FastAPI()


@inner.get("/fails")
async def inner_fails() -> None:
    raise ValueError("TOP SECRET")


app.mount("/inner", inner)

open_to_all = FastAPI()
open_to_all.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)


@open_to_all.get("/")
async def hello() -> str:
    return "hello"


app.mount("/open", open_to_all)


@app.get("/health")
async def health() -> dict[str, int]:
    return {"files": len(os.listdir("/proc/self/fd")), "streams": 0, "sockets": 0}
