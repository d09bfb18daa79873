"""Background tasks run in order, each whatever happened to the ones before."""

from __future__ import annotations

import logging
import threading

import anyio
import pytest
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from tercel.http.background import BackgroundTasks

pytestmark = pytest.mark.anyio


async def test_tasks_run_in_order_on_the_loop_or_in_a_thread() -> None:
    done: list[tuple[str, int, bool]] = []
    loop_thread = threading.get_ident()

    async def on_loop(number: int) -> None:
        done.append(("loop", number, threading.get_ident() == loop_thread))

    def in_thread(*, number: int) -> None:
        done.append(("thread", number, threading.get_ident() == loop_thread))

    tasks = BackgroundTasks()
    tasks.add_task(on_loop, 1)
    tasks.add_task(in_thread, number=2)
    tasks.add_task(on_loop, number=3)
    await tasks()
    assert done == [("loop", 1, True), ("thread", 2, False), ("loop", 3, True)]
    assert isinstance(tasks, StarletteBackgroundTasks)


async def test_a_failing_task_does_not_stop_later_ones_and_the_first_error_is_raised_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    first, second = ValueError("first"), LookupError("second")

    def fail(error: Exception) -> None:
        raise error

    tasks = BackgroundTasks([BackgroundTask(fail, first)])
    tasks.add_task(done.append, "between")
    tasks.add_task(fail, second)
    tasks.add_task(done.append, "last")
    with pytest.raises(ValueError, match="first") as caught, caplog.at_level(logging.ERROR):
        await tasks()
    assert caught.value is first
    assert done == ["between", "last"]
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [second]


async def test_cancellation_stops_the_remaining_tasks() -> None:
    done: list[str] = []
    with anyio.CancelScope() as scope:

        async def cancel() -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        tasks = BackgroundTasks()
        tasks.add_task(cancel)
        tasks.add_task(done.append, "never")
        await tasks()
    assert scope.cancelled_caught
    assert done == []
