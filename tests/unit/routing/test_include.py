"""Included routers: effective routes, what layers say about them, walking the tree."""

from typing import Any

import pytest
from starlette.routing import BaseRoute, Host, Match, Mount, NoMatchFound, Route, WebSocketRoute

from tercel import APIRouter, Depends, FastAPI, Request
from tercel.openapi.ids import generate_unique_id
from tercel.responses import HTMLResponse, PlainTextResponse
from tercel.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from tercel.routing.include import EffectiveRoute, IncludedRouter, fastapi_scope
from tests.unit.compile.exchanges import http_scope


async def endpoint() -> None: ...


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def included(router: APIRouter, **options: Any) -> IncludedRouter:
    """The entry that an application has for an included router."""
    parent = options.pop("parent", None) or APIRouter()
    parent.include_router(router, **options)
    entry = parent.routes[-1]
    assert isinstance(entry, IncludedRouter)
    return entry


def effective(router: APIRouter, **options: Any) -> EffectiveRoute:
    """The one route of a router as it is effective where it is included."""
    (route,) = included(router, **options).effective_candidates()
    assert isinstance(route, EffectiveRoute)
    return route


def router_with(path: str = "/items", route: dict[str, Any] | None = None, **options: Any) -> APIRouter:
    router = APIRouter(**options)
    router.add_api_route(path, endpoint, **(route or {}))
    return router


def first() -> None: ...


def second() -> None: ...


def third() -> None: ...


# -- what layers say ---------------------------------------------------------------------------------------------------------------


def test_the_router_holds_one_entry_for_an_included_router() -> None:
    parent = APIRouter()
    router = router_with()
    entry = included(router, parent=parent, prefix="/api")
    assert parent.routes == [entry]
    assert entry.original_router is router
    assert router.routes[0].path == "/items"  # type: ignore[attr-defined]


def test_an_effective_route_has_the_prefixes_of_all_layers() -> None:
    route = effective(router_with(prefix="/shop"), parent=APIRouter(prefix="/root"), prefix="/v1")
    assert route.path == "/root/v1/shop/items"
    assert route.path_format == "/root/v1/shop/items"
    assert route.path_regex.match("/root/v1/shop/items")
    assert isinstance(route.original_route, APIRoute)
    assert route.original_route.path == "/shop/items"


def test_lists_are_appended_from_the_outside_in() -> None:
    router = router_with(
        tags=["router"], dependencies=[Depends(second)], route={"tags": ["route"], "dependencies": [Depends(third)]}
    )
    route = effective(router, parent=APIRouter(tags=["parent"]), tags=["include"], dependencies=[Depends(first)])
    assert route.tags == ["parent", "include", "router", "route"]
    assert [depends.dependency for depends in route.dependencies] == [first, second, third]
    assert [sub.call for sub in route.dependant.dependencies] == [first, second, third]


def test_of_responses_the_inner_ones_win() -> None:
    router = router_with(responses={404: {"description": "router"}}, route={"responses": {409: {"description": "route"}}})
    route = effective(router, responses={404: {"description": "include"}, 500: {"description": "include"}})
    assert {status: said["description"] for status, said in route.responses.items()} == {
        404: "router",
        409: "route",
        500: "include",
    }


@pytest.mark.parametrize(
    ("outer", "inner", "route", "expected"),
    [(None, None, None, None), (True, None, None, True), (None, True, None, True), (None, None, True, True)],
)
def test_deprecated_is_what_any_layer_says(outer: Any, inner: Any, route: Any, expected: Any) -> None:
    assert effective(router_with(deprecated=inner, route={"deprecated": route}), deprecated=outer).deprecated is expected


@pytest.mark.parametrize("hidden", range(3))
def test_a_route_is_in_the_schema_where_all_layers_agree(hidden: int) -> None:
    said = [layer != hidden for layer in range(3)]
    router = router_with(include_in_schema=said[0], route={"include_in_schema": said[1]})
    assert effective(router, include_in_schema=said[2]).include_in_schema is False
    assert effective(router_with()).include_in_schema is True


