"""Middleware: order, functions and classes, what they see of requests, responses and exceptions."""

import contextvars
import gzip

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware

from tercel import BackgroundTasks, HTTPException, Request, WebSocket
from tercel.middleware.cors import CORSMiddleware
from tercel.middleware.gzip import GZipMiddleware
from tercel.middleware.httpsredirect import HTTPSRedirectMiddleware
from tercel.middleware.trustedhost import TrustedHostMiddleware
from tercel.responses import JSONResponse, PlainTextResponse, StreamingResponse


class Broken(Exception):
    pass


def noting_class(journal, name):
    """A plain ASGI middleware class that writes around each request."""

    class Noting:
        def __init__(self, app, **options):
            self.app = app
            self.options = options

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                journal(f"{name} in")
            try:
                await self.app(scope, receive, send)
            finally:
                if scope["type"] == "http":
                    journal(f"{name} out")

    return Noting


def test_the_middleware_added_last_is_the_outermost(make_app, client, journal):
    app = make_app(middleware=[Middleware(noting_class(journal, "given 1")), Middleware(noting_class(journal, "given 2"))])
    app.add_middleware(noting_class(journal, "added"), option=1)

    @app.middleware("http")
    async def function(request: Request, call_next):
        journal("function in")
        response = await call_next(request)
        journal("function out")
        return response

    @app.get("/")
    def endpoint():
        journal("endpoint")

    connected = client(app)
    connected.get("/")
    connected.close()
    assert journal.entries[:5] == ["function in", "added in", "given 1 in", "given 2 in", "endpoint"]
    # A function goes on when the response begins, which is before the classes below it have ended.
    assert [entry for entry in journal if entry.endswith("out") and entry != "function out"] == [
        "given 2 out",
        "given 1 out",
        "added out",
    ]
    assert "function out" in journal


