"""The compiled wait for a message: when its task goes on in the callback, and when in the loop's next turn. What it does on a
connection is in `tests/protocol/test_usual_frames.py`."""

from __future__ import annotations

import asyncio
import contextvars
import os
from typing import Any

import pytest

from tercel.server import frames

if not frames.COMPILED and os.environ.get("TERCEL_EXTENSION") != "required":
    pytest.skip("the compiled frames were not built: they need a C compiler", allow_module_level=True)


class Waiting:
    """A task that waits, again and again, and counts."""

    def __init__(self, context: contextvars.Context | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.receivers = frames._frames.Receivers(self.loop)
        self.count = 0
        self.task = self.loop.create_task(self.run(), context=context)

    async def run(self) -> None:
        while True:
            await self.receivers.future()
            self.count += 1

    async def seen_by_callback(self, context: contextvars.Context | None = None) -> int:
        """The count when a callback of the loop has called `arrived`, before anything else ran."""
        seen: asyncio.Future[int] = self.loop.create_future()

        def callback() -> None:
            self.receivers.arrived()
            seen.set_result(self.count)

        self.loop.call_soon(callback, context=context)
        return await seen


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_one_task_goes_on_in_the_callback() -> None:
    async def main() -> list[int]:
        waiting = Waiting()
        await turns()
        return [await waiting.seen_by_callback() for _ in range(3)]

    assert run(main()) == [1, 2, 3]


def test_in_the_next_turn_where_a_task_calls() -> None:
    async def main() -> tuple[int, int]:
        waiting = Waiting()
        await turns()
        waiting.receivers.arrived()
        before = waiting.count
        await turns()
        return before, waiting.count

    assert run(main()) == (0, 1)


def test_in_the_next_turn_where_its_context_is_the_callbacks() -> None:
    async def main() -> tuple[int, int]:
        context = contextvars.copy_context()
        waiting = Waiting(context)
        await turns()
        before = await waiting.seen_by_callback(context)
        await turns()
        return before, waiting.count

    assert run(main()) == (0, 1)


def test_in_the_next_turn_where_several_wait() -> None:
    async def main() -> tuple[int, int]:
        waiting = Waiting()
        other = waiting.loop.create_task(waiting.run())
        await turns()
        before = await waiting.seen_by_callback()
        await turns()
        other.cancel()
        return before, waiting.count

    assert run(main()) == (0, 2)


def test_nobody_goes_on_who_was_cancelled() -> None:
    async def main() -> tuple[int, bool]:
        waiting = Waiting()
        await turns()
        waiting.task.cancel()
        seen = await waiting.seen_by_callback()
        await turns()
        return seen, waiting.task.cancelled()

    assert run(main()) == (0, True)


def test_what_ends_the_process_is_raised_by_the_loop() -> None:
    async def main() -> None:
        receivers = frames._frames.Receivers(asyncio.get_running_loop())

        async def leave() -> None:
            await receivers.future()
            raise SystemExit(7)

        task = asyncio.create_task(leave())
        await turns()
        asyncio.get_running_loop().call_soon(receivers.arrived)
        await asyncio.wait([task])

    with pytest.raises(SystemExit, match="7"):
        run(main())
