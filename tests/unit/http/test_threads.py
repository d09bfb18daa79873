"""Context managers in threads, and limits on concurrent calls of one dependency."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tercel.http.threads import DependencyConcurrency, contextmanager_in_threadpool

pytestmark = pytest.mark.anyio


class Recorder:
    def __init__(self, suppress: bool = False, enter_error: Exception | None = None, exit_error: Exception | None = None) -> None:
        self.suppress, self.enter_error, self.exit_error = suppress, enter_error, exit_error
        self.threads: list[int] = []
        self.exits: list[tuple[Any, ...]] = []

    def __enter__(self) -> str:
        self.threads.append(threading.get_ident())
        if self.enter_error:
            raise self.enter_error
        return "value"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        self.threads.append(threading.get_ident())
        self.exits.append((kind, error))
        if self.exit_error:
            raise self.exit_error
        return self.suppress


async def test_entry_and_exit_run_in_worker_threads() -> None:
    recorder = Recorder()
    async with contextmanager_in_threadpool(recorder) as value:
        assert value == "value"
        assert recorder.exits == []
    assert recorder.exits == [(None, None)]
    assert threading.get_ident() not in recorder.threads


@pytest.mark.parametrize("suppress", [True, False])
async def test_the_exit_sees_the_error_and_may_suppress_it(suppress: bool) -> None:
    recorder, error = Recorder(suppress=suppress), KeyError("body")
    caught: BaseException | None = None
    try:
        async with contextmanager_in_threadpool(recorder):
            raise error
    except KeyError as raised:
        caught = raised
    assert caught is (None if suppress else error)
    assert recorder.exits == [(KeyError, error)]


async def test_an_error_of_the_entry_is_raised_without_an_exit() -> None:
    recorder = Recorder(enter_error=OSError("entry"))
    with pytest.raises(OSError, match="entry"):
        async with contextmanager_in_threadpool(recorder):
            pytest.fail("entered")
    assert recorder.exits == []


async def test_an_error_of_the_exit_replaces_that_of_the_body_and_remembers_it() -> None:
    with pytest.raises(OSError, match="exit") as caught:
        async with contextmanager_in_threadpool(Recorder(exit_error=OSError("exit"))):
            raise KeyError("body")
    assert isinstance(caught.value.__context__, KeyError)


async def test_the_exit_runs_when_the_body_is_cancelled() -> None:
    recorder = Recorder()
    with anyio.CancelScope() as scope:
        async with contextmanager_in_threadpool(recorder):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert recorder.exits[0][0] is anyio.get_cancelled_exc_class()


async def test_the_exit_needs_no_thread_of_the_pool() -> None:
    recorder, limiter = Recorder(), anyio.to_thread.current_default_thread_limiter()
    before = limiter.total_tokens
    limiter.total_tokens = 1
    try:
        with anyio.fail_after(5):
            async with contextmanager_in_threadpool(recorder):
                await limiter.acquire()
        assert recorder.exits == [(None, None)]
        limiter.release()
    finally:
        limiter.total_tokens = before


async def test_generators_made_into_context_managers_work() -> None:
    steps: list[str] = []

    @contextmanager
    def resource() -> Any:
        try:
            yield "resource"
        except KeyError:
            steps.append("failed")
            raise
        finally:
            steps.append("closed")

    with pytest.raises(KeyError):
        async with contextmanager_in_threadpool(resource()):
            raise KeyError
    assert steps == ["failed", "closed"]


async def test_one_loop_sees_one_semaphore_for_each_limit() -> None:
    first, second = DependencyConcurrency(1), DependencyConcurrency(2)
    assert first.get_semaphore() is first.get_semaphore()
    assert first.get_semaphore() is not second.get_semaphore()
    assert (first.get_semaphore().value, second.get_semaphore().value) == (1, 2)


def test_two_loops_see_two_semaphores() -> None:
    concurrency = DependencyConcurrency(3)

    async def semaphore() -> anyio.Semaphore:
        return concurrency.get_semaphore()

    assert anyio.run(semaphore) is not anyio.run(semaphore)


async def test_a_dropped_limit_is_forgotten_while_the_loop_runs() -> None:
    concurrency = DependencyConcurrency(1)
    semaphore = weakref.ref(concurrency.get_semaphore())
    del concurrency
    gc.collect()
    assert semaphore() is None
