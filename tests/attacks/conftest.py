"""The service that is attacked: one process for each file of attacks, whose health is looked at when they are over."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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
    """The service under attack, with the default settings. It must survive all of the file's attacks."""
    yield from surviving(Service("service:app"))


@pytest.fixture(scope="module")
def impatient() -> Iterator[Service]:
    """The same with short times, for the attacks that take long."""
    yield from surviving(Service("service:app", "--head-timeout", "2", "--body-timeout", "2", "--keep-alive-timeout", "2"))


def surviving(running: Service) -> Iterator[Service]:
    """A service for some attacks, and a look at its health behind them."""
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `site`, which is served, and things around it that must not be; `ATTACKED` names it to the program."""
    folder = tmp_path_factory.mktemp("attacked")
    served, outside = folder / "site", folder / "outside"
    for one in (served / "folder", outside, folder / "site-neighbour"):
        one.mkdir(parents=True)
    for secret in (folder / "secret.txt", outside / "secret.txt", folder / "site-neighbour" / "secret.txt"):
        secret.write_text("outside of the site")
    (served / "small.txt").write_text("0123456789")
    (served / "empty.txt").touch()
    (served / "index.html").write_text("<p>index")
    (served / "folder" / "index.html").write_text("<p>folder")
    (served / "large.bin").write_bytes(bytes(range(256)) * 4096)
    (served / "link.txt").symlink_to(outside / "secret.txt")
    (served / "linked-folder").symlink_to(outside)
    (served / "inner.txt").symlink_to("small.txt")
    (served / "loop").symlink_to("loop")
    os.mkfifo(served / "fifo")
    return folder


@pytest.fixture(scope="module")
def attacked(site: Path) -> Iterator[Service]:
    """The careless application under attack. It must survive, answer, and hold no temporary file when the attacks are over."""
    running = Service("careless:app", variables={"ATTACKED": str(site)})
    yield running
    try:
        assert running.process.poll() is None, "\n".join(running.lines[-60:])
        running.until_answer("/temporary", b"0")
        assert running.stop() == 0
        # Starlette forgets the file of a part that was not ended; it is closed with its last reference, which is a ResourceWarning.
        assert not [line for line in running.lines if re.search(r"never retrieved|was never awaited|(?<!Resource)Warning", line)]
    finally:
        running.close()
