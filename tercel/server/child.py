"""A worker as its supervisor sees it, and the wait for signals and workers at once.

Read `tercel.server.worker` for what the process itself does, `tercel.server.workers` and `tercel.server.reload` for who uses this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, Final

from tercel.server.config import ServerConfig
from tercel.server.worker import LEAVING, LEND, READY, RETURN, STOP, TICK_S

__all__ = ["SignalPipe", "Worker"]

# Without a sign of life for so long, others accept what is meant for a worker.
_SILENT_S: Final = 2.5 * TICK_S


class Worker:
    """A child process that serves.

    Args:
        app: `module:attribute`.
        config: the settings.
        listeners: the sockets it accepts from; they stay open here.

    Attributes:
        ready: it accepts connections.
        stopping: it was asked to stop.
        leaving: it stops by itself: it has served its `max_requests`, or somebody has sent it a signal.
        started_s: when it was started, on the monotonic clock.
        heard_s: when its event loop last gave a sign of life.
        kill_at_s: when patience with its stopping ends.
        mute: its end of the control socket is closed: it has ended or is about to.
    """

    def __init__(self, app: str, config: ServerConfig, listeners: Iterable[socket.socket]) -> None:
        self.control, theirs = socket.socketpair()
        fds = [listener.fileno() for listener in listeners]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tercel.server.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *fds),
            )
        order = {"app": app, "config": dataclasses.asdict(config), "fds": fds, "path": sys.path}
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(order).encode() + b"\n")
        self.control.setblocking(False)
        self.ready = False
        self.stopping = False
        self.leaving = False
        self.mute = False
        self.started_s = self.heard_s = time.monotonic()
        self.kill_at_s = math.inf

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def dead(self) -> bool:
        """The process has ended."""
        return self.process.poll() is not None

    def tell(self, order: bytes) -> None:
        """Send an order; one that has ended hears nothing."""
        with contextlib.suppress(OSError):
            self.control.send(order + b"\n")

    def accepts(self, now_s: float) -> bool:
        """Whether it takes connections, as far as can be told."""
        return self.ready and not (self.stopping or self.leaving or self.mute) and now_s - self.heard_s < _SILENT_S

    def lend(self, slot: int, listeners: Sequence[socket.socket]) -> bool:
        """Have it accept from the sockets of another slot too. Returns whether it was told."""
        try:
            order = b"%s %d %d\n" % (LEND, slot, len(listeners))
            socket.send_fds(self.control, [order], [listener.fileno() for listener in listeners])
        except OSError:
            return False
        return True

    def take_back(self, slot: int) -> None:
        """Have it leave them to their own worker."""
        self.tell(b"%s %d" % (RETURN, slot))

    def stop(self, patience_s: float) -> None:
        """Ask it to stop gracefully; once."""
        if not self.stopping:
            self.stopping = True
            self.kill_at_s = time.monotonic() + patience_s
            self.tell(STOP)

    def hear(self) -> None:
        """Take what it has sent."""
        try:
            letters = self.control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            letters = b""
        if not letters:
            self.mute = True
            return
        self.heard_s = time.monotonic()
        self.ready = self.ready or READY in letters
        self.leaving = self.leaving or LEAVING in letters

    def bury(self) -> int:
        """Release what belongs to a dead worker. Returns its exit code; negative for a signal."""
        if not self.mute:
            self.hear()
        self.control.close()
        code = self.process.wait()
        return code


class SignalPipe:
    """Signals as bytes on a socket, so that waiting for them and for workers is one wait. A context manager of the main thread."""

    _NAMES: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD")
    _WAKE: Final = b"\0"

    def __enter__(self) -> SignalPipe:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._before: list[tuple[int, Callable[[int, FrameType | None], Any] | int | None]] = []
        for name in self._NAMES:
            number = getattr(signal, name)
            self._before.append((number, signal.signal(number, _do_nothing)))
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before:
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def wake(self) -> None:
        """End the current or next wait; from any thread."""
        with contextlib.suppress(OSError):
            self._writer.send(self._WAKE)

    def wait(self, workers: Iterable[Worker], timeout_s: float) -> list[int]:
        """Wait for a signal, for a wake-up or for a worker to say something (which is taken). Returns the signals."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ, None)
            for worker in workers:
                if not worker.mute:
                    selector.register(worker.control, selectors.EVENT_READ, worker)
            for key, _ in selector.select(timeout_s):
                if key.data is not None:
                    key.data.hear()
        try:
            return [number for number in self._reader.recv(4096) if number]
        except BlockingIOError:
            return []


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """What is done about a signal is done by whoever waits for its byte."""
