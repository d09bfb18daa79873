"""Leaving what dependencies opened: the generators of one request, last in, first out, with FastAPI's rules for exceptions.

Generated code and the interpreter use `RequestScope`. It does what two nested `AsyncExitStack`s with `contextlib` managers do,
without making them: an asynchronous generator is stepped by hand. Read `tercel.compile.support` next.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

from tercel.http.errors import FastAPIError
from tercel.http.threads import contextmanager_in_threadpool

__all__ = ["SWALLOWED", "RequestScope", "run_late", "step_into", "step_out"]

Leave = Callable[[BaseException | None], Awaitable[bool]]
"""Leaves one thing, given the exception on its way out; True when that exception was swallowed."""

SWALLOWED: Final = (
    "Response not awaited. There's a high chance that the application code is raising an exception and a dependency with yield "
    "has a block with a bare except, or a block with except Exception, and is not raising the exception again. "
    "Read more about it in the docs: "
    "https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#dependencies-with-yield-and-except"
)


async def step_into(generator: AsyncGenerator[Any, Any]) -> Any:
    """The value a dependency yields."""
    try:
        return await anext(generator)
    except StopAsyncIteration:
        raise RuntimeError("generator didn't yield") from None


async def step_out(generator: AsyncGenerator[Any, Any], exc: BaseException | None) -> bool:
    """Resumes a dependency after its yield, with the exception raised there if there is one; True when it was swallowed."""
    if exc is None:
        async for _ in generator:
            await generator.aclose()
            raise RuntimeError("generator didn't stop")
        return False
    trace = exc.__traceback__
    try:
        await generator.athrow(exc)
    except StopAsyncIteration as stop:
        return stop is not exc
    except RuntimeError as error:
        if error is exc:
            exc.__traceback__ = trace
            return False
        if isinstance(exc, StopIteration | StopAsyncIteration) and error.__cause__ is exc:
            # PEP 479 turned the exception that was thrown in into a RuntimeError; the caller gets its own back.
            exc.__traceback__ = trace
            return False
        raise
    except BaseException as error:
        if error is not exc:
            raise
        exc.__traceback__ = trace
        return False
    await generator.aclose()
    raise RuntimeError("generator didn't stop after athrow()")


async def run_late(tasks: Any, begun: int) -> None:
    """Runs background tasks that were added after the first `begun` had been started."""
    late = tasks.tasks[begun:]
    if late:
        await type(tasks)(late)()


class RequestScope:
    """The generators that live until the endpoint returned, and those that live until the response was sent.

    Args:
        ex: the exchange; on a foreign server and below middleware the exit of asynchronous generators is shielded from anyio's
            cancellation, so that a client that goes away or a timeout cannot keep a dependency from cleaning up.
        strict: an exception that a dependency swallowed is an error (HTTP), or simply over (WebSocket).
    """

    __slots__ = ("_form", "_function", "_native", "_request", "_shield", "_strict", "_tasks")

    def __init__(self, ex: Any, strict: bool = True) -> None:
        self._native: bool = ex.native and not ex.interruptible
        self._strict = strict
        self._request: list[Leave | AsyncGenerator[Any, Any]] = []
        self._function: list[Leave | AsyncGenerator[Any, Any]] = []
        self._shield: CancelScope | None = None
        self._form: Any = None
        self._tasks: Any = None

    def background(self, tasks: Any) -> Any:
        """Remembers the background tasks: those that a dependency adds after its yield run when all are left."""
        self._tasks = tasks
        return tasks

    def closing(self, form: Any) -> Any:
        """Remembers a form, whose files are closed when everything else is over."""
        self._form = form
        return form

    async def __aenter__(self) -> RequestScope:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> bool:
        if self._form is None:
            return await self._leave(exc)
        try:
            return await self._leave(exc)
        finally:
            await self._form.close()

    async def _leave(self, exc: BaseException | None) -> bool:
        if exc is None:
            begun = 0 if self._tasks is None else len(self._tasks.tasks)
            await self._leave_all(self._function, None)
            await self._leave_all(self._request, None)
            if self._tasks is not None:
                await run_late(self._tasks, begun)
            return False
        original = exc
        swallowed = False
        try:
            swallowed = await self._leave_all(self._function, exc)
        except BaseException as new:  # goes on into the outer generators in place of the first
            exc = new
        if swallowed and self._strict:
            exc = FastAPIError(SWALLOWED)
            swallowed = False
        swallowed = await self._leave_all(self._request, None if swallowed else exc) or swallowed
        if swallowed and self._strict:
            raise FastAPIError(SWALLOWED)
        if not swallowed and exc is not original:
            raise exc
        return swallowed

    # -- entering ------------------------------------------------------------------------------------------------------------

    async def enter_async(self, generator: AsyncGenerator[Any, Any], until_function: bool = False) -> Any:
        """Steps into an asynchronous generator and returns what it yields."""
        stack = self._function if until_function else self._request
        if self._native:
            value = await step_into(generator)
            stack.append(generator)
            return value
        if self._shield is None:
            self._shield = CancelScope()
            self._shield.__enter__()
            self._request.append(self._leave_shield)
        value = await step_into(generator)
        stack.append(lambda exc: self._leave_shielded(generator, exc))
        return value

    async def enter_sync(self, fn: Callable[..., Any], arguments: dict[str, Any], until_function: bool = False) -> Any:
        """Steps into a generator in a worker thread and returns what it yields."""
        manager = contextmanager_in_threadpool(contextmanager(fn)(**arguments))
        value = await manager.__aenter__()

        async def leave(exc: BaseException | None) -> bool:
            kind = None if exc is None else type(exc)
            return bool(await manager.__aexit__(kind, exc, None if exc is None else exc.__traceback__))

        (self._function if until_function else self._request).append(leave)
        return value

    async def hold(self, limit: Any, until_function: bool = False) -> None:
        """Takes one of the places of `Depends(max_concurrency=)` and gives it back on the way out."""
        semaphore = limit.get_semaphore()
        await semaphore.acquire()

        async def leave(exc: BaseException | None) -> bool:
            semaphore.release()
            return False

        (self._function if until_function else self._request).append(leave)

    # -- leaving --------------------------------------------------------------------------------------------------------------

    async def leave_function(self) -> None:
        """Leaves the generators that live until the endpoint returned."""
        await self._leave_all(self._function, None)

    async def _leave_all(self, stack: list[Leave | AsyncGenerator[Any, Any]], exc: BaseException | None) -> bool:
        given = exc is not None
        raised = False
        while stack:
            leave = stack.pop()
            try:
                swallowed = await (leave(exc) if callable(leave) else step_out(leave, exc))
            except BaseException as new:
                exc, raised = new, True
            else:
                if swallowed:
                    exc, raised = None, False
        if raised and exc is not None:
            raise exc
        return given and exc is None

    async def _leave_shielded(self, generator: AsyncGenerator[Any, Any], exc: BaseException | None) -> bool:
        shield = self._shield
        assert shield is not None
        before = shield.shield
        shield.shield = True
        try:
            swallowed = await step_out(generator, exc)
        finally:
            shield.shield = before
        if exc is None or swallowed:
            await checkpoint_if_cancelled()
        return swallowed

    async def _leave_shield(self, exc: BaseException | None) -> bool:
        assert self._shield is not None
        shield, self._shield = self._shield, None
        return bool(shield.__exit__(None if exc is None else type(exc), exc, None if exc is None else exc.__traceback__))
