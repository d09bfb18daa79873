"""Clients that close their side of the connection behind the request and wait for the rest (RFC 9112 §9.6)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tercel import FastAPI, Request
from tercel.responses import EventSourceResponse, FileResponse, StreamingResponse
from tercel.server import ServerConfig, serving
from tercel.staticfiles import StaticFiles
from tests.fault.test_leaving import MIDDLEWARE, kinds

PATIENCE_S = 20.0


@asynccontextmanager
async def half_closed(app, raw, **settings):
    """Sends a request, closes this side, and gives what there is to read."""
    async with serving(app, ServerConfig(port=0, access_log=False, **settings)) as server, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        writer.write_eof()
        try:
            yield reader
        finally:
            writer.close()


GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"


def answering_app(make_app, kind="none", folder="."):
    app = make_app()
    MIDDLEWARE[kind](app)

    @app.get("/plain")
    async def plain():
        await asyncio.sleep(0)
        return "answer"

    @app.get("/asks")
    async def asks(request: Request):
        while not await request.is_disconnected():
            await asyncio.sleep(0.001)
        return "knows"

    async def pieces():
        for number in range(5):
            await asyncio.sleep(0.02)
            yield f"piece {number}\n"

    @app.get("/returned")
    async def returned():
        return StreamingResponse(pieces())

    @app.get("/yielded", response_class=StreamingResponse)
    async def yielded():
        async for piece in pieces():
            yield piece

    @app.get("/lines")
    async def lines():
        async for piece in pieces():
            yield piece

    @app.get("/events", response_class=EventSourceResponse)
    async def events():
        async for piece in pieces():
            yield piece

    @app.get("/large.txt")
    async def file():
        return FileResponse(f"{folder}/large.txt")

    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/threaded", response_class=StreamingResponse)
    def threaded():
        for number in range(5):
            yield f"piece {number}\n"

    return app


@pytest.mark.parametrize("path", ["/returned", "/yielded", "/lines", "/events", "/threaded"])
@kinds
def test_a_stream_arrives_whole(make_app, run, kind, path):
    async def ask():
        async with half_closed(answering_app(make_app, kind), GET % path.encode()) as reader:
            return await reader.read()

    raw = run(ask())
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n"), raw
    assert [raw.count(b"piece %d" % number) for number in range(5)] == [1] * 5
    assert raw.endswith(b"0\r\n\r\n"), "the stream was cut off"


@pytest.mark.parametrize("path", ["/large.txt", "/static/large.txt", "/static/small.txt"])
@kinds
def test_a_file_arrives_whole(make_app, run, kind, path, tmp_path):
    (tmp_path / "large.txt").write_bytes(b"x" * 3_000_000)
    (tmp_path / "small.txt").write_bytes(b"x")

    async def ask():
        async with half_closed(answering_app(make_app, kind, tmp_path), GET % path.encode()) as reader:
            return await reader.read()

    head, _, body = run(ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == (tmp_path / path.rpartition("/")[2]).read_bytes()


def test_pipelined_answers_arrive(make_app, run):
    async def ask():
        async with half_closed(answering_app(make_app), GET % b"/yielded" + GET % b"/plain" + GET % b"/plain") as reader:
            return await reader.read()

    raw = run(ask())
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert raw.count(b'"answer"') == 2


@kinds
def test_an_endpoint_hears_of_it_when_it_asks_and_is_answered_for(make_app, run, kind):
    async def ask():
        async with half_closed(answering_app(make_app, kind), GET % b"/asks") as reader:
            return await reader.read()

    assert run(ask()).endswith(b'"knows"')


def test_a_long_stream_arrives_whole_at_a_client_that_reads_slowly(make_app, run):
    app = make_app()

    @app.get("/", response_class=StreamingResponse)
    async def endpoint():
        for _ in range(64):
            yield b"x" * 65536

    async def ask():
        size = 0
        async with half_closed(app, GET % b"/", half_closed_timeout_s=0.02) as reader:
            while piece := await reader.read(65536):
                size += piece.count(b"x")
                await asyncio.sleep(0.002)
        return size

    assert run(ask()) == 64 * 65536


@pytest.mark.parametrize("media_type", ["text/plain", "text/event-stream"])
def test_a_stream_that_sends_nothing_ends_in_the_end(make_app, run, media_type):
    app = make_app()
    ended = asyncio.Event()

    @app.get("/")
    async def endpoint():
        async def waiting():
            try:
                yield "begun"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return StreamingResponse(waiting(), media_type=media_type)

    async def ask():
        async with half_closed(app, GET % b"/", half_closed_timeout_s=0.05) as reader:
            await ended.wait()
            return await reader.read()

    assert b"begun" in run(ask())


def test_a_route_that_is_cancelled_at_its_clients_leaving_is_at_this(run):
    app = FastAPI()
    cancelled = asyncio.Event()

    @app.get("/", cancel_on_disconnect=True)
    async def endpoint():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def ask():
        async with half_closed(app, GET % b"/", half_closed_timeout_s=1000):
            await cancelled.wait()

    run(ask())
