"""Middleware of every kind around routes of every kind, mounted applications, static files, templates, a document of its own."""

import tempfile
from collections.abc import Callable
from contextvars import ContextVar
from os import utime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Host, Mount, Route

home = Path(tempfile.mkdtemp())
for name, text in {
    "static/index.html": "<h1>static</h1>",
    "static/404.html": "<h1>lost</h1>",
    "static/app.js": "console.log(1)\n" * 100,
    "static/inner/index.html": "inner",
    "static/data.bin": "0123456789",
    "site/index.html": "<title>site</title>",
    "site/assets/a.css": "a{}",
    "templates/page.html": '<a href="{{ url_for("named", number=3) }}">{{ who }}</a>',
}.items():
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    utime(home / name, (1_700_000_000, 1_700_000_000))

seen_by: ContextVar[str] = ContextVar("seen_by", default="")


class Base(BaseHTTPMiddleware):
    def __init__(self, app: Any, name: str) -> None:
        super().__init__(app)
        self.name = name

    async def dispatch(self, request: Request, call_next: Callable[..., Any]) -> Response:
        seen_by.set(seen_by.get() + self.name)
        request.state.trail = [*getattr(request.state, "trail", []), self.name]
        if request.query_params.get("stop") == self.name:
            return PlainTextResponse(f"stopped by {self.name}", 403)
        if request.query_params.get("fail") == self.name:
            raise HTTPException(400, f"failed in {self.name}")
        response: Response = await call_next(request)
        response.headers[f"x-{self.name}"] = "was here"
        return response


class Pure:
    def __init__(self, app: Any, field: str = "x-pure") -> None:
        self.app, self.field = app, field

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["pure"] = True

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                context = scope.get("fastapi", {}).get("effective_route_context")
                path = getattr(context, "path", None) or getattr(route, "path", None)
                message["headers"] = [*message["headers"], (self.field.encode(), str(path).encode())]
            await send(message)

        await self.app(scope, receive, sending)


app = FastAPI(title="Layers", root_path="", redoc_url=None)
app.add_middleware(GZipMiddleware, minimum_size=500)
app.add_middleware(Base, name="inner")
app.add_middleware(Pure)
app.add_middleware(SessionMiddleware, secret_key="secret", https_only=False)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://a.example"],
    allow_origin_regex=r"https://.*\.b\.example",
    allow_credentials=True,
    allow_methods=["GET", "PUT"],
    allow_headers=["x-a"],
    expose_headers=["x-b"],
    max_age=7,
)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "*.example", "www.host.example"])


@app.middleware("http")
async def outermost(request: Request, call_next: Callable[..., Any]) -> Response:
    if request.url.path == "/rewritten":
        request.scope["path"] = "/plain"
    response = await call_next(request)
    response.headers["x-outermost"] = request.url.path
    if request.url.path == "/replaced":
        body = b"".join([chunk async for chunk in response.body_iterator])
        return Response(body.upper(), response.status_code, dict(response.headers) | {"content-length": str(len(body))})
    return response  # type: ignore[no-any-return]


templates = Jinja2Templates(directory=home / "templates")


@app.get("/plain")
async def plain(request: Request) -> Any:
    return {"trail": request.state.trail, "seen": seen_by.get(), "pure": request.state.pure}


@app.get("/replaced", response_class=PlainTextResponse)
async def replaced() -> str:
    return "replaced"


@app.get("/big")
def big() -> Any:
    return {"text": "x" * 2000}


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse((f"line {number}\n" for number in range(200)), media_type="text/plain", headers={"x-kind": "stream"})


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(home / "static/data.bin", filename="dätá.bin")


@app.get("/named/{number}", name="named")
async def named(request: Request, number: int) -> HTMLResponse:
    return templates.TemplateResponse(request, "page.html", {"who": "<you>"}, headers={"x-template": "1"})


@app.get("/session")
async def session(request: Request, add: str | None = None) -> Any:
    if add:
        request.session["items"] = [*request.session.get("items", []), add]
    return dict(request.session)


@app.get("/urls")
async def urls(request: Request) -> Any:
    return [
        str(request.url),
        str(request.base_url),
        str(request.url_for("named", number=4)),
        str(request.url_for("static", path="/app.js")),
        app.url_path_for("named", number=5),
        str(request.url_for("sub:sub_named", number=6)),
    ]


@app.get("/raise/{kind}")
async def raising(kind: str) -> None:
    if kind == "http":
        raise HTTPException(402, {"pay": 1}, headers={"x-pay": "1"})
    if kind == "status":
        raise HTTPException(304)
    if kind == "group":
        raise ExceptionGroup("several", [ValueError(1)])
    raise RuntimeError(kind)


@app.get("/slash/")
async def slash() -> str:
    return "slash"


router = APIRouter(prefix="/r")


@router.get("/{name}")
def in_router(name: str, request: Request) -> Any:
    return {"name": name, "path": request.scope["route"].path, "params": request.path_params}


app.include_router(router, prefix="/v/{version}")

sub = FastAPI(title="Sub")


@sub.exception_handler(KeyError)
async def key_error(request: Request, exc: KeyError) -> JSONResponse:
    return JSONResponse({"sub": str(exc)}, 409)


async def sub_user(request: Request) -> str:
    return request.headers.get("x-user", "nobody")


sub.add_middleware(Pure, field="x-sub")


@sub.get("/named/{number}", name="sub_named")
async def sub_named(number: int, request: Request, user: Annotated[str, Depends(sub_user)]) -> Any:
    url = str(request.url_for("sub_named", number=number + 1))
    return [number, user, request.url.path, request.scope["root_path"], url, request.state.trail]


@sub.get("/fail/{kind}")
async def sub_fail(kind: str) -> None:
    raise {"key": KeyError("k"), "http": HTTPException(410), "other": RuntimeError("r")}[kind]


app.mount("/sub", sub, name="sub")


async def starlette_page(request: Request) -> Response:
    return JSONResponse([request.url.path, request.path_params, type(request.app).__name__])


inner = Starlette(routes=[Route("/page/{x:int}", starlette_page, methods=["GET", "POST"])])
app.mount("/starlette", inner)
app.router.routes.append(Host("www.host.example", app=Starlette(routes=[Mount("/", app=inner)])))
app.add_route("/added/{x}", starlette_page, methods=["PUT"])
app.mount("/static", StaticFiles(directory=home / "static", html=True), name="static")
app.mount("/files", StaticFiles(directory=home / "static"), name="files")
app.frontend("/site", directory=home / "site", fallback="index.html")


@app.get("/old")
def old() -> RedirectResponse:
    return RedirectResponse("/plain", headers={"x-old": "1"})


def custom() -> dict[str, Any]:
    if not app.openapi_schema:
        schema = get_openapi(title="Custom", version="3", routes=app.routes, description="d")
        schema["info"]["x-logo"] = {"url": "logo.png"}
        app.openapi_schema = schema
    return app.openapi_schema


app.openapi = custom  # type: ignore[method-assign]
