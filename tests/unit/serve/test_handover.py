"""How responses come up to functions: what waits below, what is let go when and why, and messages of ASGI applications."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tercel.compile.support import respond_with
from tercel.http.exchange import Exchange, Head
from tercel.serve.captured import NextResponse
from tests.unit.compile.exchanges import NativeExchange, asgi_exchange
from tests.unit.serve.functions import HEAD, Handler, around, pass_on

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


CURRENT: ContextVar[str] = ContextVar("current", default="unset")


# -- what waits --------------------------------------------------------------------------------------------------------------------


async def test_work_goes_on_when_the_response_was_sent() -> None:
    order: list[str] = []

    async def handler(ex: Exchange) -> None:
        await ex.respond(HEAD, b"")
        order.append("goes on")

    async def function(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        order.append("has it")
        return response

    class Noting(NativeExchange):
        __slots__ = ()

        async def respond(self, head: Head, body: bytes) -> None:
            order.append("sent")

    await around(handler, function).answer(Noting())
    assert order == ["has it", "sent", "goes on"]


async def test_pieces_are_taken_one_at_a_time() -> None:
    order: list[str] = []

    async def handler(ex: Exchange) -> None:
        await ex.start(HEAD)
        for piece in (b"1", b"2"):
            await ex.write(piece)
            order.append(f"wrote {piece.decode()}")
        await ex.finish()
        order.append("finished")

    async def function(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        pieces = response.body_iterator
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("begins")
        assert await anext(pieces) == b"1"
        response.body_iterator = pieces
        return response

    ex = NativeExchange()
    await around(handler, function).answer(ex)
    assert order == ["begins", "wrote 1", "wrote 2", "finished"]
    assert [call[0] for call in ex.calls] == ["start", "write", "finish"]


async def test_a_cancelled_request_ends_the_work_before_it_ends_itself() -> None:
    order: list[str] = []
    begun = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            order.append("work ended")

    async def answer() -> None:
        try:
            await around(handler, pass_on).answer(NativeExchange())
        finally:
            order.append("request ended")

    task = asyncio.create_task(answer())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["work ended", "request ended"]


async def test_a_second_cancellation_does_not_leave_work_behind() -> None:
    order: list[str] = []
    begun, ending, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(ex: Exchange) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                ending.set()
                await go_on.wait()
            order.append("work ended")

    task = asyncio.create_task(around(handler, pass_on).answer(NativeExchange()))
    await begun.wait()
    task.cancel()
    await ending.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["work ended"]


async def test_a_request_that_is_cancelled_while_the_work_goes_on_cancels_it() -> None:
    order: list[str] = []
    going_on = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await ex.respond(HEAD, b"")
        going_on.set()
        try:
            await asyncio.Event().wait()
        finally:
            order.append("work ended")

    task = asyncio.create_task(around(handler, pass_on).answer(NativeExchange()))
    await going_on.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["work ended"]


async def test_work_hears_that_the_client_is_gone() -> None:
    heard: list[BaseException] = []

    class Gone(NativeExchange):
        __slots__ = ()

        async def respond(self, head: Head, body: bytes) -> None:
            self.gone = self.started = True
            raise ConnectionResetError("gone")

    async def handler(ex: Exchange) -> None:
        try:
            await ex.respond(HEAD, b"")
        except BaseException as error:
            heard.append(error)
            raise

    with pytest.raises(ConnectionResetError) as caught:
        await around(handler, pass_on).answer(Gone())
    assert heard == [caught.value]


async def test_a_stream_that_nobody_takes_is_ended_and_one_of_known_length_goes_to_its_end() -> None:
    order: list[str] = []

    def handler(*headers: tuple[bytes, bytes]) -> Handler:
        async def stream(ex: Exchange) -> None:
            await ex.start(Head(200, [*headers]))
            try:
                await ex.write(b"1")
                await ex.write(b"2")
                await ex.finish()
                order.append("finished")
            finally:
                order.append("ended")

        return stream

    async def dropping(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return PlainTextResponse("instead")

    for headers in ([], [(b"content-length", b"2")]):
        order.clear()
        ex = NativeExchange()
        await around(handler(*headers), dropping).answer(ex)
        assert [call[0] for call in ex.calls] == ["respond"]
        assert order == (["finished", "ended"] if headers else ["ended"])


async def test_an_answer_that_comes_when_another_was_sent_is_let_go_at_once() -> None:
    order: list[str] = []
    late: list[asyncio.Task[Any]] = []
    go_on = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await go_on.wait()
        await ex.respond(HEAD, b"")
        order.append("goes on")

    async def impatient(request: Any, call_next: Any) -> Any:
        late.append(asyncio.create_task(call_next(request)))
        return PlainTextResponse("instead")

    await around(handler, impatient).answer(NativeExchange())
    go_on.set()
    assert isinstance(await late[0], NextResponse)
    assert order == ["goes on"]


async def test_failures_below_are_raised_once() -> None:
    async def failing(ex: Exchange) -> None:
        raise ValueError("below")

    async def failing_later(ex: Exchange) -> None:
        await ex.respond(HEAD, b"")
        raise ValueError("later")

    async def catching(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except ValueError as error:
            return PlainTextResponse(f"caught {error}")

    ex = NativeExchange()
    await around(failing, catching).answer(ex)
    assert ex.calls[0][2] == b"caught below"
    ex = NativeExchange()
    with pytest.raises(ValueError, match="later"):
        await around(failing_later, catching).answer(ex)
    assert [call[0] for call in ex.calls] == ["respond"]


async def test_what_is_no_exception_is_raised_as_well() -> None:
    class Fatal(BaseException):
        pass

    async def fatal(ex: Exchange) -> None:
        raise Fatal

    with pytest.raises(Fatal):
        await around(fatal, pass_on).answer(NativeExchange())


async def test_work_that_cancels_what_is_around_it_ends_at_its_next_pause() -> None:
    order: list[str] = []

    async def handler(ex: Exchange) -> None:
        scope.cancel()
        order.append("goes on")
        await anyio.lowlevel.checkpoint()
        order.append("too far")

    with anyio.CancelScope() as scope:
        await around(handler, pass_on).answer(NativeExchange())
    assert (order, scope.cancelled_caught) == (["goes on"], True)


async def test_all_that_waits_goes_on_even_if_some_of_it_fails() -> None:
    order: list[str] = []

    async def handler(ex: Exchange) -> None:
        await ex.respond(HEAD, b"")
        order.append("goes on")

    async def failing_task() -> None:
        order.append("task")
        raise ValueError("task")

    async def function(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return PlainTextResponse("instead", background=failing_task)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="task"):
        await around(handler, pass_on, function).answer(NativeExchange())
    assert order == ["task", "goes on"]


async def test_a_handled_exception_after_the_response_says_so() -> None:
    async def refusing() -> None:
        raise HTTPException(403)

    async def handler(ex: Exchange) -> None:
        await respond_with(ex, Response(background=refusing))  # type: ignore[arg-type]

    for at_once in (True, False):
        with pytest.raises(RuntimeError, match="Caught handled exception, but response already started"):
            await around(handler, pass_on, at_once=at_once).answer(NativeExchange())


async def test_no_response_is_an_error() -> None:
    async def nothing(ex: Exchange) -> None:
        return None

    for at_once in (True, False):
        with pytest.raises(RuntimeError, match="No response returned"):
            await around(nothing, pass_on, at_once=at_once).answer(NativeExchange())


async def test_context_variables_set_below_are_taken_back_when_the_work_has_ended() -> None:
    seen: list[str] = []

    async def handler(ex: Exchange) -> None:
        token = CURRENT.set("below")
        await ex.respond(HEAD, b"")
        CURRENT.reset(token)

    async def function(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(CURRENT.get())
        return response

    await around(handler, function).answer(NativeExchange())
    assert (seen, CURRENT.get()) == (["below"], "unset")


# -- over ASGI ---------------------------------------------------------------------------------------------------------------------


async def asgi_app(ex: Exchange, *messages: dict[str, Any]) -> None:
    for message in messages:
        await ex.send(message)


async def test_a_whole_response_in_messages_stays_whole() -> None:
    started = {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]}

    async def handler(ex: Exchange) -> None:
        await asgi_app(ex, started, {"type": "http.response.body", "body": b"all"})

    ex, server = asgi_exchange()
    await around(handler, pass_on).answer(ex)
    assert (server.status, server.headers, server.body) == (201, {"content-length": "3", "x-a": "1"}, b"all")


async def test_messages_out_of_order_are_errors() -> None:
    started = {"type": "http.response.start", "status": 200}

    async def body_first(ex: Exchange) -> None:
        await asgi_app(ex, {"type": "http.response.body"})

    async def started_twice(ex: Exchange) -> None:
        await asgi_app(ex, started, started)

    for handler in (body_first, started_twice):
        ex, _ = asgi_exchange()
        with pytest.raises(RuntimeError, match="was sent"):
            await around(handler, pass_on).answer(ex)


async def test_messages_of_extensions_reach_the_server() -> None:
    async def hinting(ex: Exchange) -> None:
        await asgi_app(
            ex,
            {"type": "http.response.early_hint", "links": [b"a"]},
            {"type": "http.response.debug", "info": {"template": "t"}},
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]},
            {"type": "http.response.pathsend", "path": "/file"},
        )

    ex, server = asgi_exchange()
    await around(hinting, pass_on).answer(ex)
    assert [message["type"].removeprefix("http.response.") for message in server.sent] == [
        "early_hint",
        "debug",
        "start",
        "pathsend",
    ]


async def test_an_application_below_hears_of_the_end_of_the_response() -> None:
    heard: list[str] = []

    async def handler(ex: Exchange) -> None:
        heard.append((await ex.receive())["type"])
        await ex.respond(HEAD, b"")
        heard.append((await ex.receive())["type"])
        heard.append((await ex.receive())["type"])

    ex, _ = asgi_exchange(b"body")
    await around(handler, pass_on).answer(ex)
    assert heard == ["http.request", "http.disconnect", "http.disconnect"]


async def test_a_body_is_handed_down_in_messages_as_it_comes() -> None:
    received: list[Any] = []

    async def handler(ex: Exchange) -> None:
        message = await ex.receive()
        received.append((message["body"], message["more_body"]))
        while message["more_body"]:
            message = await ex.receive()
            received.append((message["body"], message["more_body"]))
        await ex.respond(HEAD, b"")

    async def reading(request: Any, call_next: Any) -> Any:
        await request.body()
        return await call_next(request)

    ex, _ = asgi_exchange(b"1", b"2")
    await around(handler, pass_on, pass_on).answer(ex)
    assert b"".join(body for body, _ in received) == b"12"
    received.clear()
    ex, _ = asgi_exchange(b"1", b"2")
    await around(handler, pass_on, reading).answer(ex)
    assert received == [(b"12", False)]


async def test_a_client_that_leaves_ends_a_stream_that_listens_for_it() -> None:
    ended = asyncio.Event()

    async def endless() -> Any:
        try:
            yield b"1"
            server.left.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler(ex: Exchange) -> None:
        await respond_with(ex, StreamingResponse(endless()))

    ex, server = asgi_exchange()  # of a version in which the application has to listen
    await around(handler, pass_on, at_once=True).answer(ex)
    await ended.wait()
    assert server.parts == [b"1"]
