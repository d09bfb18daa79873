"""Middleware functions: what they read of requests, what they change in them, and context variables."""

import contextvars
from typing import Annotated

import pytest

from tercel import Depends, File, Form, Request, UploadFile
from tests.behaviour.kinds import pass_on

CURRENT = contextvars.ContextVar("current", default="unset")


# -- reading the request -----------------------------------------------------------------------------------------------------------


def reading_app(make_app, read):
    """Echoes bodies in every way, below a function that reads first."""
    app = make_app()

    @app.middleware("http")
    async def reading(request: Request, call_next):
        await read(request)
        return await call_next(request)

    async def held():
        yield

    @app.post("/json")
    def as_json(values: list[int]):
        return values

    @app.post("/held", dependencies=[Depends(held)])
    def as_held(values: list[int]):
        return values

    @app.post("/body")
    async def as_body(request: Request):
        return (await request.body()).decode()

    @app.post("/stream")
    async def as_stream(request: Request):
        return [piece.decode() async for piece in request.stream()]

    return app


@pytest.mark.parametrize("layers", [0, 2])
def test_a_body_that_a_function_read_is_read_again_below(make_app, client, layers):
    async def read(request):
        assert await request.body() == b"[1, 2]"
        assert await request.json() == [1, 2]

    app = reading_app(make_app, read)
    for _ in range(layers):
        app.middleware("http")(pass_on)
    connected = client(app)
    headers = {"content-type": "application/json"}
    answers = {path: connected.post(path, content=b"[1, 2]", headers=headers).json() for path in ("/json", "/held", "/body")}
    assert answers == {"/json": [1, 2], "/held": [1, 2], "/body": "[1, 2]"}
    assert connected.post("/stream", content=b"[1, 2]").json() == ["[1, 2]", ""]


def test_a_body_that_a_function_streamed_is_empty_below(make_app, client):
    async def read(request):
        assert b"".join([piece async for piece in request.stream()]) == b"[1, 2]"

    connected = client(reading_app(make_app, read))
    assert connected.post("/json", content=b"[1, 2]", headers={"content-type": "application/json"}).status_code == 422
    assert connected.post("/body", content=b"[1, 2]").json() == ""
    assert "".join(connected.post("/stream", content=b"[1, 2]").json()) == ""


def test_a_body_that_a_function_did_not_touch_is_streamed_below(make_app, client):
    async def read(request):
        pass

    connected = client(reading_app(make_app, read))
    assert connected.post("/body", content=b"[1, 2]").json() == "[1, 2]"
    assert "".join(connected.post("/stream", content=b"[1, 2]").json()) == "[1, 2]"


def test_a_function_may_replace_the_body(make_app, client):
    async def by_attribute(request):
        request._body = b"[3]"

    async def by_receive(request):
        async def receive():
            return {"type": "http.request", "body": b"[3]", "more_body": False}

        request._receive = receive

    headers = {"content-type": "application/json"}
    for read in (by_attribute, by_receive):
        connected = client(reading_app(make_app, read))
        for path in ("/json", "/held"):
            assert connected.post(path, content=b"[1, 2]", headers=headers).json() == [3]
        assert connected.post("/body", content=b"[1, 2]").json() == "[3]"


