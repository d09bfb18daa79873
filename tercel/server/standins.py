"""Which worker accepts the connections of a slot whose own worker is dead, starting or silent.

The kernel goes on giving a slot's sockets their share of the connections, and they would wait for the replacement. Knows workers as
things that sockets are lent to. Read `tercel.server.workers` for who asks, `docs/design/0018-orphaned-sockets.md` for why.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from tercel.server.child import Worker

__all__ = ["StandIns"]


class _Slot(Protocol):
    @property
    def listeners(self) -> list[socket.socket]: ...

    @property
    def worker(self) -> Worker | None: ...


class StandIns:
    """Lends the sockets of slots without a worker that accepts to one that does, and takes them back.

    One stand-in for each slot, and not all who could: a connection wakes whoever waits for it.

    Args:
        slots: each with sockets of its own.
    """

    def __init__(self, slots: Sequence[_Slot]) -> None:
        self._slots = slots
        self._lent: dict[int, Worker] = {}

    def arrange(self, now_s: float) -> None:
        """Do what the present state of the workers asks for."""
        accepting = [slot.worker for slot in self._slots if slot.worker is not None and slot.worker.accepts(now_s)]
        for number, slot in enumerate(self._slots):
            orphaned = slot.worker not in accepting
            holder = self._lent.get(number)
            if holder is not None and not (orphaned and holder in accepting):
                holder.take_back(number)
                del self._lent[number]
                holder = None
            if orphaned and holder is None and accepting:
                burden = Counter(self._lent.values())
                chosen = min(accepting, key=lambda worker: burden[worker])
                if chosen.lend(number, slot.listeners):
                    self._lent[number] = chosen
