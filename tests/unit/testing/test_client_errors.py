"""The asynchronous test client where things go wrong: what the application raises, what it forgets, and what hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.middleware.base import BaseHTTPMiddleware

from tercel import BackgroundTasks, FastAPI, Header, HTTPException, Request, Response
from tercel.responses import StreamingResponse
from tercel.testing import ApplicationStillRunning, AsyncTestClient

pytestmark = pytest.mark.anyio


class Broken(Exception):
    pass


def broken_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        raise Broken

    @app.get("/stream")
    async def stream() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise Broken

        return StreamingResponse(parts())

    return app


async def test_what_the_application_raises_is_raised_in_the_test() -> None:
    async with AsyncTestClient(broken_app()) as client:
        with pytest.raises(Broken):
            await client.get("/")
        with pytest.raises(Broken):
            await client.get("/stream")
        assert (await client.get("/nothing")).status_code == 404


async def test_the_answer_can_be_wanted_instead() -> None:
    async with AsyncTestClient(broken_app(), raise_app_exceptions=False) as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        with pytest.raises(httpx.RemoteProtocolError, match="in the middle of the body"):
            await client.get("/stream")


async def test_pieces_before_an_error_are_delivered() -> None:
    async with AsyncTestClient(broken_app()) as client:
        pieces = []

        async def read() -> None:
            async with client.stream("GET", "/stream") as response:
                async for piece in response.aiter_bytes():
                    pieces.append(piece)

        with pytest.raises(Broken):
            await read()
        assert pieces == [b"one"]


async def test_an_error_that_was_answered_is_raised_when_the_stream_is_left() -> None:
    async with AsyncTestClient(broken_app()) as client:
        with pytest.raises(Broken):
            async with client.stream("GET", "/") as response:
                assert response.status_code == 500


@pytest.mark.parametrize("raises", [True, False])
async def test_an_application_without_an_answer_is_an_error(raises: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    client = AsyncTestClient(app, raise_app_exceptions=raises)
    if raises:
        with pytest.raises(RuntimeError, match="returned without a response to GET /x"):
            await client.get("/x")
    else:
        assert (await client.get("/x")).status_code == 500


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([{"type": "http.response.body"}], "before the response"),
        ([{"type": "http.response.start", "status": 200}] * 2, "twice"),
        ([{"type": "http.response.start", "status": 200}, *[{"type": "http.response.body"}] * 2], "after the end"),
        ([{"type": "websocket.accept"}], "does not fit"),
    ],
)
async def test_messages_that_break_the_protocol_are_errors(messages: list[dict[str, Any]], error: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match=error):
        await AsyncTestClient(app).get("/")


async def test_errors_behind_middleware_are_the_same() -> None:
    app = broken_app()

    async def dispatch(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    async with AsyncTestClient(app) as client:
        with pytest.raises(Broken):
            await client.get("/")


async def test_http_exceptions_are_answers() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint(x_token: str = Header()) -> None:
        raise HTTPException(403, "no")

    async with AsyncTestClient(app, headers={"x-token": "t"}) as client:
        response = await client.get("/")
    assert (response.status_code, response.json()) == (403, {"detail": "no"})


# -- what hangs --------------------------------------------------------------------------------------------------------------------


async def test_an_application_that_does_not_answer_is_a_timeout_and_named_in_the_end() -> None:
    app = FastAPI()
    stay = asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        await stay.wait()

    client = AsyncTestClient(app, deadline_s=0.01)
    with pytest.raises(httpx.ReadTimeout, match=r"did not begin its response to GET /slow within 0.01 s"):
        await client.get("/slow", timeout=0.01)
    with pytest.raises(ApplicationStillRunning, match=r"GET /slow was over, waiting in slow\(\) at .*test_client.*py:\d+"):
        await client.aclose()


async def test_a_background_task_that_does_not_end_is_named() -> None:
    app = FastAPI()
    stay = asyncio.Event()

    async def hangs() -> None:
        await stay.wait()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(hangs)

    async with AsyncTestClient(app, deadline_s=0.01) as client:
        with pytest.raises(ApplicationStillRunning, match=r"waiting in hangs\(\)"):
            await client.get("/")


async def test_an_application_that_refuses_to_be_cancelled_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tercel.testing.running._CANCEL_S", 0.01)
    release = asyncio.Event()
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    with pytest.raises(ApplicationStillRunning, match="cancelled and runs even so"):
        await AsyncTestClient(app, deadline_s=0.01).get("/")
    release.set()
    await asyncio.gather(*tasks)
