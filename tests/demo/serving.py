"""Runs the demo in a process of its own, behind uvicorn or behind Tercel's own server, and tells where it listens.

The port is 0, so that the system picks a free one, and the address is read from the server's own announcement: nothing is guessed
and nothing is polled.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

__all__ = ["COMMANDS", "Served", "served"]

REPOSITORY = Path(__file__).parents[2]
START_DEADLINE_S = 30.0  # three passwords are hashed at the first start, on a machine that may be busy with other tests
STOP_DEADLINE_S = 15.0

# Streams that never end are cut off two seconds after the server is asked to stop; uvicorn would wait for them for ever by default.
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "demo.app:app", "--timeout-graceful-shutdown", "2"],
    "tercel": ["-m", "tercel", "run", "demo.app:app", "--graceful-timeout", "2"],
}
for command in COMMANDS.values():
    command += ["--host", "127.0.0.1", "--port", "0", "--no-access-log"]
ANNOUNCEMENT = re.compile(r"running on (http://127\.0\.0\.1:\d+)", re.IGNORECASE)


@dataclass
class Served:
    """A running server."""

    name: str
    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def ws_url(self) -> str:
        """The same place for WebSockets."""
        return self.url.replace("http://", "ws://")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return "".join(self.lines)

    def stop(self) -> int:
        """Ask the server to stop, as a supervisor would.

        Returns:
            Its exit code, negative when a signal ended it.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_DEADLINE_S)

    def token(self, user: str) -> str:
        """A token for one of the users that are there from the start."""
        form = {"username": user, "password": f"{user}-password"}
        answer = httpx.post(f"{self.url}/token", data=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def metrics(self) -> dict[str, dict[str, int]]:
        """What `/internal/metrics/` says."""
        answer = httpx.get(f"{self.url}/internal/metrics/", headers={"X-Internal-Key": "internal-demo-key"}, timeout=20)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextmanager
def served(name: str, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """The demo with a data folder of its own, as long as the block runs.

    Args:
        name: which of `COMMANDS`.
        folder: for the database; empty at the start unless a test wants otherwise.
        environment: the demo's settings.
    """
    settings = {"DEMO_DATA": str(folder), "PYTHONUNBUFFERED": "1", **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, *COMMANDS[name]],
        cwd=REPOSITORY,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    server = Served(name, process)
    announced = threading.Event()

    def read_log() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.lines.append(line)
            if not server.url and (found := ANNOUNCEMENT.search(line)):
                server.url = found[1]
                announced.set()
        announced.set()  # the server has ended; whoever waits should look at the log

    reader = threading.Thread(target=read_log, daemon=True)
    reader.start()
    try:
        announced.wait(START_DEADLINE_S)
        assert server.url, f"{name} did not start:\n{server.log}"
        yield server
    finally:
        if process.poll() is None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(STOP_DEADLINE_S)
        if process.stdout is not None:
            process.stdout.close()
