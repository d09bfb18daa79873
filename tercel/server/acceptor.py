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
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Acceptor", "Guests"]

_log: Final = logging.getLogger("tercel.error")

# Out of file descriptors or memory for sockets: nothing to do but wait until connections end.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_RETRY_S: Final = 0.25
# A process at its limit of descriptors says so once a minute.
_LOG_INTERVAL_S: Final = 60.0
# So many accepts in a row before others have their turn.
_BURST: Final = 64


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

    Args:
        listeners: bound sockets.
        limit: of connections that are open at the same time, or None.
        adopt: what becomes of an accepted, non-blocking socket; `left` must be called when it has ended.
    """

    def __init__(self, listeners: Sequence[socket.socket], limit: int | None, adopt: Callable[[socket.socket], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._limit = limit
        self._adopt = adopt
        self._open_count = 0
        self._accepting = False
        self._ended = False
        self._retry: asyncio.TimerHandle | None = None
        self._silent_until_s = 0.0

    def start(self) -> None:
        """Begin, or go on after a pause."""
        self._retry = None
        if not self._accepting and not self._ended:
            self._accepting = True
            for listener in self._listeners:
                self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for listener in self._listeners:
                self._loop.remove_reader(listener.fileno())

    def end(self) -> None:
        """Accept what waits in the backlog, since it would be reset, and nothing more; close the listeners."""
        accepting = self._accepting
        self._pause()
        self._ended = True
        if self._retry is not None:
            self._retry.cancel()
        for listener in self._listeners:
            while accepting and self._accept(listener):
                pass
            listener.close()

    def left(self) -> None:
        """A connection has ended."""
        self._open_count -= 1
        if not self._accepting and self._retry is None:
            self.start()

    def _accept(self, listener: socket.socket) -> bool:
        """Accept a burst. Returns whether there may be more."""
        for _ in range(_BURST):
            if self._limit is not None and self._open_count >= self._limit:
                self._pause()
                return False
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return False
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
                return False
            self._open_count += 1
            client.setblocking(False)
            self._adopt(client)
        return True