@pytest.mark.differs("below a function that read a form there is no form")
def test_a_form_that_a_function_read_is_the_same_below(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def reading(request: Request, call_next):
        form = await request.form()
        journal(form["name"])
        return await call_next(request)

    app.middleware("http")(pass_on)

    @app.post("/form")
    def as_form(name: Annotated[str, Form()]):
        return name

    @app.post("/file")
    async def as_file(name: Annotated[str, Form()], file: Annotated[UploadFile, File()]):
        return [name, (await file.read()).decode()]

    connected = client(app)
    assert connected.post("/form", data={"name": "ada"}).json() == "ada"
    assert connected.post("/file", data={"name": "ada"}, files={"file": b"data"}).json() == ["ada", "data"]
    assert journal.entries == ["ada", "ada"]


@pytest.mark.differs("after the endpoint has read the body a function cannot")
def test_a_function_may_read_the_body_after_the_endpoint(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal((await request.body()).decode())
        return response

    @app.post("/")
    def endpoint(values: list[int]):
        return values

    assert client(app).post("/", json=[1]).json() == [1]
    assert journal.entries == ["[1]"]


def test_a_function_may_read_a_body_that_the_endpoint_left(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal((await request.body()).decode())
        return response

    @app.post("/")
    def endpoint():
        return "ok"

    assert client(app).post("/", content=b"left").json() == "ok"
    assert journal.entries == ["left"]


# -- changing the request ----------------------------------------------------------------------------------------------------------


def test_what_a_function_writes_into_the_scope_decides_what_is_served(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def rewriting(request: Request, call_next):
        if request.url.path.startswith("/old"):
            request.scope["path"] = "/new"
            request.scope["query_string"] = b"q=rewritten"
            request.scope["method"] = "PUT"
            request.scope["headers"] = [*request.scope["headers"], (b"x-added", b"1")]
        return await call_next(request)

    app.middleware("http")(pass_on)

    async def held(request: Request):
        yield request.method

    def answer(request, q, x_added, method="PUT"):
        return [request.url.path, q, x_added, method]

    @app.put("/new")
    def new(request: Request, q: str, method: Annotated[str, Depends(held)]):
        return [request.url.path, q, request.headers["x-added"], method]

    @app.get("/{rest:path}")
    def other(rest: str, q: str = ""):
        return [rest, q]

    connected = client(app)
    assert connected.get("/old?q=sent").json() == ["/new", "rewritten", "1", "PUT"]
    assert connected.get("/x?q=sent").json() == ["x", "sent"]


def test_state_and_scope_are_the_same_above_and_below(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def outer(request: Request, call_next):
        request.state.user = "ada"
        request.scope["own"] = 1
        response = await call_next(request)
        journal((request.state.seen, request.scope["route"].path, request.path_params, request.scope["endpoint"].__name__))
        return response

    async def held():
        yield

    def look(request: Request):
        request.state.seen = [request.state.user, request.scope["own"]]

    @app.get("/items/{item}", dependencies=[Depends(look)])
    def at_once(item: int):
        pass

    @app.get("/held/{item}", dependencies=[Depends(look), Depends(held)])
    def as_held(item: int):
        pass

    connected = client(app)
    connected.get("/items/1")
    connected.get("/held/2")
    assert journal.entries == [
        (["ada", 1], "/items/{item}", {"item": "1"}, "at_once"),
        (["ada", 1], "/held/{item}", {"item": "2"}, "as_held"),
    ]


def test_a_function_that_looks_only_afterwards_sees_the_route(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        route = request.scope.get("route")
        journal((request.method, request.url.path, request.path_params, getattr(route, "path", None)))
        return response

    @app.get("/items/{item}")
    def endpoint(item: int):
        return item

    connected = client(app)
    connected.get("/items/1")
    connected.get("/missing")
    connected.post("/items/1")
    assert journal.entries[:2] == [("GET", "/items/1", {"item": "1"}, "/items/{item}"), ("GET", "/missing", {}, None)]
    assert journal.entries[2][:3] == ("POST", "/items/1", {"item": "1"})


def test_urls_are_made_and_the_application_is_known_in_a_function(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        journal((request.app is app, str(request.url_for("endpoint", item="1")), request.client is not None))
        return await call_next(request)

    @app.get("/items/{item}")
    def endpoint(item: int):
        return item

    assert client(app).get("/items/2").json() == 2
    assert journal.entries == [(True, "http://testserver/items/1", True)]


def test_a_mounted_application_with_functions_of_its_own_knows_where_it_is(make_app, client, journal):
    outer, inner = make_app(), make_app()

    @outer.middleware("http")
    async def around(request: Request, call_next):
        response = await call_next(request)
        response.headers["x-outer"] = "1"
        return response

    @inner.middleware("http")
    async def within(request: Request, call_next):
        journal((request.app is inner, request.scope["root_path"], request.url.path))
        response = await call_next(request)
        response.headers["x-inner"] = "1"
        return response

    @inner.get("/x")
    def endpoint(request: Request):
        return str(request.url_for("endpoint"))

    outer.mount("/inner", inner)
    answer = client(outer).get("/inner/x")
    assert (answer.json(), answer.headers["x-outer"], answer.headers["x-inner"]) == ("http://testserver/inner/x", "1", "1")
    assert journal.entries == [(True, "/inner", "/inner/x")]


def test_paths_below_a_root_path_are_found(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        journal(request.url.path)
        return await call_next(request)

    @app.get("/x")
    def endpoint(request: Request):
        return request.scope["root_path"]

    assert client(app, root_path="/api").get("/x").json() == "/api"
    assert journal.entries == ["/api/x"] or journal.entries == ["/x"]


# -- context variables -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/held", "/lines"])
def test_context_variables_flow_down(make_app, client, path):
    app = make_app()

    @app.middleware("http")
    async def setting(request: Request, call_next):
        token = CURRENT.set("set")
        try:
            return await call_next(request)
        finally:
            CURRENT.reset(token)

    async def held():
        token = CURRENT.set(CURRENT.get() + " twice")
        yield
        CURRENT.reset(token)  # raises in another context than the one of `set`

    @app.get("/")
    def endpoint():
        return CURRENT.get()

    @app.get("/held", dependencies=[Depends(held)])
    def as_held():
        return CURRENT.get()

    @app.get("/lines", dependencies=[Depends(held)])
    async def as_lines():
        yield CURRENT.get()

    wanted = {"/": '"set"', "/held": '"set twice"', "/lines": '"set twice"\n'}
    connected = client(app)
    assert [connected.get(path).text for _ in range(2)] == [wanted[path]] * 2


@pytest.mark.differs("context variables set below are not seen above")
@pytest.mark.parametrize("path", ["/", "/held"])
def test_context_variables_flow_up(make_app, client, journal, path):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal(CURRENT.get())
        return response

    async def held():
        yield

    async def endpoint():
        CURRENT.set(path)

    app.get("/")(endpoint)
    app.get("/held", dependencies=[Depends(held)])(endpoint)
    client(app).get(path)
    assert journal.entries == [path]
