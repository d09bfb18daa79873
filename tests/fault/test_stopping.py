"""Streams and WebSockets that ask for the end of the server see it, and end by themselves; those that ignore it are cut off."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from tercel import WebSocket
from tercel.responses import EventSourceResponse, StreamingResponse
from tercel.server import ServerConfig, serving
from tercel.shutdown import ShutdownEvent
from tests.fault.test_leaving import MIDDLEWARE, kinds


def streaming_app(make_app, journal, kind="none"):
    @asynccontextmanager
    async def lifespan(app):
        yield
        journal("shutdown")

    app = make_app(lifespan=lifespan)
    MIDDLEWARE[kind](app)

    async def numbers(stopping: anyio.Event):
        try:
            number = 0
            while not stopping.is_set():
                yield f"{number}\n"
                number += 1
                with anyio.move_on_after(0.01):
                    await stopping.wait()
            yield "last\n"
        finally:
            journal("ended")

    @app.get("/returned")
    async def returned(stopping: ShutdownEvent):
        return StreamingResponse(numbers(stopping), media_type="application/octet-stream")

    @app.get("/lines")
    async def lines(stopping: ShutdownEvent):
        async for number in numbers(stopping):
            yield number

    @app.get("/events", response_class=EventSourceResponse)
    async def events(stopping: ShutdownEvent):
        async for number in numbers(stopping):
            yield number

    @app.get("/threaded", response_class=StreamingResponse)
    def threaded(stopping: ShutdownEvent):
        while not stopping.is_set():
            yield "x" * 10_000
        yield "last\n"
        journal("ended")

    @app.get("/ignores", response_class=StreamingResponse)
    async def ignores():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            journal("ended")

    @app.get("/short")
    async def short(stopping: ShutdownEvent):
        return stopping.is_set()

    @app.get("/events/without", response_class=EventSourceResponse)
    async def without():
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            journal("ended")

    @app.websocket("/ws")
    async def socket(websocket: WebSocket, stopping: ShutdownEvent):
        await websocket.accept()
        await websocket.send_text("ready")
        await stopping.wait()
        await websocket.send_text("last")
        await websocket.close(4001)
        journal("ended")

    return app


def config(**settings):
    return ServerConfig(port=0, access_log=False, **settings)


async def read_while_it_stops(app, path, *, before=(), **settings):
    """The body of a stream whose server is stopped after the first piece; None for one that is cut off."""
    async with (
        asyncio.timeout(20),
        serving(app, config(**settings)) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        for one in before:
            assert (await client.get(one)).status_code == 200
        async with client.stream("GET", path) as answer:
            pieces = answer.aiter_text()
            body = await anext(pieces)
            stopping = asyncio.ensure_future(server.stop())
            try:
                async for piece in pieces:
                    body += piece
            except httpx.RemoteProtocolError:
                body = None
            await stopping
            return body


@kinds
@pytest.mark.parametrize("path", ["/returned", "/lines", "/events", "/threaded"])
def test_a_stream_sees_the_end_and_ends_with_what_it_wants_to_say(make_app, journal, run, kind, path):
    body = run(read_while_it_stops(streaming_app(make_app, journal, kind), path, graceful_timeout_s=1000))
    assert "last" in body.rstrip().splitlines()[-1]
    assert journal.entries == ["ended", "shutdown"]


def test_a_stream_that_ignores_it_is_cut_off_at_the_deadline_and_then_the_lifespan_ends(make_app, journal, run):
    assert run(read_while_it_stops(streaming_app(make_app, journal), "/ignores", graceful_timeout_s=0.1)) is None
    assert journal.entries == ["ended", "shutdown"]


def test_a_request_that_asked_before_does_not_keep_a_later_event_stream_of_its_connection(make_app, journal, run):
    app = streaming_app(make_app, journal)
    body = run(read_while_it_stops(app, "/events/without", before=["/short", "/short"], graceful_timeout_s=1000))
    assert "begun" in body
    assert journal.entries == ["ended", "shutdown"]


@kinds
def test_a_websocket_sees_the_end_and_closes_as_it_likes(make_app, journal, run, kind):
    async def talk():
        app = streaming_app(make_app, journal, kind)
        async with (
            asyncio.timeout(20),
            serving(app, config(graceful_timeout_s=1000)) as server,
            connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket,
        ):
            assert await socket.recv() == "ready"
            stopping = asyncio.ensure_future(server.stop())
            assert await socket.recv() == "last"
            await socket.wait_closed()
            await stopping
            return socket.close_code

    assert run(talk()) == 4001
    assert journal.entries == ["ended", "shutdown"]


def test_under_another_server_the_event_is_never_set(make_app, journal, driver, run):
    assert run(driver.request(streaming_app(make_app, journal), "/short")) is None
    assert driver.body == b"false"
