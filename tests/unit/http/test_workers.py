"""Worker threads: what runs where, limits, cancellation, `anyio.from_thread`, and how threads end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio
import starlette.concurrency
import uvloop

from tercel.http import workers
from tercel.http.threads import in_thread, in_thread_beyond_limit
from tests.processes import wait_until

WAIT_S = 10.0
NEW_LOOP = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

Main = Callable[[], Coroutine[Any, Any, Any]]
Run = Callable[[Main], Any]


@pytest.fixture(params=NEW_LOOP)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on a new event loop of either kind, and fails if that takes too long."""

    def run_on_loop(main: Main) -> Any:
        with asyncio.Runner(loop_factory=NEW_LOOP[request.param]) as runner:
            return runner.run(asyncio.wait_for(main(), WAIT_S))

    return run_on_loop


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == workers.THREAD_NAME]


def ended(found: list[threading.Thread]) -> bool:
    for thread in found:
        thread.join(WAIT_S)
    return not any(thread.is_alive() for thread in found)


def quick() -> str:
    """A function that is called often enough to be known for quick."""
    return threading.current_thread().name


async def learn(fn: Callable[[], Any] = quick) -> workers.Workers:
    """Calls a function until it is known for quick; that it is interrupted now and then takes some calls more."""
    pool = workers.workers_here()
    assert pool is not None
    kind = id(getattr(fn, "__code__", None))
    for _ in range(2000):
        await in_thread(fn)
        if pool._usual_s[kind] < workers.QUICK_S / 2:
            return pool
    raise AssertionError("never quick")


def test_a_call_gets_its_arguments_and_runs_in_a_thread_of_ours(run: Run) -> None:
    def function(*arguments: Any, **keywords: Any) -> Any:
        return arguments, keywords, threading.current_thread().name

    async def main() -> Any:
        return await in_thread(function, 1, 2, fn=3, func=4, self=5)

    assert run(main) == ((1, 2), {"fn": 3, "func": 4, "self": 5}, workers.THREAD_NAME)


def test_quick_calls_of_one_moment_share_a_thread_and_keep_their_order(run: Run) -> None:
    order: list[int] = []
    seen: set[int] = set()

    def note(number: int) -> None:
        order.append(number)
        seen.add(threading.get_ident())

    async def main() -> None:
        for _ in range(100):
            await in_thread(note, -1)
        order.clear()
        seen.clear()
        workers.workers_here()._usual_s[id(note.__code__)] = 0.0  # type: ignore[union-attr]
        await asyncio.gather(*(in_thread(note, number) for number in range(30)))

    run(main)
    assert order == list(range(30))
    assert len(seen) == 1


def test_calls_that_wait_for_each_other_get_threads_of_their_own(run: Run) -> None:
    together = threading.Barrier(40)

    async def main() -> None:
        await asyncio.gather(*(in_thread(together.wait, WAIT_S) for _ in range(40)))

    run(main)


def test_what_waits_behind_a_quick_function_that_is_slow_for_once_gets_threads(run: Run) -> None:
    gate = threading.Event()
    wait = False

    def usually_quick() -> str:
        return str(gate.wait(WAIT_S)) if wait else ""

    async def main() -> list[str]:
        nonlocal wait
        await learn(usually_quick)
        await learn()
        wait = True
        stuck = [asyncio.ensure_future(in_thread(usually_quick)) for _ in range(10)]
        behind = [asyncio.ensure_future(in_thread(quick)) for _ in range(10)]
        names = await asyncio.gather(*behind)  # which all come after those that wait for the gate
        assert not any(task.done() for task in stuck)
        again = await in_thread(quick)
        gate.set()
        assert await asyncio.gather(*stuck) == ["True"] * 10
        return [*names, again]

    assert run(main) == [workers.THREAD_NAME] * 11


