"""Included routers: prefixes, merging of options, live changes, and what a tree of routers looks like from outside."""

import inspect

import pytest
from starlette.routing import Mount, Route

from tercel import APIRouter, Depends, FastAPI, Request
from tercel.responses import HTMLResponse, PlainTextResponse
from tercel.routing import APIRoute, iter_route_contexts


def naming(name):
    def endpoint():
        return name

    endpoint.__name__ = name
    return endpoint


# -- prefixes ------------------------------------------------------------------------------------------------------------------


def test_prefixes_of_router_and_include_are_joined_from_the_outside_in(make_app, client):
    leaf = APIRouter(prefix="/leaf")
    leaf.get("/x")(naming("x"))
    branch = APIRouter(prefix="/branch")
    branch.include_router(leaf, prefix="/a")
    app = make_app()
    app.include_router(branch, prefix="/b")
    connected = client(app)
    assert connected.get("/b/branch/a/leaf/x").json() == "x"
    assert connected.get("/leaf/x").status_code == 404


def test_a_prefix_may_contain_parameters(make_app, client):
    router = APIRouter(prefix="/users/{user_id}")

    @router.get("/items/{item_id}")
    def endpoint(user_id: int, item_id: int):
        return [user_id, item_id]

    app = make_app()
    app.include_router(router, prefix="/{tenant}")
    connected = client(app)
    assert connected.get("/t/users/1/items/2").json() == [1, 2]
    assert connected.get("/t/users/x/items/2").status_code == 422


def test_an_empty_path_is_the_prefix_itself(make_app, client):
    router = APIRouter(prefix="/items")
    router.get("")(naming("bare"))
    app = make_app()
    app.include_router(router)
    connected = client(app)
    assert connected.get("/items").json() == "bare"
    assert connected.get("/items/").status_code == 307


@pytest.mark.parametrize(
    ("prefix", "message"), [("items", "A path prefix must start with '/'"), ("/items/", "A path prefix must not end with '/'")]
)
def test_a_prefix_must_start_and_not_end_with_a_slash(prefix, message):
    with pytest.raises(AssertionError, match=message):
        APIRouter(prefix=prefix)
    with pytest.raises(AssertionError, match=message):
        FastAPI().include_router(APIRouter(), prefix=prefix)


def test_prefix_and_path_cannot_both_be_empty():
    router = APIRouter()
    router.get("")(naming("x"))
    with pytest.raises(Exception, match="Prefix and path cannot be both empty"):
        FastAPI().include_router(router)


def test_a_router_cannot_include_itself():
    router = APIRouter()
    with pytest.raises(AssertionError, match=r"Cannot include the same APIRouter instance into itself"):
        router.include_router(router)


def test_routers_cannot_include_each_other():
    one, two = APIRouter(), APIRouter()
    one.include_router(two)
    with pytest.raises(AssertionError, match=r"(?i)circular|cannot include"):
        two.include_router(one)


# -- order and liveness --------------------------------------------------------------------------------------------------------


def test_routes_keep_the_order_in_which_they_and_their_routers_were_declared(make_app, client):
    router = APIRouter()
    router.get("/{anything}")(naming("router"))
    app = make_app()
    app.get("/before")(naming("before"))
    app.include_router(router)
    app.get("/after")(naming("after"))
    connected = client(app)
    assert [connected.get("/before").json(), connected.get("/after").json()] == ["before", "router"]


def test_a_route_added_to_a_router_after_it_was_included_answers_in_its_place(make_app, client):
    router = APIRouter()
    app = make_app()
    app.include_router(router, prefix="/r")
    app.get("/r/{anything}")(naming("later"))
    connected = client(app)
    assert connected.get("/r/x").json() == "later"
    router.get("/x")(naming("late"))
    assert connected.get("/r/x").json() == "late"
    assert "/r/x" in app.openapi()["paths"]


def test_a_router_included_into_an_included_router_answers(make_app, client):
    outer, inner = APIRouter(), APIRouter()
    app = make_app()
    app.include_router(outer, prefix="/outer")
    connected = client(app)
    outer.include_router(inner, prefix="/inner")
    inner.get("/x")(naming("x"))
    assert connected.get("/outer/inner/x").json() == "x"


def test_one_router_may_be_included_in_several_places_and_applications(make_app, client):
    router = APIRouter()

    @router.get("/x")
    def endpoint(request: Request):
        return request.url.path

    one, two = make_app(), make_app()
    one.include_router(router, prefix="/a")
    one.include_router(router, prefix="/b")
    two.include_router(router)
    assert [client(one).get("/a/x").json(), client(one).get("/b/x").json(), client(two).get("/x").json()] == ["/a/x", "/b/x", "/x"]


