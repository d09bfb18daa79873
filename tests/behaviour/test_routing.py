"""Routing: which route answers, in which order they are tried, slashes, methods, hosts, and what a request knows of its route."""

import pytest
from starlette.routing import Host, Match, Mount, NoMatchFound, Route

from tercel import APIRouter, FastAPI, Request
from tercel.responses import PlainTextResponse
from tercel.routing import APIRoute, APIWebSocketRoute


def naming(name):
    def endpoint():
        return name

    endpoint.__name__ = name
    return endpoint


# -- order ---------------------------------------------------------------------------------------------------------------------


def test_the_first_route_that_matches_answers(make_app, client):
    app = make_app()
    app.get("/users/me")(naming("me"))
    app.get("/users/{user}")(naming("user"))
    app.get("/users/late")(naming("late"))
    connected = client(app)
    assert [connected.get(f"/users/{name}").json() for name in ("me", "ada", "late")] == ["me", "user", "user"]


def test_a_parameter_declared_before_a_literal_wins(make_app, client):
    app = make_app()
    app.get("/{anything}")(naming("parameter"))
    app.get("/literal")(naming("literal"))
    assert client(app).get("/literal").json() == "parameter"


def test_a_later_route_with_the_right_method_wins_over_an_earlier_one_with_the_wrong_method(make_app, client):
    app = make_app()
    app.get("/x")(naming("get"))
    app.post("/{anything}")(naming("post"))
    assert client(app).post("/x").json() == "post"


def test_when_no_method_fits_the_first_route_that_matched_says_what_it_allows(make_app, client):
    app = make_app()
    app.get("/x")(naming("get"))
    app.put("/{anything}")(naming("put"))
    answer = client(app).post("/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_several_methods_of_one_route_are_all_allowed(make_app, client):
    app = make_app()
    app.api_route("/x", methods=["GET", "POST"])(naming("both"))
    connected = client(app)
    assert connected.get("/x").json() == connected.post("/x").json() == "both"
    answer = connected.delete("/x")
    assert answer.status_code == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "POST"]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"])
def test_every_verb_has_a_decorator(make_app, client, method):
    app = make_app()
    getattr(app, method.lower())("/x")(naming("x"))
    connected = client(app)
    assert connected.request(method, "/x").status_code == 200
    assert connected.request("GET" if method != "GET" else "POST", "/x").status_code == 405


def test_methods_may_be_written_in_lower_case_or_be_unknown_to_http(make_app, client):
    app = make_app()
    app.api_route("/x", methods=["get", "BREW"])(naming("x"))
    connected = client(app)
    assert connected.get("/x").status_code == 200
    if connected.protocol == "asgi":  # over a socket, the parser decides which methods there are
        assert connected.request("BREW", "/x").status_code == 200


def test_api_route_without_methods_means_get(make_app, client):
    app = make_app()
    app.api_route("/x")(naming("x"))
    connected = client(app)
    assert (connected.get("/x").status_code, connected.post("/x").status_code) == (200, 405)


def test_one_function_may_be_declared_for_several_paths(make_app, client):
    app = make_app()

    @app.get("/a")
    @app.post("/b")
    def endpoint(request: Request):
        return request.url.path

    connected = client(app)
    assert (connected.get("/a").json(), connected.post("/b").json()) == ("/a", "/b")


def test_a_route_added_while_running_answers(make_app, client):
    app = make_app()
    connected = client(app)
    assert connected.get("/late").status_code == 404
    app.get("/late")(naming("late"))
    assert connected.get("/late").json() == "late"


def test_a_route_removed_while_running_does_not_answer(make_app, client):
    app = make_app()
    app.get("/x")(naming("x"))
    connected = client(app)
    assert connected.get("/x").status_code == 200
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", None) != "/x"]
    mark = getattr(app.router, "_mark_routes_changed", None)
    if mark is not None:
        mark()
    assert connected.get("/x").status_code == 404


def test_a_hundred_routes_are_told_apart(make_app, client):
    app = make_app()
    for n in range(100):
        app.get(f"/r{n}/{{item}}/end")(naming(f"r{n}"))
    connected = client(app)
    assert [connected.get(f"/r{n}/x/end").json() for n in (0, 50, 99)] == ["r0", "r50", "r99"]
    assert connected.get("/r100/x/end").status_code == 404


