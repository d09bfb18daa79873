"""The service that is attacked: one process for each file of attacks, whose health is looked at when they are over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.attacks.attacker import Service

collect_ignore_glob = ["programs/*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/attacks" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(240))
            if not sys.platform.startswith("linux"):
                item.add_marker(pytest.mark.skip(reason="reads /proc and sends signals"))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service under attack, with short times and otherwise the default settings. It must survive all of the file's attacks."""
    running = Service("service:app", "--head-timeout", "2", "--body-timeout", "2", "--keep-alive-timeout", "2")
    yield running
    try:
        assert running.process.poll() is None, "\n".join(running.lines[-60:])
        running.until(lambda told: told["streams"] == 0 and told["sockets"] == 0)
        assert running.stop() == 0
        assert not [line for line in running.lines if "never retrieved" in line or "was never awaited" in line or "Warning" in line]
    finally:
        running.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    """Starts services that the test may kill."""
    started: list[Service] = []

    def start_one(*options: str, app: str = "service:app", **others: Any) -> Service:
        running = Service(app, *options, **others)
        started.append(running)
        return running

    yield start_one
    for running in started:
        running.close()
