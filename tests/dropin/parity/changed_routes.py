"""Routes that a program copies, changes, wraps, removes and moves after they were declared."""

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute, APIWebSocketRoute, get_request_handler, request_response, websocket_session
from fastapi.testclient import TestClient
from fastapi.utils import create_model_field
from observe import check, main
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    secret: str = "s"


class Public(BaseModel):
    name: str


async def who(token: str = "nobody") -> str:
    return token


def deny() -> None:
    raise HTTPException(403, "denied")


def make(app: Any = None) -> tuple[Any, TestClient]:
    app = FastAPI() if app is None else app

    @app.get("/items/{item_id}")
    async def read(item_id: int, user: Annotated[str, Depends(who)]) -> Any:
        return {"item_id": item_id, "user": user}

    @app.post("/items")
    async def create(item: Item) -> Any:
        return item

    return app, TestClient(app if isinstance(app, FastAPI) else FastAPI(routes=app.routes))


def route_of(app: Any, path: str) -> Any:
    return next(route for route in app.routes if getattr(route, "path", None) == path)


def told(response: Any) -> Any:
    return response.status_code, response.text


@check
def a_copied_route_answers_for_itself() -> Any:
    router, client = make(APIRouter())
    original = route_of(router, "/items/{item_id}")
    other = FastAPI()
    other.router.routes.append(copy.deepcopy(original))
    other.router.routes.append(copy.copy(original))
    return told(TestClient(other).get("/items/3?token=a")), told(client.get("/items/4?token=b")), told(client.get("/items/x"))


@check
def a_deep_copy_that_shares_dependencies_which_cannot_be_copied() -> Any:
    """As integrations copy routes: with everything that holds callables in the memo of `deepcopy`."""

    class Module:
        def __call__(self) -> str:
            return "value"

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("not copied")

    app = FastAPI()

    @app.get("/shared")
    async def endpoint(value: Annotated[str, Depends(Module())]) -> str:
        return value

    original = route_of(app, "/shared")
    first = copy.copy(original)
    first.dependant = copy.copy(original.dependant)
    memo = {id(first.dependant): first.dependant, id(first.dependencies): first.dependencies}
    copied = copy.deepcopy(first, memo)
    other = FastAPI()
    other.router.routes.append(copied)
    return copied.dependant is first.dependant, told(TestClient(other).get("/shared"))


@check
def a_copy_with_another_call() -> Any:
    router, client = make(APIRouter())
    original = route_of(router, "/items/{item_id}")

    async def other(item_id: int, user: str) -> Any:
        return {"other": item_id, "user": user}

    copied = copy.deepcopy(original)
    copied.endpoint = other
    copied.dependant.call = other
    app2 = FastAPI(routes=[])
    app2.router.routes.append(copied)
    first = told(TestClient(app2).get("/items/3?token=a"))
    copied.app = request_response(copied.get_route_handler())
    return first, told(TestClient(app2).get("/items/3?token=a")), told(client.get("/items/3?token=a"))


@check
def the_call_is_replaced_in_place_before_and_after_a_request() -> Any:
    seen = []
    for asked_before in (False, True):
        app, client = make()
        route = route_of(app, "/items/{item_id}")
        if asked_before:
            seen.append(told(client.get("/items/1")))
        call = route.dependant.call

        @functools.wraps(call)
        async def wrapped(*args: Any, _call: Callable[..., Any] = call, **kwargs: Any) -> Any:
            return {"wrapped": await _call(*args, **kwargs)}

        route.dependant.call = wrapped
        seen.append(told(client.get("/items/2")))
    return seen


@check
def an_endpoint_alone_is_replaced() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")

    async def other(item_id: int, user: str) -> Any:
        return "other"

    route.endpoint = other
    return told(client.get("/items/1"))


@check
def a_dependant_is_replaced() -> Any:
    seen = []
    for asked_before in (False, True):
        app, client = make()
        route = route_of(app, "/items/{item_id}")
        if asked_before:
            client.get("/items/1")

        async def other(item_id: str, size: int = 5) -> Any:
            return {"item_id": item_id, "size": size}

        route.endpoint = other
        route.dependant = get_dependant(path=route.path_format, call=other)
        seen.append(told(client.get("/items/x?size=y")))
        route.app = request_response(route.get_route_handler())
        seen.append(told(client.get("/items/x?size=y")))
        seen.append(told(client.get("/items/x?size=7")))
    return seen


