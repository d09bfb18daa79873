"""Leaving what dependencies opened: order, exceptions, cancellation, on Tercel's own server and on others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request

from tercel.compile.scopes import SWALLOWED, RequestScope, leaving_late, step_into, step_out
from tercel.http.errors import FastAPIError
from tercel.http.threads import DependencyConcurrency
from tests.unit.compile.exchanges import NativeExchange, asgi_exchange

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[True, False], ids=["native", "foreign"])
def ex(request: pytest.FixtureRequest) -> Any:
    """An exchange of Tercel's own server, or of another."""
    return SimpleNamespace(native=request.param, interruptible=False)


class Boom(Exception):
    pass


class Other(Exception):
    pass


def recording(log: list[str], name: str) -> Callable[[], AsyncGenerator[str, None]]:
    async def generator() -> AsyncGenerator[str, None]:
        log.append(f"+{name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        finally:
            log.append(f"-{name}")

    return generator


# -- one generator -----------------------------------------------------------------------------------------------------------------


async def test_stepping_into_a_generator_gives_what_it_yields() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        yield 3

    assert await step_into(generator()) == 3


async def test_a_generator_that_yields_nothing_is_an_error() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        if False:
            yield 3

    with pytest.raises(RuntimeError, match="generator didn't yield"):
        await step_into(generator())


@pytest.mark.parametrize("error", [None, Boom()])
async def test_a_generator_that_yields_twice_is_an_error(error: Exception | None) -> None:
    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except Boom:
            pass
        yield 2

    stepped: Any = generator()
    await step_into(stepped)
    with pytest.raises(RuntimeError, match="generator didn't stop"):
        await step_out(stepped, error)
    assert stepped.ag_frame is None  # closed


async def step(generator: Any, error: BaseException) -> bool:
    await step_into(generator)
    return await step_out(generator, error)


async def test_an_exception_that_is_not_caught_is_not_swallowed_and_keeps_its_traceback() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        yield 1

    def raised() -> Boom:
        try:
            raise Boom
        except Boom as error:
            return error

    error = raised()
    trace = error.__traceback__
    assert await step(generator(), error) is False
    assert error.__traceback__ is trace


async def test_a_caught_exception_is_swallowed() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except Boom:
            pass

    assert await step(generator(), Boom()) is True


async def test_another_exception_takes_the_place_of_the_first() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except Boom as error:
            raise Other from error

    with pytest.raises(Other) as caught:
        await step(generator(), Boom())
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.parametrize("error", [StopIteration(), StopAsyncIteration(), RuntimeError("own")])
async def test_exceptions_that_python_wraps_come_back_as_they_were(error: Exception) -> None:
    async def generator() -> AsyncGenerator[int, None]:
        yield 1

    assert await step(generator(), error) is False


async def test_a_runtime_error_of_the_generators_own_is_raised() -> None:
    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except StopIteration:
            raise RuntimeError("mine") from Boom()

    with pytest.raises(RuntimeError, match="mine"):
        await step(generator(), StopIteration())


# -- order -------------------------------------------------------------------------------------------------------------------------


async def test_what_was_entered_last_is_left_first(ex: Any) -> None:
    log: list[str] = []
    async with RequestScope(ex) as scope:
        for name in ("a", "b"):
            assert await scope.enter_async(recording(log, name)()) == name
        log.append("body")
    assert log == ["+a", "+b", "body", "-b", "-a"]


async def test_what_lives_until_the_function_is_left_before_the_rest(ex: Any) -> None:
    log: list[str] = []
    async with RequestScope(ex) as scope:
        await scope.enter_async(recording(log, "function")(), True)
        await scope.enter_async(recording(log, "request")())
        await scope.leave_function()
        log.append("respond")
        await scope.leave_function()  # nothing is left twice
    assert log == ["+function", "+request", "-function", "respond", "-request"]


async def test_an_error_leaves_the_function_first_and_is_seen_by_all(ex: Any) -> None:
    log: list[str] = []
    with pytest.raises(Boom):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "request")())
            await scope.enter_async(recording(log, "function")(), True)
            raise Boom
    assert log == ["+request", "+function", "function sees Boom", "-function", "request sees Boom", "-request"]


