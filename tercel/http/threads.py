"""Running synchronous code beside the event loop, and bounding how much of one dependency runs at a time.

Knows nothing of dependencies themselves: what runs where is decided in `tercel.analyse` and done by `tercel.compile.support`. Read
`tercel.http.workers` next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextlib import asynccontextmanager as asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio.to_thread
import starlette.concurrency
from anyio import CancelScope, CapacityLimiter, Semaphore
from anyio.lowlevel import RunVar
from starlette.concurrency import iterate_in_threadpool as iterate_in_threadpool
from starlette.concurrency import run_in_threadpool as run_in_threadpool
from starlette.concurrency import run_until_first_complete as run_until_first_complete

from tercel.http.cancel_scopes import has_cancel_scope
from tercel.http.workers import Workers, workers_here

__all__ = [
    "DependencyConcurrency",
    "asynccontextmanager",
    "contextmanager_in_threadpool",
    "in_thread",
    "in_thread_beyond_limit",
    "iterate_in_threadpool",
    "run_in_threadpool",
    "run_until_first_complete",
    "threads_are_replaced",
]

T = TypeVar("T")

_run_sync = anyio.to_thread.run_sync


def threads_are_replaced() -> bool:
    """Whether somebody has replaced the functions that call others in worker threads, and wants to be called."""
    return anyio.to_thread.run_sync is not _run_sync or starlette.concurrency.run_in_threadpool is not run_in_threadpool


def _workers() -> Workers | None:
    """The worker threads to use here; None where anyio has to be asked: in its cancel scopes, on trio, or replaced by somebody."""
    if threads_are_replaced() or has_cancel_scope():
        return None
    return workers_here()


async def in_thread(fn: Callable[..., T], /, *arguments: Any, **keywords: Any) -> T:
    """What `run_in_threadpool` does, at less cost: calls a function in a worker thread, with a copy of the context."""
    workers = _workers()
    if workers is not None:
        return await workers.run(fn, arguments, keywords)  # type: ignore[no-any-return]
    # Bound before, since a keyword may have the name of one of its own parameters.
    return await starlette.concurrency.run_in_threadpool(partial(fn, *arguments, **keywords))


async def in_thread_beyond_limit(fn: Callable[..., T], /, *arguments: Any) -> T:
    """The same for what gives something back: it waits for no thread of the pool, and is shielded from anyio's cancel scopes.

    When every thread of the pool is held by a request that waits for this (a database session that returns its connection), a call
    that queued for the same pool would never be made.
    """
    workers = _workers()
    if workers is not None:
        return await workers.run_beyond(fn, arguments)  # type: ignore[no-any-return]
    result: Any = None
    with CancelScope(shield=True):
        result = await anyio.to_thread.run_sync(fn, *arguments, limiter=CapacityLimiter(1))
    return result  # type: ignore[no-any-return]


class _ThreadedContext(AbstractAsyncContextManager[T, bool], Generic[T]):
    __slots__ = ("_manager",)

    def __init__(self, manager: AbstractContextManager[T]) -> None:
        self._manager = manager

    async def __aenter__(self) -> T:
        return await in_thread(self._manager.__enter__)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        # Shielded: a cancelled request must still release what it holds.
        return bool(await in_thread_beyond_limit(self._manager.__exit__, exc_type, exc, traceback))


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
