"""Two workers: one of them dead, failing, hanging or stopping, and clients who must not notice; restarts, and the end of all.

Switches (files, see `programs/several.py`) hold what is going on until the test has seen it, so that nothing is a matter of time.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.attacker import WAIT_S, Service, Socket, Wire
from tests.processes import wait_until

TRIES = 40
"""Connections that would all miss one of two workers once in 10^12 times."""


class Pair:
    """A service with two workers and the switches of its application."""

    def __init__(self, start: Callable[..., Service], folder: Path, *options: str, comes_up: bool = True) -> None:
        self._folder = folder
        self.service: Service = start(
            "--workers", "2", *options, app="several:app", variables={"SWITCHES": str(folder)}, comes_up=comes_up
        )

    def set(self, name: str) -> None:
        (self._folder / name).touch()

    def clear(self, name: str) -> None:
        (self._folder / name).unlink()

    def ask(self) -> int:
        """Who answers on a new connection."""
        return int(self.service.get("/").body)

    def who(self, count: int = TRIES) -> set[int]:
        """Who answers on so many new connections."""
        return {self.ask() for _ in range(count)}

    def both(self, *, without: int | None = None) -> set[int]:
        """Wait until two workers have answered, neither of them the given one."""
        deadline_s = time.monotonic() + WAIT_S
        found: set[int] = set()
        while len(found) < 2:
            assert time.monotonic() < deadline_s, found
            found.add(self.ask())
            found.discard(-1 if without is None else without)
        return found

    def over_both(self, ask: Callable[[], tuple[Wire, int]]) -> list[Wire]:
        """Connections of which each worker holds three at least."""
        deadline_s = time.monotonic() + WAIT_S
        held: dict[int, list[Wire]] = {}
        while len(held) < 2 or min(map(len, held.values())) < 3:
            assert time.monotonic() < deadline_s, held
            wire, pid = ask()
            held.setdefault(pid, []).append(wire)
        return [wire for wires in held.values() for wire in wires]


@pytest.fixture
def pair(start: Callable[..., Service], tmp_path: Path) -> Pair:
    return Pair(start, tmp_path)


def request(wire: Wire, target: str) -> None:
    wire.send(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())


def no_traceback(service: Service) -> None:
    assert not [line for line in service.lines if "Traceback" in line]


@pytest.fixture
def load(pair: Pair) -> Iterator[list[str]]:
    """Clients that connect, ask once and leave, all the time; what became of each."""
    outcomes: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                outcomes.append("good" if pair.ask() else "wrong")
            except (EOFError, OSError) as error:
                outcomes.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield outcomes
    stop.set()
    for thread in threads:
        thread.join(WAIT_S)


# -- one that does not accept ----------------------------------------------------------------------------------------------------


def test_another_answers_for_a_killed_worker_until_its_replacement_has_started(pair: Pair) -> None:
    victim, other = pair.both()
    pair.set("hold")
    os.kill(victim, signal.SIGKILL)
    pair.service.saw("^starting", times=3)  # and there it stays
    assert pair.who() == {other}
    pair.clear("hold")
    after = pair.both(without=victim)
    assert other in after


def test_another_answers_for_a_worker_whose_replacements_fail(pair: Pair) -> None:
    victim, other = pair.both()
    pair.set("fail")
    os.kill(victim, signal.SIGKILL)
    pair.service.saw("ended with exit code 3 and is replaced in", times=2)
    assert pair.who() == {other}
    pair.clear("fail")
    pair.both(without=victim)


def test_another_answers_for_a_worker_that_hangs_until_it_goes_on(pair: Pair) -> None:
    before = pair.both()
    pair.set("block")
    with pair.service.connect() as stuck:
        request(stuck, "/block")
        hanging = int(pair.service.saw("^blocking").split()[1])
        (other,) = before - {hanging}
        assert pair.who() == {other}
        pair.clear("block")
        assert int(stuck.response().body) == hanging
    assert pair.both() == before


def test_another_answers_while_a_worker_stops_that_has_served_its_number_of_requests(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    pair = Pair(start, tmp_path, "--max-requests", "200")
    pair.set("stream")
    with pair.service.connect() as wire:
        request(wire, "/stream")
        assert wire.head().status == 200
        pid = int(wire.exactly(int(wire._until(b"\r\n"), 16)))
        deadline_s = time.monotonic() + WAIT_S
        while not any(f"Worker {pid} is stopping and is replaced" in line for line in pair.service.lines):
            assert time.monotonic() < deadline_s
            pair.ask()
        wait_until(lambda: pid not in pair.who(), within_s=WAIT_S)  # the supervisor says so before the worker has heard of it
        pair.clear("stream")
        assert b"whole\n" in wire.rest()


def test_connections_wait_for_replacements_when_all_are_dead(pair: Pair) -> None:
    before = pair.both()
    pair.set("hold")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    pair.service.saw("^starting", times=4)
    wires = [pair.service.connect() for _ in range(TRIES)]
    for wire in wires:
        request(wire, "/")
    pair.clear("hold")
    answered = {int(wire.response().body) for wire in wires}
    assert not answered & before
    assert not pair.who() & before


# -- restarts --------------------------------------------------------------------------------------------------------------------


def test_a_rolling_restart_under_load_refuses_and_cuts_nobody(pair: Pair, load: list[str]) -> None:
    before = pair.both()
    pair.service.signal(signal.SIGHUP)
    pair.service.saw("^shutdown", times=2)
    since = len(load)
    deadline_s = time.monotonic() + WAIT_S
    while len(load) < since + 50:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert not pair.who() & before
    assert set(load) == {"good"}
    no_traceback(pair.service)


def test_a_broken_application_is_shown_and_the_old_workers_stay(pair: Pair, load: list[str]) -> None:
    before = pair.both()
    pair.set("broken")
    pair.service.signal(signal.SIGHUP)
    pair.service.saw("RuntimeError: no such module", times=2)
    pair.service.saw("did not start; the old one stays", times=2)
    assert pair.both() == before
    assert set(load) == {"good"}
    pair.clear("broken")
    pair.service.signal(signal.SIGHUP)
    pair.service.saw("^shutdown", times=2)
    assert not pair.both() & before


def test_sigterm_during_a_restart_ends_old_and_new(pair: Pair) -> None:
    pair.both()
    pair.set("hold")
    pair.service.signal(signal.SIGHUP)
    successor = int(pair.service.saw("^starting", times=3).split()[1])
    assert pair.service.stop() == 0
    assert sum(line.startswith("shutdown") for line in pair.service.lines) == 2
    assert not Path(f"/proc/{successor}").exists()
    no_traceback(pair.service)


# -- beginning and end -----------------------------------------------------------------------------------------------------------


def test_a_first_start_that_fails_in_one_of_two_ends_both(start: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "fail-once").touch()
    failed = Pair(start, tmp_path, comes_up=False).service
    assert failed.exit_code() == 3
    failed.saw("RuntimeError: no database")
    started = sum(line.startswith("starting") for line in failed.lines)
    assert 1 <= started <= 2
    assert not [line for line in failed.lines if "running on" in line or "is replaced" in line]


def test_sigterm_ends_streams_and_sockets_of_both(pair: Pair) -> None:
    def listen() -> tuple[Wire, int]:
        wire = pair.service.connect()
        request(wire, "/events")
        assert wire.head().status == 200
        return wire, int(wire._until(b"\n\n").partition(b"data: ")[2])

    sockets: dict[Wire, Socket] = {}

    def open_socket() -> tuple[Wire, int]:
        opened = Socket(pair.service, "/ws")
        sockets[opened.wire] = opened
        return opened.wire, int(opened.message())

    def download() -> tuple[Wire, int]:
        wire = pair.service.connect()
        request(wire, "/stream")
        assert wire.head().status == 200
        return wire, int(wire.exactly(int(wire._until(b"\r\n"), 16)))

    pair.set("stream")
    events = pair.over_both(listen)
    downloads = pair.over_both(download)
    pair.over_both(open_socket)
    pair.service.signal(signal.SIGTERM)
    pair.service.saw("Stopping", times=3)
    pair.clear("stream")
    for wire in (*events, *downloads):
        assert wire.rest().endswith(b"\r\n0\r\n\r\n"), "it did not end cleanly"
    assert {opened.closed() for opened in sockets.values()} == {(1012, "service restart")}
    assert pair.service.exit_code() == 0
    assert sum(line.startswith("shutdown") for line in pair.service.lines) == 2
    assert sum(line.startswith("events ended") for line in pair.service.lines) == len(events)
    assert sum(line.startswith("ws left 1012") for line in pair.service.lines) == len(sockets)
    no_traceback(pair.service)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pair.service.port), timeout=WAIT_S)


def test_sigterm_without_a_living_worker_ends_the_supervisor(pair: Pair) -> None:
    before = pair.both()
    pair.set("hold")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    pair.service.saw("^starting", times=4)
    assert pair.service.stop() == 0