def test_the_limiter_of_anyio_limits_and_counts_both_ways(run: Run) -> None:
    inside, peak = 0, 0
    lock = threading.Lock()

    def counted() -> int:
        nonlocal inside, peak
        with lock:
            inside += 1
            peak = max(peak, inside)
        time.sleep(0)
        with lock:
            inside -= 1
        return anyio.from_thread.run_sync(lambda: anyio.to_thread.current_default_thread_limiter().borrowed_tokens)

    async def main() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 3
        borrowed = await asyncio.gather(*(in_thread(counted) for _ in range(40)))
        assert peak <= 3
        assert min(borrowed) >= 1
        assert max(borrowed) <= 3
        assert limiter.borrowed_tokens == 0
        # Others hold all places: the call waits for one of theirs, and is before whoever asks after it.
        others = [object() for _ in range(3)]
        for borrower in others:
            await limiter.acquire_on_behalf_of(borrower)
        waiting = asyncio.ensure_future(in_thread(quick))
        while not limiter.statistics().tasks_waiting:
            await asyncio.sleep(0)
        later = asyncio.ensure_future(anyio.to_thread.run_sync(waiting.done))
        await anyio.lowlevel.checkpoint()
        limiter.release_on_behalf_of(others[0])
        await waiting
        await later
        # A limit that grows lets those in who wait.
        waiting = asyncio.ensure_future(in_thread(quick))
        limiter.total_tokens = 2
        while not limiter.statistics().tasks_waiting:
            await asyncio.sleep(0)
        limiter.total_tokens = 3
        await waiting
        assert limiter.borrowed_tokens == 2

    run(main)


def test_each_call_has_a_copy_of_the_context_and_no_thread_keeps_one(run: Run) -> None:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    class Value:
        pass

    def change() -> Any:
        before = variable.get()
        variable.set("changed")
        return before

    async def main() -> None:
        value = Value()
        variable.set(value)
        assert await in_thread(change) is value
        assert variable.get() is value
        alive = weakref.ref(value)
        variable.set(None)
        del value
        await asyncio.sleep(0)
        gc.collect()
        assert alive() is None

    contextvars.copy_context().run(run, main)