def test_methods_of_a_partial_match_in_a_router_are_those_that_are_allowed(make_app, client):
    router = APIRouter()
    router.post("/x")(naming("post"))
    app = make_app()
    app.include_router(router, prefix="/r")
    answer = client(app).get("/r/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_other_kinds_of_routes_in_an_included_router_keep_working(make_app, client):
    async def plain(request):
        return PlainTextResponse("plain")

    inner = make_app()
    inner.get("/x")(naming("mounted"))
    router = APIRouter(routes=[Route("/plain", plain), Mount("/mount", app=inner)])
    router.mount("/mounted", inner)
    router.add_api_route("/api", naming("api"))
    app = make_app()
    app.include_router(router, prefix="/r")
    connected = client(app)
    assert connected.get("/r/plain").text == "plain"
    assert connected.get("/r/mount/x").json() == connected.get("/r/mounted/x").json() == "mounted"
    assert connected.get("/r/api").json() == "api"


def test_slashes_are_redirected_below_prefixes(make_app, client):
    router = APIRouter(prefix="/r")
    router.get("/x/")(naming("x"))
    app = make_app()
    app.include_router(router)
    answer = client(app).get("/r/x?q=1")
    assert (answer.status_code, answer.headers["location"]) == (307, "http://testserver/r/x/?q=1")


# -- merging of options --------------------------------------------------------------------------------------------------------


def tree():
    """An application with one route below an outer and an inner router, where every layer has options."""
    inner = APIRouter(tags=["inner router"], responses={404: {"description": "inner"}, 410: {"description": "inner"}})
    outer = APIRouter(tags=["outer router"], responses={404: {"description": "outer"}})

    @inner.get("/x", tags=["route"], responses={410: {"description": "route"}})
    def endpoint():
        return None

    outer.include_router(inner, tags=["inner include"], responses={404: {"description": "inner include"}})
    app = FastAPI(responses={404: {"description": "app"}, 500: {"description": "app"}})
    app.include_router(outer, tags=["outer include"])
    return app


def test_tags_are_collected_from_the_outside_in():
    operation = tree().openapi()["paths"]["/x"]["get"]
    assert operation["tags"] == ["outer include", "outer router", "inner include", "inner router", "route"]


def test_responses_are_merged_and_the_inner_ones_win():
    responses = tree().openapi()["paths"]["/x"]["get"]["responses"]
    assert {status: response["description"] for status, response in responses.items() if status != "200"} == {
        "404": "inner",
        "500": "app",
        "410": "route",
    }


@pytest.mark.parametrize("layer", ["app", "include", "router", "route", None])
def test_a_route_is_deprecated_when_any_layer_says_so(layer):
    def given(here):
        return {"deprecated": True} if layer == here else {}

    app = FastAPI(**given("app"))
    router = APIRouter(**given("router"))
    router.get("/x", **given("route"))(naming("x"))
    app.include_router(router, **given("include"))
    assert app.openapi()["paths"]["/x"]["get"].get("deprecated", False) is (layer is not None)


@pytest.mark.parametrize("layer", ["app", "include", "router", "route", None])
def test_a_route_is_documented_when_every_layer_says_so(layer):
    def given(here):
        return {"include_in_schema": False} if layer == here else {}

    app = FastAPI(**given("app"))
    router = APIRouter(**given("router"))
    router.get("/x", **given("route"))(naming("x"))
    app.include_router(router, **given("include"))
    assert ("/x" in app.openapi()["paths"]) is (layer is None)


@pytest.mark.parametrize(
    ("app_has", "include_has", "router_has", "route_has", "name"),
    [
        (True, False, False, False, "app:x"),
        (True, True, False, False, "include:x"),
        (True, True, True, False, "router:x"),
        (True, True, True, True, "route:x"),
        (False, False, False, False, "x_x_get"),
    ],
)
def test_operation_ids_are_made_by_the_nearest_function(app_has, include_has, router_has, route_has, name):
    def given(has, layer):
        return {"generate_unique_id_function": lambda route: f"{layer}:{route.name}"} if has else {}

    app = FastAPI(**given(app_has, "app"))
    router = APIRouter(**given(router_has, "router"))
    router.get("/x", **given(route_has, "route"))(naming("x"))
    app.include_router(router, **given(include_has, "include"))
    assert app.openapi()["paths"]["/x"]["get"]["operationId"] == name


def test_the_function_for_operation_ids_sees_the_effective_route():
    seen = []

    def unique(route):
        seen.append((route.path_format, list(route.tags)))
        return route.name

    app = FastAPI(generate_unique_id_function=unique)
    router = APIRouter(tags=["t"])
    router.get("/x/{n}")(naming("x"))
    app.include_router(router, prefix="/p")
    app.openapi()
    assert ("/p/x/{n}", ["t"]) in seen


def as_method_of(cls, route):
    """Gives an endpoint the signature of a method whose first argument is injected, as class-based views do (fastapi-utils)."""
    own, *others = inspect.signature(route.endpoint).parameters.values()
    parameters = [own.replace(default=Depends(cls)), *(each.replace(kind=each.KEYWORD_ONLY) for each in others)]
    route.endpoint.__signature__ = inspect.Signature(parameters)


@pytest.mark.parametrize("renames", [True, False])
def test_an_inclusion_goes_by_the_signature_that_the_endpoint_has_then(make_app, client, renames):
    class View:
        def __init__(self, start: int = 5):
            self.start = start

    router, inner = APIRouter(), APIRouter()

    @router.get("/sum/{more}")
    def endpoint(self, more: int):
        return self.start + more

    (route,) = router.routes
    router.routes.remove(route)
    as_method_of(View, route)
    if renames:
        route.name = "View.endpoint"
    inner.routes.append(route)
    router.include_router(inner)
    app = make_app()
    app.include_router(router, prefix="/view")
    connected = client(app)
    assert [connected.get("/view/sum/2").json(), connected.get("/view/sum/2?start=1").json()] == [7, 3]
    assert connected.get("/view/sum/2?start=x").json()["detail"][0]["loc"] == ["query", "start"]
    (operation,) = app.openapi()["paths"]["/view/sum/{more}"].values()
    assert [each["name"] for each in operation["parameters"]] == ["more", "start"]


@pytest.mark.parametrize("prefix", ["", "/later"])
def test_an_inclusion_goes_by_the_defaults_and_annotations_that_functions_have_then(make_app, client, prefix):
    router = APIRouter()

    def dependency(of_dependency: int = 1):
        return of_dependency

    @router.get("/x")
    def endpoint(kind: str, own: int = 1, given: int = Depends(dependency)):
        return [kind, own, given]

    endpoint.__defaults__ = (2, Depends(dependency))
    dependency.__defaults__ = (3,)
    endpoint.__annotations__["kind"] = int
    app = make_app()
    app.include_router(router, prefix=prefix)
    assert client(app).get(f"{prefix}/x?kind=4").json() == [4, 2, 3]


def test_the_dependencies_of_an_inclusion_do_not_leak_into_another(make_app, client, journal):
    router = APIRouter()
    router.get("/x")(naming("x"))
    app = make_app()
    app.include_router(router, prefix="/guarded", dependencies=[Depends(lambda: journal("guard"))])
    app.include_router(router, prefix="/open")
    connected = client(app)
    connected.get("/open/x")
    assert journal.entries == []
    connected.get("/guarded/x")
    assert journal.entries == ["guard"]


# -- the tree from outside -----------------------------------------------------------------------------------------------------


def test_route_contexts_flatten_the_tree_with_effective_values():
    inner = APIRouter(prefix="/inner", tags=["inner"])
    inner.get("/x", name="x")(naming("x"))
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app = FastAPI(openapi_url=None)
    app.get("/direct", response_class=HTMLResponse)(naming("direct"))
    app.include_router(outer, prefix="/app", tags=["app"])
    found = {context.path: context for context in iter_route_contexts(app.routes)}
    assert list(found) == ["/direct", "/app/outer/inner/x"]
    context = found["/app/outer/inner/x"]
    assert (context.name, list(context.tags), context.methods) == ("x", ["app", "inner"], {"GET"})
    assert isinstance(context.original_route, APIRoute)
    assert context.original_route.path == "/inner/x"


def test_the_routes_of_an_included_router_stay_its_own():
    router = APIRouter(prefix="/r")
    router.get("/x")(naming("x"))
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/p")
    assert [route.path for route in router.routes] == ["/r/x"]
    assert len(app.routes) == 1
    assert not isinstance(app.routes[0], APIRoute)


def test_a_router_may_be_mounted_as_an_application(make_app, client):
    router = APIRouter()

    @router.get("/x")
    def endpoint(n: int):
        return n

    app = make_app()
    app.mount("/m", router)
    connected = client(app)
    assert connected.get("/m/x?n=1").json() == 1
    assert connected.get("/m/x").status_code == 422
