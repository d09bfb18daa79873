"""Accepts connections: pauses at the limit and when the process is out of descriptors, and loses none at the end.

Written out instead of `loop.create_server`, which can not pause, and whose uvloop form closes its socket when accepting fails.
Knows sockets and the event loop. Read `tercel.server.serving` for what becomes of a connection.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Acceptor", "Guests"]

_log: Final = logging.getLogger("tercel.error")

# Out of file descriptors or memory for sockets: nothing to do but wait until connections end.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_RETRY_S: Final = 0.25
# A process at its limit of descriptors says so once a minute.
_LOG_INTERVAL_S: Final = 60.0
# Connections that are handed over in a turn, at least. Each costs about as much as a request.
_TURN: Final = 64
# As many as wait in a usual backlog (`net.core.somaxconn`). To take one out costs a few microseconds.
_BACKLOG: Final = 4096


class Guests:
    """Counts connections by where they come from.

    Args:
        limit: of connections from one address at the same time. A network of IPv6 with 64 bits counts as one: whoever has one
            address of it has them all.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[object, int] = {}

    def arrive(self, host: str) -> bool:
        """Count one in, unless there are too many."""
        key = _home(host)
        count = self._counts.get(key, 0)
        if count >= self._limit:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, host: str) -> None:
        """Count one out that was counted in."""
        key = _home(host)
        count = self._counts.get(key, 0)
        if count > 1:
            self._counts[key] = count - 1
        else:
            self._counts.pop(key, None)


def _home(host: str) -> object:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    # An IPv4 client on a dual-stack socket appears as ::ffff:a.b.c.d.
    return str(address.ipv4_mapped) if address.ipv4_mapped is not None else int(address) >> 64


class Acceptor:
    """Accepts from some listeners, up to a number of open connections.

    What waits in the kernel is taken out at once, since a full backlog makes clients try again after a time that doubles (their
    connection looks open to them). It is handed over in turns, between which everybody else has theirs: as many in a turn as
    there are already, so that a flood of connections at most doubles what the others wait.

    Args:
        listeners: bound sockets.
        limit: of connections that are open at the same time, or None.
        adopt: what becomes of an accepted, non-blocking socket; `left` must be called when it has ended.
        shared: other processes accept from the same sockets: they are left their part.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], limit: int | None, adopt: Callable[[socket.socket], None], *, shared: bool = False
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = list(listeners)
        self._limit = limit
        self._adopt = adopt
        self._take_count = _TURN if shared else _BACKLOG
        self._open_count = 0
        self._arrived: deque[socket.socket] = deque()
        self._accepting = False
        self._ended = False
        self._turn: asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._silent_until_s = 0.0

    def start(self) -> None:
        """Begin, or go on after a pause."""
        self._retry = None
        if not self._accepting and not self._ended:
            self._accepting = True
            for listener in self._listeners:
                self._watch(listener)

    def _watch(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for listener in self._listeners:
                self._loop.remove_reader(listener.fileno())

    def add(self, listener: socket.socket) -> None:
        """Accept from one more, which becomes this object's to close."""
        if self._ended:
            listener.close()
            return
        self._listeners.append(listener)
        if self._accepting:
            self._watch(listener)

    def remove(self, listener: socket.socket) -> None:
        """Accept from one of them no more, and close it: another process has it too, and what waits there is for that one."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if self._accepting:
                self._loop.remove_reader(listener.fileno())
            listener.close()

    def end(self) -> None:
        """Accept what waits in the backlog, since it would be reset, and nothing more; close the listeners."""
        accepting = self._accepting
        self._pause()
        self._ended = True
        for handle in (self._retry, self._turn):
            if handle is not None:
                handle.cancel()
        for listener in self._listeners:
            if accepting:
                self._take(listener, _BACKLOG)
            listener.close()
        while self._arrived:
            self._adopt(self._arrived.popleft())

    def left(self) -> None:
        """A connection has ended."""
        self._open_count -= 1
        if not self._accepting and self._retry is None:
            self.start()

    def _accept(self, listener: socket.socket) -> None:
        self._take(listener, self._take_count)
        if self._turn is None:
            self._hand_over()

    def _take(self, listener: socket.socket, count: int) -> None:
        """Take so many at most out of the backlog."""
        for _ in range(count):
            if self._limit is not None and self._open_count >= self._limit:
                self._pause()
                return
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    # ECONNABORTED and its like belong to the one connection that was to be accepted.
                    continue
                self._pause()
                if not self._ended:
                    self._retry = self._loop.call_later(_RETRY_S, self.start)
                if self._loop.time() >= self._silent_until_s:
                    self._silent_until_s = self._loop.time() + _LOG_INTERVAL_S
                    _log.error("Can not accept connections: %s; trying again until some have ended", error.strerror)
                return
            self._open_count += 1
            client.setblocking(False)
            self._arrived.append(client)

    def _hand_over(self) -> None:
        self._turn = None
        arrived = len(self._arrived)
        for _ in range(min(arrived, max(_TURN, self._open_count - arrived))):
            self._adopt(self._arrived.popleft())
        if self._arrived:
            self._turn = self._loop.call_soon(self._hand_over)
