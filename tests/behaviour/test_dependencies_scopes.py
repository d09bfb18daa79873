"""Dependencies with `yield`: when they end, in which order, and what an exception on either side of the `yield` becomes."""

import threading
from typing import Annotated

import pytest

from tercel import APIRouter, BackgroundTasks, Body, Depends, HTTPException, Request
from tercel.exceptions import DependencyScopeError, FastAPIError, ResponseValidationError
from tercel.responses import JSONResponse, StreamingResponse


class Broken(Exception):
    """What code under test raises."""


def managed(journal, name, kind):
    """A dependency that writes when it begins and ends, as an async or as a sync generator."""
    if kind == "async":

        async def dependency():
            journal(f"enter {name}")
            try:
                yield name
            finally:
                journal(f"exit {name}")

    else:

        def dependency():
            journal(f"enter {name}")
            try:
                yield name
            finally:
                journal(f"exit {name}")

    return dependency


def noted_response(journal):
    """A response class that writes when the last byte of a response has been handed over."""

    class NotedResponse(JSONResponse):
        async def __call__(self, scope, receive, send):
            async def noted_send(message):
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    journal("sent")

            await super().__call__(scope, receive, noted_send)

    return NotedResponse


kinds = pytest.mark.parametrize("kind", ["async", "sync"])


@kinds
def test_by_default_a_yield_dependency_ends_after_the_response_and_the_background_tasks(make_app, client, journal, kind):
    app = make_app(default_response_class=noted_response(journal))

    @app.get("/")
    def endpoint(tasks: BackgroundTasks, value: Annotated[str, Depends(managed(journal, "dependency", kind))]):
        tasks.add_task(journal, "background")
        journal("endpoint")
        return value

    assert client(app).get("/").json() == "dependency"
    journal.until("exit dependency")
    assert journal.entries == ["enter dependency", "endpoint", "sent", "background", "exit dependency"]


@kinds
def test_with_function_scope_a_yield_dependency_ends_before_the_response_is_sent(make_app, client, journal, kind):
    app = make_app(default_response_class=noted_response(journal))

    @app.get("/")
    def endpoint(tasks: BackgroundTasks, value: Annotated[str, Depends(managed(journal, "dependency", kind), scope="function")]):
        tasks.add_task(journal, "background")
        journal("endpoint")
        return value

    client(app).get("/")
    journal.until("background")
    assert journal.entries == ["enter dependency", "endpoint", "exit dependency", "sent", "background"]


def test_the_response_is_validated_before_a_function_scope_ends(make_app, client, journal):
    app = make_app()

    async def dependency():
        try:
            yield
        except ResponseValidationError:
            journal("saw the invalid response")
            raise

    @app.get("/", response_model=int)
    def endpoint(value: Annotated[None, Depends(dependency, scope="function")]):
        return "not a number"

    client(app).expect_error(ResponseValidationError, "GET", "/")
    assert journal.entries == ["saw the invalid response"]


@kinds
def test_dependencies_end_in_the_reverse_of_the_order_in_which_they_began(make_app, client, journal, kind):
    app = make_app()

    @app.get("/")
    def endpoint(
        a: Annotated[str, Depends(managed(journal, "a", kind))],
        b: Annotated[str, Depends(managed(journal, "b", "sync"))],
        c: Annotated[str, Depends(managed(journal, "c", "async"))],
        d: Annotated[str, Depends(managed(journal, "d", kind))],
    ):
        journal("endpoint")

    client(app).get("/")
    journal.until("exit a")
    assert journal.entries == [
        *["enter a", "enter b", "enter c", "enter d"],
        "endpoint",
        *["exit d", "exit c", "exit b", "exit a"],
    ]


