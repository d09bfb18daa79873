"""What an application sent and its client has not taken yet, bounded so that an endless stream waits for its reader.

Knows nothing of what the items are. Read `tercel.testing.transport` next, which sends pieces of bodies through it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Outbox"]

T = TypeVar("T")

_LIMIT_BYTES = 64 * 1024
"""Where putting begins to wait: asyncio's own high-water mark for a socket, so that an application runs as far ahead as in
earnest."""


class Outbox(Generic[T]):
    """A queue from the application to its client, one consumer at a time."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put_nowait(self, item: T, size_bytes: int = 0) -> None:
        """Adds an item, whatever there is already."""
        self._items.append((item, size_bytes))
        self._bytes += size_bytes
        if self._bytes > _LIMIT_BYTES:
            self._room.clear()
        self._news.set()

    async def put(self, item: T, size_bytes: int) -> None:
        """Adds an item, then waits while more than the limit is queued and the client is there."""
        self.put_nowait(item, size_bytes)
        await self._room.wait()

    def close(self) -> None:
        """No more items will be put; `get` returns None when those before are taken."""
        self._closed = True
        self._news.set()

    def abandon(self) -> None:
        """The client takes nothing any more: what is queued is dropped, and nobody waits for room."""
        self._items.clear()
        self._bytes = 0
        self._room.set()
        self.close()

    async def get(self, timeout_s: float | None) -> T | None:
        """The next item; None once the queue is closed and empty.

        Raises:
            TimeoutError: there was none in time.
        """
        if not self._items and not self._closed:
            async with asyncio.timeout(timeout_s):
                while not self._items and not self._closed:
                    self._news.clear()
                    await self._news.wait()
        if not self._items:
            return None
        item, size_bytes = self._items.popleft()
        self._bytes -= size_bytes
        if self._bytes <= _LIMIT_BYTES:
            self._room.set()
        return item
