"""`tercel run` and `tercel dev` as a person meets them: real processes, real sockets, exit codes, one clear message.

Each test starts `python -m tercel` in a folder of its own, waits for a line of its output, and stops it with a signal.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import IO

import pytest

APP = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{WORD} {os.getpid()} {scope['root_path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
"""
LISTENING = re.compile(r"running on (https?)://[^:]+:(\d+)")


class Running:
    """A process of the command line; `seen` is what it has written so far, both streams together."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen = ""
        assert process.stdout is not None
        self._out: IO[str] = process.stdout

    def until(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """The first match of `pattern` in a line written from now on; pytest's timeout bounds the wait."""
        for line in self._out:
            self.seen += line
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was not written, but:\n{self.seen}")

    def url(self) -> str:
        """Where it listens, once it does."""
        match = self.until(LISTENING)
        return f"{match[1]}://127.0.0.1:{match[2]}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code after the signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        self.seen += self._out.read()
        return self.process.wait()


@contextlib.contextmanager
def tercel(folder: Path, *arguments: str) -> Iterator[Running]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    for name in ("WEB_CONCURRENCY", "TERCEL_APP", "FORWARDED_ALLOW_IPS"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tercel", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        yield Running(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(dedent(text))


def get(url: str, context: ssl.SSLContext | None = None) -> list[str]:
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        words: str = response.read().decode()
    return words.split()


def test_run_says_where_it_listens_and_stops_with_0(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'hello'\n" + APP)
    with tercel(tmp_path, "run", "main:app", "--port", "0") as running:
        assert get(running.url())[0] == "hello"
        assert running.stop() == 0
    assert "stopped" in running.seen
    assert "Traceback" not in running.seen


def test_run_stops_with_0_on_interrupt(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'hello'\n" + APP)
    with tercel(tmp_path, "run", "--port", "0") as running:
        running.url()
        assert running.stop(signal.SIGINT) == 0
    assert "Traceback" not in running.seen


def test_run_passes_settings_on(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'hello'\n" + APP)
    with tercel(tmp_path, "run", "main:app", "--port", "0", "--root-path", "shop", "--no-access-log") as running:
        assert get(running.url())[2] == "/shop"
        running.stop()
    assert "GET" not in running.seen


def test_run_serves_what_a_factory_makes(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'made'\n" + APP + "\ndef create_app():\n    return app\n")
    with tercel(tmp_path, "run", "main", "--factory", "--port", "0") as running:
        assert get(running.url())[0] == "made"


def test_run_over_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    write(tmp_path, "main", "WORD = 'secret'\n" + APP)
    with tercel(tmp_path, "run", "--port", "0", "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem") as running:
        url = running.url()
        assert url.startswith("https:")
        assert get(url, context)[0] == "secret"


def test_run_on_an_inherited_socket(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'inherited'\n" + APP)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "tercel", "run", "main:app", "--fd", str(listening.fileno())],
            cwd=tmp_path,
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Running(process)
    try:
        assert get(f"http://127.0.0.1:{port}")[0] == "inherited"
        assert running.stop() == 0
    finally:
        process.kill()
        process.wait()
        running._out.close()


def test_workers_share_the_port(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'many'\n" + APP)
    with tercel(tmp_path, "run", "main:app", "--port", "0", "--workers", "2") as running:
        url = running.url()
        word, pid, *_ = get(url)
        assert word == "many"
        assert int(pid) != running.process.pid
        assert running.stop() == 0


def test_a_port_in_use_is_one_message_and_1(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = ''\n" + APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with tercel(tmp_path, "run", "main:app", "--port", str(port)) as running:
            assert running.wait() == 1
    assert str(port) in running.seen
    assert "in use" in running.seen
    assert "Traceback" not in running.seen


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "203.0.113.1"),
        ("--uds", "nowhere/app.sock"),
        ("--ssl-certfile", "missing.pem"),
        ("--fd", "250"),
    ],
)
def test_what_the_system_refuses_is_one_message_and_1(arguments: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = ''\n" + APP)
    with tercel(tmp_path, "run", "main:app", *arguments) as running:
        assert running.wait() == 1
    assert "Traceback" not in running.seen
    assert arguments[1].rpartition("/")[2] in running.seen


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failed_startup_is_3_and_is_not_tried_again(workers: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        "main",
        """
        async def app(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        """,
    )
    with tercel(tmp_path, "run", "main:app", "--port", "0", "--workers", workers) as running:
        assert running.wait() == 3
    assert "no database" in running.seen


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_an_error_in_the_module_shows_the_user_s_traceback_and_ends(arguments: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path, "main", "def start():\n    return 1 / 0\n\nstart()\n")
    with tercel(tmp_path, "run", "main:app", "--port", "0", *arguments) as running:
        assert running.wait() == 1
    frames = re.findall(r'File "(.*?)"', running.seen)
    assert frames == [str(tmp_path / "main.py")] * 2 * running.seen.count("Traceback")
    assert "ZeroDivisionError: division by zero\nerror: importing `main` failed\n" in running.seen


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_a_module_that_is_not_there_is_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with tercel(tmp_path, "run", "nothing:app", *arguments) as running:
        assert running.wait() == 2
    assert "error: there is no module `nothing`" in running.seen
    assert "Traceback" not in running.seen


def test_dev_restarts_when_a_file_changes_and_survives_a_syntax_error(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    write(tmp_path, "main", "WORD = 'first'\n" + APP)
    with tercel(tmp_path, "dev", "--port", "0") as running:
        url = running.url()
        assert get(url)[0] == "first"
        write(tmp_path, "main", "WORD = (\n" + APP)
        running.until("SyntaxError")
        write(tmp_path, "main", "WORD = 'second'\n" + APP)
        running.until("serving main:app from main.py")
        assert get(url)[0] == "second"
        assert running.stop() == 0


def test_dev_says_what_it_serves(tmp_path: Path) -> None:
    write(tmp_path, "main", "WORD = 'hello'\n" + APP)
    with tercel(tmp_path, "dev", "--no-reload", "--port", "0") as running:
        running.url()
        assert "serving main:app from main.py" in running.seen


def test_dev_turns_debugging_on(tmp_path: Path) -> None:
    text = """
    from tercel import FastAPI
    from tercel.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/")
    def home():
        return PlainTextResponse(f"debug={app.debug}")
    """
    write(tmp_path, "main", text)
    for arguments, expected in (([], "debug=True"), (["--no-debug"], "debug=False")):
        with tercel(tmp_path, "dev", "--no-reload", "--port", "0", *arguments) as running:
            assert get(running.url()) == [expected]


@pytest.mark.parametrize("arguments", [("run",), ("run", "--workers", "2"), ("dev", "--no-reload")])
def test_an_application_written_for_fastapi_is_served_as_tercel_s(arguments: tuple[str, ...], tmp_path: Path) -> None:
    text = """
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    def home():
        return FastAPI.__module__
    """
    write(tmp_path, "main", text)
    with tercel(tmp_path, *arguments, "--dropin", "--port", "0") as running:
        assert get(running.url())[0].startswith("tercel")
