"""Autobahn's fuzzing client: every case of what RFC 6455 says, against Tercel's own server (`make autobahn`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.autobahn.__main__ import LIMIT_S, NO_PYTHON, judge

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(LIMIT_S)
def test_every_required_case_passes() -> None:
    ran = subprocess.run([sys.executable, "-m", "tools.autobahn"], cwd=ROOT, capture_output=True, text=True)
    if ran.returncode == NO_PYTHON:
        pytest.skip("the Autobahn test suite runs on Python 2.7 only, and there is none here")
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    assert "; 0 failed" in ran.stdout
    assert int(ran.stdout.split()[0]) >= 247


def test_a_case_that_failed_is_told() -> None:
    good = {"behavior": "OK", "behaviorClose": "OK"}
    outcomes = {
        "10.1.1": {"behavior": "OK", "behaviorClose": "FAILED"},
        "2.1": {"behavior": "FAILED", "behaviorClose": "OK"},
        "7.1": {"behavior": "NON-STRICT", "behaviorClose": "INFORMATIONAL"},
        "1.1": good,
    }
    assert judge(outcomes) == ["2.1: FAILED, closing OK", "10.1.1: OK, closing FAILED"]
