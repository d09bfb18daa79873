"""When the supervisor takes a worker for hung, on a clock that the test moves. Its processes are in `tests/protocol`."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from tercel.server import workers
from tercel.server.config import ServerConfig
from tercel.server.workers import Supervisor

SILENCE_S = 60.0


class Clock:
    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


class Child:
    """A worker that does what the test says."""

    pid = 1
    ready = True
    leaving = mute = stopping = dead = False
    kill_at_s = math.inf

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_s = self.heard_s = clock.now_s
        self.process = self
        self.killed = False

    def hear(self) -> None:
        self.heard_s = self._clock.now_s

    def accepts(self, now_s: float) -> bool:
        return True

    def kill(self) -> None:
        self.killed = True

    def stop(self, patience_s: float) -> None:
        self.dead = True

    def bury(self) -> int:
        return 0


Wait = Callable[[Child, float], None]


class Waits:
    """The supervisor's waits, one after the other, and SIGTERM behind them."""

    def __init__(self, waits: Iterable[Wait]) -> None:
        self._waits = iter(waits)

    def __enter__(self) -> Waits:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self, children: list[Child], timeout_s: float) -> list[int]:
        for wait in self._waits:
            wait(children[0], timeout_s)
            return []
        return [signal.SIGTERM]


@pytest.fixture
def supervise(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Wait], Clock], Child]:
    """Runs a supervisor of one worker through some waits; returns the worker."""

    def run(waits: Sequence[Wait], clock: Clock) -> Child:
        child = Child(clock)
        fakes: dict[str, Any] = {"time": clock, "Worker": lambda *_: child, "SignalPipe": lambda: Waits(waits)}
        for name, fake in fakes.items():
            monkeypatch.setattr(workers, name, fake)
        with socket.socket() as listener:
            config = ServerConfig(worker_silence_timeout_s=SILENCE_S)
            assert Supervisor("served:app", config, [[listener]], lambda: None).run() == 0
        return child

    return run


Supervise = Callable[[Sequence[Wait], Clock], Child]


@pytest.mark.parametrize("hears", [True, False])
def test_a_worker_is_killed_when_it_alone_is_silent(supervise: Supervise, hears: bool) -> None:
    clock = Clock()

    def usual(child: Child, timeout_s: float) -> None:
        clock.now_s += timeout_s
        if hears:
            child.hear()

    assert supervise([usual] * 2 * int(SILENCE_S + 1), clock).killed is not hears


def test_no_worker_is_killed_for_the_time_in_which_its_supervisor_stood_still_too(supervise: Supervise) -> None:
    clock = Clock()

    def paused(child: Child, timeout_s: float) -> None:
        clock.now_s += 100 * SILENCE_S

    def usual(child: Child, timeout_s: float) -> None:
        clock.now_s += timeout_s

    assert not supervise([paused, usual, paused, usual], clock).killed
    assert supervise([paused, *[usual] * 2 * int(SILENCE_S + 1)], clock).killed, "it is heard of no more"