@check
def dependencies_are_added_to_a_dependant() -> Any:
    seen = []
    for asked_before in (False, True):
        app, client = make()
        route = route_of(app, "/items/{item_id}")
        if asked_before:
            client.get("/items/1")
        depends = Depends(deny)
        route.dependencies.append(depends)
        route.dependant.dependencies.insert(0, get_parameterless_sub_dependant(depends=depends, path=route.path_format))
        seen.append(told(client.get("/items/x")))
    return seen


@check
def dependencies_alone_are_added() -> Any:
    app, client = make()
    route_of(app, "/items/{item_id}").dependencies.append(Depends(deny))
    return told(client.get("/items/1"))


@check
def a_router_gets_dependencies_after_its_routes() -> Any:
    app = FastAPI()
    router = APIRouter()
    router.get("/x")(lambda: "x")
    router.dependencies.append(Depends(deny))
    app.include_router(router)
    first = told(TestClient(app).get("/x"))
    router.get("/y")(lambda: "y")
    app.router.dependencies.append(Depends(deny))
    app.get("/z")(lambda: "z")
    client = TestClient(app)
    return first, told(client.get("/y")), told(client.get("/z"))


@check
def response_settings_are_changed() -> Any:
    seen = []
    for asked_before in (False, True):
        for rebuild in (False, True):
            app, client = make()
            route = route_of(app, "/items")
            body = {"name": "n", "secret": "x"}
            if asked_before:
                client.post("/items", json=body)
            route.response_model = Public
            route.response_field = create_model_field(name="R", type_=Public, mode="serialization")
            route.status_code = 202
            route.response_model_exclude_unset = True
            if rebuild:
                route.app = request_response(route.get_route_handler())
            seen.append(told(client.post("/items", json=body)))
            schema = app.openapi()["paths"]["/items"]["post"]["responses"]
            seen.append(sorted(schema))
    return seen


@check
def a_response_class_is_changed() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")

    class Loud(JSONResponse):
        def render(self, content: Any) -> bytes:
            return super().render(content).upper()

    route.response_class = Loud
    first = told(client.get("/items/1"))
    route.app = request_response(route.get_route_handler())
    return first, told(client.get("/items/1"))


@check
def methods_and_paths_are_changed() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")
    seen = [told(client.get("/items/1"))]
    route.methods.add("PUT")
    seen.append(told(client.put("/items/1")))
    route.methods = {"DELETE"}
    seen += [told(client.get("/items/1")), told(client.delete("/items/1"))]
    from fastapi.routing import compile_path

    route.path = "/things/{item_id}"
    route.path_regex, route.path_format, route.param_convertors = compile_path(route.path)
    return [*seen, told(client.delete("/items/1")), told(client.delete("/things/1")), app.url_path_for("read", item_id=3)]


@check
def routes_are_removed_and_moved() -> Any:
    app = FastAPI()

    @app.get("/a/{x}")
    async def first(x: str) -> str:
        return "first"

    @app.get("/a/b")
    async def second() -> str:
        return "second"

    client = TestClient(app)
    seen = [client.get("/a/b").text]
    routes = app.router.routes
    routes[-1], routes[-2] = routes[-2], routes[-1]
    seen.append(client.get("/a/b").text)
    routes.reverse()
    seen.append(client.get("/a/c").text)
    app.router.routes = [route for route in app.router.routes if route.path != "/a/{x}"]
    seen += [client.get("/a/b").text, client.get("/a/c").status_code]
    app.router.routes[:] = []
    seen.append(client.get("/a/b").status_code)
    app.router.routes += [APIRoute("/new", second)]
    seen.append(client.get("/new").text)
    del app.router.routes[0]
    seen.append(client.get("/new").status_code)
    app.routes.insert(0, APIRoute("/new", second))
    seen.append(client.get("/new").text)
    return seen


