"""Middleware functions: exceptions, time limits and clients that go away."""

import asyncio
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest

from tercel import BackgroundTasks, Depends, Request
from tercel.responses import FileResponse, PlainTextResponse, StreamingResponse
from tests.behaviour.kinds import ANSWERS, Broken, app_of_every_kind, pass_on

# -- exceptions --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/broken", "/broken/held"])
def test_what_the_endpoint_raises_comes_out_of_call_next(make_app, client, tmp_path, journal, path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def catching(request: Request, call_next):
        try:
            return await call_next(request)
        except Broken as error:
            return PlainTextResponse(f"caught {type(error).__name__}", 503)

    app.middleware("http")(pass_on)
    answer = client(app).get(path)
    assert (answer.status_code, answer.text) == (503, "caught Broken")


@pytest.mark.parametrize("path", ["/broken", "/broken/held"])
def test_what_nobody_catches_is_a_server_error(make_app, client, tmp_path, path):
    app = app_of_every_kind(make_app, tmp_path)
    app.middleware("http")(pass_on)

    @app.exception_handler(500)
    async def handler(request: Request, error):
        return PlainTextResponse(f"{type(error).__name__} at {request.url.path}", 500)

    assert client(app, raise_errors=False).get(path).text == f"Broken at {path}"
    client(app).expect_error(Broken, "GET", path)


@pytest.mark.parametrize("path", ["/json", "/held", "/stream/held"])
def test_a_function_that_fails_after_the_answer_came_up_is_a_server_error(make_app, client, tmp_path, path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def failing(request: Request, call_next):
        await call_next(request)
        raise Broken

    connected = client(app)
    connected.expect_error(Broken, "GET", path)
    connected.expect_error(Broken, "GET", path)


def test_what_a_dependency_holds_is_left_when_a_function_fails(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def failing(request: Request, call_next):
        await call_next(request)
        raise Broken

    async def held():
        try:
            yield
        finally:
            journal("left")

    @app.get("/", dependencies=[Depends(held)])
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")

    client(app).expect_error(Broken, "GET", "/")
    assert journal.until("left") == ["left"]


def test_failures_of_tasks_are_raised_after_the_answer(make_app, client):
    app = make_app()
    app.middleware("http")(pass_on)

    def fail():
        raise Broken

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(fail)
        return "ok"

    client(app).expect_error(Broken, "GET", "/", answers=200)


def test_a_file_that_is_missing_comes_out_of_call_next(make_app, client, tmp_path, journal):
    app = make_app()

    @app.middleware("http")
    async def noting(request: Request, call_next):
        try:
            return await call_next(request)
        except RuntimeError as error:
            journal(str(error).endswith("does not exist."))
            return PlainTextResponse("gone", 410)

    @app.get("/")
    def endpoint():
        return FileResponse(tmp_path / "missing")

    assert client(app).get("/").status_code == 410
    assert journal.entries == [True]


# -- calling next otherwise --------------------------------------------------------------------------------------------------------


@pytest.mark.differs("call_next works once")
@pytest.mark.parametrize("path", ["/json", "/held", "/stream/held", "/plain"])
def test_call_next_may_be_called_again(make_app, client, tmp_path, journal, path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def twice(request: Request, call_next):
        first = await call_next(request)
        second = await call_next(request)
        journal(first is second)
        return second

    assert client(app).get(path).text == ANSWERS[path][1]
    assert journal.entries == [False]


@pytest.mark.parametrize("path", ["/json", "/held", "/stream", "/stream/held", "/file", "/lines", "/mounted/held"])
def test_call_next_may_be_given_a_time_limit(make_app, client, tmp_path, path):
    app = app_of_every_kind(make_app, tmp_path)

    @app.middleware("http")
    async def limiting(request: Request, call_next):
        async with asyncio.timeout(5):
            return await call_next(request)

    @app.middleware("http")
    async def waiting(request: Request, call_next):
        return await asyncio.wait_for(call_next(request), 5)

    @app.middleware("http")
    async def in_a_task(request: Request, call_next):
        return await asyncio.create_task(call_next(request))

    answer = client(app).get(path)
    assert (answer.status_code, answer.text) == ANSWERS[path]


def test_scopes_of_anyio_may_surround_call_next_and_lie_in_dependencies(make_app, client, journal):
    app = make_app()

    @app.middleware("http")
    async def limiting(request: Request, call_next):
        with anyio.fail_after(5):
            return await call_next(request)

    async def grouped():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            yield group
        journal("left")

    @app.get("/")
    async def endpoint(group: Annotated[object, Depends(grouped)]):
        with anyio.fail_after(5):
            await anyio.lowlevel.checkpoint()
        return "ok"

    assert client(app).get("/").json() == "ok"
    journal.until("left")


@pytest.mark.differs("an endpoint goes on when the time limit around call_next has passed", hangs=True)
@pytest.mark.parametrize("path", ["/", "/held"])
def test_an_endpoint_that_takes_too_long_is_cancelled(make_app, client, journal, path):
    app = make_app()

    @app.middleware("http")
    async def limiting(request: Request, call_next):
        try:
            async with asyncio.timeout(0.01):
                return await call_next(request)
        except TimeoutError:
            return PlainTextResponse("too late", 504)

    async def held():
        try:
            yield
        finally:
            await asyncio.sleep(0)
            journal("left")

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            journal("ended")

    app.get("/")(forever)
    app.get("/held", dependencies=[Depends(held)])(forever)
    assert client(app).get(path).status_code == 504
    assert journal.entries == (["ended"] if path == "/" else ["ended", "left"])


# -- clients that go away ----------------------------------------------------------------------------------------------------------


over_a_socket = pytest.mark.parametrize("protocol", ["direct"], indirect=True)


@over_a_socket
@pytest.mark.parametrize("path", ["/response", "/lines"])
def test_a_client_that_leaves_a_stream_ends_it(make_app, client, journal, path):
    app = make_app()
    app.middleware("http")(pass_on)

    @app.middleware("http")
    async def noting(request: Request, call_next):
        response = await call_next(request)
        below = response.body_iterator

        async def pieces():
            async for piece in below:
                yield piece

        response.body_iterator = pieces()
        return response

    async def held():
        try:
            yield
        finally:
            journal("left")

    async def waiting():
        try:
            yield "first\n"
            await asyncio.Event().wait()
        finally:
            journal("ended")

    @app.get("/response", dependencies=[Depends(held)])
    async def as_response():
        return StreamingResponse(waiting())

    @app.get("/lines", dependencies=[Depends(held)])
    async def as_lines():
        async for piece in waiting():
            yield piece

    connected = client(app, raise_errors=False)
    with connected.stream("GET", path) as answer:
        next(answer.iter_raw())
    assert journal.until("ended", "left") == ["ended", "left"]


@over_a_socket
@pytest.mark.tercel_only("a setting of the server")
def test_a_body_that_is_too_large_for_the_server_is_refused_where_a_function_reads_it(make_app, client):
    app = make_app()

    @app.middleware("http")
    async def reading(request: Request, call_next):
        await request.body()
        return await call_next(request)

    @app.post("/")
    def endpoint():
        return "ok"

    answer = client(app, server={"max_body_bytes": 10}).post("/", content=iter([b"x" * 6, b"x" * 5]))
    assert (answer.status_code, answer.json()) == (413, {"detail": "Content Too Large"})


def test_a_body_that_is_too_large_for_a_parent_is_refused_where_a_function_reads_it(make_app, client):
    outer, inner = make_app(max_body_size=10), make_app()

    @inner.middleware("http")
    async def reading(request: Request, call_next):
        await request.body()
        return await call_next(request)

    @inner.post("/")
    def endpoint():
        return "ok"

    outer.mount("/inner", inner)
    connected = client(outer)
    answer = connected.post("/inner/", content=iter([b"x" * 6, b"x" * 5]))  # of a length that is not known before
    assert (answer.status_code, answer.json()) == (413, {"detail": "Content Too Large"})
    assert connected.post("/inner/", content=b"x" * 10).json() == "ok"
