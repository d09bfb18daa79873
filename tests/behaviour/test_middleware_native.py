"""Middleware functions: what they may do to responses of every kind on their way up."""

import asyncio
import logging
from typing import Annotated

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from tercel import BackgroundTasks, Depends, Request
from tercel.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from tests.behaviour.kinds import ANSWERS, Broken, app_of_every_kind, pass_on

# -- responses of every kind -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_every_kind_of_answer_passes_through_unchanged(make_app, client, tmp_path, layers):
    bare, around = app_of_every_kind(make_app, tmp_path), app_of_every_kind(make_app, tmp_path)
    for _ in range(layers):
        around.middleware("http")(pass_on)
    ours, theirs = client(around), client(bare)
    for path, answer in ANSWERS.items():
        got, wanted = ours.get(path), theirs.get(path)
        assert (got.status_code, got.text) == answer, path
        volatile = {"date", "transfer-encoding", "content-length"}
        assert {k: v for k, v in got.headers.items() if k not in volatile} == {
            k: v for k, v in wanted.headers.items() if k not in volatile
        }, path


def test_every_kind_of_answer_can_be_changed(make_app, client, tmp_path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def changing(request: Request, call_next):
        response = await call_next(request)
        assert isinstance(response, Response)
        response.headers["x-path"] = request.url.path
        response.raw_headers.append((b"x-raw", b"1"))
        response.set_cookie("seen", str(response.status_code))
        response.status_code += 1
        return response

    connected = client(app)
    for path, (status, _) in ANSWERS.items():
        if status < 204:  # 205 and 305 have rules of their own
            answer = connected.get(path)
            assert (answer.status_code, answer.headers["x-path"], answer.headers["x-raw"]) == (status + 1, path, "1"), path
            assert answer.cookies["seen"] == str(status), path


def test_every_kind_of_body_can_be_read_and_replaced(make_app, client, tmp_path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def doubling(request: Request, call_next):
        response = await call_next(request)
        body = b"".join([piece async for piece in response.body_iterator])

        async def twice():
            yield body
            yield body

        response.body_iterator = twice()
        if "content-length" in response.headers:
            response.headers["content-length"] = str(2 * len(body))
        return response

    connected = client(app)
    for path, (status, body) in ANSWERS.items():
        if status not in (204, 304):
            answer = connected.get(path)
            assert (answer.status_code, answer.text) == (status, body * 2), path


@pytest.mark.parametrize("path", [path for path, (status, _) in ANSWERS.items() if status not in (204, 304)])
def test_every_kind_of_answer_can_be_dropped(make_app, client, tmp_path, path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def dropping(request: Request, call_next):
        response = await call_next(request)
        return JSONResponse({"instead": response.status_code})

    connected = client(app)
    for _ in range(2):  # the connection is as good as new
        assert connected.get(path).json() == {"instead": ANSWERS[path][0]}


def test_an_answer_has_its_length_before_it_is_sent(make_app, client, tmp_path, journal):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        journal((request.url.path, response.headers.get("content-length")))
        return response

    connected = client(app)
    for path in ("/json", "/held", "/response", "/plain", "/mounted/json", "/stream", "/status/204"):
        connected.get(path)
    assert journal.entries == [
        ("/json", "7"),
        ("/held", "7"),
        ("/response", "4"),
        ("/plain", "5"),
        ("/mounted/json", "7"),
        ("/stream", None),
        ("/status/204", None),
    ]


def test_a_response_can_be_wrapped_piece_by_piece(make_app, client, tmp_path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def shouting(request: Request, call_next):
        response = await call_next(request)
        return StreamingResponse((piece.upper() async for piece in response.body_iterator), response.status_code)

    connected = client(app)
    assert [connected.get(path).text for path in ("/json", "/stream", "/stream/held", "/file")] == [
        '{"A":1}',
        "ABC",
        "ABC",
        "FROM A FILE",
    ]


def test_a_function_may_answer_with_any_response_to_the_functions_around_it(make_app, client, tmp_path, journal):
    app = make_app()
    (tmp_path / "file.txt").write_text("from a file")
    answers = {
        "/text": lambda: PlainTextResponse("text"),
        "/stream": lambda: StreamingResponse(iter("abc")),
        "/file": lambda: FileResponse(tmp_path / "file.txt"),
    }

    @app.middleware("http")
    async def answering(request: Request, call_next):
        response = answers[request.url.path]()
        tasks = BackgroundTasks()
        tasks.add_task(journal, "task")
        response.background = tasks
        return response

    @app.middleware("http")
    async def around(request: Request, call_next):
        response = await call_next(request)
        response.headers["x-around"] = "1"
        response.body_iterator = (piece.upper() async for piece in response.body_iterator)
        return response

    connected = client(app)
    for path, text in (("/text", "TEXT"), ("/stream", "ABC"), ("/file", "FROM A FILE")):
        journal.clear()
        answer = connected.get(path)
        assert (answer.text, answer.headers["x-around"]) == (text, "1")
        assert journal.until("task") == ["task"]


def test_what_a_dependency_holds_is_left_after_the_answer_and_its_tasks(make_app, client, journal):
    app = make_app()

    async def held():
        yield
        journal("left")

    @app.middleware("http")
    async def outer(request: Request, call_next):
        response = await call_next(request)
        journal("outer")
        tasks = BackgroundTasks()
        tasks.add_task(journal, "outer task")
        response.background = tasks
        return response

    @app.middleware("http")
    async def outermost(request: Request, call_next):
        response = await call_next(request)
        journal("outermost")
        return response

    @app.get("/held", dependencies=[Depends(held)])
    def as_held(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        journal("endpoint")

    @app.get("/")
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        journal("endpoint")

    connected = client(app)
    connected.get("/held")
    assert journal.until("left") == ["endpoint", "outer", "outermost", "outer task", "task", "left"]
    journal.clear()
    connected.get("/")
    assert journal.until("task") == ["endpoint", "outer", "outermost", "outer task", "task"]


@pytest.mark.parametrize("path", ["/held", "/lines", "/events", "/stream/held", "/file/held"])
def test_what_a_dependency_holds_is_left_when_its_answer_is_dropped(make_app, client, tmp_path, journal, path):
    app = app_of_every_kind(make_app, tmp_path, journal)

    @app.middleware("http")
    async def dropping(request: Request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    connected = client(app)
    assert connected.get(path).text == "instead"
    connected.close()
    if path in ("/held", "/file/held"):  # came to its end, as far as the endpoint knows
        assert journal.entries == [f"{path} left"]


def test_tasks_of_a_dropped_answer_run_all_the_same(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def dropping(request: Request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    @app.get("/{kind}")
    def endpoint(kind: str, tasks: BackgroundTasks):
        tasks.add_task(journal, kind)
        return PlainTextResponse("text") if kind == "response" else "json"

    connected = client(app)
    for kind in ("json", "response"):
        assert connected.get(f"/{kind}").text == "instead"
        journal.until(kind)


@pytest.mark.differs("a stream that middleware drops goes on to its end, for ever if it has none", hangs=True)
def test_an_endless_stream_that_is_dropped_is_ended(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def dropping(request: Request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    async def endless():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            journal("ended")

    @app.get("/response")
    async def as_response():
        return StreamingResponse(endless())

    @app.get("/lines")
    async def as_lines():
        async for piece in endless():
            yield piece

    connected = client(app)
    for path in ("/response", "/lines"):
        journal.clear()
        assert connected.get(path).text == "instead"
    connected.close()


# -- streams -----------------------------------------------------------------------------------------------------------------------


def test_a_stream_is_not_read_ahead_of_the_one_who_takes_it(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        below = response.body_iterator

        async def pieces():
            async for piece in below:
                journal(f"taken {piece.decode()}")
                for _ in range(20):  # time enough for whoever would run ahead
                    await asyncio.sleep(0)
                yield piece

        response.body_iterator = pieces()
        return response

    async def held():
        yield

    @app.get("/")
    async def endpoint(value: Annotated[None, Depends(held)]):
        async def pieces():
            for n in range(3):
                journal(f"made {n}")
                yield str(n)

        return StreamingResponse(pieces())

    assert client(app).get("/").text == "012"
    entries = journal.entries
    assert entries.index("made 2") > entries.index("taken 0"), entries


def test_an_event_stream_is_open_before_its_first_event(make_app, client, journal):
    app = make_app()
    go_on = asyncio.Event()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        if request.url.path == "/go-on":
            go_on.set()
        response = await call_next(request)
        journal(f"{request.url.path} {response.status_code}")
        return response

    async def raw(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"late"})

    app.mount("/raw", raw)

    @app.get("/go-on")
    def go():
        return "ok"

    connected = client(app)
    if connected.protocol == "direct":  # TestClient gives a response back when it is complete
        with connected.stream("GET", "/raw/x") as answer:
            journal.until("/raw/x 200")
            connected.get("/go-on")
            assert answer.read() == b"late"
    else:
        go_on.set()
        assert connected.get("/raw/x").text == "late"


@pytest.mark.differs("a body that was cut short is passed on as if it were whole")
@pytest.mark.parametrize("path", ["/lines", "/response"])
def test_a_stream_that_fails_fails_for_the_function_that_reads_it(make_app, client, journal, path):
    app = make_app()

    @app.middleware("http")
    async def collecting(request: Request, call_next):
        response = await call_next(request)
        try:
            async for piece in response.body_iterator:
                journal(piece.decode().strip())
        except Broken:
            return PlainTextResponse("broken", 503)
        return PlainTextResponse("whole")

    async def failing():
        yield "1\n"
        raise Broken

    @app.get("/response")
    async def as_response():
        return StreamingResponse(failing())

    @app.get("/lines")
    async def as_lines():
        yield 1
        raise Broken

    answer = client(app).get(path)
    assert (answer.status_code, answer.text) == (503, "broken")
    assert journal.entries == ["1"]


def test_a_stream_that_fails_is_not_completed(make_app, client):
    app = make_app()
    app.middleware("http")(pass_on)

    @app.get("/")
    async def endpoint():
        async def pieces():
            yield "1"
            raise Broken

        return StreamingResponse(pieces())

    client(app).expect_error(Broken, "GET", "/", answers=200)


# -- which middleware this is ------------------------------------------------------------------------------------------------------


def test_classes_and_functions_may_be_mixed(make_app, client, journal):
    class Noting(BaseHTTPMiddleware):
        def __init__(self, app, name):
            super().__init__(app)
            self.name = name

        async def dispatch(self, request, call_next):
            journal(f"{self.name} in")
            response = await call_next(request)
            journal(f"{self.name} out")
            return response

    class Quiet:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    async def function(request, call_next):
        journal("function in")
        response = await call_next(request)
        journal("function out")
        return response

    for extra in ([], [Middleware(Quiet)]):
        journal.clear()
        app = make_app(middleware=[Middleware(Noting, name="class"), Middleware(BaseHTTPMiddleware, dispatch=function), *extra])

        @app.get("/")
        def endpoint():
            return "ok"

        assert client(app).get("/").json() == "ok"
        assert journal.entries == ["class in", "function in", "function out", "class out"]


def test_a_class_that_overrides_how_it_is_called_is_called(make_app, client, journal):
    class Counting(BaseHTTPMiddleware):
        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                journal("called")
            await super().__call__(scope, receive, send)

    app = make_app()
    app.add_middleware(Counting, dispatch=pass_on)

    @app.get("/")
    def endpoint():
        return "ok"

    assert client(app).get("/").json() == "ok"
    assert journal.entries == ["called"]


def test_a_class_that_was_patched_is_called(make_app, client, journal, monkeypatch):
    original = BaseHTTPMiddleware.__call__

    async def patched(self, scope, receive, send):
        if scope["type"] == "http":
            journal("patched")
        await original(self, scope, receive, send)

    monkeypatch.setattr(BaseHTTPMiddleware, "__call__", patched)
    app = make_app()
    app.middleware("http")(pass_on)

    @app.get("/")
    def endpoint():
        return "ok"

    assert client(app).get("/").json() == "ok"
    assert journal.entries == ["patched"]


def test_a_function_that_returns_nothing_is_an_error(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def nothing(request: Request, call_next):
        await call_next(request)

    @app.get("/")
    def endpoint():
        return "ok"

    logging.getLogger("tercel.error").setLevel(logging.CRITICAL)
    try:
        assert client(app, raise_errors=False).get("/").status_code == 500
    finally:
        logging.getLogger("tercel.error").setLevel(logging.NOTSET)
