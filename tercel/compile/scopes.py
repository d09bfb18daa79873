"""Leaving what dependencies opened: the generators of one request, last in, first out, with FastAPI's rules for exceptions.

Generated code and the interpreter use `RequestScope`. It does what two nested `AsyncExitStack`s with `contextlib` managers do,
without making them: an asynchronous generator is stepped by hand. Read `tercel.compile.support` next.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, contextmanager
from types import AsyncGeneratorType, TracebackType
from typing import Any, Final

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

from tercel.http.cancel_scopes import has_cancel_scope
from tercel.http.errors import FastAPIError
from tercel.http.threads import contextmanager_in_threadpool

__all__ = ["LEFT", "SWALLOWED", "RequestScope", "SharedStack", "leaving_late", "run_late", "step_into", "step_out"]

Leave = Callable[[BaseException | None], Awaitable[bool]]
"""Leaves one thing, given the exception on its way out; True when that exception was swallowed."""

SWALLOWED: Final = (
    "Response not awaited. There's a high chance that the application code is raising an exception and a dependency with yield "
    "has a block with a bare except, or a block with except Exception, and is not raising the exception again. "
    "Read more about it in the docs: "
    "https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#dependencies-with-yield-and-except"
)

LEFT: Final = object()
"""What `RequestScope.leave` gives when everything was left; anything else is what a generator has yielded a second time."""


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


class SharedStack(AsyncExitStack):
    """A stack in the ASGI scope, for whoever wants to have something left with the request, as `solve_dependencies` does.

    It takes its place among what a `RequestScope` leaves when something is first pushed, and costs next to nothing until then.

    Args:
        leaves: what the scope leaves at the time of this stack, last in, first out; None for a stack of its own.
    """

    def __init__(self, leaves: list[Any] | None = None) -> None:
        self._leaves = leaves
        if leaves is None:
            super().__init__()

    @property
    def used(self) -> bool:
        """Whether anything was ever pushed."""
        return self._leaves is None

    def _begin(self) -> None:
        leaves = self._leaves
        if leaves is not None:
            super().__init__()
            self._leaves = None
            leaves.append(self)

    async def __call__(self, exc: BaseException | None) -> bool:
        """Leaves what was pushed; True when the exception was swallowed."""
        return bool(await self.__aexit__(None if exc is None else type(exc), exc, None if exc is None else exc.__traceback__))

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> bool:
        return bool(self.used and await super().__aexit__(kind, exc, trace))

    def pop_all(self) -> Any:
        self._begin()
        return super().pop_all()

    def enter_context(self, cm: Any) -> Any:
        self._begin()
        return super().enter_context(cm)

    async def enter_async_context(self, cm: Any) -> Any:
        self._begin()
        return await super().enter_async_context(cm)

    def push(self, exit: Any) -> Any:
        self._begin()
        return super().push(exit)

    def push_async_exit(self, exit: Any) -> Any:
        self._begin()
        return super().push_async_exit(exit)

    def callback(self, callback: Any, /, *args: Any, **kwds: Any) -> Any:
        self._begin()
        return super().callback(callback, *args, **kwds)

    def push_async_callback(self, callback: Any, /, *args: Any, **kwds: Any) -> Any:
        self._begin()
        return super().push_async_callback(callback, *args, **kwds)


async def leaving_late(scope: Any, work: Awaitable[None]) -> None:
    """Does the work, which answers exceptions, and then leaves what a `RequestScope` has kept open for it.

    That is forms, and whatever user code has put on `fastapi_middleware_astack`.

    Args:
        scope: the ASGI scope.
    """
    try:
        await work
    except BaseException as exc:
        await _leave_late(scope, exc)
        raise
    await _leave_late(scope, None)


async def _leave_late(scope: Any, exc: BaseException | None) -> None:
    stack = scope.get(_LATE)
    if type(stack) is SharedStack and stack.used:
        await stack(exc)


_LATE: Final = "fastapi_middleware_astack"


class RequestScope:
    """The generators that live until the endpoint returned, and those that live until the response was sent.

    Args:
        ex: the exchange; below whatever may cancel by anyio (middleware, a server, a task group) the exit of asynchronous
            generators is shielded from it, so that a client that goes away or a timeout cannot keep a dependency from cleaning up.
        strict: an exception that a dependency swallowed is an error (HTTP), or simply over (WebSocket).

    Attributes:
        is_over: everything was left, by what has done the rest of the handler's work (`tercel.compile.interpret.answer_rest`).
    """

    is_over = False
    # Attributes of the class until they are needed: a scope is made for each request, and most have one generator.
    _strict = True
    _shield: CancelScope | None = None
    _late: SharedStack | None = None
    _tasks: Any = None

    def __init__(self, ex: Any, strict: bool = True) -> None:
        self._ex = ex
        # Scopes that are entered later, by dependencies or the endpoint, lie inside what would be shielded.
        self._exposed: bool = (not ex.native or ex.interruptible) and has_cancel_scope()
        if not strict:
            self._strict = False
        self._request: list[Leave | AsyncGenerator[Any, Any]] = []
        self._function: list[Leave | AsyncGenerator[Any, Any]] = []

    def background(self, tasks: Any) -> Any:
        """Remembers the background tasks: those that a dependency adds after its yield run when all are left."""
        self._tasks = tasks
        return tasks

    def shared(self, view: Any) -> Any:
        """Puts this scope's stacks into the ASGI scope of a request or WebSocket that user code gets, under FastAPI's names."""
        if self._late is None:
            scope = view.scope
            scope["fastapi_inner_astack"] = SharedStack(self._request)
            scope["fastapi_function_astack"] = SharedStack(self._function)
            self._late = scope[_LATE] = SharedStack([])
        return view

    def closing(self, form: Any) -> Any:
        """Remembers a form, whose files are closed when everything else is over, exception handlers included."""
        self.shared(self._ex.view)
        assert self._late is not None
        self._late.push_async_callback(form.close)
        return form

    async def __aenter__(self) -> RequestScope:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> bool:
        if exc is not None:
            return await self.leave_raised(exc)
        if await self.leave() is not LEFT:
            await self.refuse_yield()
        return False

    def leave(self) -> Awaitable[Any]:
        """Leaves everything after the work was done; gives LEFT, or something else where `refuse_yield` has to be awaited.

        Not a coroutine function: what is awaited for the one generator that most requests have is the generator itself.
        """
        stack = self._request
        if len(stack) == 1 and not self._function and self._tasks is None and self._late is None:
            generator: Any = stack[0]
            if type(generator) is AsyncGeneratorType:
                return anext(generator, LEFT)
        return self._leave()

    async def refuse_yield(self) -> None:
        """Closes the generator that has yielded a second time, and raises RuntimeError."""
        generator: Any = self._request.pop()
        await generator.aclose()
        raise RuntimeError("generator didn't stop")

    async def _leave(self) -> Any:
        if self._late is None and self._tasks is None and not self._function:
            # The usual end of several generators, written out: `_leave_all` and `step_out` without their coroutines.
            stack = self._request
            while stack and not callable(generator := stack[-1]):
                stack.pop()
                try:
                    async for _ in generator:
                        await generator.aclose()
                        raise RuntimeError("generator didn't stop")
                except BaseException as new:
                    if not await self._leave_all(stack, new):
                        raise
            if not stack:
                return LEFT
        if self._function:  # those of a WebSocket, whose endpoint is not followed by anything else
            try:
                await self._leave_all(self._function, None)
            except BaseException as error:
                if not await self.leave_raised(error):
                    raise
                return LEFT
        if self._late is None:
            await self._leave_response()
        elif self._request or self._tasks is not None or self._late.used:
            await self._ex.afterwards(self._leave_response, True)
        return LEFT

    async def leave_raised(self, exc: BaseException) -> bool:
        """Leaves everything with the exception on its way out; True when it was swallowed."""
        if self.is_over:
            return False
        if self._never_entered() and isinstance(exc, StopAsyncIteration):
            error = RuntimeError("generator didn't yield")
            if await self._leave_failed(error):
                return True
            raise error from None
        if isinstance(exc, Exception):  # handlers come first: they leave what is late
            return await self._leave_failed(exc)
        try:
            return await self._leave_failed(exc)
        finally:
            if self._late is not None:
                await self._late(exc)

    def _never_entered(self) -> bool:
        """Forgets the generator that `enter_async` has stepped into last, if that has ended instead of yielding."""
        for stack in (self._request, self._function):
            generator: Any = stack[-1] if stack else None
            if type(generator) is AsyncGeneratorType and generator.ag_frame is None:
                stack.pop()
                return True
        return False

    async def _leave_response(self) -> None:
        begun = 0 if self._tasks is None else len(self._tasks.tasks)
        try:
            await self._leave_all(self._request, None)
            if self._tasks is not None:
                await run_late(self._tasks, begun)
        finally:
            if self._late is not None:
                await self._late(None)

    async def _leave_failed(self, exc: BaseException) -> bool:
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

    def enter_async(self, generator: AsyncGenerator[Any, Any], until_function: bool = False) -> Awaitable[Any]:
        """Steps into an asynchronous generator when awaited, at once, and gives what it yields.

        Not a coroutine function: what is awaited is, as a rule, the generator itself. It counts as entered before it is stepped
        into; `leave_raised` notices one that ended there.
        """
        stack = self._function if until_function else self._request
        if self._exposed or type(generator) is not AsyncGeneratorType or (stack and type(stack[-1]) is SharedStack):
            return self._enter_async(stack, generator)
        stack.append(generator)
        return generator.__anext__()

    async def _enter_async(self, stack: list[Leave | AsyncGenerator[Any, Any]], generator: AsyncGenerator[Any, Any]) -> Any:
        if not self._exposed:
            value = await step_into(generator)
            self._add(stack, lambda exc: step_out(generator, exc))
            return value
        if self._shield is None:
            self._shield = CancelScope()
            self._shield.__enter__()
            self._add(self._request, self._leave_shield)
        value = await step_into(generator)
        self._add(stack, lambda exc: self._leave_shielded(generator, exc))
        return value

    def _add(self, stack: list[Leave | AsyncGenerator[Any, Any]], leave: Leave) -> None:
        """Adds to what has to be left, above what user code has pushed."""
        top = stack[-1] if stack else None
        if isinstance(top, SharedStack):
            top.push_async_exit(lambda kind, exc, trace: leave(exc))
        else:
            stack.append(leave)

    async def enter_sync(self, fn: Callable[..., Any], arguments: dict[str, Any], until_function: bool = False) -> Any:
        """Steps into a generator in a worker thread and returns what it yields."""
        manager = contextmanager_in_threadpool(contextmanager(fn)(**arguments))
        value = await manager.__aenter__()

        async def leave(exc: BaseException | None) -> bool:
            kind = None if exc is None else type(exc)
            return bool(await manager.__aexit__(kind, exc, None if exc is None else exc.__traceback__))

        self._add(self._function if until_function else self._request, leave)
        return value

    async def hold(self, limit: Any, until_function: bool = False) -> None:
        """Takes one of the places of `Depends(max_concurrency=)` and gives it back on the way out."""
        semaphore = limit.get_semaphore()
        await semaphore.acquire()

        async def leave(exc: BaseException | None) -> bool:
            semaphore.release()
            return False

        self._add(self._function if until_function else self._request, leave)

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
