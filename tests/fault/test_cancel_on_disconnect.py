"""`cancel_on_disconnect=True`: what answers a client that has gone away is cancelled, and what it holds is given back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tercel import APIRouter, BackgroundTasks, Depends, FastAPI, Request
from tercel.responses import StreamingResponse
from tests.attacks.attacker import Service
from tests.fault.test_leaving import MIDDLEWARE, kinds, over_a_socket

HEAD = b"%b %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


def waiting_app(make_app, journal, kind="none", **options):
    """Endpoints that wait for what never comes, below middleware, with something to give back."""
    app = make_app(**options)
    MIDDLEWARE[kind](app)

    @app.middleware("http")
    async def watch(request, call_next):
        response = await call_next(request)
        journal(f"status {response.status_code}")
        return response

    async def held():
        try:
            yield
        finally:
            journal("given back")

    async def wait():
        journal("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            journal("cancelled")
            raise

    @app.get("/own", cancel_on_disconnect=True, dependencies=[Depends(held)])
    async def own(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        await wait()

    @app.post("/body", cancel_on_disconnect=True, dependencies=[Depends(held)])
    async def body(values: list[int]):
        journal(values)
        await wait()

    @app.post("/reads", cancel_on_disconnect=True, dependencies=[Depends(held)])
    async def reads(request: Request):
        journal(await request.json())
        await wait()

    router = APIRouter(cancel_on_disconnect=True, prefix="/router")

    @router.get("/inherits", dependencies=[Depends(held)])
    async def inherits():
        await wait()

    @router.get("/declines", cancel_on_disconnect=False, dependencies=[Depends(held)])
    async def declines(request: Request):
        journal("waiting")
        while not await request.is_disconnected():
            await asyncio.sleep(0.001)
        journal("asked")

    app.include_router(router)
    return app


CANCELLED = {
    "/own": (b"GET", b"", []),
    "/body": (b"POST", b"[1, 2]", [[1, 2]]),
    "/reads": (b"POST", b"[1, 2]", [[1, 2]]),
    "/router/inherits": (b"GET", b"", []),
}


@over_a_socket
@kinds
@pytest.mark.parametrize("path", CANCELLED)
def test_an_endpoint_is_cancelled_when_its_client_leaves(make_app, client, journal, leave, kind, path, caplog):
    connected = client(waiting_app(make_app, journal, kind))
    method, body, before = CANCELLED[path]
    with leave(connected.port, HEAD % (method, path.encode(), len(body), body)):
        journal.until("waiting")
    assert journal.until("status 499") == [*before, "waiting", "cancelled", "given back", "status 499"]
    connected.close()
    assert "task" not in journal.entries
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


@kinds
@pytest.mark.parametrize("path", CANCELLED)
def test_under_another_server_too(make_app, driver, journal, run, kind, path):
    app = waiting_app(make_app, journal, kind)
    method, body, before = CANCELLED[path]

    async def leaving():
        gone = asyncio.Event()
        asked = asyncio.ensure_future(driver.request(app, path, method=method.decode(), chunks=(body,), leaves=gone))
        while "waiting" not in journal.entries:
            await asyncio.sleep(0)
        gone.set()
        return await asyncio.wait_for(asked, 10)

    assert run(leaving()) is None
    assert journal.entries == [*before, "waiting", "cancelled", "given back", "status 499"]


@pytest.fixture(scope="module", params=MIDDLEWARE)
def under_uvicorn(request: pytest.FixtureRequest):
    """The application in a process of its own, which uvicorn serves."""
    service = Service("tests.fault.waiting:app", uvicorn=True, variables={"MIDDLEWARE": request.param})
    yield service
    service.close()


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("path", CANCELLED)
def test_in_a_process_of_uvicorn_too(under_uvicorn, leave, path, reset):
    since = len(under_uvicorn.lines)
    method, body, before = CANCELLED[path]
    with leave(under_uvicorn.port, HEAD % (method, path.encode(), len(body), body), reset=reset):
        under_uvicorn.saw("noted: waiting", since=since)
    under_uvicorn.saw("noted: status", since=since)
    expected = [*before, "waiting", "cancelled", "given back", "status 499"]
    assert under_uvicorn.lines[since:] == [f"noted: {entry}" for entry in expected]


@over_a_socket
def test_a_route_may_decline_what_its_router_says(make_app, client, journal, leave):
    connected = client(waiting_app(make_app, journal))
    with leave(connected.port, HEAD % (b"GET", b"/router/declines", 0, b"")):
        journal.until("waiting")
    assert journal.until("given back")[:2] == ["waiting", "asked"]


def test_it_is_off_unless_asked_for(make_app, driver, journal, run):
    app = make_app()

    @app.get("/")
    async def endpoint():
        for _ in range(50):
            await asyncio.sleep(0)
        journal("to its end")

    gone = asyncio.Event()
    gone.set()
    run(driver.request(app, leaves=gone))
    assert journal.entries == ["to its end"]


def test_a_client_that_stays_gets_its_answer(make_app, client):
    app = make_app(cancel_on_disconnect=True)

    @app.post("/{number}")
    async def endpoint(number: int, body: list[int], request: Request):
        await asyncio.sleep(0)
        return [number, *body, await request.is_disconnected()]

    asked = client(app)
    for number in range(3):
        assert asked.post(f"/{number}", json=[1, 2]).json() == [number, 1, 2, False]
    assert asked.post("/x", json=[1]).status_code == 422


def test_a_body_in_pieces_arrives_whole(make_app, driver, run):
    app = make_app(cancel_on_disconnect=True)

    @app.post("/")
    async def endpoint(request: Request):
        return (await request.body()).decode()

    assert run(driver.request(app, method="POST", chunks=(b"a", b"b", b"c"))) is None
    assert driver.body == b'"abc"'


@over_a_socket
def test_a_sync_function_runs_to_its_end_and_then_nothing_more_is_done(make_app, client, journal, leave):
    app = make_app(cancel_on_disconnect=True)
    go_on = threading.Event()

    def held():
        try:
            yield "resource"
        finally:
            journal("given back")

    @app.get("/")
    def endpoint(resource: str = Depends(held)):
        journal("working")
        assert go_on.wait(10)
        journal(f"still has the {resource}")
        return resource

    connected = client(app)
    with leave(connected.port, HEAD % (b"GET", b"/", 0, b"")):
        journal.until("working")
    assert connected.get("/missing").status_code == 404  # the loop has seen the end of the other connection by now
    go_on.set()
    assert journal.until("given back") == ["working", "still has the resource", "given back"]


@over_a_socket
def test_a_response_that_has_begun_is_not_cancelled_by_it_but_its_stream_ends(make_app, client, journal, leave):
    app = make_app(cancel_on_disconnect=True)

    async def lines():
        try:
            while True:
                yield b"line\n"
                journal("line")
                await asyncio.sleep(0)
        finally:
            journal("ended")

    @app.get("/")
    async def endpoint():
        return StreamingResponse(lines())

    connected = client(app)
    with leave(connected.port, HEAD % (b"GET", b"/", 0, b"")):
        journal.until("line")
    assert "ended" in journal.until("ended")


@over_a_socket
def test_a_cancellation_that_is_caught_for_cleaning_up_is_not_repeated(make_app, client, journal, leave):
    app = make_app()

    @app.get("/", cancel_on_disconnect=True)
    async def endpoint():
        journal("waiting")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            journal("cleaned up")

    connected = client(app)
    with leave(connected.port, HEAD % (b"GET", b"/", 0, b"")):
        journal.until("waiting")
    assert journal.until("cleaned up") == ["waiting", "cleaned up"]
    assert connected.get("/missing").status_code == 404


def test_route_and_application_say_it():
    app = FastAPI(cancel_on_disconnect=True)
    router = APIRouter()

    @router.get("/")
    async def endpoint():
        return None

    app.include_router(router, cancel_on_disconnect=False)
    assert app.router.cancel_on_disconnect is True
    assert router.routes[0].cancel_on_disconnect is None  # type: ignore[attr-defined]