# -- slashes and encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declared", "asked"), [("/x", "/x/"), ("/x/", "/x"), ("/{n}/y/", "/1/y")])
def test_a_path_that_differs_by_a_final_slash_is_redirected(make_app, client, declared, asked):
    app = make_app()

    @app.get(declared)
    def endpoint(n: int = 0):
        return n

    answer = client(app).get(f"{asked}?q=1&r=a%20b")
    assert answer.status_code == 307
    other = asked[:-1] if asked.endswith("/") else asked + "/"
    assert answer.headers["location"] == f"http://testserver{other}?q=1&r=a%20b"


def test_redirects_can_be_switched_off(make_app, client):
    app = make_app(redirect_slashes=False)
    app.get("/x")(naming("x"))
    assert client(app).get("/x/").status_code == 404


def test_the_method_does_not_matter_for_a_redirect(make_app, client):
    app = make_app()
    app.get("/x/")(naming("x"))
    assert client(app).post("/x").status_code == 307


def test_the_root_and_the_empty_path_are_the_same(make_app, client):
    app = make_app()
    app.get("/")(naming("root"))
    assert client(app).get("").json() == "root"


def test_double_slashes_are_kept(make_app, client):
    app = make_app()
    app.get("/a//b")(naming("double"))
    connected = client(app)
    assert connected.get("/a//b").json() == "double"
    assert connected.get("/a/b").status_code == 404


def test_paths_are_matched_after_decoding(make_app, client):
    app = make_app()
    app.get("/käse/{kind}")(naming("cheese"))
    connected = client(app)
    assert connected.get("/k%C3%A4se/x").json() == "cheese"
    assert connected.get("/%6B%C3%A4se/a%20b").json() == "cheese"


def test_paths_are_matched_with_their_case(make_app, client):
    app = make_app()
    app.get("/Case")(naming("case"))
    assert client(app).get("/case").status_code == 404


# -- what a request knows ------------------------------------------------------------------------------------------------------


def test_a_request_knows_its_route_endpoint_and_path_parameters(make_app, client):
    app = make_app()

    @app.get("/items/{item_id}", name="item")
    def endpoint(request: Request, item_id: int):
        route = request.scope["route"]
        return [type(route).__name__, route.path, route.name, request.scope["endpoint"] is endpoint, request.path_params]

    assert client(app).get("/items/3").json() == ["APIRoute", "/items/{item_id}", "item", True, {"item_id": "3"}]


def test_the_route_of_an_included_router_is_the_one_that_was_declared(make_app, client):
    app = make_app()
    router = APIRouter(prefix="/router")

    @router.get("/x")
    def endpoint(request: Request):
        return [request.scope["route"].path, request.scope["fastapi"]["effective_route_context"].path]

    app.include_router(router, prefix="/include")
    assert client(app).get("/include/router/x").json() == ["/router/x", "/include/router/x"]


def test_a_request_knows_the_application(make_app, client):
    app = make_app()
    app.state.name = "state"

    @app.get("/")
    def endpoint(request: Request):
        return [request.app is app, request.app.state.name]

    assert client(app).get("/").json() == [True, "state"]


def test_a_request_carries_method_url_headers_and_client(make_app, client):
    app = make_app()

    @app.post("/p/{x}")
    def endpoint(request: Request, x: str):
        return [
            request.method,
            str(request.url),
            request.headers["x-a"],
            dict(request.query_params),
            request.cookies,
            request.client.host,
        ]

    connected = client(app)
    answer = connected.post("/p/a%20b?q=1", headers={"x-a": "b", "cookie": "c=d"}).json()
    host = "testclient" if connected.protocol == "asgi" else "127.0.0.1"
    assert answer == ["POST", "http://testserver/p/a b?q=1", "b", {"q": "1"}, {"c": "d"}, host]


def test_urls_are_made_from_the_names_of_routes(make_app, client):
    app = make_app()
    router = APIRouter()

    @router.get("/users/{user}/items/{item:int}")
    def read_item(request: Request, user: str, item: int):
        return [str(request.url_for("read_item", user="a b", item=item + 1)), request.app.url_path_for("by name", rest="x/y")]

    app.get("/files/{rest:path}", name="by name")(naming("files"))
    app.include_router(router, prefix="/r")
    assert client(app).get("/r/users/u/items/3").json() == ["http://testserver/r/users/a b/items/4", "/files/x/y"]
    with pytest.raises(NoMatchFound):
        app.url_path_for("unknown")
    with pytest.raises(NoMatchFound):
        app.url_path_for("read_item", user="a")


