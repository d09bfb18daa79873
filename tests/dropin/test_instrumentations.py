"""Sentry, Logfire and OpenTelemetry see the same of an application on Tercel as on FastAPI.

The programs run under the hook with the real packages; what they print must equal what they printed on FastAPI 0.165.0, which the
JSON files beside them hold (`python sentry.py > sentry.json` in an environment with the original).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.dropin.conftest import PROGRAMS


@pytest.mark.parametrize("name", ["sentry", "logfire_spans", "otel"])
def test_an_instrumentation_sees_the_same_as_on_fastapi(name: str, program: Callable[[str], Any]) -> None:
    expected = json.loads((PROGRAMS / f"{name}.json").read_text("utf-8"))
    found = program(name)
    assert found["codes"] == expected["codes"]
    assert found["seen"] == expected["seen"]
