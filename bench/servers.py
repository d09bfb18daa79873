"""One server process per contender: started on the server's core, found listening, put to sleep while others are measured, ended.

Knows processes and ports, nothing of what is asked. Linux only: it reads /proc.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.contenders import Contender
from bench.environments import CACHE, Failure, ensure_stage

__all__ = ["Server", "choose_cores", "pinned"]

START_TIMEOUT_S: Final = 30.0  # importing a framework on a busy machine takes seconds
STOP_TIMEOUT_S: Final = 5.0  # no request is under way when a server is told to stop
END_TIMEOUT_S: Final = 1.0  # for a process whose connections have just been reset
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def choose_cores() -> tuple[int, int]:
    """The core for servers and the one for load: two different ones unless this process may use only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and what it starts, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running server; a context manager that ends it with everything it started.

    Args:
        contender: what to serve.
        python: the interpreter of its environment.
        core: where it may run; several cores for several workers.

    Raises:
        Failure: it ended or did not listen in time; the message ends with the last lines it wrote.
    """

    def __init__(self, contender: Contender, python: Path, core: int | Collection[int]) -> None:
        self.contender = contender
        self.port = _find_free_port()
        self._log = CACHE / "logs" / f"{contender.name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(python), *(argument.replace("{port}", str(self.port)) for argument in contender.command)]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        with pinned({core} if isinstance(core, int) else core), self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ensure_stage(),
                env={**kept, **contender.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Failure(f"did not start: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"did not listen within {START_TIMEOUT_S:.0f} s: {self.last_words()}")

    @property
    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process.poll() is None

    def has_ended(self) -> bool:
        """Whether it does not, after a moment: a connection is reset a little before its process is gone."""
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self) -> str:
        """The end of what the server wrote, on one line."""
        return " | ".join(self._log.read_text("utf-8", "replace").split("\n")[-4:]).strip(" |")[-300:]

    def sleep(self) -> None:
        """Stop the processes where they are, so that their timers do not disturb a measurement."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Undo `sleep`."""
        self._signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """Processor time that all processes of this server have used."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes()) / TICKS_PER_S

    def _processes(self) -> Iterator[tuple[Path, list[str]]]:
        """The folders in /proc of all processes of this server, each with the fields of its `stat` behind the command."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self._process.pid:  # its process group is the one that this server leads
                yield entry, fields

    def resident_mb(self) -> float:
        """Memory that the started process holds, in MB (10^6 bytes); 0 once it has ended."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def all_resident_mb(self) -> float:
        """Memory that all its processes hold, in MB; pages that several of them share count for each."""
        pages = sum(int(fields[21]) for _, fields in self._processes())
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        """End the server and what it started."""
        self.wake()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
