"""Endpoints that yield: what is sent when, first errors, silence, disconnects, on Tercel's own server and over ASGI."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tercel.analyse.results import Renderer
from tercel.compile import streams
from tercel.compile.streams import PlannedStream, send_streaming_response, stream_response
from tercel.compile.support import injected_response
from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange
from tests.unit.compile.exchanges import NativeExchange, Recorded, asgi_exchange

pytestmark = pytest.mark.anyio

WAIT_S = 5.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Boom(Exception):
    pass


class Sent:
    """An exchange of either kind with what was sent over it."""

    def __init__(self, native: bool, **scope: Any) -> None:
        self.server: Recorded | None = None
        self.ex: Exchange
        if native:
            self.ex = NativeExchange(**scope)
        else:
            self.ex, self.server = asgi_exchange(**scope)

    @property
    def writes(self) -> list[bytes]:
        if self.server is not None:
            return self.server.parts
        assert isinstance(self.ex, NativeExchange)
        return [call[1] for call in self.ex.calls if call[0] == "write"]

    @property
    def complete(self) -> bool:
        if self.server is not None:
            return self.server.complete
        assert isinstance(self.ex, NativeExchange)
        return self.ex.calls[-1:] == [("finish",)]

    def leave(self) -> None:
        if self.server is not None:
            self.server.left.set()
        else:
            assert isinstance(self.ex, NativeExchange)
            self.ex.leave()


@pytest.fixture(params=[True, False], ids=["native", "asgi"])
def sent(request: pytest.FixtureRequest) -> Sent:
    return Sent(request.param)


def stream(generator: Any, events: bool = False, **options: Any) -> PlannedStream:
    return PlannedStream(
        generator, str.encode, events=events, media_type="text/event-stream" if events else "text/plain", **options
    )


async def letters(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


# -- items -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [True, False])
async def test_items_are_encoded_and_sent_one_by_one(sent: Sent, events: bool) -> None:
    await stream(letters("a", "b"), events).send_to(sent.ex)
    assert (sent.writes, sent.complete) == ([b"a", b"b"], True)


async def test_an_empty_generator_is_an_empty_response(sent: Sent) -> None:
    for events in (True, False):
        fresh = Sent(sent.server is None)
        await stream(letters(), events).send_to(fresh.ex)
        assert (fresh.writes, fresh.complete) == ([], True)


async def test_a_synchronous_generator_is_iterated_in_a_thread_and_closed(sent: Sent) -> None:
    threads = []

    def generator() -> Iterator[str]:
        try:
            threads.append(threading.get_ident())
            yield "a"
            yield "b"
        finally:
            threads.append(threading.get_ident())

    await stream(generator()).send_to(sent.ex)
    assert sent.writes == [b"a", b"b"]
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("events", [True, False])
async def test_an_error_before_the_first_item_leaves_the_response_unbegun(sent: Sent, events: bool) -> None:
    async def generator() -> AsyncIterator[str]:
        raise Boom
        yield ""

    with pytest.raises(Boom):
        await stream(generator(), events).send_to(sent.ex)
    assert not sent.ex.started


@pytest.mark.parametrize("events", [True, False])
async def test_items_before_an_error_are_delivered_and_the_response_is_not_ended(sent: Sent, events: bool) -> None:
    async def generator() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        raise Boom

    with pytest.raises(Boom):
        await stream(generator(), events).send_to(sent.ex)
    assert (sent.writes, sent.complete) == ([b"a", b"b"], False)


async def test_an_item_that_cannot_be_encoded_closes_the_generator(sent: Sent) -> None:
    closed = []

    async def generator() -> AsyncIterator[Any]:
        try:
            yield "a"
            yield 3
        finally:
            closed.append(True)

    with pytest.raises(TypeError):
        await stream(generator()).send_to(sent.ex)
    assert (sent.writes, closed) == ([b"a"], [True])


async def test_a_generator_that_never_suspends_lets_others_run(sent: Sent) -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await stream(letters(*["x"] * 200)).send_to(sent.ex)
    task.cancel()
    assert others >= 5


# -- events ------------------------------------------------------------------------------------------------------------------------


async def test_event_streams_are_not_to_be_cached_or_buffered() -> None:
    response = stream(letters(), events=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert "cache-control" not in stream(letters()).headers


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


async def test_a_silent_event_stream_begins_and_sends_comments(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.settings, "ping_interval_s", lambda: 0.01)
    go = asyncio.Event()

    async def generator() -> AsyncIterator[str]:
        await go.wait()
        yield "event"

    task = asyncio.create_task(stream(generator(), events=True).send_to(sent.ex))
    await until(lambda: len(sent.writes) >= 2)
    assert set(sent.writes) == {b": ping\n\n"}
    go.set()
    await asyncio.wait_for(task, WAIT_S)
    assert (sent.writes[-1], sent.complete) == (b"event", True)


async def test_the_head_of_a_silent_event_stream_waits_a_little_for_an_error(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.settings, "first_event_grace_s", 0.0)
    go = asyncio.Event()

    async def generator() -> AsyncIterator[str]:
        await go.wait()
        raise Boom
        yield ""

    task = asyncio.create_task(stream(generator(), events=True).send_to(sent.ex))
    await until(lambda: sent.ex.started)
    go.set()
    with pytest.raises(Boom):
        await asyncio.wait_for(task, WAIT_S)
    assert (sent.writes, sent.complete) == ([], False)


# -- disconnects -------------------------------------------------------------------------------------------------------------------


async def disconnected(task: asyncio.Task[None]) -> bool:
    """Whether a task ended in a disconnect that its server is to know of."""
    try:
        await asyncio.wait_for(task, WAIT_S)
    except ClientDisconnect:
        return True
    return False


@pytest.mark.parametrize("events", [True, False])
async def test_the_client_going_away_ends_the_generator(sent: Sent, events: bool) -> None:
    closed = asyncio.Event()

    async def generator() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.create_task(stream(generator(), events).send_to(sent.ex))
    await until(lambda: sent.writes == [b"a"])
    sent.leave()
    assert await disconnected(task) == (sent.server is None)
    assert closed.is_set()
    assert not sent.complete


async def test_the_client_going_away_ends_a_synchronous_generator(sent: Sent) -> None:
    closed = threading.Event()

    def generator() -> Iterator[str]:
        try:
            while True:
                yield "a"
        finally:
            closed.set()

    task = asyncio.create_task(stream(generator()).send_to(sent.ex))
    await until(lambda: len(sent.writes) > 2)
    sent.leave()
    assert await disconnected(task) == (sent.server is None)
    assert closed.is_set()


async def test_on_newer_servers_a_failed_send_is_the_disconnect() -> None:
    """ASGI 2.4: nothing listens, so that the application may read the body while it streams."""
    ex, server = asgi_exchange(asgi={"version": "3.0", "spec_version": "2.4"})

    async def receive() -> Any:
        raise AssertionError("nobody listens")

    async def send(message: Any) -> None:
        if message.get("more_body"):
            raise OSError("gone")
        await server.send(message)

    closed = []

    async def generator() -> AsyncIterator[str]:
        try:
            yield "a"
        finally:
            closed.append(True)

    with pytest.raises(ClientDisconnect):
        await stream(generator()).send_to(ASGIExchange(ex.scope, receive, send))
    assert closed == [True]


async def test_cancelling_the_task_is_no_disconnect(sent: Sent) -> None:
    task = asyncio.create_task(stream(forever()).send_to(sent.ex))
    await until(lambda: sent.writes == [b"a"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def forever() -> AsyncIterator[str]:
    yield "a"
    await asyncio.Event().wait()


# -- responses ---------------------------------------------------------------------------------------------------------------------


async def test_background_tasks_run_after_the_last_item(sent: Sent) -> None:
    order: list[bool] = []

    async def task() -> None:
        order.append(sent.complete)

    await stream(letters("a"), background=BackgroundTask(task)).send_to(sent.ex)
    assert order == [True]


async def test_a_planned_stream_is_an_asgi_application_and_can_be_iterated() -> None:
    ex, server = asgi_exchange()
    await stream(letters("a", "b"))(ex.scope, server.receive, server.send)
    assert (server.parts, server.complete) == ([b"a", b"b"], True)
    iterated: Any = stream(letters("a", "b")).body_iterator
    assert [part async for part in iterated] == [b"a", b"b"]


async def test_other_streaming_responses_are_sent_without_messages_on_the_own_server() -> None:
    ex = NativeExchange()
    ran: list[int] = []
    response = StreamingResponse(letters("é", "b"), 201, background=BackgroundTask(lambda: ran.append(1)))
    assert await send_streaming_response(ex, response)
    (_, head), *rest = ex.calls
    assert head.status == 201
    assert rest == [("write", "é".encode()), ("write", b"b"), ("finish",)]
    assert ran == [1]


async def test_the_iterator_of_a_streaming_response_is_closed_after_an_error() -> None:
    closed = []

    async def generator() -> AsyncIterator[Any]:
        try:
            yield 3
        finally:
            closed.append(True)

    with pytest.raises(AttributeError):
        await send_streaming_response(NativeExchange(), StreamingResponse(generator()))
    assert closed == [True]


class OwnCall(StreamingResponse):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class OwnStream(StreamingResponse):
    async def stream_response(self, send: Any) -> None: ...


class OwnPlanned(PlannedStream):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    "response",
    [
        Response(),
        OwnCall(letters()),
        OwnStream(letters()),
        OwnPlanned(letters(), str.encode, events=False, media_type="text/plain"),
    ],
    ids=lambda response: type(response).__name__,
)
async def test_classes_that_send_in_ways_of_their_own_are_left_to_them(response: Any) -> None:
    ex = NativeExchange()
    assert not await send_streaming_response(ex, response)
    assert ex.calls == []


def renderer(kind: Any, response_class: Any = PlainTextResponse, status_code: int | None = None) -> Renderer:
    return Renderer(response_class=response_class, status_code=status_code, field=None, dump={}, stream=kind)


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("sse", "text/event-stream; charset=utf-8", b'data: {"a": 1}\n\n'),
        ("jsonl", "application/jsonl", b'{"a": 1}\n'),
    ],
)
async def test_each_kind_of_stream_has_its_type_and_its_encoding(sent: Sent, kind: Any, content_type: str, body: bytes) -> None:
    async def generator() -> AsyncIterator[Any]:
        yield {"a": 1}

    injected = injected_response()
    injected.headers["x-a"] = "1"
    injected.status_code = 202
    response = stream_response(renderer(kind, status_code=201), generator(), injected, None)
    assert isinstance(response, PlannedStream)
    assert (response.status_code, response.headers["content-type"], response.headers["x-a"]) == (202, content_type, "1")
    await response.send_to(sent.ex)
    assert sent.writes == [body]


async def test_a_raw_stream_is_of_the_class_that_was_declared() -> None:
    class Csv(StreamingResponse):
        media_type = "text/csv"

    response = stream_response(renderer("raw", Csv), letters("a,b\n"), None, None)
    assert isinstance(response, Csv)
    ex, server = asgi_exchange()
    await response(ex.scope, server.receive, server.send)
    assert (server.body, server.headers["content-type"]) == (b"a,b\n", "text/csv; charset=utf-8")
