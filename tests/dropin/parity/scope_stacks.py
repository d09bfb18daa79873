"""What FastAPI puts into the scope: exit stacks, and what a match says."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    HTTPException,
    Request,
    Response,
    UploadFile,
    WebSocket,
)
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute, request_response
from fastapi.testclient import TestClient
from observe import check, main
from starlette.requests import HTTPConnection

STACKS = ("fastapi_inner_astack", "fastapi_function_astack", "fastapi_middleware_astack")


@asynccontextmanager
async def opened(log: list[Any], name: str) -> AsyncIterator[str]:
    log.append(f"+{name}")
    try:
        yield name
    except Exception as error:
        log.append(f"{name} saw {type(error).__name__}")
        raise
    finally:
        log.append(f"-{name}")


class Told(PlainTextResponse):
    """A response that says when it is sent."""

    def __init__(self, log: list[Any], content: str = "sent") -> None:
        super().__init__(content)
        self.log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.log.append("sending")
        await super().__call__(scope, receive, send)
        self.log.append("sent")


def kinds(scope: Any) -> dict[str, str]:
    return {name: "stack" if isinstance(scope.get(name), AsyncExitStack) else repr(scope.get(name)) for name in STACKS}


@check
def stacks_are_in_the_scope_of_an_endpoint() -> Any:
    app = FastAPI()

    @app.get("/request")
    async def request(request: Request) -> Any:
        return kinds(request.scope)

    @app.get("/sync")
    def sync(request: Request) -> Any:
        return kinds(request.scope)

    @app.get("/connection")
    async def connection(connection: HTTPConnection) -> Any:
        return kinds(connection.scope)

    async def below(request: Request) -> Any:
        return kinds(request.scope)

    @app.get("/dependency")
    async def dependency(found: Annotated[Any, Depends(below)]) -> Any:
        return found

    @app.post("/form")
    async def form(request: Request, file: Annotated[bytes, File()]) -> Any:
        return kinds(request.scope)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(kinds(websocket.scope))
        await websocket.close()

    client = TestClient(app)
    with client.websocket_connect("/ws") as socket:
        seen = [socket.receive_json()]
    for path in ("/request", "/sync", "/connection", "/dependency"):
        seen.append(client.get(path).json())
    seen.append(client.post("/form", files={"file": b"x"}).json())
    return seen


@check
def what_is_pushed_is_left_in_order_with_generators() -> Any:
    app, log = FastAPI(), []

    async def outer() -> AsyncIterator[None]:
        async with opened(log, "outer"):
            yield

    async def early(request: Request, _: Annotated[None, Depends(outer)]) -> None:
        await request.scope["fastapi_inner_astack"].enter_async_context(opened(log, "pushed early"))
        await request.scope["fastapi_function_astack"].enter_async_context(opened(log, "function early"))
        await request.scope["fastapi_middleware_astack"].enter_async_context(opened(log, "middleware early"))

    async def middle() -> AsyncIterator[None]:
        async with opened(log, "middle"):
            yield

    def threaded() -> Iterator[None]:
        log.append("+threaded")
        yield
        log.append("-threaded")

    async def until_function() -> AsyncIterator[None]:
        async with opened(log, "function"):
            yield

    @app.get("/")
    async def endpoint(
        request: Request,
        tasks: BackgroundTasks,
        a: Annotated[None, Depends(early)],
        b: Annotated[None, Depends(middle)],
        c: Annotated[None, Depends(threaded)],
        d: Annotated[None, Depends(until_function, scope="function")],
    ) -> Response:
        stack = request.scope["fastapi_inner_astack"]
        stack.callback(log.append, "callback")
        stack.push_async_callback(note, "async callback")
        stack.enter_context(plain(log))
        stack.push(lambda *_: log.append("pushed exit"))
        request.scope["fastapi_function_astack"].callback(log.append, "function callback")
        tasks.add_task(log.append, "background")
        log.append("endpoint")
        return Told(log)

    async def note(text: str) -> None:
        log.append(text)

    @contextmanager
    def plain(log: list[Any]) -> Iterator[None]:
        log.append("+plain")
        yield
        log.append("-plain")

    TestClient(app).get("/")
    return log


@check
def what_is_pushed_is_left_when_an_endpoint_fails() -> Any:
    app, log = FastAPI(), []

    @app.exception_handler(KeyError)
    async def handler(request: Request, exc: Exception) -> Response:
        log.append("handler")
        return Told(log)

    @app.get("/{how}")
    async def endpoint(request: Request, how: str) -> Any:
        for name in STACKS:
            await request.scope[name].enter_async_context(opened(log, name))
        if how == "handled":
            raise KeyError("x")
        if how == "http":
            raise HTTPException(418)
        raise ValueError("y")

    client = TestClient(app, raise_server_exceptions=False)
    statuses = [client.get(f"/{how}").status_code for how in ("handled", "http", "unhandled")]
    return statuses, log


@check
def dependencies_can_be_solved_in_an_endpoint() -> Any:
    app, log = FastAPI(), []

    async def session(token: str) -> AsyncIterator[str]:
        async with opened(log, "session"):
            yield f"session of {token}"

    async def user(session: Annotated[str, Depends(session)], request: Request) -> str:
        return f"user of {session} at {request.url.path}"

    async def wanted(user: Annotated[str, Depends(user)], size: int = 3) -> None: ...

    async def solve(request: Request) -> Any:
        dependant = get_dependant(path=request.url.path, call=wanted)
        solved = await solve_dependencies(
            request=request,
            dependant=dependant,
            async_exit_stack=request.scope["fastapi_inner_astack"],
            embed_body_fields=False,
        )
        return {"values": solved.values, "errors": solved.errors}

    @app.get("/endpoint")
    async def endpoint(request: Request) -> Any:
        found = await solve(request)
        log.append("endpoint")
        return found

    @app.get("/dependency")
    async def dependency(found: Annotated[Any, Depends(solve)]) -> Any:
        log.append("endpoint")
        return found

    client = TestClient(app)
    return [
        client.get("/endpoint?token=a").json(),
        client.get("/endpoint?token=a&size=x").json(),
        client.get("/endpoint").json(),
        client.get("/dependency?token=b").json(),
        log,
    ]


@check
def dependencies_can_be_solved_in_middleware() -> Any:
    app, log = FastAPI(), []

    async def session() -> AsyncIterator[str]:
        async with opened(log, "session"):
            yield "session"

    async def wanted(session: Annotated[str, Depends(session)]) -> None: ...

    @app.middleware("http")
    async def middleware(request: Request, call_next: Callable[..., Any]) -> Any:
        async with AsyncExitStack() as stack:
            request.scope["fastapi_inner_astack"] = stack
            request.scope["fastapi_function_astack"] = stack
            dependant = get_dependant(path="/", call=wanted)
            solved = await solve_dependencies(request=request, dependant=dependant, async_exit_stack=stack, embed_body_fields=False)
            response = await call_next(request)
            response.headers["x-session"] = solved.values["session"]
            log.append("middleware over")
        return response

    @app.get("/")
    async def endpoint(request: Request) -> Any:
        request.scope["fastapi_inner_astack"].callback(log.append, "left")
        log.append("endpoint")
        return Told(log)

    response = TestClient(app).get("/")
    return response.headers["x-session"], [line for line in log if "sen" not in line or "session" in line], log.index("left") > 0


@check
def pushed_things_below_middleware_are_left_after_the_response() -> Any:
    app, log = FastAPI(), []

    @app.middleware("http")
    async def middleware(request: Request, call_next: Callable[..., Any]) -> Any:
        response = await call_next(request)
        log.append("came up")
        return response

    @app.get("/")
    async def endpoint(request: Request, tasks: BackgroundTasks) -> Any:
        request.scope["fastapi_inner_astack"].callback(log.append, "inner left")
        request.scope["fastapi_function_astack"].callback(log.append, "function left")
        request.scope["fastapi_middleware_astack"].callback(log.append, "middleware left")
        tasks.add_task(log.append, "task")
        return "x"

    TestClient(app).get("/")
    return log


@check
def a_route_class_can_use_the_stacks() -> Any:
    log: list[Any] = []

    class Route(APIRoute):
        def get_route_handler(self) -> Any:
            original = super().get_route_handler()

            async def handle(request: Request) -> Response:
                log.append(kinds(request.scope))
                await request.scope["fastapi_inner_astack"].enter_async_context(opened(log, "of the class"))
                response = await original(request)
                log.append("handled")
                return response

            return handle

    router = APIRouter(route_class=Route)

    async def session() -> AsyncIterator[str]:
        async with opened(log, "session"):
            yield "session"

    @router.get("/x")
    async def endpoint(session: Annotated[str, Depends(session)]) -> Response:
        return Told(log)

    app = FastAPI()
    app.include_router(router, prefix="/p")
    TestClient(app).get("/p/x")
    return log


@check
def a_handler_may_be_wrapped_by_request_response() -> Any:
    log: list[Any] = []
    app = FastAPI()

    async def handle(request: Request) -> Response:
        log.append(kinds(request.scope))
        return Told(log)

    app.add_route("/starlette", handle)
    app.router.routes[-1].app = request_response(handle)  # type: ignore[attr-defined]
    TestClient(app).get("/starlette")
    return log


def described(scope: Any) -> dict[str, Any]:
    part = scope.get("fastapi", {})
    context = part.get("effective_route_context")
    route = scope.get("route")
    return {
        "route": [type(route).__name__, getattr(route, "path", None)],
        "endpoint": getattr(scope.get("endpoint"), "__name__", None),
        "router": scope.get("router") is not None and type(scope["router"]).__name__,
        "router is the app's": scope["router"] is scope["app"].router,
        "app": scope["app"].title,
        "context": None if context is None else [context.path, context.path_format, sorted(context.methods or ())],
        "path_params": scope.get("path_params"),
        "root_path": scope.get("root_path"),
        "path": scope["path"],
        "app_root_path": scope.get("app_root_path"),
        "keys": sorted(
            key
            for key in scope
            if key not in ("client", "server", "extensions", "starlette.exception_handlers", "debug", "state", "fastapi")
        ),
    }


@check
def a_match_is_described() -> Any:
    app = FastAPI(title="outer")
    sub = FastAPI(title="inner")
    router, nested = APIRouter(prefix="/r"), APIRouter(prefix="/n")

    for target in (app, sub, router, nested):

        @target.get("/items/{item_id:int}")
        async def item(request: Request, item_id: int) -> Any:
            return described(request.scope)

        @target.websocket("/ws/{name}")
        async def ws(websocket: WebSocket) -> None:
            await websocket.accept()
            scope = websocket.scope
            await websocket.send_json(described(scope))
            await websocket.close()

    router.include_router(nested, prefix="/in")
    app.include_router(router, prefix="/api/{version}")
    app.mount("/sub", sub)
    client = TestClient(app)
    seen: list[Any] = []
    for path in ("/items/3", "/api/v1/r/items/4", "/api/v1/r/in/n/items/5", "/sub/items/6"):
        seen.append(client.get(path).json())
    for path in ("/ws/a", "/api/v1/r/ws/b", "/api/v1/r/in/n/ws/c", "/sub/ws/d"):
        with client.websocket_connect(path) as socket:
            seen.append(socket.receive_json())
    return seen


@check
def asgi_middleware_reads_the_scope_afterwards() -> Any:
    app, seen = FastAPI(title="outer"), []
    router = APIRouter()

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            before = sorted(key for key in scope if key in STACKS or key in ("route", "endpoint", "fastapi", "router"))
            await self.app(scope, receive, send)
            if scope["type"] != "lifespan":
                context = scope.get("fastapi", {}).get("effective_route_context")
                seen.append(
                    [
                        before,
                        scope.get("route") and scope["route"].path,
                        scope.get("endpoint") and scope["endpoint"].__name__,
                        context and context.path,
                        scope.get("path_params"),
                    ]
                )

    app.add_middleware(Middleware)

    @router.get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    app.include_router(router, prefix="/api")
    app.get("/plain")(lambda: "x")
    client = TestClient(app)
    for path in ("/api/items/1", "/plain", "/missing"):
        client.get(path)
    client.post("/api/items/1")
    return seen


@check
def a_form_is_still_open_in_an_exception_handler() -> Any:
    app = FastAPI()
    log: list[Any] = []

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> Response:
        form = await request.form()
        file = form["file"]
        return JSONResponse({"read": (await file.read()).decode(), "closed": file.file.closed}, 422)

    @app.exception_handler(KeyError)
    async def key_error(request: Request, exc: KeyError) -> Response:
        form = await request.form()
        log.append(form["file"])
        return JSONResponse({"closed": form["file"].file.closed})

    @app.post("/{how}")
    async def upload(file: UploadFile, how: int) -> Any:
        log.append(file)
        if how == 1:
            raise KeyError("x")
        return "ok"

    client = TestClient(app)
    seen = [client.post(f"/{how}", files={"file": ("a.txt", b"content")}).json() for how in ("x", "1", "2")]
    return seen, [file.file.closed for file in log]


@check
def streaming_endpoints_and_stacks() -> Any:
    app, log = FastAPI(), []

    @app.get("/response")
    async def response(request: Request) -> Any:
        request.scope["fastapi_inner_astack"].callback(log.append, "left")

        async def pieces() -> AsyncIterator[str]:
            yield "a"
            log.append("streamed")

        return StreamingResponse(pieces())

    @app.get("/generator")
    async def generator(request: Request) -> AsyncIterator[int]:
        request.scope["fastapi_inner_astack"].callback(log.append, "left")
        yield 1
        log.append("generated")

    client = TestClient(app)
    return client.get("/response").text, client.get("/generator").text, log


main()
