"""Errors at the end: in the exit of a dependency, after a response began, in a task; the next request is served all the same."""

from typing import Annotated

import pytest

from tercel import BackgroundTasks, Depends, HTTPException
from tercel.responses import JSONResponse, StreamingResponse


class First(Exception):
    pass


class Second(Exception):
    pass


def failing(journal, name, error):
    async def dependency():
        try:
            yield name
        except BaseException as seen:
            journal(f"{name} saw {type(seen).__name__}")
            raise
        else:
            journal(f"{name} ends")
        raise error

    return dependency


def assert_healthy(connected):
    assert connected.get("/health").json() == "ok"


@pytest.fixture
def app(make_app):
    """An application that can say that it is well."""
    made = make_app()

    @made.get("/health")
    async def health():
        return "ok"

    return made


def test_an_error_in_one_exit_is_raised_at_the_yield_of_the_dependency_before_it(app, client, journal):
    @app.get("/")
    async def endpoint(
        a: Annotated[str, Depends(failing(journal, "a", Second))], b: Annotated[str, Depends(failing(journal, "b", First))]
    ):
        return "sent"

    connected = client(app)
    connected.expect_error(First, "GET", "/", answers=200)
    assert journal.entries == ["b ends", "a saw First"]
    assert_healthy(connected)


def test_an_error_in_the_exit_of_a_function_scope_ends_the_request_scopes_with_it(app, client, journal):
    @app.get("/")
    async def endpoint(
        a: Annotated[str, Depends(failing(journal, "request", Second))],
        b: Annotated[str, Depends(failing(journal, "function", First), scope="function")],
    ):
        return "not sent"

    connected = client(app)
    connected.expect_error(First, "GET", "/", answers=500)
    assert journal.entries == ["function ends", "request saw First"]
    assert_healthy(connected)


def test_an_exit_that_fails_while_it_handles_an_error_replaces_it(app, client, journal):
    async def dependency():
        try:
            yield
        except First as error:
            raise Second from error

    @app.get("/")
    async def endpoint(a: Annotated[None, Depends(dependency)]):
        raise First

    connected = client(app)
    error = connected.expect_error(Second, "GET", "/")
    assert isinstance(error.__cause__, First)
    assert_healthy(connected)


def test_a_stream_that_fails_is_cut_and_seen_by_its_dependencies(app, client, journal):
    @app.get("/")
    async def endpoint(a: Annotated[str, Depends(failing(journal, "a", Second))]):
        async def pieces():
            yield "piece"
            raise First

        return StreamingResponse(pieces())

    connected = client(app)
    connected.expect_error(First, "GET", "/", answers=200)
    assert journal.until("a saw First") == ["a saw First"]
    assert_healthy(connected)


def test_an_http_exception_after_a_response_began_does_not_begin_another(app, client, journal):
    @app.get("/")
    async def endpoint():
        async def pieces():
            yield "piece"
            raise HTTPException(404)

        return StreamingResponse(pieces())

    connected = client(app)
    error = connected.expect_error(Exception, "GET", "/", answers=200)
    assert isinstance(error, (HTTPException, RuntimeError))
    assert_healthy(connected)


def test_a_response_that_fails_before_it_begins_is_a_500(app, client, journal):
    class Failing(JSONResponse):
        async def __call__(self, scope, receive, send):
            raise First

    @app.get("/")
    async def endpoint(a: Annotated[str, Depends(failing(journal, "a", Second))]):
        return Failing("x")

    connected = client(app)
    connected.expect_error(First, "GET", "/")
    assert journal.entries == ["a saw First"]
    assert_healthy(connected)


def test_a_task_and_an_exit_that_both_fail_are_both_run(app, client, journal):
    def task():
        journal("task")
        raise First

    async def dependency():
        try:
            yield
        finally:
            journal("exit")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, a: Annotated[None, Depends(dependency)]):
        tasks.add_task(task)
        return "sent"

    connected = client(app)
    connected.expect_error(First, "GET", "/", answers=200)
    assert journal.until("exit") == ["task", "exit"]
    assert_healthy(connected)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_run_when_the_process_is_told_to_stop(make_app, driver, journal, run, error):
    app = make_app()

    async def dependency():
        try:
            yield
        finally:
            journal("exit")

    @app.get("/")
    async def endpoint(a: Annotated[None, Depends(dependency)]):
        raise error

    with pytest.raises(error):
        run(driver.request(app))
    assert journal.entries == ["exit"]


def test_a_generator_that_yields_twice_is_an_error_that_says_so(app, client):
    async def dependency():
        yield 1
        yield 2

    @app.get("/")
    async def endpoint(a: Annotated[int, Depends(dependency)]):
        return a

    connected = client(app)
    error = connected.expect_error(RuntimeError, "GET", "/", answers=200)
    assert "didn't stop" in str(error)
    assert_healthy(connected)


def test_a_generator_that_does_not_yield_is_an_error_that_says_so(app, client):
    async def dependency():
        if app is None:
            yield

    @app.get("/")
    async def endpoint(a: Annotated[int, Depends(dependency)]):
        return a

    connected = client(app)
    error = connected.expect_error(RuntimeError, "GET", "/")
    assert "didn't yield" in str(error)
    assert_healthy(connected)


def test_after_a_hundred_failures_the_application_is_well(app, client):
    def dependency():
        yield
        raise First

    @app.get("/fail")
    def endpoint(a: Annotated[None, Depends(dependency, scope="function")]):
        raise Second

    connected = client(app, raise_errors=False)
    for _ in range(100):
        assert connected.get("/fail", headers={"connection": "close"}).status_code == 500
    assert_healthy(connected)
