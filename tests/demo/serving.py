"""Runs the demo in a process of its own, behind uvicorn or behind Tercel's own server, and tells where it listens.

The port is 0, so that the system picks a free one, and the address is read from the server's own announcement: nothing is guessed
and nothing is polled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import httpx

from tests.processes import Watched

__all__ = ["COMMANDS", "Served", "served"]

REPOSITORY = Path(__file__).parents[2]

# Streams that never end are cut off two seconds after the server is asked to stop; uvicorn would wait for them for ever by default.
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "demo.app:app", "--timeout-graceful-shutdown", "2"],
    "tercel": ["-m", "tercel", "run", "demo.app:app", "--graceful-timeout", "2"],
}
for command in COMMANDS.values():
    command += ["--host", "127.0.0.1", "--port", "0", "--no-access-log"]
ANNOUNCEMENT = r"running on http://127\.0\.0\.1:\d+"


class Served(Watched):
    """A running server.

    Args:
        name: which of `COMMANDS`.
        folder: for the database.
        settings: of the demo, in its environment.
    """

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        variables = {**os.environ, "DEMO_DATA": str(folder), "PYTHONUNBUFFERED": "1", **settings}
        super().__init__([sys.executable, *COMMANDS[name]], folder=REPOSITORY, environment=variables)
        self.name = name

    @cached_property
    def url(self) -> str:
        """Where it listens, once it has said so."""
        return self.saw(ANNOUNCEMENT).split("running on ")[1].split()[0]

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
        return "\n".join(self.lines)

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
    server = Served(name, folder, environment or {})
    try:
        server.saw(ANNOUNCEMENT)
        yield server
        server.stop()
    finally:
        server.close()
