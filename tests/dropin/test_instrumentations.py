"""Sentry, Logfire, OpenTelemetry and Prometheus see the same of an application on Tercel as on FastAPI.

The programs run under the hook with the real packages; what they print must equal what they printed on FastAPI 0.165.0, which the
JSON files beside them hold (`python sentry.py > sentry.json` in an environment with the original).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.dropin.conftest import PROGRAMS

PACKAGES = {
    "sentry": "sentry_sdk",
    "logfire_spans": "logfire",
    "otel": "opentelemetry.instrumentation.fastapi",
    "prometheus": "prometheus_fastapi_instrumentator",
}


@pytest.mark.parametrize("name", PACKAGES)
def test_an_instrumentation_sees_the_same_as_on_fastapi(name: str, program: Callable[[str], Any]) -> None:
    # Only the last is in the development environment: logfire is a plugin of pydantic and would be in the way of every other test.
    # CI runs this module in the environment of `make conformance`, which has the others.
    pytest.importorskip(PACKAGES[name], reason=f"{PACKAGES[name]} is not installed here")
    expected = json.loads((PROGRAMS / f"{name}.json").read_text("utf-8"))
    found = program(name)
    assert found["codes"] == expected["codes"]
    assert found["seen"] == expected["seen"]