def test_the_nearest_response_class_counts() -> None:
    plain = {"default_response_class": PlainTextResponse}
    assert effective(router_with(), **plain).response_class is PlainTextResponse
    assert effective(router_with(default_response_class=HTMLResponse), **plain).response_class is HTMLResponse
    route = {"response_class": HTMLResponse}
    assert effective(router_with(default_response_class=PlainTextResponse, route=route)).response_class is HTMLResponse


def test_the_nearest_function_makes_the_operation_id() -> None:
    def outer(route: Any) -> str:
        return f"outer {route.path_format}"

    def inner(route: Any) -> str:
        return "inner"

    assert effective(router_with(), prefix="/a", generate_unique_id_function=outer).unique_id == "outer /a/items"
    nearest = router_with(route={"generate_unique_id_function": inner})
    assert effective(nearest, generate_unique_id_function=outer).unique_id == "inner"
    assert effective(router_with(), prefix="/a").unique_id == "endpoint_a_items_get"
    assert generate_unique_id(effective(router_with(), prefix="/a")) == "endpoint_a_items_get"  # type: ignore[arg-type]


def test_the_nearest_limit_of_a_body_counts_and_zero_is_one() -> None:
    assert effective(router_with(), max_body_size=5).max_body_size == 5
    assert effective(router_with(max_body_size=0), max_body_size=5).max_body_size == 0
    assert effective(router_with(max_body_size=3, route={"max_body_size": 4}), max_body_size=5).max_body_size == 4
    assert effective(router_with(), parent=APIRouter(max_body_size=7)).max_body_size == 7


def test_limits_of_forms_are_kept_by_layer_since_they_add_up_with_each_request() -> None:
    entry = included(router_with(form_limits={"max_files": 2}), form_limits={"max_files": 9, "max_fields": 3})
    assert entry.include_context.layer.form_limits == {"max_files": 2, "max_fields": 3}
    assert entry.effective_candidates()[0].form_limits == {}


def test_strictness_of_the_content_type_is_the_nearest() -> None:
    assert effective(router_with(), parent=APIRouter(strict_content_type=False)).strict_content_type is False
    assert effective(router_with(strict_content_type=True), parent=APIRouter(strict_content_type=False)).strict_content_type is True


def test_overrides_are_those_of_the_outermost() -> None:
    app = FastAPI()
    inner = router_with()
    outer = APIRouter()
    outer.include_router(inner)
    app.include_router(outer)
    (context,) = [context for context in iter_route_contexts(app.routes) if context.endpoint is endpoint]
    assert context.dependency_overrides_provider is app


# -- analysis ----------------------------------------------------------------------------------------------------------------------


def test_the_analysis_of_the_original_is_shared_where_nothing_is_added() -> None:
    router = router_with()
    original: Any = router.routes[0]
    assert effective(router).dependant is original.dependant
    assert effective(router, prefix="/a").dependant is not original.dependant
    assert effective(router, prefix="/a").dependant.path == "/a/items"
    assert original.dependant.path == "/items"


def test_the_original_does_not_get_the_dependencies_of_the_layers_around() -> None:
    router = router_with()
    original: Any = router.routes[0]
    assert len(effective(router, dependencies=[Depends(first)]).dependant.dependencies) == 1
    assert original.dependant.dependencies == []


def test_a_parameter_in_the_prefix_is_a_path_parameter_of_the_endpoint() -> None:
    router = APIRouter()

    @router.get("/items/{item_id}")
    async def read(shop_id: int, item_id: int) -> None: ...

    original: Any = router.routes[0]
    assert [field.name for field in original.dependant.path_params] == ["item_id"]
    route = effective(router, prefix="/shops/{shop_id}")
    assert [field.name for field in route.dependant.path_params] == ["shop_id", "item_id"]
    assert route.dependant.query_params == []


# -- live --------------------------------------------------------------------------------------------------------------------------


