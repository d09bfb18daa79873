"""Processes as an operator sees them: signals, exit codes, workers that are replaced and renewed, reload."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Watched, await_end, cpu_share, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and inherited sockets are POSIX's"),
    pytest.mark.timeout(400),
]

WAIT_S = 100.0
"""A process has to import everything first, on a machine that is busy with other tests."""

BRIEF = "graceful_timeout_s=0.1, lifespan_shutdown_timeout_s=0.1"
"""Workers that hang end soon after their supervisor."""

APP = """
import asyncio, os, time
VERSION = "one"
def say(text):
    os.write(1, f"{text}\\n".encode())  # one write: several processes share the pipe
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("FAIL"):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        if os.environ.get("HANG"):
            say("hanging")
            await asyncio.sleep(1000)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say(f"shutdown {os.getpid()}")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        stopping = asyncio.Event()
        scope["extensions"]["tercel"].on_drain(stopping.set)
        say("slow")
        await stopping.wait()
    if scope["path"] == "/forever":
        say("forever")
        try:
            await asyncio.sleep(1000)
        finally:
            say("finally")
    if scope["path"] == "/block":
        say("blocking")
        time.sleep(1000)
    body = f"{os.getpid()} {VERSION}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


class Process(Watched):
    """A server in a process of its own."""

    wait_s = WAIT_S

    def __init__(self, folder: Path, settings: str, **environment: str) -> None:
        code = f"import sys; from tercel.server import ServerConfig, run; sys.exit(run('served:app', ServerConfig({settings})))"
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, str(folder)])
        variables = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        super().__init__([sys.executable, "-c", code], folder=folder, environment={**os.environ, **variables})

    @property
    def url(self) -> str:
        return self.saw("Tercel running on").split("running on ")[1].split()[0]

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(self.url + path, timeout=WAIT_S) as response:
            body: bytes = response.read()
            return body.decode()

    def in_background(self, path: str) -> Callable[[], str]:
        """Start a request; returns a function that waits for its answer."""
        outcome: list[str] = []

        def ask() -> None:
            try:
                outcome.append(self.get(path))
            except OSError as error:
                outcome.append(type(error).__name__)

        thread = threading.Thread(target=ask)
        thread.start()

        def answer() -> str:
            thread.join(WAIT_S)
            return outcome[0]

        return answer


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts servers of the application in a folder; ends them after the test."""
    (tmp_path / "served.py").write_text(APP)
    processes: list[Process] = []

    def start_one(settings: str, **environment: str) -> Process:
        process = Process(tmp_path, f"access_log=False, {settings}", **environment)
        processes.append(process)
        return process

    yield start_one
    for process in processes:
        process.close()


Start = Callable[..., Process]


# -- one process ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_what_is_in_flight_runs_the_shutdown_and_exits_with_0(start: Start, number: int) -> None:
    server = start("port=0")
    answer = server.in_background("/slow")
    server.saw("slow")
    server.signal(number)
    assert answer().endswith(" one")
    assert server.exit_code() == 0
    server.saw("shutdown")


def test_a_second_signal_stops_at_once_and_still_runs_the_shutdown(start: Start) -> None:
    server = start("port=0, graceful_timeout_s=600")
    answer = server.in_background("/forever")
    server.saw("forever")
    server.signal(signal.SIGTERM)
    server.saw("Stopping")
    server.signal(signal.SIGTERM)
    assert answer() == "RemoteDisconnected"
    assert server.exit_code() == 0
    server.saw("finally")
    server.saw("shutdown")


def test_the_grace_period_ends_and_the_shutdown_still_runs(start: Start) -> None:
    server = start("port=0, graceful_timeout_s=0.3")
    answer = server.in_background("/forever")
    server.saw("forever")
    server.signal(signal.SIGTERM)
    assert answer() == "RemoteDisconnected"
    assert server.exit_code() == 0
    server.saw("finally")
    server.saw("shutdown")


def test_a_signal_during_a_startup_that_hangs_ends_it(start: Start) -> None:
    server = start("port=0", HANG="1")
    server.saw("hanging")
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0


def test_clients_are_refused_until_the_application_has_started(start: Start) -> None:
    """Whoever looks after services takes one for ready that can be connected to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start(f"port={port}", HANG="1")
    server.saw("hanging")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_startup_that_fails_is_exit_code_3_and_is_not_tried_again(start: Start, workers: int) -> None:
    server = start(f"port=0, workers={workers}", FAIL="1")
    assert server.exit_code() == 3
    server.saw("no database")
    assert sum("no database" in line for line in server.lines) <= workers
    assert not any("running on" in line for line in server.lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_one_clear_line_and_exit_code_1(start: Start, workers: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(f"port={port}, workers={workers}")
        assert server.exit_code() == 1
    server.saw(f"127.0.0.1:{port} is in use by another process; stop it or choose another --port")
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_application_that_can_not_be_imported_is_exit_code_1_with_its_own_traceback(
    start: Start, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "served.py").write_text("import no_such_module")
    server = start(f"port=0, workers={workers}")
    assert server.exit_code() == 1
    server.saw("No module named 'no_such_module'")
    assert not any("tercel/server" in line for line in server.lines)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_out_of_descriptors_waits_and_recovers(start: Start, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n" + APP)
    server = start("port=0")
    port = int(server.url.rsplit(":", 1)[1])
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    server.saw("Can not accept connections: Too many open files; trying again until some have ended")
    assert cpu_share(server.process.pid) < 0.3, "a busy loop"
    for client in clients:
        client.close()
    assert server.get().endswith(" one")
    assert sum("Can not accept" in line for line in server.lines) == 1
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0


def test_a_process_stops_after_its_number_of_requests(start: Start) -> None:
    server = start("port=0, max_requests=3")
    for _ in range(3):
        server.get()
    assert server.exit_code() == 0
    server.saw("shutdown")


# -- workers -------------------------------------------------------------------------------------------------------------------


def pids_of(server: Process, count: int) -> set[str]:
    """Ask until so many workers have answered."""
    found: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while len(found) < count:
        assert time.monotonic() < deadline
        found.add(server.get().split()[0])
    return found


def test_workers_share_the_port_and_stop_together(start: Start) -> None:
    server = start("port=0, workers=2")
    server.saw("Tercel running on http://127.0.0.1:[0-9]+ with 2 workers")
    workers = pids_of(server, 2)
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0
    assert {line.split()[1] for line in server.lines if line.startswith("shutdown")} == workers, server.lines


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(start: Start) -> None:
    server = start("port=0, workers=2")
    before = pids_of(server, 2)
    victim = min(before)
    os.kill(int(victim), signal.SIGKILL)
    server.saw(f"Worker {victim} was killed by signal 9 and is replaced")
    deadline = time.monotonic() + WAIT_S
    after: set[str] = set()
    while not after - before:
        assert time.monotonic() < deadline
        after.add(server.get().split()[0])
    assert victim not in after


def test_a_worker_whose_loop_hangs_is_replaced(start: Start) -> None:
    server = start("port=0, workers=2, worker_silence_timeout_s=2")
    pids_of(server, 2)
    answer = server.in_background("/block")
    server.saw("has given no sign of life for [0-9]+ s and is killed")
    assert answer() in ("RemoteDisconnected", "ConnectionResetError")
    server.saw("is replaced")


def test_a_worker_that_hangs_in_its_very_first_request_is_replaced(start: Start) -> None:
    """The request waits already when the worker begins to accept: the port is the supervisor's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start(f"port={port}, workers=2, worker_silence_timeout_s=2, {BRIEF}")
    clients: list[socket.socket] = []

    def connect() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            clients.append(socket.create_connection(("127.0.0.1", port)))
            clients[-1].sendall(b"GET /block HTTP/1.1\r\nHost: test\r\n\r\n")
        return len(clients) == 8

    wait_until(connect, within_s=WAIT_S)
    server.saw("has given no sign of life for [0-9]+ s and is killed")
    for client in clients:
        client.close()


SECOND_HANGS = """
import os, time
for number in range(4):
    try:
        os.close(os.open(f"start-{number}", os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        pass
if number == 1:
    os.write(1, f"hangs {os.getpid()}\\n".encode())
    time.sleep(1000)
"""


def test_a_worker_that_is_killed_while_it_starts_is_replaced_when_another_serves(start: Start, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SECOND_HANGS + APP)
    path = tmp_path / "server.sock"
    server = start(f"uds={str(path)!r}, workers=2")
    victim = int(server.saw("hangs").split()[1])
    assert ask_unix_socket(path).startswith(b"HTTP/1.1 200 OK")
    os.kill(victim, signal.SIGKILL)
    server.saw(f"Worker {victim} was killed by signal 9 and is replaced")
    server.saw("with 2 workers")


def ask_unix_socket(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WAIT_S)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return client.recv(1000)


def test_sighup_renews_the_workers_without_refusing_a_connection(start: Start) -> None:
    server = start("port=0, workers=2")
    before = pids_of(server, 2)
    server.signal(signal.SIGHUP)
    found: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while len(found - before) < 2:
        assert time.monotonic() < deadline
        found.add(server.get().split()[0])  # raises when a connection is refused or reset
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0
    assert sum(line.startswith("shutdown") for line in server.lines) == 4


def test_workers_end_when_their_supervisor_is_killed(start: Start) -> None:
    server = start("port=0, workers=2")
    pids = pids_of(server, 2)
    server.process.kill()
    server.saw("shutdown", times=2)
    await_end(map(int, pids), WAIT_S)


def test_workers_that_hang_end_when_their_supervisor_is_killed(start: Start) -> None:
    server = start(f"port=0, workers=2, {BRIEF}")
    pids = pids_of(server, 2)
    for _ in range(16):
        server.in_background("/block")
    server.saw("blocking", times=2)
    server.process.kill()
    await_end(map(int, pids), WAIT_S)


def test_workers_share_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    server = start(f"uds={str(path)!r}, workers=2")
    server.saw(f"Tercel running on unix:{path} with 2 workers")
    assert ask_unix_socket(path).startswith(b"HTTP/1.1 200 OK")
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0
    assert not path.exists()


# -- reload --------------------------------------------------------------------------------------------------------------------


def test_reload_restarts_on_changes_and_survives_errors(start: Start, tmp_path: Path) -> None:
    source = tmp_path / "served.py"
    server = start("port=0, reload=True")
    assert server.get().endswith(" one")
    source.write_text(APP.replace('"one"', '"two"'))
    server.saw("served.py changed: restarting")
    until_answer(server, " two")
    source.write_text(APP + "\ndef (")
    server.saw("SyntaxError: invalid syntax")
    server.saw("waiting for a change")
    source.write_text(APP.replace('"one"', '"three"'))
    until_answer(server, " three")
    server.signal(signal.SIGINT)
    assert server.exit_code() == 0


def until_answer(server: Process, ending: str) -> None:
    wait_until(server.get, lambda answer: answer.endswith(ending), WAIT_S)


def test_reload_without_watchfiles_says_what_to_install(start: Start, tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError('not installed')")
    server = start("port=0, reload=True")
    assert server.exit_code() == 1
    server.saw(r"pip install 'tercel\[reload\]'")


def test_reload_of_a_folder_that_is_not_there_says_so(start: Start) -> None:
    server = start("port=0, reload=True, reload_dirs=('nowhere',)")
    assert server.exit_code() == 1
    server.saw("Can not watch nowhere: no such folder")


def test_an_application_object_can_not_be_given_to_several_processes() -> None:
    from tercel.server import ServerConfig, run

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="'module:attribute'"):
        run(app, ServerConfig(workers=2))
