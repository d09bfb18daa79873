"""Life and death of what `tercel run --dropin` serves: signals with everything open, killed workers, no descriptors, memory."""

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
from tests.processes import await_end, cpu_share, wait_until
from tools.soak.idle import many_files as all_files

Start = Callable[..., Service]


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process and those it starts may have as many descriptors as the system lets them."""
    with all_files():
        yield


def request(wire: Wire, target: str) -> None:
    wire.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())


# -- signals ---------------------------------------------------------------------------------------------------------------------


def test_sigterm_with_two_hundred_streams_and_a_thousand_sockets(start: Start, many_files: None) -> None:
    service = start("--graceful-timeout", "50")
    streams = [service.connect() for _ in range(200)]
    for wire in streams:
        request(wire, "/events")
    assert all(wire.head().status == 200 for wire in streams)
    sockets = [Socket(service, "/ws/text") for _ in range(1000)]
    slow = service.connect()
    request(slow, "/slow?seconds=1")
    background = service.connect()
    request(background, "/background")
    assert background.response().json == "started"
    service.saw("^slow$")
    began_s = time.monotonic()
    service.signal(signal.SIGTERM)
    # Nothing in flight is lost, and whoever waits is told.
    assert slow.response().json == "slow"
    for wire in streams:
        found = wire.rest()
        assert found.endswith(b"\r\n0\r\n\r\n"), "the stream did not end cleanly"
    assert {ws.closed() for ws in sockets} == {(1012, "service restart")}
    assert service.exit_code() == 0
    assert time.monotonic() - began_s < 45
    service.saw("shutdown with 0 streams and 0 sockets")
    assert sum(line == "events ended" for line in service.lines) == 200
    assert sum(line == "ws left 1012" for line in service.lines) == 1000
    assert service.lines.index("background done") < len(service.lines)
    assert not [line for line in service.lines if "Traceback" in line or "ERROR" in line]


def test_sockets_whose_endpoints_wait_for_something_else_do_not_hold_the_end_up(start: Start) -> None:
    service = start("--graceful-timeout", "1000")
    sockets = [Socket(service, "/ws/queue") for _ in range(20)]
    with Socket(service, "/ws/queue"):
        pass  # one leaves before
    service.until(lambda told: told["sockets"] == 21)
    service.signal(signal.SIGTERM)
    assert {ws.closed() for ws in sockets} == {(1012, "service restart")}
    assert service.exit_code() == 0
    service.saw("shutdown with 0 streams and 0 sockets")
    assert sum(line == "queue left" for line in service.lines) == 21


@pytest.mark.parametrize("workers", ["1", "2"])
def test_new_connections_are_refused_while_it_stops(start: Start, workers: str) -> None:
    service = start("--workers", workers)
    unfinished = service.connect()
    unfinished.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert unfinished.head().status == 100
    service.signal(signal.SIGTERM)
    service.saw("Stopping")

    def refused() -> bool:
        try:
            service.connect().socket.close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refused)
    unfinished.send(b"last")
    answer = unfinished.response()
    assert (answer.status, answer["connection"]) == (200, "close")
    assert service.exit_code() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_an_endless_download_now_and_shutdown_still_runs(start: Start, second: int) -> None:
    service = start("--graceful-timeout", "1000")
    wire = service.connect()
    request(wire, "/endless")
    assert wire.head().status == 200
    service.signal(signal.SIGTERM)
    service.saw("Stopping")
    service.signal(second)
    assert service.exit_code() == 0
    service.saw("endless ended")
    service.saw("shutdown with 0 streams")


def test_a_client_that_never_finishes_its_request_does_not_hold_the_end_up(start: Start) -> None:
    service = start("--graceful-timeout", "2")
    wires = [service.connect() for _ in range(3)]
    wires[0].send(b"GET / HT")
    wires[1].send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf")
    service.get("/")
    assert service.stop() == 0
    service.saw("shutdown with")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_call_that_never_returns_does_not_hold_the_end_up(start: Start, workers: str) -> None:
    service = start("--graceful-timeout", "1", "--workers", workers)
    wire = service.connect()
    request(wire, "/stuck")
    service.saw("^stuck$")
    assert service.stop() == 0
    service.saw("1 synchronous calls have not returned")
    assert service.lines.index("shutdown with 0 streams and 0 sockets") > 0


@pytest.mark.parametrize("target", ["/exits", "/exits/at-once", "/exits/handler", "/exits/sync"])
def test_an_endpoint_that_exits_fails_alone(start: Start, target: str) -> None:
    service = start()
    with service.connect() as wire:
        for _ in range(2):
            request(wire, target)
            assert wire.response().status == 500
    assert service.get("/").status == 200
    service.saw("SystemExit: 5")
    assert service.stop() == 0
    service.saw("shutdown with")


# -- workers ---------------------------------------------------------------------------------------------------------------------


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_a_worker_that_is_killed_under_load_takes_only_its_own_requests_along(start: Start) -> None:
    service = start("--workers", "2")
    outcomes: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                with service.connect() as wire:
                    for _ in range(20):
                        outcomes.append("good" if wire.get("/text/a").body == b"a" else "wrong")
            except (EOFError, OSError):
                outcomes.append("lost")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = children(service.process.pid)
    assert len(before) == 2
    wait_until(lambda: len(outcomes) >= 200)
    os.kill(min(before), signal.SIGKILL)
    service.saw("was killed by signal 9 and is replaced")
    service.saw("^startup$", times=3)
    since = len(outcomes)
    wait_until(lambda: len(outcomes) >= since + 200)
    stop.set()
    for thread in threads:
        thread.join(WAIT_S)
    # One request of each connection that the killed worker held, at most; nothing is refused since its socket stays open.
    assert outcomes.count("lost") <= 4
    assert "wrong" not in outcomes
    after = children(service.process.pid)
    assert len(after) == 2
    assert len(after & before) == 1
    assert service.stop() == 0


def test_workers_end_with_their_supervisor(start: Start) -> None:
    service = start("--workers", "2")
    pids = children(service.process.pid)
    service.process.kill()
    service.saw("^shutdown with", times=2)
    await_end(pids)


# -- what runs out ---------------------------------------------------------------------------------------------------------------


def test_without_descriptors_it_waits_calmly_and_recovers(start: Start) -> None:
    service = start(limit_files=60)
    wires = []
    for _ in range(100):
        wire = socket.socket()
        wire.settimeout(WAIT_S)
        wire.connect(("127.0.0.1", service.port))
        wires.append(wire)
    service.saw("Can not accept connections: Too many open files")
    assert cpu_share(service.process.pid) < 0.3, "a busy loop"
    for wire in wires:
        wire.close()
    assert service.get("/").json == {"hello": "world"}
    assert service.stop() == 0


# -- start -----------------------------------------------------------------------------------------------------------------------


BROKEN = """
import os
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    os.write(1, b"trying\\n")  # one write: two workers share the output
    raise RuntimeError("no database")
    yield

app = FastAPI(lifespan=lifespan)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_lifespan_that_fails_is_3_without_a_loop_of_restarts(start: Start, tmp_path: Path, workers: str) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    failed = start("--workers", workers, app="broken:app", folder=tmp_path, comes_up=False)
    assert failed.exit_code() == 3
    assert 1 <= failed.lines.count("trying") <= int(workers)
    failed.saw("no database")
    assert not [line for line in failed.lines if "running on" in line]
