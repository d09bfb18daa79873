"""Programs that look at a framework from outside see the same of Tercel, with both engines, as of FastAPI 0.165.

The programs are in the folder `parity`, and beside each is what it printed on the original, which is a fact and no code. Where the
environment variable `TERCEL_ORIGINAL` names an interpreter that has the original, that is checked too; `TERCEL_PARITY=write` then
writes the files anew:

    TERCEL_ORIGINAL=$(python3 -m tools.conformance original) TERCEL_PARITY=write pytest tests/dropin/test_parity.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dropin.conftest import TIMEOUT_S, environment, run_python

FOLDER = Path(__file__).parent / "parity"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "observe")
ORIGINAL = os.environ.get("TERCEL_ORIGINAL")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_sees_what_it_sees_on_fastapi(name: str, engine: str) -> None:
    done = run_python("-m", "tercel.dropin", f"{name}.py", cwd=FOLDER, TERCEL_ENGINE=engine)
    seen, expected = json.loads(done.stdout), recorded(name)
    assert seen.keys() == expected.keys()
    for check, value in expected.items():
        assert seen[check] == value, f"{check}\n{done.stderr}"


@pytest.mark.skipif(ORIGINAL is None, reason="set TERCEL_ORIGINAL to $(python3 -m tools.conformance original)")
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_recorded_is_what_the_original_does(name: str) -> None:
    done = subprocess.run(
        [str(ORIGINAL), f"{name}.py"], cwd=FOLDER, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    if os.environ.get("TERCEL_PARITY") == "write":
        (FOLDER / f"{name}.json").write_text(done.stdout, "utf-8")
    assert json.loads(done.stdout) == recorded(name), done.stderr