def test_function_scopes_end_before_request_scopes_whatever_the_order_of_declaration(make_app, client, journal):
    app = make_app()

    @app.get("/")
    def endpoint(
        f1: Annotated[str, Depends(managed(journal, "function 1", "async"), scope="function")],
        r1: Annotated[str, Depends(managed(journal, "request 1", "sync"))],
        f2: Annotated[str, Depends(managed(journal, "function 2", "sync"), scope="function")],
        r2: Annotated[str, Depends(managed(journal, "request 2", "async"), scope="request")],
    ):
        return None

    client(app).get("/")
    journal.until("exit request 1")
    assert journal.entries[4:] == ["exit function 2", "exit function 1", "exit request 2", "exit request 1"]


def test_one_dependency_in_two_scopes_runs_twice(make_app, client, journal):
    app = make_app()
    dependency = managed(journal, "dependency", "async")

    @app.get("/")
    def endpoint(a: Annotated[str, Depends(dependency, scope="function")], b: Annotated[str, Depends(dependency, scope="request")]):
        return None

    connected = client(app)
    connected.get("/")
    connected.close()
    assert journal.entries == ["enter dependency"] * 2 + ["exit dependency"] * 2


def test_a_request_scope_is_open_and_a_function_scope_closed_while_a_stream_is_sent(make_app, client):
    app = make_app()

    class Session:
        is_open = True

    def session():
        value = Session()
        yield value
        value.is_open = False

    @app.get("/")
    def endpoint(
        for_call: Annotated[Session, Depends(session, scope="function")], for_request: Annotated[Session, Depends(session)]
    ):
        def parts():
            yield f"{for_call.is_open} {for_request.is_open}"

        return StreamingResponse(parts())

    assert client(app).get("/").text == "False True"


def test_a_request_scoped_generator_cannot_need_a_function_scoped_one():
    from tercel import FastAPI

    def inner():
        yield

    def outer(value: Annotated[None, Depends(inner, scope="function")]):
        yield

    app = FastAPI()
    with pytest.raises(DependencyScopeError, match='The dependency "outer" has a scope of "request", it cannot depend on'):

        @app.get("/")
        def endpoint(value: Annotated[None, Depends(outer)]):
            return None


def test_a_plain_dependency_may_need_a_function_scoped_one(make_app, client, journal):
    app = make_app()

    def outer(value: Annotated[str, Depends(managed(journal, "inner", "sync"), scope="function")]):
        return value

    @app.get("/")
    def endpoint(value: Annotated[str, Depends(outer)]):
        return value

    assert client(app).get("/").json() == "inner"
    assert journal.entries == ["enter inner", "exit inner"]


@kinds
@pytest.mark.parametrize("scope", ["function", "request"])
def test_an_exception_of_the_endpoint_is_raised_at_the_yield(make_app, client, journal, kind, scope):
    app = make_app()

    if kind == "async":

        async def dependency():
            try:
                yield
            except Broken as error:
                journal(f"saw {error}")
                raise

    else:

        def dependency():
            try:
                yield
            except Broken as error:
                journal(f"saw {error}")
                raise

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency, scope=scope)]):
        raise Broken("it")

    error = client(app).expect_error(Broken, "GET", "/")
    assert str(error) == "it"
    assert journal.entries == ["saw it"]


@kinds
@pytest.mark.parametrize("scope", ["function", "request"])
def test_a_dependency_may_turn_the_exception_of_the_endpoint_into_an_http_exception(make_app, client, kind, scope):
    app = make_app()

    if kind == "async":

        async def dependency():
            try:
                yield
            except Broken as error:
                raise HTTPException(418, "translated") from error

    else:

        def dependency():
            try:
                yield
            except Broken as error:
                raise HTTPException(418, "translated") from error

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency, scope=scope)]):
        raise Broken

    answer = client(app).get("/")
    assert (answer.status_code, answer.json()) == (418, {"detail": "translated"})


def test_the_exception_that_a_dependency_makes_of_another_is_seen_by_those_that_began_before(make_app, client, journal):
    app = make_app()

    async def first():
        try:
            yield
        except HTTPException as error:
            journal(f"first saw {error.status_code}")
            raise HTTPException(409) from error

    async def second():
        try:
            yield
        except Broken as error:
            journal("second saw Broken")
            raise HTTPException(400) from error

    @app.get("/")
    def endpoint(a: Annotated[None, Depends(first)], b: Annotated[None, Depends(second)]):
        raise Broken

    assert client(app).get("/").status_code == 409
    assert journal.entries == ["second saw Broken", "first saw 400"]