@check
def routes_of_an_included_router_are_changed() -> Any:
    app, router = FastAPI(), APIRouter()

    @router.get("/x/{number}")
    async def read(number: int) -> Any:
        return number

    app.include_router(router, prefix="/p")
    client = TestClient(app)
    seen = [told(client.get("/p/x/1"))]
    route = router.routes[0]

    async def other(number: int) -> Any:
        return {"other": number}

    route.dependant.call = other
    seen.append(told(client.get("/p/x/1")))
    route.endpoint = other
    seen.append(told(client.get("/p/x/1")))
    router.routes.pop()
    router.add_api_route("/y", lambda: "y")
    seen.append(told(client.get("/p/x/1")))
    seen.append(told(client.get("/p/y")))
    return seen


@check
def an_included_route_is_wrapped_by_walking_the_routes() -> Any:
    """What limiters and monitors do: every route of the application, whatever it is in."""
    app, router, inner = FastAPI(), APIRouter(), APIRouter()

    @inner.get("/deep")
    async def deep() -> str:
        return "deep"

    @router.get("/shallow")
    async def shallow() -> str:
        return "shallow"

    router.include_router(inner, prefix="/i")
    app.include_router(router, prefix="/p")
    found = []
    for route in app.routes:
        if isinstance(route, APIRoute):
            found.append(route.path)

            async def wrapped(_call: Any = route.dependant.call) -> Any:
                return ["wrapped", await _call()]

            route.dependant.call = wrapped
    client = TestClient(app)
    return found, len(app.routes), told(client.get("/p/i/deep")), told(client.get("/p/shallow"))


@check
def apps_of_routes_are_wrapped() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")
    inner = route.app
    calls = []

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        calls.append([scope["path"], scope["path_params"], scope["route"] is route])
        await inner(scope, receive, send)

    route.app = outer
    seen = told(client.get("/items/3?token=x"))
    route.app = inner
    return seen, told(client.get("/items/3?token=y")), calls


@check
def handle_is_replaced_on_an_instance() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")
    original = route.handle

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        if b"x-block" in dict(scope["headers"]):
            await PlainTextResponse("blocked", 451)(scope, receive, send)
        else:
            await original(scope, receive, send)

    first = told(client.get("/items/1"))
    route.handle = handle
    app.router.routes.append(APIRoute("/other", lambda: "o"))
    return first, told(client.get("/items/1")), told(client.get("/items/1", headers={"x-block": "1"}))


@check
def route_handlers_are_taken_and_wrapped() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")
    handler = route.get_route_handler()

    async def wrapped(request: Request) -> Response:
        response = await handler(request)
        response.headers["x-wrapped"] = request.url.path
        return response

    route.app = request_response(wrapped)
    response = client.get("/items/3")
    return told(response), response.headers["x-wrapped"], told(client.get("/items/x"))


@check
def a_request_handler_is_made_by_hand() -> Any:
    app = FastAPI()

    async def endpoint(item: Item, size: int = 2) -> Any:
        return [item.name, size]

    dependant = get_dependant(path="/x", call=endpoint)
    body_field = create_model_field(name="item", type_=Item)
    body_field.field_info = Body()
    handler = get_request_handler(dependant=dependant, body_field=route_body(endpoint), status_code=203)
    app.mount("/x", request_response(handler))
    return type(body_field).__name__, told(TestClient(app).post("/x", json={"name": "n"})), app.openapi()["paths"]


def route_body(endpoint: Any) -> Any:
    return APIRoute("/x", endpoint, methods=["POST"]).body_field


