"""A pytest plugin that writes what became of every test to a file, by id. Knows pytest, not the suite; `__main__` reads the file.

The parts of a test (set up, call, tear down) count as one: failed if any failed, else skipped if any was, else passed. A test that
fails as it is expected to is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_WORSE = {"passed": 0, "skipped": 1, "failed": 2}


class Outcomes:
    """Collects reports in the process that sees them all: with xdist that is the controller."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.by_id: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self.by_id.get(report.nodeid, "passed")
        self.by_id[report.nodeid] = max(known, report.outcome, key=_WORSE.__getitem__)

    def pytest_sessionfinish(self) -> None:
        self.target.write_text(json.dumps(self.by_id), "utf-8")


class Expected:
    """Says of tests that are known to fail that they are expected to, so that nobody counts them with those that are not."""

    def __init__(self, failing: list[str]) -> None:
        self.failing = frozenset(failing)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.nodeid in self.failing:
                item.add_marker(pytest.mark.xfail(strict=False))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--expect-failure", action="append", default=[], metavar="ID", help="a test that is known to fail")
    parser.addoption("--outcomes", help="the file to write: a JSON object from test id to passed, skipped or failed")


def pytest_configure(config: Any) -> None:
    config.pluginmanager.register(Expected(config.getoption("--expect-failure")))
    target = config.getoption("--outcomes")
    if target and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(target)))
