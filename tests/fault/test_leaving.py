"""An endpoint asks whether its client has left, behind middleware of every kind."""

import asyncio

import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

from tercel import APIRouter, Depends, Request
from tests.behaviour.kinds import pass_on

over_a_socket = pytest.mark.parametrize("protocol", ["direct"], indirect=True)


class Quiet:
    """Middleware that only passes on, as an ASGI application."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Own(BaseHTTPMiddleware):
    """The same as a subclass of Starlette's class."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


def add_functions(app):
    app.middleware("http")(pass_on)
    app.middleware("http")(pass_on)


def add_mixed(app):
    app.add_middleware(Quiet)
    app.middleware("http")(pass_on)
    app.add_middleware(Own)
    app.add_middleware(GZipMiddleware)
    app.middleware("http")(pass_on)


MIDDLEWARE = {
    "none": lambda app: None,
    "function": lambda app: app.middleware("http")(pass_on),
    "functions": add_functions,
    "subclass": lambda app: app.add_middleware(Own),
    "class": lambda app: app.add_middleware(Quiet),
    "mixed": add_mixed,
}

kinds = pytest.mark.parametrize("kind", MIDDLEWARE)
limits = pytest.mark.parametrize("options", [{}, {"max_body_size": 1000}], ids=["", "limited"])


def asking_app(make_app, journal, kind, options):
    """Endpoints that ask until they hear that their client has left: one with a body, one with what stays open."""
    app = make_app(**options)
    MIDDLEWARE[kind](app)

    async def held():
        try:
            yield
        finally:
            journal("left")

    async def ask(request: Request):
        journal("asking")
        while not await request.is_disconnected():
            await asyncio.sleep(0.001)
        journal("gone")

    @app.get("/")
    async def get(request: Request):
        await ask(request)

    @app.post("/json")
    async def post(request: Request, values: list[int]):
        await ask(request)

    router = APIRouter(prefix="/inner")

    @router.post("/held", dependencies=[Depends(held)])
    async def with_held(request: Request, values: list[int]):
        await ask(request)

    app.include_router(router)
    return app


REQUESTS = {
    "/": (b"GET", b""),
    "/json": (b"POST", b"[1, 2]"),
    "/inner/held": (b"POST", b"[1, 2]"),
}


@pytest.mark.differs("a function's request hides that the client left", always=False)
@over_a_socket
@kinds
@limits
@pytest.mark.parametrize("path", REQUESTS)
def test_it_learns_so_over_a_socket(make_app, client, journal, leave, kind, options, path):
    connected = client(asking_app(make_app, journal, kind, options), raise_errors=False)
    method, body = REQUESTS[path]
    head = b"%b %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    connection = leave(connected.port, head % (method, path.encode(), len(body)) + body)
    journal.until("asking")
    connection.close()
    last = "left" if path == "/inner/held" else "gone"
    assert journal.until("gone", last)[:2] == ["asking", "gone"]


@pytest.mark.differs("a function's request hides that the client left", always=False, hangs=True)
@kinds
@limits
@pytest.mark.parametrize("path", REQUESTS)
def test_it_learns_so_under_another_server(make_app, driver, journal, run, kind, options, path):
    app = asking_app(make_app, journal, kind, options)
    method, body = REQUESTS[path]

    async def leaving():
        gone = asyncio.Event()
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():  # at once where there is something to say, as servers do
            if pending:
                return pending.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def server(scope, _, send):
            await app(scope, receive, send)

        asked = asyncio.ensure_future(driver.request(server, path, method=method.decode()))
        while "asking" not in journal.entries:
            await asyncio.sleep(0)
        gone.set()
        await asyncio.wait_for(asked, 10)

    run(leaving())
    assert journal.entries[:2] == ["asking", "gone"]


@pytest.mark.differs("a function's request hides that the client left", always=False, hangs=True)
@pytest.mark.parametrize("kind", ["function", "subclass", "mixed"])
def test_it_does_not_learn_so_while_the_client_waits(make_app, client, kind):
    app = make_app()
    MIDDLEWARE[kind](app)

    @app.post("/")
    async def endpoint(request: Request, values: list[int]):
        answers = []
        for _ in range(5):
            answers.append(await request.is_disconnected())
            await asyncio.sleep(0)
        return answers

    assert client(app).post("/", json=[1]).json() == [False] * 5
