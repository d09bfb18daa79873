"""Autobahn's fuzzing client: every case of what RFC 6455 says, against Tercel's own server (`make autobahn`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.autobahn.__main__ import LIMIT_S, NO_PYTHON, TRIES, confirm, judge

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


def test_a_case_that_failed_is_run_again_and_alone() -> None:
    good, bad = ({"behavior": word, "behaviorClose": "OK"} for word in ("OK", "FAILED"))
    runs: list[list[str]] = []

    def run(cases: list[str]) -> dict[str, dict[str, str]]:
        runs.append(cases)
        return {case: good if case == "5.19" else bad for case in cases}

    assert judge(confirm({"1.1": good, "5.19": bad, "7.1": bad}, run)) == ["7.1: FAILED, closing OK"]
    assert runs == [["5.19", "7.1"], *[["7.1"]] * (TRIES - 2)]
    assert judge(confirm({"1.1": good}, run)) == []
    assert len(runs) == TRIES - 1
