"""The demo as a server in another process; each test runs against both servers, Tercel's own and uvicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.demo.serving import COMMANDS, Served, served

# Faster than a person would like it, so that tests need not wait.
BRISK = {"EVENT_INTERVAL_S": "0.02", "LLM_TOKEN_DELAY_MS": "5"}

Serve = Callable[..., Served]


@pytest.fixture(scope="session", params=list(COMMANDS))
def server_name(request: pytest.FixtureRequest) -> str:
    """Which server serves."""
    return str(request.param)


@pytest.fixture(scope="session")
def server(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that many tests share. At the end its log must hold no traceback: whatever the tests sent, nothing broke."""
    with served(server_name, tmp_path_factory.mktemp(f"demo-{server_name}"), BRISK) as running:
        yield running
        running.stop()
    assert "Traceback" not in running.log, running.log


@pytest.fixture
def serve(server_name: str, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with settings of the test's own."""
    with ExitStack() as stack:

        def start(folder: Path = tmp_path, **environment: str) -> Served:
            return stack.enter_context(served(server_name, folder, {**BRISK, **environment}))

        yield start


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    """A client of the shared server."""
    assert server.process.poll() is None, f"the server has ended:\n{server.log}"
    with httpx.Client(base_url=server.url, timeout=20) as ready:
        yield ready
