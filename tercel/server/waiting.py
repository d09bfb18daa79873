"""Coroutines that wait for something a callback will bring, any number of them.

A future for each: one that is cancelled does not end the wait of the others, and no shield is paid for. Knows nothing else.
"""

from __future__ import annotations

import asyncio

__all__ = ["Waiters"]


class Waiters:
    """Who waits for the next `wake`."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def future(self) -> asyncio.Future[None]:
        """To be awaited at once."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        return future

    def wake(self) -> None:
        """Let all go on who wait now."""
        if self._futures:
            futures, self._futures = self._futures, []
            for future in futures:
                if not future.done():
                    future.set_result(None)