def test_an_http_exception_of_the_endpoint_passes_through_its_dependencies(make_app, client, journal):
    app = make_app()

    def dependency():
        try:
            yield
        except HTTPException as error:
            journal(error.status_code)
            raise

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency)]):
        raise HTTPException(404, "gone")

    answer = client(app).get("/")
    assert (answer.status_code, answer.json()) == (404, {"detail": "gone"})
    assert journal.entries == [404]


@kinds
def test_a_request_scoped_dependency_that_swallows_the_exception_is_an_error_that_says_so(make_app, client, kind):
    app = make_app()

    if kind == "async":

        async def dependency():
            try:
                yield
            except Broken:
                pass

    else:

        def dependency():
            try:
                yield
            except Broken:
                pass

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency)]):
        raise Broken

    error = client(app).expect_error(FastAPIError, "GET", "/")
    assert str(error).startswith("Response not awaited. There's a high chance that the application code is raising an exception")


def test_a_dependency_that_fails_before_its_yield_ends_those_that_began_before(make_app, client, journal):
    app = make_app()

    def fails():
        raise HTTPException(503, "no database")
        yield

    @app.get("/")
    def endpoint(a: Annotated[str, Depends(managed(journal, "a", "async"))], b: Annotated[None, Depends(fails)]):
        journal("endpoint")

    assert client(app).get("/").status_code == 503
    assert journal.entries == ["enter a", "exit a"]


def test_dependencies_end_when_a_later_one_was_invalid(make_app, client, journal):
    app = make_app()

    @app.get("/")
    def endpoint(number: int, a: Annotated[str, Depends(managed(journal, "a", "sync"))]):
        journal("endpoint")

    assert client(app).get("/?number=x").status_code == 422
    assert journal.entries == ["enter a", "exit a"]


@kinds
def test_an_exception_after_the_yield_of_a_function_scope_changes_the_answer(make_app, client, kind):
    app = make_app()

    if kind == "async":

        async def dependency():
            yield
            raise HTTPException(503, "after")

    else:

        def dependency():
            yield
            raise HTTPException(503, "after")

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency, scope="function")]):
        return "ok"

    answer = client(app).get("/")
    assert (answer.status_code, answer.json()) == (503, {"detail": "after"})


@kinds
def test_an_exception_after_the_yield_of_a_request_scope_comes_too_late_for_the_answer(make_app, client, kind):
    app = make_app()

    if kind == "async":

        async def dependency():
            yield
            raise Broken("too late")

    else:

        def dependency():
            yield
            raise Broken("too late")

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency)]):
        return "ok"

    assert client(app, raise_errors=False).get("/").json() == "ok"
    assert str(client(app).expect_error(Broken, "GET", "/", answers=200)) == "too late"


def test_an_http_exception_after_the_yield_of_a_request_scope_is_not_answered_a_second_time(make_app, client):
    app = make_app()

    async def dependency():
        yield
        raise HTTPException(503)

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency)]):
        return "ok"

    answer = client(app, raise_errors=False).get("/")
    assert (answer.status_code, answer.json()) == (200, "ok")


def test_when_one_exit_fails_the_others_still_run(make_app, client, journal):
    app = make_app()

    async def fails():
        yield
        journal("fails")
        raise Broken

    @app.get("/")
    def endpoint(a: Annotated[str, Depends(managed(journal, "a", "sync"))], b: Annotated[None, Depends(fails)]):
        return "ok"

    client(app).expect_error(Broken, "GET", "/", answers=200)
    assert journal.entries == ["enter a", "fails", "exit a"]


