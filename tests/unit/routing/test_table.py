"""A tree of routes as a flat table: which entry each kind of route becomes, and what serves it."""

from typing import Annotated, Any

import pytest
from starlette.routing import Host, Match, Mount, Route, WebSocketRoute

from tercel import APIRouter, Depends, FastAPI
from tercel.compile.match import Entry, Hit, Partial, RouteTable
from tercel.responses import PlainTextResponse
from tercel.routing import APIRoute
from tercel.routing.table import entries_of
from tercel.serve.dispatch import Served
from tests.unit.compile.exchanges import NativeExchange, Recorded, asgi_exchange, http_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def endpoint() -> str:
    return "endpoint"


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"page {request.path_params}")


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("mounted")(scope, receive, send)


def entries(router: APIRouter, **said: Any) -> list[Entry]:
    return list(entries_of(router, said))


def only(router: APIRouter, **said: Any) -> Entry:
    (entry,) = entries(router, **said)
    return entry


async def served(
    entry: Entry, path: str = "/", params: dict[str, Any] | None = None, **scope: Any
) -> tuple[dict[str, Any], Recorded]:
    """The scope and the answer after the handler of an entry has run, as by an application without middleware."""
    ex, server = asgi_exchange(path=path, **scope)
    ex.entry = entry.payload
    ex.path_params = params or {}
    await entry.payload.handler(ex)
    return dict(ex.scope), server


# -- path operations ---------------------------------------------------------------------------------------------------------------


def test_a_path_operation_is_decided_by_the_table() -> None:
    router = APIRouter()
    router.add_api_route("/items/{item_id:int}", endpoint, methods=["PUT", "GET"])
    entry = only(router, app="app")
    assert (entry.path, entry.kind, entry.methods) == ("/items/{item_id:int}", "http", {"GET", "PUT"})
    assert entry.payload.said == {"app": "app", "endpoint": endpoint, "route": router.routes[0]}
    assert set(entry.convertors) == {"item_id"}
    found = RouteTable([entry]).match_http("GET", "/items/3", dict)
    assert isinstance(found, Hit)
    assert found.params == {"item_id": 3}


async def test_the_handler_of_a_path_operation_is_made_with_the_first_request_and_then_called_directly() -> None:
    router = APIRouter()
    router.add_api_route("/", endpoint)
    entry = only(router)
    first = entry.payload.handler
    _, server = await served(entry)
    assert server.body == b'"endpoint"'
    made = entry.payload.handler
    assert made is not first
    assert made is router.routes[0].operation.handler()  # type: ignore[attr-defined]
    await served(entry)
    assert entry.payload.handler is made


async def test_a_path_operation_needs_no_scope_on_the_own_server() -> None:
    router = APIRouter()
    router.add_api_route("/", endpoint)
    ex = NativeExchange()
    await only(router).payload.handler(ex)
    assert [call[0] for call in ex.calls] == ["respond"]
    assert "endpoint" not in ex.scope


async def test_overrides_in_a_dict_that_does_not_tell_are_looked_at_with_every_request() -> None:
    async def dependency() -> str:
        return "original"

    async def replaced() -> str:
        return "replaced"

    class Provider:
        dependency_overrides: dict[Any, Any] = {}

    router = APIRouter(dependency_overrides_provider=Provider())

    @router.get("/")
    async def get(value: Annotated[str, Depends(dependency)]) -> str:
        return value

    entry = only(router)
    assert (await served(entry))[1].body == b'"original"'
    Provider.dependency_overrides[dependency] = replaced
    assert (await served(entry))[1].body == b'"replaced"'


@pytest.mark.parametrize("why", ["limit", "handler", "handle"])
async def test_a_path_operation_that_somebody_changed_is_served_over_asgi(why: str) -> None:
    class OwnHandler(APIRoute):
        def get_route_handler(self) -> Any:
            return super().get_route_handler()

    class OwnHandle(APIRoute):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await super().handle(scope, receive, send)

    kind = {"limit": APIRoute, "handler": OwnHandler, "handle": OwnHandle}[why]
    router = APIRouter(route_class=kind)
    router.add_api_route("/{item_id}", endpoint, max_body_size=10 if why == "limit" else None)
    entry = only(router, app="app")
    scope, server = await served(entry, "/3", {"item_id": "3"})
    assert server.body == b'"endpoint"'
    assert (scope["endpoint"], scope["path_params"], scope["app"]) == (endpoint, {"item_id": "3"}, "app")
    assert "fastapi_middleware_astack" in scope


async def test_a_path_operation_with_matching_of_its_own_is_asked() -> None:
    class Own(APIRoute):
        def matches(self, scope: Any) -> Any:
            match, child = super().matches(scope)
            return match, {**child, "own": True}

    router = APIRouter(route_class=Own)
    router.add_api_route("/{item_id}", endpoint)
    entry = only(router)
    assert (entry.kind, entry.regex, entry.prefix) == ("scan", None, None)
    table = RouteTable([entry])
    found = table.match_http("GET", "/3", lambda: http_scope("/3"))
    assert isinstance(found, Hit)
    assert found.child_scope is not None
    assert (found.child_scope["own"], found.child_scope["path_params"]) == (True, {"item_id": "3"})
    assert isinstance(table.match_http("PUT", "/3", lambda: http_scope("/3", "PUT")), Partial)


# -- included routers --------------------------------------------------------------------------------------------------------------


def nested() -> FastAPI:
    app = FastAPI(openapi_url=None, form_limits={"max_fields": 1})
    inner = APIRouter(form_limits={"max_files": 3})
    inner.add_api_route("/inner", endpoint)
    middle = APIRouter(prefix="/middle", redirect_slashes=False)
    middle.add_api_route("/before", endpoint)
    middle.include_router(inner, prefix="/i", form_limits={"max_files": 9, "max_part_size": 5})
    middle.add_api_route("/after", endpoint)
    app.include_router(middle)
    app.add_api_route("/last", endpoint)
    return app