def test_routes_that_are_added_later_are_effective() -> None:
    router = router_with("/a")
    entry = included(router, prefix="/v1")
    before = entry.effective_candidates()
    assert entry.effective_candidates() is before
    router.add_api_route("/b", endpoint)
    assert [route.path for route in entry.effective_candidates()] == ["/v1/a", "/v1/b"]


def test_routes_of_routers_further_inside_are_effective_when_they_are_added() -> None:
    inner, middle = APIRouter(), APIRouter(prefix="/middle")
    middle.include_router(inner, prefix="/inner")
    entry = included(middle, prefix="/outer")
    assert list(entry.effective_route_contexts()) == []
    inner.add_api_route("/x", endpoint)
    assert [route.path for route in entry.effective_route_contexts()] == ["/outer/middle/inner/x"]


def test_a_router_may_be_included_several_times() -> None:
    router = router_with()
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/a", tags=["a"])
    app.include_router(router, prefix="/b", tags=["b"])
    assert [(context.path, context.tags) for context in iter_route_contexts(app.routes)] == [
        ("/a/items", ["a"]),
        ("/b/items", ["b"]),
    ]


def test_a_router_inside_itself_is_refused() -> None:
    router, other = APIRouter(), APIRouter()
    with pytest.raises(AssertionError, match="Cannot include the same APIRouter instance into itself"):
        router.include_router(router)
    other.include_router(router)
    with pytest.raises(AssertionError, match="already includes this router"):
        router.include_router(other)


def test_a_route_with_neither_prefix_nor_path_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Prefix and path cannot be both empty \(path operation: endpoint\)"):
        included(router_with(""))
    assert effective(router_with(""), prefix="/a").path == "/a"


# -- other kinds of routes ---------------------------------------------------------------------------------------------------------


async def ws_endpoint(websocket: Any) -> None: ...


def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


def test_starlettes_routes_move_under_the_prefix() -> None:
    router = APIRouter(routes=[Route("/page", page, methods=["PUT"], name="page"), WebSocketRoute("/ws", ws_endpoint, name="ws")])
    routes = included(router, prefix="/v1").effective_candidates()
    moved = [route.starlette_route for route in routes]
    assert [(type(route), route.path, route.name) for route in moved] == [
        (Route, "/v1/page", "page"),
        (WebSocketRoute, "/v1/ws", "ws"),
    ]
    assert moved[0].methods == {"PUT"}
    assert moved[0] is not router.routes[0]


def test_a_mount_moves_under_the_prefix_and_the_original_stays() -> None:
    router = APIRouter(routes=[Mount("/static", app=asgi, name="static")])
    moved: Any = effective(router, prefix="/v1").starlette_route
    assert (moved.path, moved.app) == ("/v1/static", asgi)
    assert moved.matches(http_scope("/v1/static/a.css"))[0] == Match.FULL
    assert moved.matches(http_scope("/static/a.css"))[0] == Match.NONE
    assert router.routes[0].path == "/static"  # type: ignore[attr-defined]


def test_a_host_keeps_its_host_and_its_application_moves() -> None:
    router = APIRouter(routes=[Host("api.test", app=asgi, name="api")])
    unmoved: Any = effective(router).starlette_route
    assert (unmoved.host, unmoved.app) == ("api.test", asgi)
    moved: Any = effective(router, prefix="/v1").starlette_route
    assert (moved.host, moved.name) == ("api.test", "api")
    assert [(route.path, route.app) for route in moved.app.routes] == [("/v1", asgi)]


def test_a_websocket_endpoint_gets_the_dependencies_around_it() -> None:
    router = APIRouter(dependencies=[Depends(second)])
    router.add_api_websocket_route("/ws", endpoint)
    moved: Any = effective(router, prefix="/v1", dependencies=[Depends(first)]).starlette_route
    assert isinstance(moved, APIWebSocketRoute)
    assert moved.path == "/v1/ws"
    assert [sub.call for sub in moved.dependant.dependencies] == [first, second]


def test_a_kind_that_cannot_be_moved_is_left_out() -> None:
    class Own(BaseRoute):
        pass

    assert included(APIRouter(routes=[Own()]), prefix="/v1").effective_candidates() == []


