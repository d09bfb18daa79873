"""One route for each shape of handler that the compiler writes. Their golden sources are in `golden/`, named after the endpoints.

Nothing here is called by the golden tests; the bodies are as small as they can be.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from pydantic import BaseModel

from tercel import (
    APIRouter,
    BackgroundTasks,
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
    Security,
    UploadFile,
    WebSocket,
)
from tercel.responses import EventSourceResponse, HTMLResponse, PlainTextResponse
from tercel.security import OAuth2PasswordBearer, SecurityScopes

app = FastAPI()


class Order(BaseModel):
    sku: str
    amount: int = 1


class Address(BaseModel):
    street: str
    lines: dict[str, str] = {}


class OrderOut(BaseModel):
    sku: str


# -- parameters --------------------------------------------------------------------------------------------------------------------


@app.get("/plain")
async def plain() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/untyped")
async def untyped():  # type: ignore[no-untyped-def]
    return {"hello": "world"}


@app.get("/places/{shop_id}")
async def places(
    shop_id: int,
    q: str | None = None,
    limit: Annotated[int, Query(le=100)] = 10,
    x_token: Annotated[str, Header()] = "",
    session: Annotated[str, Cookie()] = "",
) -> list[str]:
    return []


@app.get("/many")
async def many(tags: Annotated[list[str], Query()], versions: Annotated[list[str], Header()]) -> list[str]:
    return tags


# -- bodies ------------------------------------------------------------------------------------------------------------------------


@app.post("/orders")
async def one_body(order: Order) -> OrderOut:
    return OrderOut(sku=order.sku)


@app.put("/orders/{order_id}")
async def two_bodies(order_id: int, order: Order, address: Address, urgent: Annotated[bool, Body()] = False) -> None:
    return None


@app.post("/addresses")
async def body_parsed_first(address: Address) -> None:
    return None


@app.post("/login")
async def form(name: Annotated[str, Form()], password: Annotated[str, Form()]) -> str:
    return name


@app.post("/upload")
async def file(file: UploadFile, note: Annotated[str, Form()] = "", raw: Annotated[bytes, File()] = b"") -> int:
    return len(raw)


# -- dependencies ------------------------------------------------------------------------------------------------------------------


def settings() -> dict[str, Any]:
    return {}


async def page(limit: int = 10, offset: int = 0) -> tuple[int, int]:
    return limit, offset


async def connection() -> AsyncIterator[str]:
    yield "connection"


def transaction(connection: Annotated[str, Depends(connection)]) -> Iterator[str]:
    yield f"transaction on {connection}"


async def user(x_token: Annotated[str, Header()], settings: Annotated[dict[str, Any], Depends(settings)]) -> str:
    return x_token


async def admin(user: Annotated[str, Depends(user)], settings: Annotated[dict[str, Any], Depends(settings)]) -> str:
    return user


@app.get("/shared")
async def shared_dependencies(admin: Annotated[str, Depends(admin)], user: Annotated[str, Depends(user)]) -> str:
    return user


def roll() -> int:
    return random.randint(4, 4)


@app.get("/uncached")
async def uncached_dependencies(
    one: Annotated[int, Depends(roll)],
    two: Annotated[int, Depends(roll, use_cache=False)],
    three: Annotated[int, Depends(roll)],
) -> int:
    return one + two + three


@app.get("/sync")
def synchronous_calls(
    settings: Annotated[dict[str, Any], Depends(settings)], roll: Annotated[int, Depends(roll)], q: str = ""
) -> OrderOut:
    return OrderOut(sku=q)


def pages(limit: int = 10, offset: int = 0) -> dict[str, int]:
    return {"limit": limit, "offset": offset}


@app.get("/momentary")
def momentary_calls(pages: Annotated[dict[str, int], Depends(pages)], q: str = "") -> dict[str, str]:
    if not q:
        raise HTTPException(status_code=400, detail="q is empty")
    return {"q": q.strip()}


@app.get("/generators", dependencies=[Depends(page)])
async def generators(
    transaction: Annotated[str, Depends(transaction)],
    work: Annotated[str, Depends(connection, scope="function")],
) -> str:
    return transaction


class Filters:
    def __init__(self, category: str = "", since: int = 0) -> None:
        self.category = category


@app.get("/classes")
async def class_as_dependency(filters: Annotated[Filters, Depends()]) -> str:
    return filters.category


limited = Depends(roll, max_concurrency=2)
limited_connection = Depends(connection, max_concurrency=2, use_cache=False)


@app.get("/limited")
async def limited_dependencies(roll: Annotated[int, limited], connection: Annotated[str, limited_connection]) -> int:
    return roll


class Bearer(OAuth2PasswordBearer):
    async def __call__(self, request: Request) -> str | None:
        return await super().__call__(request)


token = Bearer(tokenUrl="token", scopes={"read": "", "write": ""})


async def reader(scopes: SecurityScopes, token: Annotated[str, Security(token, scopes=["read"])]) -> str:
    return token


@app.get("/secured")
async def secured(reader: Annotated[str, Security(reader, scopes=["write"])]) -> str:
    return reader


# -- what is injected, and what becomes of the result ------------------------------------------------------------------------------


@app.post("/injected", status_code=201)
async def injected(request: Request, response: Response, tasks: BackgroundTasks) -> OrderOut:
    return OrderOut(sku="")


@app.get("/filtered", response_model=list[OrderOut], response_model_exclude_unset=True)
async def filtered() -> Any:
    return []


@app.delete("/nothing", status_code=204)
async def nothing() -> None:
    return None


@app.get("/html", response_class=HTMLResponse)
def html() -> str:
    return ""


@app.get("/text", response_class=PlainTextResponse, response_model=str)
def text_with_model() -> str:
    return ""


@app.get("/response")
async def given_response() -> Response:
    return Response()


# -- streams and sockets -----------------------------------------------------------------------------------------------------------


@app.get("/events", response_class=EventSourceResponse)
async def events(connection: Annotated[str, Depends(connection)]) -> AsyncIterator[Order]:
    yield Order(sku="")


@app.get("/lines")
def lines(response: Response) -> Iterator[Order]:
    yield Order(sku="")


@app.get("/raw", response_class=PlainTextResponse)
async def raw(tasks: BackgroundTasks) -> AsyncIterator[str]:
    yield ""


@app.websocket("/rooms/{room}")
async def socket(websocket: WebSocket, room: str, user: Annotated[str, Depends(user)]) -> None:
    await websocket.accept()


# -- included ----------------------------------------------------------------------------------------------------------------------

router = APIRouter(prefix="/items", dependencies=[Depends(user)])


@router.get("/{item_id}")
async def included(item_id: int) -> int:
    return item_id


app.include_router(router, prefix="/v{version}")
