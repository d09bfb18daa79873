"""What may cancel the running task: whether it runs on asyncio, and whether it is inside a scope of anyio's.

A scope of anyio's costs several microseconds, and under an ordinary server nobody has entered any. anyio has no public question for
that, so this looks at its record of tasks and takes it for granted that there is a scope where that record is not as it is known.
"""

from __future__ import annotations

import asyncio
import sys

__all__ = ["has_cancel_scope", "on_asyncio"]

_BACKEND = "anyio._backends._asyncio"


def has_cancel_scope() -> bool:
    """Whether the running task is inside a cancel scope or task group of anyio's, or that cannot be told (on trio)."""
    backend = sys.modules.get(_BACKEND)
    if backend is None:  # whoever enters a scope on asyncio imports it
        return "trio" in sys.modules
    try:
        task = asyncio.current_task()
        if task is None:
            return True
        state = backend._task_states.get(task)
        return state is not None and state.cancel_scope is not None
    except (AttributeError, RuntimeError):
        return True


def on_asyncio() -> bool:
    """Whether the code runs on an event loop of asyncio's; otherwise it does on trio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