# -- matching through the tree -----------------------------------------------------------------------------------------------------


def test_an_included_router_selects_the_first_full_match_else_the_first_partial_one() -> None:
    router = APIRouter()
    for path, method in (("/{any}", "PUT"), ("/a", "GET"), ("/{any}", "DELETE")):
        router.add_api_route(path, endpoint, methods=[method])
    entry = included(router, prefix="/v1")
    full = entry.select(http_scope("/v1/a"))
    assert (full[0], full[3].methods) == (Match.FULL, {"GET"})  # type: ignore[union-attr]
    partial = entry.select(http_scope("/v1/a", "PATCH"))
    assert (partial[0], partial[3].methods) == (Match.PARTIAL, {"PUT"})  # type: ignore[union-attr]
    assert entry.select(http_scope("/a"))[0] == Match.NONE


def test_asking_whether_a_router_matches_leaves_the_scope_as_it_was() -> None:
    entry = included(router_with(), prefix="/v1")
    scope = http_scope("/v1/items")
    assert entry.matches(scope) == (Match.FULL, {})
    assert entry.matches(http_scope("/items")) == (Match.NONE, {})
    assert scope["fastapi"] == {}


def test_path_parameters_are_converted_and_those_around_are_kept() -> None:
    route = effective(router_with("/{item_id:int}"), prefix="/v1")
    match, child = route.matches(http_scope("/v1/3", path_params={"outer": 1}))
    assert (match, child["path_params"], child["endpoint"]) == (Match.FULL, {"outer": 1, "item_id": 3}, endpoint)
    assert route.matches(http_scope("/v1/3", "POST"))[0] == Match.PARTIAL
    assert route.matches({**http_scope("/v1/3"), "type": "websocket"}) == (Match.NONE, {})


def test_urls_are_those_of_the_effective_routes() -> None:
    router = router_with("/{item_id:int}", route={"name": "item"})
    router.add_route("/page", page)
    entry = included(router, prefix="/v1")
    assert entry.url_path_for("item", item_id=3) == "/v1/3"
    assert entry.url_path_for("page") == "/v1/page"
    for name, parameters in (("nothing", {}), ("item", {}), ("item", {"item_id": 3, "more": 1})):
        with pytest.raises(NoMatchFound):
            entry.url_path_for(name, **parameters)


def test_the_part_of_the_framework_is_made_in_the_scope_when_it_is_asked_for() -> None:
    scope: dict[str, Any] = {}
    fastapi_scope(scope)["a"] = 1
    assert scope == {"fastapi": {"a": 1}}


# -- walking -----------------------------------------------------------------------------------------------------------------------


def test_walking_a_tree_gives_every_route_with_its_effective_values_in_order() -> None:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/first", endpoint)
    inner = APIRouter()
    inner.add_api_route("/second", endpoint, methods=["PUT"], summary="s")
    inner.add_api_websocket_route("/ws", endpoint)
    app.include_router(inner, prefix="/v1")
    app.mount("/static", asgi, name="static")
    contexts = list(iter_route_contexts(app.routes))
    assert [context.path for context in contexts] == ["/first", "/v1/second", "/v1/ws", "/static"]
    assert [context.name for context in contexts] == ["endpoint", "endpoint", "endpoint", "static"]
    assert [context.methods for context in contexts] == [{"GET"}, {"PUT"}, None, None]
    assert contexts[1].route is contexts[1].original_route is inner.routes[0]
    assert contexts[1].summary == "s"
    assert contexts[0].original_route is app.routes[0]
    assert list(iter_route_contexts(contexts)) == contexts


def test_a_context_has_no_more_attributes_than_its_route() -> None:
    (context,) = iter_route_contexts(router_with().routes)
    with pytest.raises(AttributeError):
        _ = context.nonsense


def test_the_context_of_an_include_has_the_attributes_of_its_layer() -> None:
    context = included(router_with(), prefix="/v1", tags=["t"]).include_context
    assert (context.prefix, context.tags) == ("/v1", ["t"])
    with pytest.raises(AttributeError):
        _ = context.nonsense
