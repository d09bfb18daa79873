"""An application that does with what it is sent what careless applications do. Served by `tercel run --dropin`.

`ATTACKED` in the environment is the folder with its files, see `site` in `tests/attacks/conftest.py`.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

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
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    HTTPDigest,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware

FOLDER = Path(os.environ["ATTACKED"])
TITLE = "</title><script>alert(1)</script>"
SECRET = "a secret of the program"

app = FastAPI(title=TITLE, swagger_ui_parameters={"</script><script>alert(2)": "</script>"})
remembering = FastAPI()
remembering.add_middleware(SessionMiddleware, secret_key="key")
app.mount("/remembering", remembering)
app.mount("/static", StaticFiles(directory=FOLDER / "site"))
app.mount("/pages", StaticFiles(directory=FOLDER / "site", html=True))
app.mount("/linked", StaticFiles(directory=FOLDER / "site", follow_symlink=True))


# -- values --------------------------------------------------------------------------------------------------------------------


class Size(IntEnum):
    small = 1
    large = 2


class Item(BaseModel):
    name: str
    price: float = 0
    count: int = 0


class Everything(BaseModel):
    name: str
    count: int = 0
    price: float = 0
    when: datetime | None = None
    day: date | None = None
    hour: time | None = None
    span: timedelta | None = None
    exact: Decimal | None = None
    key: UUID | None = None
    data: bytes | None = None
    extra: dict[str, Any] = {}


@app.get("/path/int/{value}")
async def path_int(value: int) -> str:
    return str(value % 10)


@app.get("/path/str/{value}")
async def path_str(value: str) -> str:
    return value


@app.get("/path/converted/{value:int}")
async def path_converted(value: int) -> str:
    return str(value % 10)


@app.get("/path/float/{value:float}")
async def path_float(value: float) -> str:
    return str(value)


@app.get("/path/uuid/{value:uuid}")
async def path_uuid(value: UUID) -> str:
    return str(value)


@app.get("/values")
async def values(
    integer: int = 0,
    number: float = 0,
    exact: Decimal = Decimal(0),
    moment: datetime | None = None,
    day: date | None = None,
    hour: time | None = None,
    span: timedelta | None = None,
    name: UUID | None = None,
    data: bytes = b"",
    size: Size = Size.small,
    address: IPv4Address | None = None,
    flag: bool = False,
    short: Annotated[str, Query(max_length=5, pattern="^a*$")] = "",
    letters: Annotated[str, Query(pattern="^(a+)+$")] = "a",
    integers: Annotated[tuple[int, ...], Query()] = (),
) -> dict[str, str]:
    given = (integer, number, exact, moment, day, hour, span, name, data, size, address, flag, short, letters, integers)
    return {"seen": repr(given)[:200]}


@app.get("/returns")
async def returns(
    integer: int = 0,
    number: float = 0,
    exact: Decimal = Decimal(0),
    moment: datetime | None = None,
    span: timedelta | None = None,
    data: bytes = b"",
) -> dict[str, Any]:
    return {"integer": integer, "number": number, "exact": exact, "moment": moment, "span": span, "data": data}


@app.get("/query")
async def query(request: Request, a: str = "") -> int:
    return len(request.query_params.multi_items())


@app.get("/cookies")
async def cookies(request: Request, a: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
    return {"a": a, "all": request.cookies}


@app.get("/cookie")
async def cookie(a: Annotated[str, Cookie()]) -> int:
    return len(a)


@remembering.get("/")
async def session(request: Request) -> int:
    return len(request.session)


@app.get("/fields")
async def fields(
    x_text: Annotated[str, Header()], x_list: Annotated[tuple[str, ...], Header()] = (), x_number: Annotated[int, Header()] = 0
) -> list[str]:
    return [x_text, *x_list]


@app.post("/item")
async def item(item: Item) -> Item:
    return item


@app.post("/everything")
async def everything(item: Everything) -> Everything:
    return item


@app.post("/anything")
async def anything(value: Annotated[Any, Body()]) -> str:
    return type(value).__name__


@app.post("/raw-json")
async def raw_json(request: Request) -> str:
    return type(await request.json()).__name__


# -- forms ---------------------------------------------------------------------------------------------------------------------


@app.post("/form")
async def form(a: Annotated[str, Form()], number: Annotated[int, Form()] = 0) -> str:
    return a


@app.post("/login")
async def login(given: Annotated[OAuth2PasswordRequestForm, Depends()]) -> str:
    return given.username


@app.post("/any-form")
async def any_form(request: Request) -> list[list[str | int | None]]:
    async with request.form() as sent:
        return [[name, value if isinstance(value, str) else value.filename] for name, value in sent.multi_items()]


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()] = "") -> dict[str, str | int | None]:
    return {"filename": file.filename, "size": file.size, "type": file.content_type, "note": note}


@app.post("/uploads")
async def uploads(files: Annotated[list[bytes], File()]) -> list[int]:
    return [len(file) for file in files]


def open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


@app.get("/temporary")
async def temporary() -> int:
    """Open temporary files: they have no name, yet descriptors."""
    place = os.path.realpath(tempfile.gettempdir())
    return sum(target.startswith(place) and target.endswith("(deleted)") for target in open_files())


@app.get("/open-files")
async def open_files_of_the_site() -> int:
    return sum(target.startswith(str(FOLDER.resolve())) for target in open_files())


# -- answers -------------------------------------------------------------------------------------------------------------------


@app.get("/redirect")
async def redirect(to: str) -> RedirectResponse:
    return RedirectResponse(to)


@app.get("/set-cookie")
async def set_cookie(
    response: Response, key: str = "c", value: str = "v", path: str = "/", domain: str | None = None, expires: str | None = None
) -> str:
    response.set_cookie(key, value, path=path, domain=domain, expires=expires)
    return "set"


@app.get("/own-cookie")
async def own_cookie(value: str = "v", path: str = "/", domain: str | None = None) -> Response:
    response = PlainTextResponse("set")
    response.set_cookie("c", value, path=path, domain=domain)
    return response


@app.get("/download")
async def download(filename: str, kind: str = "attachment") -> FileResponse:
    return FileResponse(FOLDER / "site" / "small.txt", filename=filename, content_disposition_type=kind)


@app.get("/own-field")
async def own_field(value: str = "v", name: str = "X-Own") -> Response:
    return PlainTextResponse("own", headers={name: value})


@app.get("/injected-field")
async def injected_field(response: Response, value: str) -> str:
    response.headers["X-Injected"] = value
    return "injected"


@app.get("/stream-field")
async def stream_field(value: str) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        yield "stream"

    return StreamingResponse(body(), headers={"X-Stream": value})


@app.get("/error-field")
async def error_field(value: str) -> None:
    raise HTTPException(418, "tea", headers={"X-Error": value})


@app.get("/media-type")
async def media_type(value: str) -> Response:
    return Response(b"typed", media_type=value)


@app.get("/events", response_class=EventSourceResponse)
async def events(
    event: str | None = None, id: str | None = None, comment: str | None = None, raw: str | None = None, data: str | None = None
) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data="first")
    yield ServerSentEvent(event=event, id=id, comment=comment, raw_data=raw, data=data)


@app.websocket("/ws/accept")
async def ws_accept(websocket: WebSocket, value: str = "", protocol: str | None = None) -> None:
    await websocket.accept(subprotocol=protocol, headers=[(b"x-own", value.encode("latin-1", "replace"))] if value else None)
    await websocket.send_text("accepted")
    await websocket.close()


@app.websocket("/ws/reason")
async def ws_reason(websocket: WebSocket, value: str) -> None:
    await websocket.accept()
    await websocket.close(4000, value)


@app.websocket("/ws/fails")
async def ws_fails(websocket: WebSocket) -> None:
    raise RuntimeError(SECRET)


@app.websocket("/ws/denies")
async def ws_denies(websocket: WebSocket, value: str) -> None:
    await websocket.send_denial_response(PlainTextResponse("denied", 403, headers={"X-Denied": value}))


# -- places --------------------------------------------------------------------------------------------------------------------


@app.get("/slash/")
async def slash() -> str:
    return "slash"


@app.get("/whole/{rest:path}/")
async def whole(rest: str) -> str:
    return rest


@app.get("/url")
async def url(request: Request) -> dict[str, str]:
    return {"url": str(request.url), "base": str(request.base_url), "made": str(request.url_for("slash"))}


trusting = FastAPI()
trusting.add_middleware(TrustedHostMiddleware, allowed_hosts=["good.example", "*.good.example"])
trusting.mount("/", app)

open_to_all = FastAPI()
open_to_all.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)


@open_to_all.get("/")
async def hello() -> str:
    return "hello"


app.mount("/open", open_to_all)


# -- credentials ---------------------------------------------------------------------------------------------------------------


@app.get("/basic")
async def basic(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> list[str]:
    return [given.username, given.password]


@app.get("/bearer")
async def bearer(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    return given.credentials


@app.get("/digest")
async def digest(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPDigest())]) -> str:
    return given.credentials


@app.get("/oauth2")
async def oauth2(given: Annotated[str, Depends(OAuth2PasswordBearer("token"))]) -> str:
    return given


@app.get("/key")
async def key(given: Annotated[str, Depends(APIKeyHeader(name="X-Key"))]) -> str:
    return given


@app.get("/cookie-key")
async def cookie_key(given: Annotated[str, Depends(APIKeyCookie(name="key"))]) -> str:
    return given


# -- failures ------------------------------------------------------------------------------------------------------------------


async def failing_dependency() -> None:
    raise RuntimeError(SECRET)


async def failing_teardown() -> AsyncIterator[None]:
    yield
    raise RuntimeError(SECRET)


@app.get("/fails")
async def fails() -> None:
    raise RuntimeError(SECRET)


@app.get("/fails/thread")
def fails_thread() -> None:
    raise RuntimeError(SECRET)


@app.get("/fails/dependency", dependencies=[Depends(failing_dependency)])
async def fails_dependency() -> None:
    return None


@app.get("/fails/teardown", dependencies=[Depends(failing_teardown)])
async def fails_teardown() -> str:
    return "x"


@app.get("/fails/model")
async def fails_model() -> Item:
    return {"name": "x", "price": SECRET}  # type: ignore[return-value]


@app.get("/fails/encoding")
async def fails_encoding() -> Any:
    return {"a": object(), "b": SECRET}


@app.get("/fails/stream")
async def fails_stream() -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        raise RuntimeError(SECRET)
        yield ""

    return StreamingResponse(body())


@app.get("/fails/stream-late")
async def fails_stream_late() -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        yield "x"
        await asyncio.sleep(0)
        raise RuntimeError(SECRET)

    return StreamingResponse(body())


@app.get("/fails/events", response_class=EventSourceResponse)
async def fails_events() -> AsyncIterator[str]:
    yield "x"
    raise RuntimeError(SECRET)


part = FastAPI()


@part.get("/fails")
async def part_fails() -> None:
    raise RuntimeError(SECRET)


app.mount("/part", part)

behind = FastAPI()


@behind.middleware("http")
async def fails_around(request: Request, call_next: Any) -> Any:
    if request.url.path.endswith("/middleware"):
        raise RuntimeError(SECRET)
    return await call_next(request)


@behind.get("/fails")
async def behind_fails() -> None:
    raise RuntimeError(SECRET)


app.mount("/behind", behind)

debugging = FastAPI(debug=True)


@debugging.get("/fails")
async def debugging_fails(text: str) -> None:
    raise RuntimeError(text)


app.mount("/debugging", debugging)

app.frontend("/front", directory=FOLDER / "site", fallback=None)
app.frontend("/single", directory=FOLDER / "site", fallback="index.html")