# -- kinds of routes -----------------------------------------------------------------------------------------------------------


def test_plain_routes_of_starlette_answer_beside_api_routes(make_app, client):
    async def plain(request):
        return PlainTextResponse(f"plain {request.path_params['x']}")

    app = make_app(routes=[Route("/plain/{x}", plain)])
    app.add_route("/added/{x}", plain)
    app.router.add_route("/router/{x}", plain, methods=["POST"])
    connected = client(app)
    assert connected.get("/plain/1").text == connected.get("/added/1").text == connected.post("/router/1").text == "plain 1"
    assert connected.request("HEAD", "/plain/1").status_code == 200


def test_api_routes_made_by_hand_answer(make_app, client):
    app = make_app(routes=[APIRoute("/a", naming("a"))])
    app.router.routes.append(APIRoute("/b", naming("b"), methods=["POST"]))
    app.add_api_route("/c", naming("c"), methods=["PUT"])
    connected = client(app)
    assert [connected.get("/a").json(), connected.post("/b").json(), connected.put("/c").json()] == ["a", "b", "c"]


def test_a_host_route_answers_for_its_host(make_app, client):
    inner = APIRouter()

    @inner.get("/x")
    def endpoint(request: Request):
        return request.path_params

    app = make_app(routes=[Host("{sub}.example.org", app=inner)])
    app.get("/x")(naming("main"))
    connected = client(app)
    assert connected.get("/x", headers={"host": "api.example.org"}).json() == {"sub": "api"}
    assert connected.get("/x").json() == "main"


def test_an_http_request_never_reaches_a_websocket_route_and_the_reverse(make_app, client):
    app = make_app()

    @app.websocket("/both")
    async def socket(websocket):
        await websocket.accept()
        await websocket.close()

    app.get("/both")(naming("http"))
    app.get("/http")(naming("http"))
    connected = client(app)
    assert connected.get("/both").json() == "http"
    assert connected.refused("/http").status_code in (403, 404)


def test_the_kinds_of_routes_are_what_starlette_code_expects():
    app = FastAPI()

    @app.get("/x")
    def http():
        return None

    @app.websocket("/ws")
    async def ws(websocket):
        return None

    app.mount("/m", FastAPI(), name="m")
    kinds = {getattr(route, "path", None): type(route) for route in app.routes}
    assert issubclass(kinds["/x"], APIRoute)
    assert issubclass(kinds["/x"], Route)
    assert issubclass(kinds["/ws"], APIWebSocketRoute)
    assert issubclass(kinds["/m"], Mount)
    route = next(route for route in app.routes if route.path == "/x")
    assert route.matches({"type": "http", "path": "/x", "method": "GET"})[0] == Match.FULL
    assert route.matches({"type": "http", "path": "/x", "method": "POST"})[0] == Match.PARTIAL
    assert route.matches({"type": "websocket", "path": "/x"})[0] == Match.NONE
    assert (route.methods, route.name, route.path_format, route.endpoint) == ({"GET"}, "http", "/x", http)


def test_a_custom_match_decides_for_itself(make_app, client):
    class OnlyOdd(APIRoute):
        def matches(self, scope):
            match, child = super().matches(scope)
            if match == Match.FULL and int(child["path_params"]["n"]) % 2 == 0:
                return Match.NONE, {}
            return match, child

    app = make_app()
    app.router.route_class = OnlyOdd

    @app.get("/{n}")
    def odd(n: int):
        return "odd"

    app.router.route_class = APIRoute

    @app.get("/{n}")
    def other(n: int):
        return "even"

    connected = client(app)
    assert [connected.get(f"/{n}").json() for n in range(4)] == ["even", "odd", "even", "odd"]


# -- custom route classes ------------------------------------------------------------------------------------------------------