async def test_synchronous_generators_run_in_worker_threads(ex: Any) -> None:
    log: list[Any] = []

    def generator(name: str) -> Iterator[str]:
        log.append(threading.get_ident())
        try:
            yield name
        except Boom:
            log.append("Boom")
            raise
        finally:
            log.append(threading.get_ident())

    with pytest.raises(Boom):
        async with RequestScope(ex) as scope:
            assert await scope.enter_sync(generator, {"name": "n"}) == "n"
            raise Boom
    assert log[1] == "Boom"
    assert threading.get_ident() not in log


async def test_a_form_is_closed_when_everything_else_is_over(ex: Any) -> None:
    log: list[str] = []

    class Form:
        async def close(self) -> None:
            log.append("closed")

    form = Form()
    ex = NativeExchange() if ex.native else asgi_exchange()[0]
    ex.view = Request(ex.scope)
    async with RequestScope(ex) as scope:
        assert scope.closing(form) is form
        await scope.enter_async(recording(log, "a")())
    assert log == ["+a", "-a", "closed"]
    with pytest.raises(Boom):
        async with RequestScope(ex) as scope:
            scope.closing(form)
            raise Boom
    assert log == ["+a", "-a", "closed"]  # exception handlers may still read it

    async def handler() -> None:
        log.append("handled")

    await leaving_late(ex.scope, handler())
    assert log == ["+a", "-a", "closed", "handled", "closed"]


# -- exceptions --------------------------------------------------------------------------------------------------------------------


async def swallowing() -> AsyncGenerator[None, None]:
    try:
        yield
    except Boom:
        pass


async def replacing() -> AsyncGenerator[None, None]:
    try:
        yield
    except Boom:
        raise Other from None


async def failing() -> AsyncGenerator[None, None]:
    yield
    raise Other


@pytest.mark.parametrize("until_function", [True, False])
async def test_a_swallowed_exception_is_an_error_since_nothing_would_be_answered(ex: Any, until_function: bool) -> None:
    with pytest.raises(FastAPIError) as caught:
        async with RequestScope(ex) as scope:
            await scope.enter_async(swallowing(), until_function)
            raise Boom
    assert str(caught.value) == SWALLOWED


async def test_on_a_websocket_a_swallowed_exception_is_over(ex: Any) -> None:
    async with RequestScope(ex, strict=False) as scope:
        await scope.enter_async(swallowing())
        raise Boom


async def test_the_outer_generators_see_that_a_function_swallowed_the_exception(ex: Any) -> None:
    log: list[str] = []
    with pytest.raises(FastAPIError):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "request")())
            await scope.enter_async(swallowing(), True)
            raise Boom
    assert log == ["+request", "request sees FastAPIError", "-request"]


@pytest.mark.parametrize("until_function", [True, False])
async def test_generators_around_see_the_exception_that_took_the_place(ex: Any, until_function: bool) -> None:
    log: list[str] = []
    with pytest.raises(Other):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "outer")())
            await scope.enter_async(replacing(), until_function)
            raise Boom
    assert log == ["+outer", "outer sees Other", "-outer"]


async def test_an_error_while_leaving_reaches_the_generators_around(ex: Any) -> None:
    log: list[str] = []
    with pytest.raises(Other):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "outer")())
            await scope.enter_async(failing())
    assert log == ["+outer", "outer sees Other", "-outer"]


async def test_a_generator_may_swallow_the_error_of_one_that_is_left_before_it(ex: Any) -> None:
    async def forgiving() -> AsyncGenerator[None, None]:
        try:
            yield
        except Other:
            pass

    async with RequestScope(ex) as scope:
        await scope.enter_async(forgiving())
        await scope.enter_async(failing())


async def test_a_generator_that_never_yields_is_not_left_and_the_others_hear_of_it(ex: Any) -> None:
    log: list[str] = []

    async def ending() -> AsyncGenerator[None, None]:
        if log == []:
            yield

    with pytest.raises(RuntimeError, match="generator didn't yield"):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "outer")())
            await scope.enter_async(ending())
    assert log == ["+outer", "outer sees RuntimeError", "-outer"]


async def test_a_generator_that_fails_before_its_yield_is_not_left(ex: Any) -> None:
    log: list[str] = []

    async def broken() -> AsyncGenerator[None, None]:
        if log:
            raise Boom
        yield

    with pytest.raises(Boom):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "outer")())
            await scope.enter_async(broken(), True)
    assert log == ["+outer", "outer sees Boom", "-outer"]