@check
def websocket_routes_are_copied_and_changed() -> Any:
    app = FastAPI()

    @app.websocket("/ws/{name}")
    async def ws(websocket: WebSocket, name: str, user: Annotated[str, Depends(who)]) -> None:
        await websocket.accept()
        await websocket.send_json([name, user])
        await websocket.close()

    route = route_of(app, "/ws/{name}")
    copied = copy.deepcopy(route)
    other = FastAPI()
    other.router.routes.append(copied)

    def talk(app: Any) -> Any:
        with TestClient(app).websocket_connect("/ws/n?token=t") as socket:
            return socket.receive_json()

    seen = [talk(other)]

    async def changed(websocket: WebSocket, name: str, user: str) -> None:
        await websocket.accept()
        await websocket.send_json(["changed", name, user])
        await websocket.close()

    copied.dependant.call = changed
    seen += [talk(other), talk(app)]
    app.router.routes.append(APIWebSocketRoute("/ws2", ws))

    async def plain(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json("plain")
        await websocket.close()

    route.app = websocket_session(plain)
    return [*seen, talk(app)]


@check
def an_application_is_copied() -> Any:
    app, client = make()
    shallow = copy.copy(app)
    shallow.title = "copied"
    return told(TestClient(shallow).get("/items/1")), told(client.get("/items/1")), app.title, shallow.openapi()["info"]["title"]


@check
def a_router_is_copied() -> Any:
    router = APIRouter(prefix="/r", dependencies=[Depends(who)])

    @router.get("/x")
    async def x(user: Annotated[str, Depends(who)]) -> str:
        return user

    copied = copy.deepcopy(router)
    copied.routes[0].dependant.call = lambda user: "changed " + user
    app = FastAPI()
    app.include_router(router)
    app.include_router(copied, prefix="/copied")
    client = TestClient(app)
    return told(client.get("/r/x?token=a")), told(client.get("/copied/r/x?token=b"))


@check
def a_route_is_made_again_from_its_attributes() -> Any:
    """What versioning packages do: a new route from what an old one says."""
    app, _ = make()
    target = FastAPI()
    for route in app.routes:
        if isinstance(route, APIRoute):
            names = set(inspect.signature(target.router.add_api_route).parameters)
            options = {name: getattr(route, name) for name in names if hasattr(route, name)}
            options.pop("path")
            target.router.add_api_route("/v1" + route.path, **options)
    client = TestClient(target)
    return (
        told(client.get("/v1/items/3")),
        told(client.post("/v1/items", json={"name": "n"})),
        sorted(target.openapi()["paths"]),
        target.openapi()["paths"]["/v1/items"]["post"]["operationId"],
    )


@check
def a_signature_is_rewritten_before_the_declaration() -> Any:
    """What class-based views and decorators do."""
    app = FastAPI()

    class View:
        def __init__(self, user: Annotated[str, Depends(who)], size: int = 3) -> None:
            self.user, self.size = user, size

        def read(self, number: int) -> Any:
            return [self.user, self.size, number]

    signature = inspect.signature(View.read)
    first, *rest = signature.parameters.values()
    parameters = [first.replace(default=Depends(View)), *[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in rest]]
    View.read.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    app.get("/view/{number}")(View.read)

    def decorated(call: Any) -> Any:
        async def inner(request: Request, *args: Any, **kwargs: Any) -> Any:
            return [request.url.path, call(*args, **kwargs)]

        old = inspect.signature(call)
        new = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
        inner.__signature__ = old.replace(parameters=[new, *old.parameters.values()])  # type: ignore[attr-defined]
        return inner

    @app.get("/decorated/{number}")
    @decorated
    def plain(number: int) -> Any:
        return number

    client = TestClient(app)
    return told(client.get("/view/7?token=t&size=4")), told(client.get("/decorated/8")), told(client.get("/view/x"))


@check
def parameters_are_taken_off_and_changed() -> Any:
    app = FastAPI()

    @app.get("/x")
    async def x(a: int = 1, b: int = 2) -> Any:
        return [a, b]

    client = TestClient(app)
    seen = [told(client.get("/x?a=5&b=6"))]
    dependant = app.routes[-1].dependant  # type: ignore[attr-defined]
    dependant.query_params[:] = [field for field in dependant.query_params if field.name != "b"]
    seen.append(told(client.get("/x?a=5&b=6")))
    dependant.query_params.clear()
    seen.append(told(client.get("/x?a=7")))
    return seen


@check
def overrides_reach_copies_and_changes() -> Any:
    app, client = make()
    route = route_of(app, "/items/{item_id}")
    copied = copy.copy(route)
    copied.path = "/copied/{item_id}"
    copied.path_regex, copied.path_format, copied.param_convertors = route.path_regex, route.path_format, route.param_convertors
    app.router.routes.insert(0, copied)
    app.dependency_overrides[who] = lambda: "override"
    return told(client.get("/items/1")), copied.dependency_overrides_provider is app


main()
