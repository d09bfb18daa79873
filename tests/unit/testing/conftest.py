"""Every test here runs on asyncio and must leave no task behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def is_of_runner(task: asyncio.Task[Any]) -> bool:
    """Whether a task is of anyio's pytest plugin, or of the event loop, which closes generators that a test left suspended."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or code.co_name in ("_call_in_runner_task", "_run_tests_and_fixtures")


@pytest.fixture(autouse=True)
async def no_task_is_left(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() - {asyncio.current_task()} if not is_of_runner(task)]
    assert left == []
