"""Functions around routes: which middleware they are, what runs in which task, what is let go when and why."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import compile_path

from tercel.compile.match import Entry, RouteTable
from tercel.compile.support import respond_with
from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange, Head
from tercel.http.handlers import http_exception_handler
from tercel.serve.captured import NextResponse
from tercel.serve.dispatch import Assembly, Served
from tercel.serve.failures import Handlers
from tercel.serve.middleware import AroundRoutes, functions_in
from tests.unit.compile.exchanges import NativeExchange, asgi_exchange

pytestmark = pytest.mark.anyio

HEAD = Head(200, [(b"content-type", b"text/plain")])
CURRENT: ContextVar[str] = ContextVar("current", default="unset")
Handler = Callable[[Any], Any]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def unused_stack(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the stack is for other event loops")


def around(handler: Handler, *functions: Any, at_once: bool = False, stack: Any = unused_stack) -> AroundRoutes:
    """Functions around one route for every path.

    Args:
        handler: of the route.
        functions: outermost first; one that only passes on by default.
        at_once: the handler does nothing after its response.
        stack: for other event loops.
    """
    regex, _, convertors = compile_path("/{rest:path}")
    served = Served(handler, ["GET"], said={"endpoint": handler})
    served.ends_with_response = at_once
    table = RouteTable([Entry("/{rest:path}", regex, convertors, frozenset({"GET"}), "http", served)])

    async def missed(ex: Exchange) -> None:
        raise HTTPException(404)

    assembly = Assembly(table, missed, Handlers({HTTPException: http_exception_handler}, False), {})
    return AroundRoutes(assembly, functions or [pass_on], "the application", stack)


async def say_hello(ex: Exchange) -> None:
    await ex.respond(HEAD, b"hello")


# -- which middleware --------------------------------------------------------------------------------------------------------------


def built(*declared: Middleware) -> tuple[Any, list[Middleware]]:
    """The stack of the user's middleware as an application builds it, and what it was built from."""
    app: Any = ExceptionMiddleware(unused_stack)
    for middleware in reversed(declared):
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app, list(declared)


async def test_functions_are_found_outermost_first() -> None:
    class Own(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    stack, declared = built(Middleware(BaseHTTPMiddleware, dispatch=pass_on), Middleware(Own))
    assert functions_in(stack, declared) == [pass_on, stack.app.dispatch]


async def test_other_middleware_is_no_function() -> None:
    class Quiet:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    class Overriding(BaseHTTPMiddleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)

    for other in (Middleware(Quiet), Middleware(Overriding, dispatch=pass_on)):
        assert functions_in(*built(Middleware(BaseHTTPMiddleware, dispatch=pass_on), other)) is None
    stack, _ = built(Middleware(BaseHTTPMiddleware, dispatch=pass_on))
    assert functions_in(stack, []) is None


# -- what runs where ---------------------------------------------------------------------------------------------------------------


async def test_what_does_nothing_after_its_response_runs_in_the_task_of_the_function() -> None:
    tasks = []

    async def function(request: Any, call_next: Any) -> Any:
        tasks.append(asyncio.current_task())
        return await call_next(request)

    async def handler(ex: Exchange) -> None:
        tasks.append(asyncio.current_task())
        await say_hello(ex)

    for at_once in (True, False):
        await around(handler, function, at_once=at_once).answer(NativeExchange())
    assert tasks[0] is tasks[1]
    assert tasks[2] is not tasks[3]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_response_that_nobody_changed_is_sent_with_its_own_head(at_once: bool) -> None:
    ex = NativeExchange()
    await around(say_hello, pass_on, pass_on, at_once=at_once).answer(ex)
    assert ex.calls == [("respond", HEAD, b"hello")]
    assert ex.calls[0][1] is HEAD


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_response_that_was_changed_is_sent_with_another_head(at_once: bool) -> None:
    async def function(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-a"] = "1"
        return response

    ex = NativeExchange()
    await around(say_hello, function, at_once=at_once).answer(ex)
    assert ex.calls[0][1].headers == [(b"content-length", b"5"), *HEAD.headers, (b"x-a", b"1")]
    assert HEAD.headers == [(b"content-type", b"text/plain")]


async def test_nothing_is_left_for_the_garbage_collector() -> None:
    async def held(ex: Exchange) -> None:
        await say_hello(ex)
        await asyncio.sleep(0)

    async def looking(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-path"] = request.url.path
        return response

    chains = [around(say_hello, looking, pass_on, at_once=True), around(held, looking, pass_on)]
    for chain in chains:
        await chain.answer(NativeExchange())
    gc.collect()
    gc.disable()
    try:
        for chain in chains:
            await chain.answer(NativeExchange())
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_a_path_that_a_function_wrote_is_the_one_that_is_served() -> None:
    async def function(request: Any, call_next: Any) -> Any:
        request.scope["path"] = "/b"
        request.scope["method"] = "PUT"
        return await call_next(request)

    ex = NativeExchange(path="/a")
    await around(say_hello, function, at_once=True).answer(ex)
    assert ex.calls[0][1].status == 405


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


def test_other_event_loops_take_the_stack() -> None:
    async def stack(scope: Any, receive: Any, send: Any) -> None:
        assert scope["app"] == "the application"
        await send({"type": "http.response.start", "status": 299, "headers": []})

    async def main() -> int:
        sent: list[Any] = []
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

        async def receive() -> Any:
            raise AssertionError("nobody reads")

        async def send(message: Any) -> None:
            sent.append(message)

        await around(say_hello, pass_on, stack=stack).answer(ASGIExchange(scope, receive, send))
        return int(sent[0]["status"])

    assert anyio.run(main, backend="trio") == 299