async def test_the_end_of_a_generator_of_the_endpoints_own_is_passed_on(ex: Any) -> None:
    log: list[str] = []
    with pytest.raises(StopAsyncIteration):
        async with RequestScope(ex) as scope:
            await scope.enter_async(recording(log, "a")())
            await scope.enter_async(recording(log, "b")())
            raise StopAsyncIteration
    # An asynchronous generator cannot raise it again: PEP 479.
    assert log == ["+a", "+b", "b sees StopAsyncIteration", "-b", "a sees StopAsyncIteration", "-a"]


@pytest.mark.parametrize("count", [1, 2])
async def test_a_second_yield_is_an_error_and_closes_the_generator(ex: Any, count: int) -> None:
    log: list[str] = []

    async def twice() -> AsyncGenerator[None, None]:
        try:
            yield
            yield
        finally:
            log.append("closed")

    with pytest.raises(RuntimeError, match="generator didn't stop"):
        async with RequestScope(ex) as scope:
            for _ in range(count - 1):
                await scope.enter_async(recording(log, "outer")())
            await scope.enter_async(twice())
    assert log[-1:] == (["closed"] if count == 1 else ["-outer"])
    assert "closed" in log


# -- limits ------------------------------------------------------------------------------------------------------------------------


async def test_a_place_is_held_until_the_scope_is_left(ex: Any) -> None:
    limit = DependencyConcurrency(1)
    semaphore = limit.get_semaphore()
    async with RequestScope(ex) as scope:
        await scope.hold(limit)
        assert semaphore.value == 0
    assert semaphore.value == 1
    async with RequestScope(ex) as scope:
        await scope.hold(limit, True)
        await scope.leave_function()
        assert semaphore.value == 1


async def test_a_place_is_given_back_after_an_error(ex: Any) -> None:
    limit = DependencyConcurrency(1)
    with pytest.raises(Boom):
        async with RequestScope(ex) as scope:
            await scope.hold(limit)
            raise Boom
    assert limit.get_semaphore().value == 1


# -- cancellation ------------------------------------------------------------------------------------------------------------------


async def cleaning(done: list[str]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await asyncio.sleep(0)
        done.append("clean")


async def test_a_cancel_scope_around_does_not_keep_a_generator_from_cleaning_up() -> None:
    """What an ASGI server with a task group does when the client goes away."""
    done: list[str] = []
    with anyio.CancelScope() as around:
        async with RequestScope(SimpleNamespace(native=False, interruptible=False)) as scope:
            await scope.enter_async(cleaning(done))
            around.cancel()
            await anyio.sleep_forever()
    assert done == ["clean"]
    assert around.cancelled_caught


async def test_a_socket_that_is_cancelled_between_two_generators_leaves_the_other_and_its_shield(ex: Any) -> None:
    log: list[str] = []

    async def cancelled() -> AsyncGenerator[int, None]:
        yield 1
        raise asyncio.CancelledError

    with anyio.CancelScope():
        with pytest.raises(asyncio.CancelledError):
            async with RequestScope(ex, strict=False) as scope:
                await scope.enter_async(recording(log, "request")())
                await scope.enter_async(cancelled(), until_function=True)
        await anyio.lowlevel.checkpoint()
    assert log == ["+request", "request sees CancelledError", "-request"]


async def test_a_task_that_is_cancelled_once_cleans_up_on_the_own_server() -> None:
    done: list[str] = []
    entered = asyncio.Event()

    async def request() -> None:
        async with RequestScope(SimpleNamespace(native=True, interruptible=False)) as scope:
            await scope.enter_async(cleaning(done))
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["clean"]


async def test_a_cancel_scope_that_a_generator_opens_is_left_in_its_turn(ex: Any) -> None:
    async def limited() -> AsyncGenerator[anyio.CancelScope]:
        with anyio.CancelScope() as inside:
            yield inside

    reached: list[str] = []

    async def use() -> None:
        async with RequestScope(ex) as scope:
            inside = await scope.enter_async(limited())
            await scope.enter_async(recording(reached, "later")())
            inside.cancel()
            await anyio.sleep_forever()

    with pytest.raises(FastAPIError):  # the generator's own scope swallowed the cancellation
        await use()
    assert reached == ["+later", "later sees CancelledError", "-later"]