def test_from_thread_works_and_no_library_seems_to_run_in_the_thread(run: Run) -> None:
    variable = contextvars.ContextVar("variable", default="")

    async def on_the_loop(value: int) -> tuple[int, str, int, str]:
        with anyio.CancelScope():
            await anyio.lowlevel.checkpoint()
        return value, variable.get(), threading.get_ident(), sniffio.current_async_library()

    def function() -> Any:
        anyio.from_thread.check_cancelled()
        with pytest.raises(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()
        return anyio.from_thread.run(on_the_loop, 1), anyio.from_thread.run_sync(threading.get_ident)

    async def main() -> None:
        here = threading.get_ident()
        variable.set("set")
        for library in (None, "asyncio"):  # as it is below `anyio.run`
            sniffio.current_async_library_cvar.set(library)
            assert await in_thread(function) == ((1, "set", here, "asyncio"), here)
            assert sniffio.current_async_library_cvar.get() == library

    run(main)


@pytest.mark.parametrize("error", [KeyError("key"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("own")], ids=repr)
def test_what_a_call_raises_is_raised_to_its_caller_with_its_traceback(error: BaseException) -> None:
    def failing() -> None:
        raise error

    async def main() -> None:
        caught: BaseException | None = None
        try:
            await in_thread(failing)
        except BaseException as raised:
            caught = raised
        assert caught is error or (isinstance(error, asyncio.CancelledError) and type(caught) is type(error))
        names = []
        trace = error.__traceback__
        while trace is not None:
            names.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert names[-1] == "failing"
        assert await in_thread(quick) == workers.THREAD_NAME

    asyncio.run(main())


def test_stop_iteration_becomes_a_runtime_error(run: Run) -> None:
    def stopping() -> None:
        raise StopIteration("value")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as caught:
            await in_thread(stopping)
        assert isinstance(caught.value.__cause__, StopIteration)

    run(main)


def test_an_error_goes_without_the_garbage_collector(run: Run) -> None:
    class Problem(Exception):
        pass

    def failing() -> None:
        raise Problem

    async def main() -> None:
        alive = None
        try:
            await in_thread(failing)
        except Problem as problem:
            alive = weakref.ref(problem)
        assert alive is not None
        # The thread that raised it lets go of it a moment after it has reported it.
        await asyncio.to_thread(wait_until, lambda: alive() is None)

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_a_cancelled_task_does_not_wait_for_its_call_and_gives_back_its_place(run: Run) -> None:
    gate, begun = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        gate.wait(WAIT_S)

    async def main() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        task = asyncio.ensure_future(in_thread(stuck))
        assert await in_thread(begun.wait, WAIT_S)
        assert limiter.borrowed_tokens == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert limiter.borrowed_tokens == 0
        gate.set()

    run(main)


def test_a_call_is_not_made_when_its_task_is_cancelled_before_it_begins(run: Run) -> None:
    made: list[str] = []

    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await in_thread(made.append, "never")

    async def main() -> None:
        for slow in (True, False):
            if not slow:
                workers.workers_here()._usual_s[id(list)] = 0.0  # type: ignore[union-attr]
            task = asyncio.ensure_future(cancels_itself())
            with pytest.raises(asyncio.CancelledError):
                await task
            await in_thread(quick)
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 0
        task = asyncio.ensure_future(in_thread(made.append, "never"))
        while not limiter.statistics().tasks_waiting:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert limiter.statistics().tasks_waiting == limiter.borrowed_tokens == 0

    run(main)
    assert made == []


def test_a_cancel_scope_waits_for_the_call_as_anyio_does(run: Run) -> None:
    finished = []

    def until_cancelled() -> None:
        while True:
            try:
                anyio.from_thread.check_cancelled()
            except BaseException:
                finished.append(threading.current_thread().name)
                raise

    async def main() -> None:
        with anyio.move_on_after(0.01) as scope:
            await in_thread(until_cancelled)
        assert scope.cancelled_caught

    run(main)
    assert finished == ["AnyIO worker thread"]


def test_a_call_beyond_the_limit_takes_no_place_and_is_shielded(run: Run) -> None:
    async def main() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 0
        assert await in_thread_beyond_limit(quick) == workers.THREAD_NAME
        with anyio.CancelScope() as scope:
            scope.cancel()
            assert await in_thread_beyond_limit(quick) == "AnyIO worker thread"

    run(main)


@pytest.mark.parametrize("name", ["run_sync", "run_in_threadpool"])
def test_a_function_that_somebody_has_replaced_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = anyio.to_thread if name == "run_sync" else starlette.concurrency
    original, seen = getattr(module, name), []

    async def replaced(function: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(function)
        return await original(function, *arguments, **options)

    monkeypatch.setattr(module, name, replaced)

    async def main() -> str:
        return await in_thread(quick)

    assert asyncio.run(main()) == "AnyIO worker thread"
    assert len(seen) == 1


def test_on_trio_and_without_names_inside_anyio_anyio_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[str, str]:
        return await in_thread(quick), await in_thread_beyond_limit(quick)

    assert workers.THREAD_NAME not in anyio.run(main, backend="trio")
    assert asyncio.run(main()) == (workers.THREAD_NAME,) * 2
    monkeypatch.setattr(workers, "_missing", [])
    monkeypatch.delattr("anyio._core._eventloop.claim_worker_thread")
    assert asyncio.run(main()) == ("AnyIO worker thread",) * 2
    assert asyncio.run(main()) == ("AnyIO worker thread",) * 2
    assert [type(error) for error in workers._missing] == [ImportError]


def test_threads_end_with_the_loop_also_one_that_is_at_work(run: Run) -> None:
    before = set(threading.enumerate())
    gate, begun = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        gate.wait(WAIT_S)

    async def main() -> list[threading.Thread]:
        together = threading.Barrier(5)
        await asyncio.gather(*(in_thread(together.wait, WAIT_S) for _ in range(5)))
        task = asyncio.ensure_future(in_thread(stuck))
        await in_thread(begun.wait, WAIT_S)
        task.cancel()
        return [thread for thread in ours() if thread not in before]

    found = run(main)
    assert len(found) == 5
    assert any(thread.is_alive() for thread in found)
    gate.set()
    assert ended(found)


def test_many_loops_leave_nothing() -> None:
    before = set(threading.enumerate())
    loops = []

    async def main() -> None:
        await asyncio.gather(*(in_thread(quick) for _ in range(5)))
        loops.append(weakref.ref(asyncio.get_running_loop()))

    for _ in range(50):
        asyncio.run(main())
    assert ended([thread for thread in ours() if thread not in before])
    gc.collect()
    assert [loop for loop in loops if loop() is not None] == []


def test_idle_threads_end_and_others_begin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.001)
    before = set(threading.enumerate())

    async def main() -> None:
        for _ in range(3):
            together = threading.Barrier(4)
            await asyncio.gather(*(in_thread(together.wait, WAIT_S) for _ in range(4)))
            found = [thread for thread in ours() if thread not in before]
            assert await asyncio.to_thread(ended, found)
            assert workers.workers_here().idle == []  # type: ignore[union-attr]

    run(main)


def test_a_loop_that_runs_for_ever_keeps_its_threads_until_the_process_ends() -> None:
    program = """
import asyncio, threading, time
from tercel.http.threads import in_thread
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def call(): return await in_thread(threading.get_ident)
found = {asyncio.run_coroutine_threadsafe(call(), loop).result() for _ in range(100)}
print(len(found) < 50, threading.get_ident() in found, time.monotonic())
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True)
    # A thread that has given its result is idle only a moment later: a call in between begins another.
    are_used_again, in_main, last_s = done.stdout.split()
    assert (are_used_again, in_main) == ("True", "False")
    assert done.stderr == ""
    assert time.monotonic() - float(last_s) < workers.IDLE_S, "the end of the process waited for idle threads"


def test_a_thread_that_cannot_be_started_fails_its_call_and_no_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        before = ours()
        pool = await learn()
        made = sum(thread not in before for thread in ours())
        # One that has just reported its result is idle a moment later.
        await asyncio.to_thread(wait_until, lambda: len(pool.idle) == made)
        with pool.lock:
            idle, pool.idle = pool.idle, []
        with monkeypatch.context() as patch:
            patch.setattr(workers._Worker, "start", refuse)
            calls = [in_thread(quick), in_thread(quick), in_thread(time.sleep, 0)]
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, RuntimeError)
        assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert await in_thread(quick) == workers.THREAD_NAME
        with pool.lock:
            pool.idle += idle

    run(main)


def test_the_record_of_durations_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MOST_FUNCTIONS", 10)

    async def main() -> int:
        made = [eval(f"lambda: {number}") for number in range(50)]
        for function in made:
            await in_thread(function)
        return len(workers.workers_here()._usual_s)  # type: ignore[union-attr]

    assert 1 <= run(main) <= 11


def calls_of_all_kinds(failed: list[Any]) -> Iterator[Callable[[], Any]]:
    """Five thousand functions: most are quick, some wait, some fail."""

    def fail() -> None:
        raise failed[0]

    for number in range(5000):
        if number % 97 == 0:
            yield partial(time.sleep, 0.002)
        elif number % 31 == 0:
            yield fail
        else:
            yield quick


def test_thousands_of_calls_of_all_kinds_some_of_them_cancelled_all_end(run: Run) -> None:
    error = ValueError("on purpose")

    async def main() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        tasks = []
        for number, function in enumerate(calls_of_all_kinds([error])):
            tasks.append(asyncio.ensure_future(in_thread(function)))
            if number % 53 == 0:
                tasks[-(number % 7) - 1].cancel()
            if number % 200 == 0:
                limiter.total_tokens = 1 + number // 200
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = {type(outcome) for outcome in outcomes}
        assert kinds == {str, type(None), ValueError, asyncio.CancelledError}
        assert limiter.borrowed_tokens == limiter.statistics().tasks_waiting == 0
        pool = workers.workers_here()
        assert pool is not None
        assert not pool.queue
        assert not pool._new

    run(main)
