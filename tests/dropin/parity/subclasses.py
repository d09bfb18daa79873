"""Subclasses that override methods, and attributes of objects that add-ons look at: which are called, and what is there."""

import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Query, Request, Response, WebSocket, params, routing
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from observe import check, main
from pydantic import BaseModel


class Item(BaseModel):
    a: int = 1


def recording(base: type, names: str, calls: list[str]) -> Any:
    """A subclass whose methods note that they were called."""

    def wrapped(name: str) -> Callable[..., Any]:
        original = getattr(base, name)
        if inspect.iscoroutinefunction(original):

            async def method(self: Any, *args: Any, **options: Any) -> Any:
                calls.append(name)
                return await original(self, *args, **options)

            return method

        def plain(self: Any, *args: Any, **options: Any) -> Any:
            calls.append(name)
            return original(self, *args, **options)

        return plain

    return type(base.__name__, (base,), {name: wrapped(name) for name in names.split()})


def nothing() -> None: ...


def taking_items(around: Callable[[Any, Request], Any]) -> TestClient:
    """A client of an application whose handler of `POST /x` is called by a function."""

    class Route(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Response:
                response: Response = await around(handler, request)
                return response

            return handle

    app = FastAPI()
    app.router.route_class = Route

    @app.post("/x")
    def create(item: Item) -> Item:
        return item

    return TestClient(app)


@check
def methods_of_an_application_are_called() -> Any:
    calls: list[str] = []
    names = "build_middleware_stack openapi setup add_api_route api_route get include_router __call__ add_middleware url_path_for"
    more = "add_route mount add_exception_handler add_api_websocket_route"
    app = recording(FastAPI, f"{names} {more}", calls)()
    app.get("/x")(nothing)
    app.api_route("/y", methods=["GET", "PUT"])(nothing)
    app.post("/z")(nothing)

    @app.websocket("/w")
    async def talk(socket: WebSocket) -> None: ...

    @app.middleware("http")
    async def around(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    @app.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        return Response("none", 404)

    app.include_router(APIRouter())
    app.mount("/m", FastAPI())
    app.url_path_for("nothing")
    client = TestClient(app)
    answers = [client.get("/x").status_code, client.put("/y").status_code, client.get("/none").text]
    return [calls, answers, client.get("/openapi.json").status_code]


@check
def methods_of_a_router_are_called() -> Any:
    calls: list[str] = []
    names = (
        "add_api_route include_router __call__ url_path_for add_route mount add_api_websocket_route api_route get post websocket"
    )
    router = recording(APIRouter, f"{names} add_event_handler", calls)(prefix="/p")
    router.get("/x")(nothing)
    router.post("/y")(nothing)

    @router.websocket("/w")
    async def talk(socket: WebSocket) -> None: ...

    router.include_router(APIRouter())
    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    return [calls, client.get("/p/x").status_code, client.get("/p/none").status_code, str(app.url_path_for("nothing"))]


@check
def decorators_of_an_application_go_to_its_router() -> Any:
    calls: list[str] = []
    app = FastAPI()
    app.router = recording(APIRouter, "add_api_route get api_route add_api_websocket_route", calls)()
    app.get("/x")(nothing)
    app.api_route("/y")(nothing)
    return [calls, TestClient(app).get("/y").status_code]


@check
def methods_of_a_route_are_called() -> Any:
    seen = {}
    for name in ("get_route_handler", "handle", "matches"):
        calls: list[str] = []
        route_class = recording(APIRoute, name, calls)
        app = FastAPI()
        app.router.route_class = route_class
        router = APIRouter(route_class=route_class)
        router.get("/x")(nothing)
        app.get("/y")(nothing)
        app.include_router(router)
        client = TestClient(app)
        answers = [client.get(path).status_code for path in ("/x", "/y", "/none")]
        seen[name] = [answers, sorted(set(calls)), isinstance(router.routes[0], APIRoute)]
    return seen


@check
def a_request_class_with_a_body_of_its_own() -> Any:
    class Changed(Request):
        async def body(self) -> bytes:
            return b'{"a": 41}'

    async def around(handler: Any, request: Request) -> Response:
        response: Response = await handler(Changed(request.scope, request.receive))
        return response

    return taking_items(around).post("/x", json={"a": 1}).json()


@check
def what_a_wrapped_handler_finds_of_the_body() -> Any:
    seen: list[Any] = []

    async def around(handler: Any, request: Request) -> Response:
        before = hasattr(request, "_json")
        response: Response = await handler(request)
        seen.append([before, getattr(request, "_json", "none"), await request.json()])
        return response

    client = taking_items(around)
    return [client.post("/x", json={"a": 1, "b": 2}).json(), seen]


@check
def an_override_set_on_the_way_is_in_force_where_functions_are_replaced() -> Any:
    original, calls = routing.solve_dependencies, []

    async def solve(**arguments: Any) -> Any:
        calls.append("solve")
        return await original(**arguments)

    def wanted(q: int = 1) -> int:
        return q

    def other(z: int, request: Request) -> list[Any]:
        return [z, request.url.path]

    async def configure() -> None:
        app.dependency_overrides[wanted] = other

    app = FastAPI()

    @app.get("/x")
    def read(_: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(wanted)], z: str = "own") -> Any:
        return [value, z]

    routing.solve_dependencies = solve  # type: ignore[assignment]
    try:
        client = TestClient(app)
        answers = []
        for path in ("/x?z=3", "/x?z=4", "/x"):
            answers.append(client.get(path).json())
            app.dependency_overrides.clear()
        return [answers, sorted(set(calls))]
    finally:
        routing.solve_dependencies = original


@check
def subclasses_of_markers() -> Any:
    class Wanted(params.Depends): ...

    class Filter(params.Query): ...

    app = FastAPI()

    @app.get("/x")
    def read(seven: Any = Wanted(lambda: 7), q: int = Filter(3)) -> Any:
        return [seven, q]

    kinds = [type(Depends(nothing)).__name__, type(Query()).__name__, isinstance(Query(), params.Param)]
    return [TestClient(app).get("/x?q=5").json(), kinds]


def _endpoint(
    id: int,
    item: Item,
    request: Request,
    q: int = 3,
    x: Annotated[str, Header()] = "h",
    c: Annotated[str | None, Cookie(alias="see")] = None,
) -> None: ...


@check
def what_a_route_and_its_tree_have() -> Any:
    router = APIRouter(prefix="/r", tags=["t"], dependencies=[Depends(nothing)])
    router.post("/items/{id}", response_model=Item, status_code=201, summary="S")(_endpoint)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    route: Any = router.routes[0]
    tree = route.dependant
    said = "path path_format name methods tags summary description status_code operation_id unique_id deprecated include_in_schema"
    fields = [*tree.path_params, *tree.query_params, *tree.header_params, *tree.cookie_params, *tree.body_params]
    return {
        "route": {name: repr(getattr(route, name)) for name in f"{said} response_model response_model_by_alias callbacks".split()},
        "repr": repr(route),
        "class": [each.__name__ for each in type(route).__mro__ if each.__module__.startswith(("fastapi", "starlette"))][-2:],
        "tree": [tree.name, tree.request_param_name, [sub.name for sub in tree.dependencies], tree.call is _endpoint, tree.path],
        "fields": [[field.name, field.alias, repr(field.default), field.mode] for field in fields],
        "infos": [[type(field.field_info).__name__, repr(field.field_info)] for field in fields],
        "flat": [field.name for field in get_flat_params(tree)],
        "body": [route.body_field.name, route.response_field.name],
        "names": [type(each).__name__ for each in app.routes],
        "contexts": [[context.path, context.name] for context in iter_route_contexts(app.routes)],
        "copies": [copy.copy(route).path, type(copy.deepcopy(tree)).__name__, dataclasses.replace(Dependant(), name="n").name],
    }


@check
def what_a_request_has_in_its_scope() -> Any:
    app = FastAPI()
    seen: dict[str, Any] = {}

    @app.get("/x/{a}")
    def read(request: Request, a: int) -> None:
        scope = request.scope
        seen.update(
            keys=sorted(set(scope) - {"extensions", "state", "headers", "client", "server"}),
            same=[scope["route"] is app.routes[-1], scope["router"] is app.router, scope["app"] is app, scope["endpoint"] is read],
            fastapi=sorted(scope.get("fastapi", {})),
            params=scope["path_params"],
        )

    TestClient(app).get("/x/1")
    return seen


@check
def attributes_of_instances_that_are_replaced_are_called() -> Any:
    app = FastAPI()
    app.get("/x")(nothing)
    client = TestClient(app)
    calls: list[Any] = [client.get("/x").status_code]

    def noting(name: str, original: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            calls.append(name)
            await original(scope, receive, send)

        return call

    app.router.default = noting("default", app.router.default)
    client.get("/none")
    app.middleware_stack = noting("stack", app.middleware_stack)
    client.get("/x")
    route: Any = app.routes[-1]
    route.app = noting("route", route.app)
    client.get("/x")
    app.openapi = lambda: {"mine": 1}  # type: ignore[method-assign]
    return [calls, client.get("/openapi.json").json()]


if __name__ == "__main__":
    main()
