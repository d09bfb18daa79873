"""Servers in processes of their own, for the suites that look from outside: what they print, when they end, what they use.

Waits are for events: a line of output (`Watched.saw`), the end of a process (`await_end`). `wait_until` looks again and again where
there is no event, and `time_passes` where time is the matter itself. This module must not know pytest, nor what is served.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["Watched", "await_end", "cpu_share", "cpu_time_s", "time_passes", "wait_until"]

Seen = TypeVar("Seen")

END = "<end>"
"""Stands behind the last line of output."""

POLL_S = 0.02


class Watched:
    """A process whose output is read as it comes.

    Args:
        command: that starts it.
        folder: it begins in.
        environment: all of it.

    Attributes:
        lines: of both its streams, without their ends; `END` behind the last.
    """

    wait_s = 60.0
    """How long anything that must happen may take on a busy machine; only a failing test ever waits that long."""

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._note(line.rstrip())
        self._note(END)

    def _note(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def saw(self, pattern: str, times: int = 1, *, since: int = 0) -> str:
        """Wait for a line of output; the last of so many that match."""

        def found() -> list[str]:
            return [line for line in self.lines[since:] if re.search(pattern, line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= times or END in self.lines, self.wait_s)
            assert len(found()) >= times, f"not {times} x {pattern!r} in\n" + "\n".join(self.lines[-60:])
            return found()[times - 1]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def exit_code(self, within_s: float | None = None) -> int:
        """Wait for the end of the process and of its output; negative when a signal ended it."""
        code = self.process.wait(self.wait_s if within_s is None else within_s)
        self._reader.join(self.wait_s)
        return code

    def stop(self) -> int:
        """SIGTERM, if it still runs, and the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.exit_code()

    def close(self) -> None:
        """End it, however it is, and wait until those that it has started have closed its output too."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(self.wait_s)


def wait_until(look: Callable[[], Seen], is_right: Callable[[Seen], object] = bool, within_s: float = Watched.wait_s) -> Seen:
    """Look again and again until it is right: for what has no event, as what another process answers or a thread has counted.

    Returns:
        What was seen at last.

    Raises:
        AssertionError: it has not become right in time; with what was seen at last.
    """
    deadline_s = time.monotonic() + within_s
    while not is_right(seen := look()):
        assert time.monotonic() < deadline_s, seen
        time.sleep(POLL_S)
    return seen


def time_passes(seconds: float) -> None:
    """Let time pass where it is what the test is about: memory that must not grow, a loop that must not be busy. `wait_until` waits
    for something."""
    time.sleep(seconds)


def await_end(pids: Iterable[int], within_s: float = Watched.wait_s) -> None:
    """Wait for the end of processes that need not be this one's children. Linux only: over descriptors of processes.

    Raises:
        AssertionError: one has not ended in time.
    """
    deadline_s = time.monotonic() + within_s
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended = select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))[0]
        finally:
            os.close(descriptor)
        assert ended, f"process {pid} has not ended"


def cpu_share(pid: int, over_s: float = 1.0) -> float:
    """The share of one core that a process uses from now on."""
    before_s, began_s = cpu_time_s(pid), time.monotonic()
    time_passes(over_s)
    return (cpu_time_s(pid) - before_s) / (time.monotonic() - began_s)


def cpu_time_s(pid: int) -> float:
    """What a process has used of the processor, in the kernel too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
