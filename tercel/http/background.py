"""Work that runs after the response has been sent, in the order in which it was added.

Knows nothing of responses. Read `tercel.http.threads` next for where synchronous tasks run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from tercel.http.log import logger
from tercel.http.observed import operation

__all__ = ["BackgroundTasks"]

P = ParamSpec("P")


class BackgroundTasks(StarletteBackgroundTasks):
    """A parameter of this type collects work to do after the response; endpoint and dependencies share one list."""

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Append a call to be made after the response.

        Args:
            func: a coroutine function runs on the event loop; anything else in a worker thread.
            *args: its positional arguments.
            **kwargs: its keyword arguments.
        """
        super().add_task(func, *args, **kwargs)

    async def __call__(self) -> None:
        """Run every task, also those after one that failed.

        Raises:
            Exception: the first failure, after the last task has run, so that servers and tests see it. Later failures are logged
                with their traceback. Cancellation stops at once.
        """
        first: Exception | None = None
        for task in self.tasks:
            try:
                with operation("background_task", task.func):
                    await task()
            except Exception as error:
                if first is None:
                    first = error
                else:
                    logger.error("background task %r failed", task.func, exc_info=error)
        if first is not None:
            raise first
