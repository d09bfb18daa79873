"""Running programs under the import hook, each in a process of its own: a hook stays for the life of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT_S = 50
"""Long enough for a busy machine to import everything; a program that hangs fails before pytest's own timeout."""


def environment(**extra: str) -> dict[str, str]:
    """The environment of this process without what a hook in it may have left there."""
    clean = {key: value for key, value in os.environ.items() if key != "TERCEL_DROPIN"}
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(entry).name != "startup"]
    return {**clean, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", **extra}


def run_python(*arguments: str, cwd: Path, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
    """Runs this interpreter with some arguments and returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def hooked(tmp_path: Path) -> Callable[[str], str]:
    """Runs some code as a script under `python -m tercel.dropin` and returns its standard output."""

    def run(code: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(code, "utf-8")
        return run_python("-m", "tercel.dropin", str(script), cwd=tmp_path).stdout

    return run


@pytest.fixture
def program() -> Callable[[str], Any]:
    """Runs a program of the folder `programs` under the hook and returns the JSON that it prints last."""

    def run(name: str) -> Any:
        done = run_python("-m", "tercel.dropin", f"{name}.py", cwd=PROGRAMS)
        return json.loads(done.stdout.splitlines()[-1])

    return run