def test_a_function_sees_the_request_and_may_change_the_response(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def tagging(request: Request, call_next):
        request.state.user = request.headers.get("x-user", "nobody")
        response = await call_next(request)
        response.headers["x-tag"] = request.url.path
        if "x-drop" in response.headers:
            del response.headers["x-drop"]
        return response

    @app.get("/a")
    def endpoint(request: Request):
        return JSONResponse(request.state.user, headers={"x-drop": "1"})

    answer = client(app).get("/a", headers={"x-user": "ada"})
    assert (answer.json(), answer.headers["x-tag"], "x-drop" in answer.headers) == ("ada", "/a", False)


def test_a_function_may_answer_by_itself(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def gate(request: Request, call_next):
        if request.url.path == "/closed":
            return PlainTextResponse("closed", 403)
        return await call_next(request)

    @app.get("/{name}")
    def endpoint(name: str):
        journal(name)
        return name

    connected = client(app)
    assert (connected.get("/closed").status_code, connected.get("/open").json()) == (403, "open")
    assert journal.entries == ["open"]


def test_a_function_sees_every_answer_of_the_router(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal(response.status_code)
        return response

    @app.post("/x")
    def endpoint(n: int):
        raise HTTPException(418)

    connected = client(app)
    connected.get("/unknown")
    connected.get("/x")
    connected.post("/x")
    connected.post("/x?n=1")
    assert journal.entries == [404, 405, 422, 418]


def test_a_function_sees_exceptions_that_nobody_handled(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def catching(request: Request, call_next):
        try:
            return await call_next(request)
        except Broken:
            return PlainTextResponse("caught", 503)

    @app.get("/")
    def endpoint():
        raise Broken

    answer = client(app).get("/")
    assert (answer.status_code, answer.text) == (503, "caught")


def test_a_function_does_not_see_exceptions_that_a_handler_turned_into_a_response(make_app, client, journal):
    app = make_app()

    @app.exception_handler(Broken)
    async def handler(request, error):
        return PlainTextResponse("handled", 400)

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal(response.status_code)
        return response

    @app.get("/")
    def endpoint():
        raise Broken

    assert client(app).get("/").text == "handled"
    assert journal.entries == [400]


def test_exceptions_of_middleware_are_not_seen_by_handlers_except_the_one_for_everything(make_app, client):
    app = make_app()

    @app.exception_handler(Broken)
    async def handler(request, error):
        return PlainTextResponse("handled", 400)

    @app.middleware("http")
    async def failing(request: Request, call_next):
        raise Broken

    @app.get("/")
    def endpoint():
        return "unreachable"

    client(app).expect_error(Broken, "GET", "/")


def test_an_http_exception_of_middleware_is_a_500(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def failing(request: Request, call_next):
        raise HTTPException(403)

    assert client(app, raise_errors=False).get("/").status_code == 500


def test_the_body_read_by_a_function_can_be_read_again_by_the_endpoint(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def reading(request: Request, call_next):
        journal(len(await request.body()))
        return await call_next(request)

    @app.post("/json")
    def as_json(values: list[int]):
        return sum(values)

    connected = client(app)
    assert connected.post("/json", json=[1, 2]).json() == 3
    assert journal.entries == [5]


def test_a_function_may_read_and_replace_the_body_of_the_response(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def shouting(request: Request, call_next):
        response = await call_next(request)
        body = b"".join([piece async for piece in response.body_iterator])
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return PlainTextResponse(body.upper(), response.status_code, headers)

    @app.get("/", status_code=201)
    def endpoint():
        return {"a": "b"}

    answer = client(app).get("/")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (201, '{"A":"B"}', "application/json")


def test_streams_pass_through_functions_piece_by_piece(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal("response begins")
        response.headers["x-seen"] = "1"
        return response

    @app.get("/")
    def endpoint():
        def pieces():
            for n in range(3):
                yield f"{n}"

        return StreamingResponse(pieces())

    answer = client(app).get("/")
    assert (answer.text, answer.headers["x-seen"]) == ("012", "1")
    assert journal.entries == ["response begins"]


def test_context_variables_set_by_a_function_are_seen_by_the_endpoint(make_app, client):
    app = make_app()
    current = contextvars.ContextVar("current", default="unset")

    @app.middleware("http")
    async def setting(request: Request, call_next):
        current.set("set")
        return await call_next(request)

    @app.get("/async")
    async def as_async():
        return current.get()

    @app.get("/sync")
    def as_sync():
        return current.get()

    connected = client(app)
    assert [connected.get("/async").json(), connected.get("/sync").json()] == ["set", "set"]


def test_background_tasks_run_behind_functions(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def passing(request: Request, call_next):
        return await call_next(request)

    @app.get("/")
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        return "ok"

    assert client(app).get("/").json() == "ok"
    journal.until("task")


def test_a_subclass_of_base_http_middleware_with_options_works(make_app, client):
    class Tagging(BaseHTTPMiddleware):
        def __init__(self, app, tag):
            super().__init__(app)
            self.tag = tag

        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-tag"] = self.tag
            return response

    app = make_app()
    app.add_middleware(Tagging, tag="given")

    @app.get("/")
    def endpoint():
        return "ok"

    assert client(app).get("/").headers["x-tag"] == "given"


def test_middleware_cannot_be_added_after_the_start(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint():
        return "ok"

    client(app).get("/")
    with pytest.raises(RuntimeError, match="Cannot add middleware after an application has started"):
        app.add_middleware(GZipMiddleware)


def test_functions_do_not_see_websockets(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        journal("http")
        return await call_next(request)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()

    with client(app).websocket("/ws") as socket:
        socket.receive_close()
    assert journal.entries == []


def test_middleware_of_a_mounted_application_is_its_own(make_app, client, journal):
    inner, outer = make_app(), make_app()
    for name, app in (("inner", inner), ("outer", outer)):
        app.add_middleware(noting_class(journal, name))

        @app.get("/x")
        def endpoint():
            return "x"

    outer.mount("/inner", inner)
    connected = client(outer)
    connected.get("/x")
    connected.get("/inner/x")
    connected.close()
    assert journal.entries == ["outer in", "outer out", "outer in", "inner in", "inner out", "outer out"]


# -- classes that come along ---------------------------------------------------------------------------------------------------


def test_cors_answers_preflights_and_marks_responses(make_app, client):
    app = make_app()
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["PUT"], allow_headers=["X-A"])

    @app.put("/")
    def endpoint():
        return "ok"

    connected = client(app)
    preflight = connected.request(
        "OPTIONS",
        "/",
        headers={
            "origin": "https://a.example",
            "access-control-request-method": "PUT",
            "access-control-request-headers": "X-A",
        },
    )
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "https://a.example")
    assert connected.put("/", headers={"origin": "https://a.example"}).headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in connected.put("/", headers={"origin": "https://b.example"}).headers


def test_large_answers_are_compressed_for_clients_that_can_read_it(make_app, client):
    app = make_app()
    app.add_middleware(GZipMiddleware, minimum_size=100)

    @app.get("/{n}")
    def endpoint(n: int):
        return PlainTextResponse("x" * n)

    connected = client(app)
    with connected.stream("GET", "/1000", headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())) == b"x" * 1000
    assert "content-encoding" not in connected.get("/10").headers
    assert "content-encoding" not in connected.get("/1000", headers={"accept-encoding": "identity"}).headers


def test_only_trusted_hosts_are_answered(make_app, client):
    app = make_app()
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "*.example.org"])

    @app.get("/")
    def endpoint():
        return "ok"

    connected = client(app)
    statuses = [connected.get("/", headers={"host": host}).status_code for host in ("testserver", "a.example.org", "evil.example")]
    assert statuses == [200, 200, 400]


def test_plain_requests_can_be_redirected_to_https(make_app, client):
    app = make_app()
    app.add_middleware(HTTPSRedirectMiddleware)
    answer = client(app).get("/x?q=1")
    assert (answer.status_code, answer.headers["location"]) == (307, "https://testserver/x?q=1")


def test_a_session_survives_from_one_request_to_the_next(make_app, client):
    app = make_app()
    app.add_middleware(SessionMiddleware, secret_key="key")

    @app.get("/")
    def endpoint(request: Request):
        request.session["n"] = request.session.get("n", 0) + 1
        return request.session["n"]

    connected = client(app)
    assert [connected.get("/").json() for _ in range(3)] == [1, 2, 3]


@pytest.mark.differs("says nothing", always=False)
@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"allow_origins": ["*"], "allow_credentials": True}, True),
        ({"allow_origins": ["*"]}, False),
        ({"allow_origins": ["https://a.example"], "allow_credentials": True}, False),
    ],
)
def test_credentials_for_every_origin_are_warned_about_once(make_app, client, caplog, options, warned):
    app = make_app()
    app.add_middleware(CORSMiddleware, **options)

    @app.get("/")
    def endpoint():
        return "ok"

    asked = client(app)
    for _ in range(2):
        assert asked.get("/", headers={"Origin": "https://b.example"}).status_code == 200
    said = [record for record in caplog.records if "allow_credentials" in record.getMessage()]
    assert len(said) == (1 if warned else 0)
