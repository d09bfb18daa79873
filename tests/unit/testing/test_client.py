"""The asynchronous test client over HTTP: lifespan, streams both ways, disconnects, errors, and nothing left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from tercel import BackgroundTasks, FastAPI, Request, Response
from tercel.responses import EventSourceResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from tercel.testing import ApplicationStillRunning, AsyncTestClient

pytestmark = pytest.mark.anyio

DEADLINE_S = 5.0


async def within(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), DEADLINE_S)


# -- requests ----------------------------------------------------------------------------------------------------------------------


async def test_the_application_sees_the_request_as_a_server_would_give_it() -> None:
    app = FastAPI()

    @app.post("/a b/{name}")
    async def endpoint(name: str, request: Request) -> dict[str, Any]:
        scope = request.scope
        body = (await request.body()).decode()
        return {
            "name": name,
            "path": scope["path"],
            "raw_path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "scheme": scope["scheme"],
            "server": scope["server"],
            "client": scope["client"],
            "agent": request.headers["user-agent"],
            "body": body,
        }

    async with AsyncTestClient(app, base_url="https://shop.test", client=("10.0.0.9", 4711)) as client:
        response = await client.post("/a b/ü", params={"q": "1 2"}, content=b"data")
    assert response.json() == {
        "name": "ü",
        "path": "/a b/ü",
        "raw_path": "/a%20b/%C3%BC",
        "query": "q=1+2",
        "scheme": "https",
        "server": ["shop.test", 443],
        "client": ["10.0.0.9", 4711],
        "agent": "testclient",
        "body": "data",
    }


async def test_the_root_path_is_that_of_the_client() -> None:
    app = FastAPI()

    @app.get("/items")
    async def endpoint(request: Request) -> str:
        return f"{request.scope['root_path']} {request.base_url.path}"

    async with AsyncTestClient(app, root_path="/api") as client:
        assert (await client.get("/items")).json() == "/api /api/"


async def test_a_response_to_head_has_no_content_and_keeps_its_length() -> None:
    app = FastAPI()

    @app.head("/")
    async def endpoint() -> Response:
        return PlainTextResponse("four")

    async with AsyncTestClient(app) as client:
        response = await client.head("/")
    assert (response.content, response.headers["content-length"]) == (b"", "4")


async def test_cookies_are_kept_between_requests() -> None:
    app = FastAPI()

    @app.get("/set")
    async def set_cookie(response: Response) -> None:
        response.set_cookie("seen", "yes")

    @app.get("/get")
    async def get_cookie(request: Request) -> dict[str, str]:
        return request.cookies

    async with AsyncTestClient(app, cookies={"given": "1"}) as client:
        await client.get("/set")
        assert (await client.get("/get")).json() == {"given": "1", "seen": "yes"}
        assert client.cookies["seen"] == "yes"


async def test_redirects_are_followed_unless_told_otherwise() -> None:
    app = FastAPI()

    @app.get("/old")
    async def old() -> Response:
        return RedirectResponse("/new")

    @app.get("/new")
    async def new() -> str:
        return "here"

    async with AsyncTestClient(app) as client:
        assert (await client.get("/old")).json() == "here"
    async with AsyncTestClient(app, follow_redirects=False) as client:
        assert (await client.get("/old")).status_code == 307


async def test_the_application_runs_in_the_context_of_the_test() -> None:
    tenant: ContextVar[str] = ContextVar("tenant")
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> str:
        return tenant.get()

    async with AsyncTestClient(app) as client:
        tenant.set("blue")
        assert (await client.get("/")).json() == "blue"


async def test_requests_may_run_at_the_same_time() -> None:
    app = FastAPI()
    both = asyncio.Barrier(2)

    @app.get("/")
    async def endpoint() -> None:
        await both.wait()

    async with AsyncTestClient(app) as client:
        responses = await asyncio.gather(client.get("/"), client.get("/"))
    assert [response.status_code for response in responses] == [200, 200]


async def test_an_application_that_is_just_a_function_works() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        message = await receive()
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body", "body": message["body"][::-1]})

    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=b"abc")
    assert (response.status_code, response.content) == (201, b"cba")


async def test_background_tasks_have_run_when_a_request_returns() -> None:
    app = FastAPI()
    done = []

    async def later() -> None:
        await asyncio.sleep(0)
        done.append("later")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(later)

    async with AsyncTestClient(app) as client:
        await client.get("/")
        assert done == ["later"]


# -- lifespan ----------------------------------------------------------------------------------------------------------------------


async def test_the_lifespan_surrounds_the_requests_and_its_state_is_seen() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        seen.append("starts")
        yield {"word": "hi"}
        seen.append("stops")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def endpoint(request: Request) -> str:
        seen.append("request")
        request.state.word += "!"
        return str(request.state.word)

    async with AsyncTestClient(app) as client:
        assert seen == ["starts"]
        assert client.lifespan_state == {"word": "hi"}
        assert [(await client.get("/")).json() for _ in range(2)] == ["hi!", "hi!"]
    assert seen == ["starts", "request", "request", "stops"]


async def test_without_async_with_there_is_no_lifespan() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise AssertionError("not wanted")
        yield

    app = FastAPI(lifespan=lifespan)
    client = AsyncTestClient(app)
    assert (await client.get("/nothing")).status_code == 404
    await client.aclose()


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_what_the_lifespan_raises_is_raised_in_the_test(phase: str) -> None:
    class NoDatabase(Exception):
        pass

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if phase == "startup":
            raise NoDatabase
        yield
        raise NoDatabase

    entered = False
    with pytest.raises(NoDatabase):
        async with AsyncTestClient(FastAPI(lifespan=lifespan)):
            entered = True
    assert entered == (phase == "shutdown")


async def test_a_lifespan_that_fails_without_an_exception_is_an_error_too() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="startup failed: no database"):
        async with AsyncTestClient(app):
            pass


async def test_a_lifespan_that_raises_without_a_word_is_an_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("config")

    with pytest.raises(LookupError, match="config"):
        async with AsyncTestClient(app):
            pass


async def test_a_lifespan_that_does_not_end_is_named() -> None:
    stay = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await stay.wait()

    with pytest.raises(
        ApplicationStillRunning, match=r"0.01 s after the lifespan was over, waiting in lifespan\(\) at .*test_client"
    ):
        async with AsyncTestClient(FastAPI(lifespan=lifespan), deadline_s=0.01):
            pass


async def test_the_lifespan_ends_even_if_the_test_fails() -> None:
    seen = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        seen.append("stops")

    with pytest.raises(ZeroDivisionError):
        async with AsyncTestClient(FastAPI(lifespan=lifespan)):
            raise ZeroDivisionError
    assert seen == ["stops"]


# -- streams -----------------------------------------------------------------------------------------------------------------------


async def test_pieces_arrive_as_the_application_sends_them() -> None:
    app = FastAPI()
    go = asyncio.Event()

    @app.get("/")
    async def endpoint() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            await go.wait()  # set by the test when it has the first piece
            yield b"two"

        return StreamingResponse(parts())

    async with AsyncTestClient(app) as client, client.stream("GET", "/") as response:
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"one"
        go.set()
        assert [piece async for piece in pieces] == [b"two"]


async def test_the_response_begins_before_its_body() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": [(b"x-early", b"yes")]})
        await go.wait()
        await send({"type": "http.response.body", "body": b"late"})

    client = AsyncTestClient(app)
    async with client.stream("GET", "/") as response:
        assert (response.status_code, response.headers["x-early"]) == (202, "yes")
        go.set()
        assert await response.aread() == b"late"


async def test_the_application_waits_while_nobody_reads() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(1024), "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    client = AsyncTestClient(app)
    async with client.stream("GET", "/") as response:
        assert sent <= 64
        assert sum([len(piece) async for piece in response.aiter_bytes()]) == 1000 * 1024
    assert sent == 1000


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
async def test_leaving_a_stream_closes_the_generator_of_the_endpoint(engine: Any) -> None:
    app = FastAPI(engine=engine)
    events = []

    @app.get("/", response_class=EventSourceResponse)
    async def endpoint() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            events.append("closed")

    async with AsyncTestClient(app) as client:
        async with client.stream("GET", "/") as response:
            async for line in response.aiter_lines():
                if line == "data: 3":
                    break
        assert events == ["closed"]


async def test_leaving_a_stream_reaches_code_that_asks_for_the_next_message() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        seen.append((await receive())["type"])

    client = AsyncTestClient(app)
    async with client.stream("GET", "/") as response:
        assert await anext(response.aiter_bytes()) == b"first"
        assert seen == ["http.request"]
    assert seen == ["http.request", "http.disconnect"]


async def test_an_application_that_only_sends_learns_of_the_disconnect_from_send() -> None:
    errors = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError as error:
            errors.append(error)
            raise

    client = AsyncTestClient(app)
    async with client.stream("GET", "/") as response:
        await anext(response.aiter_raw())
    assert len(errors) == 1


async def test_a_cancelled_request_is_a_disconnect() -> None:
    called, seen = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        called.set()
        assert (await receive())["type"] == "http.disconnect"
        seen.set()

    client = AsyncTestClient(app)
    request = asyncio.create_task(client.get("/"))
    await within(called)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await within(seen)
    await client.aclose()


async def test_the_disconnect_message_follows_a_complete_response() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"all"})
        seen.append((await receive())["type"])

    assert (await AsyncTestClient(app).get("/")).content == b"all"
    assert seen == ["http.disconnect"]


# -- request bodies ----------------------------------------------------------------------------------------------------------------


async def test_a_streamed_request_body_arrives_piece_by_piece() -> None:
    app = FastAPI()
    received = asyncio.Event()
    pieces = []

    @app.post("/")
    async def endpoint(request: Request) -> int:
        async for piece in request.stream():
            pieces.append(piece)
            received.set()
        return len(pieces)

    async def content() -> AsyncIterator[bytes]:
        yield b"one"
        await within(received)
        yield b"two"

    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=content())
    assert response.status_code == 200
    assert pieces[:2] == [b"one", b"two"]


async def test_an_answer_may_come_before_the_request_body_is_read() -> None:
    app = FastAPI()
    never = asyncio.Event()
    closed = []

    @app.post("/")
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("no", status_code=413)

    async def content() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await never.wait()
        finally:
            closed.append(True)

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", content=content())).status_code == 413
    assert closed == [True]


async def test_what_the_source_of_a_body_raises_is_raised_in_the_test() -> None:
    app = FastAPI()

    @app.post("/")
    async def endpoint(request: Request) -> None:
        await request.body()

    async def content() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("file is gone")

    async with AsyncTestClient(app) as client:
        with pytest.raises(LookupError, match="file is gone"):
            await client.post("/", content=content())


async def test_forms_and_files_arrive() -> None:
    app = FastAPI()

    @app.post("/")
    async def endpoint(request: Request) -> list[str]:
        async with request.form() as form:
            file: Any = form["file"]
            return [str(form["name"]), file.filename, (await file.read()).decode()]

    async with AsyncTestClient(app) as client:
        response = await client.post("/", data={"name": "n"}, files={"file": ("a.txt", b"text")})
    assert response.json() == ["n", "a.txt", "text"]


# -- the library -------------------------------------------------------------------------------------------------------------------

WITHOUT_HTTPX = """
import sys
sys.modules["httpx"] = sys.modules["httpx2"] = None
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name in ("httpx", "httpx2") else find_spec(name, *args)
import tercel
for module in ("tercel.testing", "tercel.testclient"):
    try:
        __import__(module)
    except RuntimeError as error:
        print(str(error).splitlines()[0])
"""


def test_without_httpx_the_error_says_what_to_install() -> None:
    printed = subprocess.run([sys.executable, "-c", WITHOUT_HTTPX], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["The test clients need httpx, which is not installed."] * 2


def test_importing_the_clients_warns_of_nothing() -> None:
    code = "import tercel.testclient, tercel.testing as t; assert tercel.testclient.TestClient is t.TestClient"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_synchronous_client_is_starlettes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient as Original
    from tercel.testclient import TestClient

    assert TestClient is Original
