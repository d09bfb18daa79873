"""Functions around routes: which middleware they are, and what runs in which task."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware

from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange
from tercel.serve.middleware import AroundApp, is_function
from tests.unit.compile.exchanges import NativeExchange
from tests.unit.serve.functions import HEAD, around, pass_on, say_hello, unused_stack

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# -- which middleware --------------------------------------------------------------------------------------------------------------


def built(*declared: Middleware) -> Any:
    """The stack of the user's middleware as an application builds it."""
    app: Any = ExceptionMiddleware(unused_stack)
    for middleware in reversed(declared):
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app


async def test_functions_are_found_outermost_first_down_to_what_is_none() -> None:
    class Own(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    stack = built(Middleware(BaseHTTPMiddleware, dispatch=pass_on), Middleware(Own))
    around = AroundApp(stack)
    assert around.functions == [pass_on, stack.app.dispatch]
    assert around.app is stack
    assert isinstance(around.inner, ExceptionMiddleware)


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
        stack = built(Middleware(BaseHTTPMiddleware, dispatch=pass_on), other, Middleware(BaseHTTPMiddleware, dispatch=pass_on))
        assert is_function(stack)
        assert not is_function(stack.app)
        assert AroundApp(stack).functions == [pass_on]
        assert AroundApp(stack).inner is stack.app
    assert not is_function(unused_stack)


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
    left = []
    gc.disable()
    try:
        # What threads of earlier tests leave in the meantime is not ours, and is not left each time.
        for _ in range(3):
            gc.collect()
            for chain in chains:
                await chain.answer(NativeExchange())
            left.append(gc.collect())
    finally:
        gc.enable()
    assert min(left) == 0


async def test_a_path_that_a_function_wrote_is_the_one_that_is_served() -> None:
    async def function(request: Any, call_next: Any) -> Any:
        request.scope["path"] = "/b"
        request.scope["method"] = "PUT"
        return await call_next(request)

    ex = NativeExchange(path="/a")
    await around(say_hello, function, at_once=True).answer(ex)
    assert ex.calls[0][1].status == 405


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
