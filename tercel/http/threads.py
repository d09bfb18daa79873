"""Running synchronous code beside the event loop, and bounding how much of one dependency runs at a time.

Knows nothing of dependencies themselves: what runs where is decided in `tercel.analyse` and done by `tercel.compile.support`, read
that next.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextlib import asynccontextmanager as asynccontextmanager
from types import TracebackType
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter, Semaphore
from anyio.lowlevel import RunVar
from starlette.concurrency import iterate_in_threadpool as iterate_in_threadpool
from starlette.concurrency import run_in_threadpool as run_in_threadpool
from starlette.concurrency import run_until_first_complete as run_until_first_complete

__all__ = [
    "DependencyConcurrency",
    "asynccontextmanager",
    "contextmanager_in_threadpool",
    "iterate_in_threadpool",
    "run_in_threadpool",
    "run_until_first_complete",
]

T = TypeVar("T")


class _ThreadedContext(AbstractAsyncContextManager[T, bool], Generic[T]):
    __slots__ = ("_exit_limiter", "_manager")

    def __init__(self, manager: AbstractContextManager[T]) -> None:
        self._manager = manager

    async def __aenter__(self) -> T:
        # A limiter of its own for the exit: when every thread of the pool is held by a request that waits for this exit (a database
        # session that returns its connection), an exit that queued for the same pool would never run.
        self._exit_limiter = CapacityLimiter(1)
        return await run_in_threadpool(self._manager.__enter__)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        suppressed: bool | None = None
        # Shielded: a cancelled request must still release what it holds.
        with CancelScope(shield=True):
            suppressed = await anyio.to_thread.run_sync(
                self._manager.__exit__, exc_type, exc, traceback, limiter=self._exit_limiter
            )
        return bool(suppressed)


def contextmanager_in_threadpool(cm: AbstractContextManager[T]) -> AbstractAsyncContextManager[T]:
    """An asynchronous context manager that enters and leaves `cm` in worker threads.

    The exit always runs once the entry has succeeded: it is shielded from cancellation and does not wait for a thread of the pool.
    """
    return _ThreadedContext(cm)


# By event loop, since a semaphore belongs to one; weak, since dependencies may be declared and dropped while a loop runs (tests).
_semaphores: RunVar[WeakKeyDictionary[DependencyConcurrency, Semaphore]] = RunVar("tercel_dependency_semaphores")


class DependencyConcurrency:
    """At most `max_concurrency` calls of one dependency at a time in each event loop; a worker process has one loop.

    Args:
        max_concurrency: at least 1.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency

    def get_semaphore(self) -> Semaphore:
        """The semaphore of the running event loop, the same object on every call."""
        semaphores = _semaphores.get(None)
        if semaphores is None:
            semaphores = WeakKeyDictionary()
            _semaphores.set(semaphores)
        semaphore = semaphores.get(self)
        if semaphore is None:
            semaphore = semaphores[self] = Semaphore(self.max_concurrency)
        return semaphore
