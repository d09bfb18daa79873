"""Pressure in both directions on one connection: reading that pauses, writers that wait, a peer that takes nothing.

A mixin of `tercel.server.http1` and `tercel.server.websocket`; knows a transport and the clock, no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol

from tercel.server.stream import client_gone
from tercel.server.waiting import Waiters

__all__ = ["FLOW_SLOTS", "FlowControl"]

FLOW_SLOTS: Final = (
    "_drained",
    "_paused_by_app",
    "_reading_paused",
    "_stall_left_bytes",
    "_stall_since_s",
    "loop",
    "lost",
    "reads",
    "transport",
    "write_paused",
)


class Reads(Protocol):
    """Of a transport, what concerns reading."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class FlowControl:
    """The methods; whoever mixes them in calls `init_flow` and has the attributes of `FLOW_SLOTS`.

    Attributes:
        lost: nothing can be sent any more.
        reads: who takes bytes from the socket: the transport, or what does that in its place.
        write_paused: more than the high-water mark waits for the peer.
    """

    if not TYPE_CHECKING:
        # Empty, so that it goes together with picows' listener, which has a layout of its own.
        __slots__ = ()

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    reads: Reads
    lost: bool
    write_paused: bool
    _reading_paused: bool
    _paused_by_app: bool
    _drained: Waiters | None
    _stall_since_s: float
    _stall_left_bytes: int

    def init_flow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the attributes to those of a new connection."""
        self.loop = loop
        self.lost = self.write_paused = self._reading_paused = self._paused_by_app = False
        self._drained = None
        self._stall_since_s = 0.0
        self._stall_left_bytes = 0

    # -- reading -----------------------------------------------------------------------------------------------------------

    def hold_reading(self) -> None:
        """Take nothing more for now; the peer feels it."""
        if not self._reading_paused:
            self._reading_paused = True
            self.reads.pause_reading()

    def release_reading(self) -> None:
        """Read on, unless the application has asked for the pause."""
        if self._reading_paused and not self._paused_by_app and not self.lost:
            self._reading_paused = False
            self.reads.resume_reading()

    def pause_reading(self) -> None:
        """The application's wish; see `ConnectionHandle`."""
        self._paused_by_app = True
        self.hold_reading()

    def resume_reading(self) -> None:
        """The application's wish; see `ConnectionHandle`."""
        self._paused_by_app = False
        self.release_reading()

    # -- writing -----------------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The transport's call: too much waits."""
        self.write_paused = True
        self._stall_since_s = self.loop.time()
        self._stall_left_bytes = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The transport's call: enough was taken."""
        self.write_paused = False
        self.wake_writers()

    async def drained(self) -> None:
        """Return when the peer has taken enough of what waits for it.

        Raises:
            OSError: it is gone.
        """
        while self.write_paused and not self.lost:
            if self._drained is None:
                self._drained = Waiters()
            await self._drained.future()
        if self.lost:
            raise client_gone()

    def wake_writers(self) -> None:
        """Let those go on who wait in `drained`."""
        if self._drained is not None:
            self._drained.wake()

    def bytes_buffered(self) -> int:
        """Bytes written and not yet taken by the network."""
        return 0 if self.lost else self.transport.get_write_buffer_size()

    def stalled(self, now_s: float, timeout_s: float) -> bool:
        """Whether the peer has taken nothing for so long although something waits; to be asked regularly while that is so."""
        left = self.transport.get_write_buffer_size()
        if left != self._stall_left_bytes:
            self._stall_left_bytes = left
            self._stall_since_s = now_s
            return False
        return left > 0 and now_s - self._stall_since_s >= timeout_s

    # -- the end -----------------------------------------------------------------------------------------------------------

    def reset_at_end(self) -> None:
        """The peer shall see that something is missing when the connection ends."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                # On, and no time: the kernel sends RST instead of FIN.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