def test_a_background_task_that_fails_is_seen_by_a_request_scope(make_app, client, journal):
    app = make_app()

    def fails():
        raise Broken("in background")

    async def dependency():
        try:
            yield
        except Broken as error:
            journal(str(error))
            raise

    @app.get("/")
    def endpoint(tasks: BackgroundTasks, value: Annotated[None, Depends(dependency)]):
        tasks.add_task(fails)
        return "ok"

    client(app).expect_error(Broken, "GET", "/", answers=200)
    assert journal.entries == ["in background"]


@kinds
def test_a_class_with_a_generator_call_is_a_yield_dependency(make_app, client, journal, kind):
    app = make_app()

    class Managed:
        if kind == "async":

            async def __call__(self):
                journal("enter")
                yield "value"
                journal("exit")

        else:

            def __call__(self):
                journal("enter")
                yield "value"
                journal("exit")

    @app.get("/")
    def endpoint(value: Annotated[str, Depends(Managed())]):
        return value

    assert client(app).get("/").json() == "value"
    assert journal.until("exit") == ["enter", "exit"]


def test_sync_code_before_and_after_the_yield_runs_in_worker_threads(make_app, client, journal):
    app = make_app()

    def dependency():
        journal(threading.current_thread() is threading.main_thread() or threading.get_ident())
        yield threading.get_ident()
        journal(threading.get_ident())

    @app.get("/")
    async def endpoint(in_dependency: Annotated[int, Depends(dependency)]):
        return [in_dependency, threading.get_ident()]

    connected = client(app)
    in_dependency, in_loop = connected.get("/").json()
    connected.close()
    assert len(journal) == 2
    assert in_loop not in journal.entries
    assert in_dependency != in_loop


def test_an_included_route_keeps_the_scope_of_a_dependency_of_its_router(make_app, client, journal):
    app = make_app()
    router = APIRouter()

    @router.get("/")
    def endpoint():
        journal("endpoint")
        return "ok"

    def raises_after():
        yield
        raise HTTPException(503, "after")

    app.include_router(router, prefix="/function", dependencies=[Depends(raises_after, scope="function")])
    app.include_router(router, prefix="/request", dependencies=[Depends(raises_after, scope="request")])
    connected = client(app, raise_errors=False)
    assert connected.get("/function/").status_code == 503
    assert connected.get("/request/").status_code == 200


def test_a_yield_dependency_of_the_app_surrounds_those_of_the_route(make_app, client, journal):
    app = make_app(dependencies=[Depends(managed(journal, "app", "async"))])

    @app.get("/", dependencies=[Depends(managed(journal, "route", "sync"))])
    def endpoint(value: Annotated[str, Depends(managed(journal, "signature", "async"))]):
        journal("endpoint")

    client(app).get("/")
    journal.until("exit app")
    assert journal.entries == [
        "enter app",
        "enter route",
        "enter signature",
        "endpoint",
        "exit signature",
        "exit route",
        "exit app",
    ]


def test_a_cached_yield_dependency_begins_and_ends_once(make_app, client, journal):
    app = make_app()
    shared = managed(journal, "shared", "async")

    def one(value: Annotated[str, Depends(shared)]):
        return value

    def two(value: Annotated[str, Depends(shared)]):
        return value

    @app.get("/")
    def endpoint(a: Annotated[str, Depends(one)], b: Annotated[str, Depends(two)], c: Annotated[str, Depends(shared)]):
        return [a, b, c]

    connected = client(app)
    assert connected.get("/").json() == ["shared"] * 3
    connected.close()
    assert journal.entries == ["enter shared", "exit shared"]


def test_a_dependency_may_read_the_raw_body_that_the_endpoint_takes_parsed(make_app, client, journal):
    app = make_app()

    async def audit(request: Request):
        journal(await request.body())
        yield
        journal(await request.body())

    @app.post("/")
    def endpoint(value: Annotated[dict[str, int], Body()], _: Annotated[None, Depends(audit)]):
        return value

    connected = client(app)
    assert connected.post("/", json={"a": 1}).json() == {"a": 1}
    connected.close()
    assert journal.entries == [b'{"a":1}'] * 2