def test_routes_of_included_routers_are_entries_of_one_flat_table_in_declaration_order() -> None:
    made = entries(nested().router)
    assert [entry.path for entry in made] == ["/middle/before", "/middle/i/inner", "/middle/after", "/last"]
    assert {entry.kind for entry in made} == {"http"}


def test_an_included_path_operation_says_its_original_route_and_its_effective_one() -> None:
    app = nested()
    entry = entries(app.router)[1]
    effective = entry.payload.framework["effective_route_context"]
    assert effective.path == "/middle/i/inner"
    assert entry.payload.said["route"] is effective.original_route
    assert entries(app.router)[3].payload.framework == {}


def test_limits_of_forms_add_up_on_the_way_in() -> None:
    made = entries(nested().router)
    assert made[0].payload.form_limits == {"max_fields": 1}
    assert made[1].payload.form_limits == {"max_fields": 1, "max_files": 3, "max_part_size": 5}


def test_no_path_is_redirected_into_a_router_that_does_not_want_it() -> None:
    assert [entry.payload.redirects for entry in entries(nested().router)] == [False, False, False, True]


def test_a_router_with_matching_of_its_own_is_one_entry() -> None:
    class Own(APIRouter):
        def matches(self, scope: Any) -> Any:
            return super().matches(scope)

    router = Own()
    router.add_api_route("/a", endpoint)
    router.add_api_route("/b", endpoint)
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/v1")
    entry = only(app.router)
    assert entry.kind == "scan"
    assert entry.probe is not None
    assert entry.probe(http_scope("/v1/b"))[0] == Match.FULL
    assert entry.probe(http_scope("/b"))[0] == Match.NONE


# -- everything else ---------------------------------------------------------------------------------------------------------------


async def test_a_route_of_starlettes_is_decided_by_the_table_and_served_over_asgi() -> None:
    router = APIRouter(routes=[Route("/page/{name}", page, methods=["GET"]), Route("/any", asgi_class)])
    first, second = entries(router)
    assert (first.kind, first.methods, second.methods) == ("http", {"GET", "HEAD"}, None)
    scope, server = await served(first, "/page/x", {"name": "x"})
    assert server.body == b"page {'name': 'x'}"
    assert scope["endpoint"] is page


class asgi_class:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any:
        yield


async def test_a_websocket_endpoint_is_in_the_table_of_websockets() -> None:
    router = APIRouter(routes=[WebSocketRoute("/plain", page)])
    router.add_api_websocket_route("/ws/{room}", endpoint)
    plain, planned = entries(router)
    assert (plain.kind, planned.kind, planned.path) == ("websocket", "websocket", "/ws/{room}")
    assert "route" not in plain.payload.said
    assert planned.payload.said["route"] is router.routes[1]
    table = RouteTable([plain, planned])
    assert isinstance(table.match_websocket("/ws/a", dict), Hit)
    assert not isinstance(table.match_http("GET", "/ws/a", dict), Hit)


async def test_a_mount_is_asked_only_for_paths_that_begin_like_it() -> None:
    router = APIRouter(
        routes=[Mount("/static", app=asgi), Mount("/u/{user}", app=asgi), Mount("", app=asgi), Host("a.test", app=asgi)]
    )
    made = entries(router)
    assert [entry.kind for entry in made] == ["scan"] * 4
    assert [entry.prefix for entry in made] == ["/static", "/u/", None, None]
    asked = []

    def scope() -> dict[str, Any]:
        asked.append(1)
        return http_scope("/other/x")

    RouteTable(made[:2]).match_http("GET", "/other/x", scope)
    assert asked == []


async def test_a_mounted_application_gets_the_rest_of_the_path() -> None:
    router = APIRouter(routes=[Mount("/u/{user}", app=page_app)])
    found = RouteTable(entries(router)).match_http("GET", "/u/ann/x", lambda: http_scope("/u/ann/x"))
    assert isinstance(found, Hit)
    assert found.child_scope is not None
    assert (found.child_scope["root_path"], found.child_scope["path_params"]) == ("/u/ann", {"user": "ann"})
    ex, server = asgi_exchange(path="/u/ann/x")
    ex.scope.update(found.child_scope)
    ex.entry = found.entry.payload
    await found.entry.payload.handler(ex)
    assert server.body == b"/u/ann {'user': 'ann'}"


async def page_app(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(f"{scope['root_path']} {scope['path_params']}")(scope, receive, send)


async def test_the_limit_of_an_include_holds_for_what_it_mounts() -> None:
    seen = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.append(message["body"])
        await PlainTextResponse("read")(scope, receive, send)

    inner = APIRouter(routes=[Mount("/m", app=reading)])
    app = FastAPI(openapi_url=None)
    app.include_router(inner, prefix="/v1", max_body_size=3)
    entry = only(app.router)
    ex, server = asgi_exchange(b"12345", path="/v1/m/x", method="POST", headers={"content-length": "5"})
    assert entry.probe is not None
    match, child = entry.probe(ex.scope)
    assert match == Match.FULL
    ex.scope.update(child)
    await entry.payload.handler(ex)
    assert (server.status, seen) == (413, [])


def test_every_payload_is_of_one_kind() -> None:
    router = APIRouter(routes=[Mount("/m", app=asgi), Route("/page", page)])
    router.add_api_route("/", endpoint)
    router.add_api_websocket_route("/ws", endpoint)
    assert all(isinstance(entry.payload, Served) for entry in entries(router))
