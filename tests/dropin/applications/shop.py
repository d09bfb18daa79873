"""A shop as people write one: class-based views, a route class that logs bodies, sessions with background tasks, its own errors."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from fastapi import (
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
    Path,
    Query,
    Request,
    Response,
    Security,
    UploadFile,
    status,
)
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.security import (
    APIKeyHeader,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    SecurityScopes,
)
from pydantic import BaseModel, ConfigDict, EmailStr, Field, field_validator
from starlette.exceptions import HTTPException as StarletteHTTPException

LOG: list[str] = []
OPEN: set[Any] = set()
current: ContextVar[str] = ContextVar("current", default="nobody")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    LOG.append("started")
    yield {"settings": {"currency": "EUR"}}


app = FastAPI(title="Shop", version="2.0", lifespan=lifespan, description="A shop", openapi_tags=[{"name": "items"}])


class Kind(str, Enum):  # noqa: UP042 - as most people write it
    fish = "fish"
    meat = "meat"


class Base(BaseModel):
    model_config = ConfigDict(populate_by_name=True, from_attributes=True)


class ItemIn(Base):
    name: Annotated[str, Field(min_length=2, max_length=10)]
    price: Decimal = Field(gt=0, decimal_places=2)
    kind: Kind = Kind.fish
    labels: set[str] = set()
    seller: EmailStr | None = None
    added: datetime | None = None
    catalogue: str | None = Field(None, alias="catalogueNumber")

    @field_validator("name")
    @classmethod
    def no_digits(cls, value: str) -> str:
        if any(character.isdigit() for character in value):
            raise ValueError("no digits in names")
        return value


class Item(ItemIn):
    id: int
    secret: str = Field("hidden", exclude=True)


ITEMS: dict[int, Item] = {1: Item(id=1, name="perch", price=Decimal("3.50"))}


class NotEnough(Exception):
    def __init__(self, left: int) -> None:
        self.left = left


@app.exception_handler(NotEnough)
async def not_enough(request: Request, exc: NotEnough) -> JSONResponse:
    return JSONResponse({"left": exc.left, "path": request.url.path}, status_code=409, headers={"x-left": str(exc.left)})


@app.exception_handler(StarletteHTTPException)
async def http_error(request: Request, exc: StarletteHTTPException) -> Response:
    return JSONResponse({"error": exc.detail, "status": exc.status_code}, exc.status_code, headers=exc.headers)


@app.exception_handler(RequestValidationError)
def invalid(request: Request, exc: RequestValidationError) -> Response:
    content = {"invalid": jsonable_encoder(exc.errors()), "body": jsonable_encoder(exc.body)}
    return JSONResponse(content, status.HTTP_422_UNPROCESSABLE_CONTENT)


@app.exception_handler(500)
async def broken(request: Request, exc: Exception) -> Response:
    return PlainTextResponse(f"broken: {type(exc).__name__}", 500)


@app.middleware("http")
async def timing(request: Request, call_next: Callable[..., Any]) -> Response:
    begun = time.perf_counter()
    token = current.set(request.headers.get("x-who", "nobody"))
    try:
        response = await call_next(request)
    finally:
        current.reset(token)
    response.headers["x-timed"] = str(time.perf_counter() >= begun)
    return response  # type: ignore[no-any-return]


@app.middleware("http")
async def read_body(request: Request, call_next: Callable[..., Any]) -> Response:
    body = await request.body() if request.method == "POST" and "x-read" in request.headers else b""
    request.state.body_length = len(body)
    response = await call_next(request)
    if body:
        response.headers["x-body-length"] = str(len(body))
    return response  # type: ignore[no-any-return]


# -- dependencies ------------------------------------------------------------------------------------------------------------------


class Session:
    def __init__(self) -> None:
        self.open = True
        self.done: list[str] = []

    def commit(self) -> None:
        LOG.append("commit " + ",".join(self.done))


async def session() -> AsyncIterator[Session]:
    it = Session()
    OPEN.add(it)
    try:
        yield it
        it.commit()
    except Exception as error:
        LOG.append(f"rollback {type(error).__name__}")
        raise
    finally:
        it.open = False
        LOG.append("closed")
        OPEN.discard(it)


def sync_session() -> Iterator[str]:
    LOG.append("sync open")
    try:
        yield "sync"
    finally:
        LOG.append("sync closed")


Db = Annotated[Session, Depends(session)]


class Paging:
    def __init__(self, skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(le=100)] = 10) -> None:
        self.skip, self.limit = skip, limit


# -- class-based views, in the manner of fastapi-utils -----------------------------------------------------------------------------


def cbv(router: APIRouter) -> Callable[[type], type]:
    def decorate(cls: type) -> type:
        hints = {name: kind for name, kind in cls.__annotations__.items() if not name.startswith("_")}
        old_init = cls.__init__  # type: ignore[misc]

        def new_init(self: Any, **values: Any) -> None:
            for name in hints:
                setattr(self, name, values.pop(name))
            old_init(self, **values)

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(cls, name, ...), annotation=kind)
            for name, kind in hints.items()
        ]
        cls.__init__ = new_init  # type: ignore[misc]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        functions = {function for _, function in inspect.getmembers(cls, inspect.isfunction)}
        inner = APIRouter()
        for route in list(router.routes):
            if isinstance(route, APIRoute) and route.endpoint in functions:
                router.routes.remove(route)
                signature = inspect.signature(route.endpoint)
                first, *rest = signature.parameters.values()
                changed = [first.replace(default=Depends(cls)), *[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in rest]]
                route.endpoint.__signature__ = signature.replace(parameters=changed)  # type: ignore[attr-defined]
                inner.routes.append(APIRoute(route.path, route.endpoint, methods=list(route.methods), name=route.name))
        router.include_router(inner)
        return cls

    return decorate


views = APIRouter(tags=["views"])


@cbv(views)
class View:
    db: Session = Depends(session)
    paging: Paging = Depends()

    @views.get("/view/{name}")
    async def read(self, name: str, upper: bool = False) -> Any:
        return {"name": name.upper() if upper else name, "open": self.db.open, "skip": self.paging.skip}

    @views.post("/view")
    def write(self, item: ItemIn) -> Any:
        self.db.done.append(item.name)
        return item


app.include_router(views, prefix="/cbv")


# -- a route class -----------------------------------------------------------------------------------------------------------------


class LoggingRequest(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = await super().body()
            self._body = body[::-1] if self.headers.get("x-reversed") else body
        return self._body


class LoggingRoute(APIRoute):
    def get_route_handler(self) -> Callable[..., Any]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request = LoggingRequest(request.scope, request.receive)
            body = await request.body()
            LOG.append(f"{request.method} {request.url.path} {body.decode('latin-1')}")
            try:
                response: Response = await original(request)
            except RequestValidationError as error:
                raise HTTPException(400, {"errors": len(error.errors()), "body": body.decode("latin-1")}) from None
            response.headers["x-logged"] = str(len(body))
            return response

        return handler


logged = APIRouter(route_class=LoggingRoute, prefix="/logged")


@logged.post("/items")
async def logged_create(item: ItemIn, request: Request, db: Db) -> Any:
    return {"name": item.name, "class": type(request).__name__}


@logged.get("/items/{number}", name="logged item")
def logged_read(number: int) -> Any:
    return number


app.include_router(logged)


# -- items -------------------------------------------------------------------------------------------------------------------------

items = APIRouter(prefix="/items", tags=["items"], responses={404: {"description": "no such item"}})


@items.get("/", response_model=list[Item], response_model_exclude_none=True)
async def list_items(paging: Annotated[Paging, Depends()], kind: Kind | None = None) -> Any:
    found = [item for item in ITEMS.values() if kind in (None, item.kind)]
    return found[paging.skip : paging.skip + paging.limit]


@items.post("/", status_code=201)
async def create(item: ItemIn, db: Db, tasks: BackgroundTasks, response: Response) -> Item:
    db.done.append(item.name)
    tasks.add_task(LOG.append, f"task {item.name}")
    response.headers["location"] = "/items/2"
    response.set_cookie("last", item.name, httponly=True, max_age=60)
    return Item(id=2, **item.model_dump())


@items.get("/{item_id}")
async def read(item_id: Annotated[int, Path(ge=1)], request: Request, db: Db) -> Item:
    if item_id not in ITEMS:
        raise HTTPException(404, detail="no such item", headers={"x-missing": str(item_id)})
    return ITEMS[item_id]


@items.put("/{item_id}", response_model=Item, response_model_include={"name", "price"})
def update(item_id: int, item: Annotated[ItemIn, Body(embed=True)], note: Annotated[str, Body()] = "") -> Any:
    return Item(id=item_id, **item.model_dump())


@items.delete("/{item_id}", status_code=204)
async def delete(item_id: int, force: bool = False) -> None:
    if not force:
        raise NotEnough(item_id)


@items.api_route("/{item_id}/any", methods=["GET", "POST", "HEAD", "OPTIONS", "PATCH"], include_in_schema=False)
async def any_method(item_id: UUID | int, request: Request) -> Any:
    return [request.method, str(item_id)]


app.include_router(items)


# -- forms, files, cookies, headers ------------------------------------------------------------------------------------------------


class Login(BaseModel):
    model_config = {"extra": "forbid"}
    user: str
    password: str = "x"
    remember: bool = False


@app.post("/form")
async def form(login: Annotated[Login, Form()]) -> Any:
    return login


@app.post("/fields")
def fields(name: Annotated[str, Form()], tags: Annotated[list[str], Form()] = [], age: Annotated[int | None, Form()] = None) -> Any:  # noqa: B006
    return [name, tags, age]


@app.post("/upload")
async def upload(
    file: UploadFile,
    more: list[UploadFile] | None = None,
    note: Annotated[str, Form()] = "none",
    raw: Annotated[bytes, File()] = b"",
) -> Any:
    content = await file.read()
    return [file.filename, file.content_type, file.size, len(content), len(more or []), note, len(raw)]


@app.get("/headers")
async def headers(
    user_agent: Annotated[str | None, Header()] = None,
    x_many: Annotated[list[str] | None, Header()] = None,
    x_number: Annotated[int, Header()] = 7,
    last: Annotated[str | None, Cookie()] = None,
) -> Any:
    return [user_agent, x_many, x_number, last]


@app.get("/query")
async def query(
    q: Annotated[list[int], Query()] = [1],  # noqa: B006
    day: date | None = None,
    flag: bool | None = None,
    text: Annotated[str | None, Query(alias="t-x", pattern="^a")] = None,
    number: float = 1.5,
) -> Any:
    return {"q": q, "day": day, "flag": flag, "text": text, "number": number}


@app.get("/echo/{rest:path}")
def echo(rest: str, request: Request) -> Any:
    url = request.url
    return {
        "rest": rest,
        "path": url.path,
        "query": url.query,
        "raw": request.scope["raw_path"].decode("latin-1"),
        "state": request.state.settings,
        "length": request.state.body_length,
        "who": current.get(),
    }


@app.post("/raw")
async def raw(request: Request) -> Response:
    body = await request.body()
    return Response(body, media_type=request.headers.get("content-type", "application/octet-stream"))


@app.post("/chunks")
async def chunks(request: Request) -> Any:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return total


@app.post("/any-json")
async def any_json(data: Any = Body(None)) -> Any:
    return {"data": data}


@app.post("/dict")
async def dictionary(data: dict[str, float]) -> dict[str, float]:
    return data


# -- security ----------------------------------------------------------------------------------------------------------------------

oauth = OAuth2PasswordBearer("token", scopes={"read": "Read"})


@app.post("/token")
async def token(credentials: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
    if credentials.password != "secret":
        raise HTTPException(401, "wrong", headers={"WWW-Authenticate": "Bearer"})
    return {"access_token": credentials.username, "token_type": "bearer", "scopes": credentials.scopes}


async def user(scopes: SecurityScopes, token: Annotated[str, Depends(oauth)]) -> str:
    if "read" in scopes.scopes and token == "weak":
        raise HTTPException(403, f"needs {scopes.scope_str}")
    current.set(token)
    return token


@app.get("/me")
async def me(user: Annotated[str, Security(user, scopes=["read"])]) -> Any:
    return [user, current.get()]


@app.get("/basic")
def basic(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="shop"))]) -> Any:
    return credentials


@app.get("/bearer")
def bearer(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]) -> Any:
    return credentials


@app.get("/key")
def key(value: Annotated[str, Depends(APIKeyHeader(name="x-key"))]) -> Any:
    return value


# -- responses ---------------------------------------------------------------------------------------------------------------------


@app.get("/html", response_class=HTMLResponse)
async def html() -> str:
    return "<h1>Grüße</h1>"


@app.get("/redirect", response_class=RedirectResponse, status_code=303)
async def redirect() -> str:
    return "/html?x=ä b"


@app.get("/plain", response_class=PlainTextResponse)
def plain() -> str:
    return "plain"


@app.get("/teapot", status_code=418)
async def teapot(response: Response) -> dict[str, str]:
    response.headers.append("x-two", "1")
    response.headers.append("x-two", "2")
    response.status_code = 419
    return {"a": "b"}


@app.get("/crash")
async def crash(db: Db) -> None:
    raise ZeroDivisionError("x")


@app.get("/sync-crash")
def sync_crash(db: Annotated[str, Depends(sync_session)]) -> None:
    raise LookupError("x")


@app.get("/wrong-model", response_model=Item)
async def wrong_model() -> Any:
    return {"id": "x"}


@app.get("/types")
async def types() -> Any:
    return {
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "decimal": Decimal("1.10"),
        "id": UUID(int=7),
        "set": {1},
        "bytes": b"abc",
        "kind": Kind.meat,
        "none": None,
        "big": 2**70,
        "float": 1e300,
        "text": "Grüße \u2028 \U0001f600 </script>",
        "tuple": (1, "2"),
    }


@app.get("/log")
async def log() -> list[str]:
    """Sorted, since the next request may come before the tasks of the last have ended; none are open any more when it answers."""
    while OPEN:
        await asyncio.sleep(0)
    seen = sorted(LOG)
    LOG.clear()
    return seen