def test_a_route_class_may_wrap_the_handler(make_app, client, journal):
    class Timed(APIRoute):
        def get_route_handler(self):
            original = super().get_route_handler()

            async def handler(request: Request):
                journal("before")
                response = await original(request)
                response.headers["x-timed"] = self.path
                journal("after")
                return response

            return handler

    app = make_app()
    router = APIRouter(route_class=Timed)

    @router.get("/timed/{n}")
    def endpoint(n: int):
        journal("endpoint")
        return n

    app.get("/plain")(naming("plain"))
    app.include_router(router)
    connected = client(app)
    answer = connected.get("/timed/3")
    assert (answer.json(), answer.headers["x-timed"]) == (3, "/timed/{n}")
    assert journal.entries == ["before", "endpoint", "after"]
    assert "x-timed" not in connected.get("/plain").headers


def test_a_route_class_may_replace_the_request(make_app, client):
    class Doubling(Request):
        async def body(self):
            if not hasattr(self, "_doubled"):
                self._doubled = (await super().body()).replace(b"1", b"2")
            return self._doubled

    class Doubled(APIRoute):
        def get_route_handler(self):
            original = super().get_route_handler()

            async def handler(request: Request):
                return await original(Doubling(request.scope, request.receive))

            return handler

    app = make_app()
    app.router.route_class = Doubled

    @app.post("/")
    def endpoint(numbers: list[int], request: Request):
        return [sum(numbers), type(request).__name__]

    assert client(app).post("/", json=[1, 1, 5]).json() == [9, "Doubling"]


def test_a_route_class_sees_validation_errors_and_http_exceptions(make_app, client):
    from tercel.exceptions import RequestValidationError

    class Catching(APIRoute):
        def get_route_handler(self):
            original = super().get_route_handler()

            async def handler(request: Request):
                try:
                    return await original(request)
                except RequestValidationError as error:
                    return PlainTextResponse(f"caught {len(error.errors())} {error.body}", 400)

            return handler

    app = make_app()
    app.router.route_class = Catching

    @app.post("/")
    def endpoint(numbers: list[int]):
        return sum(numbers)

    assert client(app).post("/", json=["x", "y"]).text == "caught 2 ['x', 'y']"


def test_a_route_class_may_give_the_handler_of_one_route_to_a_router_included_twice(make_app, client, journal):
    class Counting(APIRoute):
        def get_route_handler(self):
            journal("made")
            return super().get_route_handler()

    router = APIRouter(route_class=Counting)
    router.get("/x")(naming("x"))
    app = make_app()
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    connected = client(app)
    for _ in range(2):
        assert [connected.get(f"/{prefix}/x").json() for prefix in "ab"] == ["x", "x"]
    # Once for the route itself and once for each inclusion, however many requests there are.
    assert len(journal) in (2, 3)


def test_an_add_api_route_of_a_subclass_is_given_every_option_of_fastapis_also_those_that_were_not_said(make_app, client):
    seen = {}

    class Router(APIRouter):
        def add_api_route(self, path, endpoint, **options):
            seen[path] = options
            super().add_api_route(path, endpoint, **options)

    router = Router()
    router.patch("/plain", status_code=204)(lambda: None)
    router.get("/own", tags=["a"], cancel_on_disconnect=True)(lambda: "own")
    # An option that was not said is not None: a subclass that asks `options["response_model"] is None` means an explicit None.
    assert seen["/plain"]["response_model"] is not None
    assert seen["/plain"]["response_model"].value is None
    assert (seen["/plain"]["methods"], seen["/plain"]["status_code"], seen["/plain"]["tags"]) == (["PATCH"], 204, None)
    assert (seen["/plain"]["response_description"], seen["/plain"]["include_in_schema"]) == ("Successful Response", True)
    assert "cancel_on_disconnect" not in seen["/plain"]
    assert seen["/own"]["cancel_on_disconnect"] is True
    app = make_app()
    app.include_router(router)
    assert client(app).request("PATCH", "/plain").status_code == 204
    assert client(app).get("/own").json() == "own"


def test_braces_that_are_doubled_by_mistake_make_a_query_parameter_as_on_fastapi(make_app, client):
    app = make_app()

    @app.get("/things/{{thing_id}}")
    def read(thing_id: str):
        return thing_id

    parameters = app.openapi()["paths"]["/things/{{thing_id}}"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in parameters] == [("thing_id", "query")]
    assert client(app).get("/things/{1}?thing_id=2").json() == "2"
    assert client(app).get("/things/{1}").status_code == 422
