"""A request that is cancelled, at every point where that can happen: what was begun is ended, in order, once."""

from typing import Annotated

import anyio
import pytest

from tercel import BackgroundTasks, Body, Depends
from tercel.responses import StreamingResponse
from tercel.sse import EventSourceResponse

LAST = 60  # more points than any request here has


def interrupted_app(make_app, driver, journal):
    """An application with dependencies of every kind; `point` is awaited between all steps."""

    async def outer():
        await driver.point()
        journal("enter outer")
        try:
            await driver.point()
            yield "outer"
        finally:
            journal("exit outer")

    def sync(value: Annotated[str, Depends(outer)]):
        journal("enter sync")
        try:
            yield "sync"
        finally:
            journal("exit sync")

    async def plain(value: Annotated[str, Depends(sync)]):
        await driver.point()
        return "plain"

    async def function_scoped():
        journal("enter function")
        try:
            yield "function"
        finally:
            journal("exit function")

    app = make_app()
    Plain = Annotated[str, Depends(plain)]
    Function = Annotated[str, Depends(function_scoped, scope="function")]

    @app.post("/json")
    async def as_json(plain: Plain, function: Function, tasks: BackgroundTasks, value: Annotated[dict, Body()]):
        await driver.point()
        tasks.add_task(driver.point)
        journal("endpoint")
        return value

    @app.post("/lines")
    async def lines(plain: Plain, function: Function):
        await driver.point()
        journal("enter generator")
        try:
            for n in range(3):
                yield n
                await driver.point()
        finally:
            journal("exit generator")

    @app.post("/events", response_class=EventSourceResponse)
    async def events(plain: Plain, function: Function):
        journal("enter generator")
        try:
            for n in range(3):
                yield n
                await driver.point()
        finally:
            journal("exit generator")

    @app.post("/response")
    async def response(plain: Plain, function: Function):
        async def pieces():  # belongs to Starlette's response, which leaves its end to the garbage collector
            for n in range(3):
                yield str(n)
                await driver.point()

        return StreamingResponse(pieces())

    return app


def assert_balanced(entries):
    """Everything that was entered was exited, once."""
    entered = [entry.removeprefix("enter ") for entry in entries if entry.startswith("enter ")]
    exited = [entry.removeprefix("exit ") for entry in entries if entry.startswith("exit ")]
    assert sorted(entered) == sorted(exited), entries
    assert len(set(entered)) == len(entered), entries
    if "sync" in exited:
        assert exited.index("sync") < exited.index("outer"), entries


@pytest.mark.differs("generators are left to the garbage collector", always=False)
@pytest.mark.parametrize("path", ["/json", "/lines", "/events", "/response"])
def test_what_was_begun_is_ended_wherever_a_request_is_cancelled(make_app, driver, journal, run, path):
    app = interrupted_app(make_app, driver, journal)

    async def everywhere():
        await driver.request(app, path, method="POST", chunks=(b'{"a"', b": 1}"))
        assert driver.status == 200
        assert_balanced(journal.entries)
        points = driver.points
        assert 5 < points < LAST
        for n in range(1, points + 1):
            journal.clear()
            driver.sent.clear()
            driver.points, driver.cancel_at = 0, n
            error = await driver.request(app, path, method="POST", chunks=(b'{"a"', b": 1}"))
            assert error is None, (n, error)
            assert_balanced(journal.entries)
        # And the application is as good as new.
        driver.sent.clear()
        driver.cancel_at = 0
        await driver.request(app, path, method="POST", chunks=(b'{"a"', b": 1}"))
        assert driver.status == 200

    run(everywhere())


@pytest.mark.parametrize("scope", ["function", "request"])
def test_the_exit_of_an_async_dependency_is_not_interrupted(make_app, driver, journal, run, scope):
    app = make_app()

    async def dependency():
        try:
            yield
        finally:
            journal("exit begins")
            await anyio.lowlevel.checkpoint()
            await driver.point()
            journal("exit ends")

    @app.get("/")
    async def endpoint(value: Annotated[None, Depends(dependency, scope=scope)]):
        return "ok"

    async def at_every_point():
        await driver.request(app)
        points = driver.points
        for n in range(1, points + 1):
            journal.clear()
            driver.points, driver.cancel_at = 0, n
            await driver.request(app)
            assert journal.entries == ["exit begins", "exit ends"], n

    run(at_every_point())


def test_a_dependency_that_is_still_entering_can_be_interrupted(make_app, driver, journal, run):
    app = make_app()

    async def dependency():
        try:
            driver.cancel_at = driver.points + 1
            await driver.point()
            journal("not reached")
            yield
        finally:
            journal("left")

    @app.get("/")
    async def endpoint(value: Annotated[None, Depends(dependency)]):
        journal("not reached")

    run(driver.request(app))
    assert journal.entries == ["left"]


def test_places_of_a_limited_dependency_are_given_back(make_app, driver, journal, run):
    app = make_app()

    async def dependency():
        await driver.point()
        yield

    limited = Depends(dependency, max_concurrency=1)

    @app.get("/")
    async def endpoint(value: Annotated[None, limited]):
        await driver.point()
        return "ok"

    async def at_every_point():
        await driver.request(app)
        for n in range(1, driver.points + 1):
            driver.points, driver.cancel_at = 0, n
            await driver.request(app)
        driver.cancel_at = 0
        driver.sent.clear()
        await driver.request(app)
        assert driver.status == 200

    run(at_every_point())


def test_an_endless_stream_without_a_pause_can_be_interrupted(make_app, driver, run):
    app = make_app()

    @app.get("/lines")
    async def lines():
        while True:
            yield "x"

    @app.get("/response")
    async def response():
        async def pieces():
            while True:
                yield "x"

        return StreamingResponse(pieces())

    async def both():
        for path in ("/lines", "/response"):
            driver.points, driver.cancel_at = 0, 20
            await driver.request(app, path)
            assert driver.status == 200

    run(both())


def test_a_sync_endpoint_that_is_cancelled_is_waited_for(make_app, driver, journal, run):
    app = make_app()

    def dependency():
        yield
        journal("exit")

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency)]):
        anyio.from_thread.run(driver.point)
        journal("endpoint")

    async def cancelled():
        driver.cancel_at = driver.points + 1
        await driver.request(app)

    run(cancelled())
    assert journal.entries in (["endpoint", "exit"], ["endpoint"], [])
