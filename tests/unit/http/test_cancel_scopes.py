"""Whether anyio may cancel a task: asked of anyio's own record, so what is tested is that the record is still read rightly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest
import trio

from tercel.http.cancel_scopes import has_cancel_scope


async def plain() -> bool:
    return has_cancel_scope()


async def in_a_scope() -> bool:
    with anyio.CancelScope():
        await asyncio.sleep(0)
        return has_cancel_scope()


async def in_a_coroutine_within_a_timeout() -> bool:
    with anyio.fail_after(60):
        return await plain()


async def in_a_task_of_a_group() -> bool:
    found: list[bool] = []

    async def look() -> None:
        found.append(has_cancel_scope())

    async with anyio.create_task_group() as group:
        group.start_soon(look)
    return found[0]


async def behind_a_scope_that_was_left() -> bool:
    with anyio.CancelScope():
        await asyncio.sleep(0)
    return has_cancel_scope()


async def in_a_task_of_asyncio_within_a_scope() -> bool:
    with anyio.CancelScope():
        return await asyncio.create_task(plain())


@pytest.mark.parametrize("inside", [in_a_scope, in_a_coroutine_within_a_timeout, in_a_task_of_a_group])
def test_a_task_within_a_scope_or_a_group_has_one(inside: Callable[[], Awaitable[bool]]) -> None:
    assert anyio.run(inside) is True


@pytest.mark.parametrize("outside", [plain, behind_a_scope_that_was_left, in_a_task_of_asyncio_within_a_scope])
def test_any_other_task_has_none(outside: Callable[[], Awaitable[bool]]) -> None:
    async def after_anyio_was_used() -> bool:
        await anyio.lowlevel.checkpoint()
        return await asyncio.create_task(outside())  # type: ignore[arg-type]

    assert asyncio.run(after_anyio_was_used()) is False


def test_where_it_cannot_be_told_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trio.run(plain) is True
    assert has_cancel_scope() is True  # no event loop
    monkeypatch.delattr("anyio._backends._asyncio._task_states")
    assert asyncio.run(plain()) is True
