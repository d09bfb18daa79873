"""Whole applications, written for FastAPI as people write them, answer on `tercel run --dropin` as on FastAPI and uvicorn.

What is tried on an application of the folder `applications` is in the module of its name in `tries`; the JSON file beside the
application is what a client saw of the original. `test_parity.py` says how these are checked and written anew.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from tests.dropin.compare import FOLDER, look, serving, tries_of
from tests.dropin.conftest import environment

NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
ORIGINAL = os.environ.get("TERCEL_ORIGINAL")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def compare(name: str, seen: list[Any], expected: list[Any]) -> None:
    tries = tries_of(name)
    assert len(seen) == len(expected) == len(tries)
    for tried, here, there in zip(tries, json.loads(json.dumps(seen)), expected, strict=True):
        assert here == there, tried


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
@pytest.mark.parametrize("name", NAMES)
def test_an_application_answers_as_on_fastapi(name: str, engine: str) -> None:
    command = [sys.executable, "-m", "tercel", "run", "--dropin", f"{name}:app", "--port", "0", "--no-access-log"]
    with serving(command, environment(TERCEL_ENGINE=engine)) as port:
        compare(name, look(port, tries_of(name)), recorded(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_application_answers_the_same_under_uvicorn(name: str) -> None:
    command = [sys.executable, "-m", "tercel.dropin", "-m", "uvicorn", f"{name}:app", "--port", "0", "--no-access-log"]
    with serving(command, environment()) as port:
        compare(name, look(port, tries_of(name)), recorded(name))


@pytest.mark.skipif(ORIGINAL is None, reason="set TERCEL_ORIGINAL to $(python3 -m tools.conformance original)")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_recorded_is_what_the_original_answers(name: str) -> None:
    command = [str(ORIGINAL), "-m", "uvicorn", f"{name}:app", "--port", "0", "--no-access-log"]
    with serving(command, environment()) as port:
        seen = look(port, tries_of(name))
    if os.environ.get("TERCEL_PARITY") == "write":
        (FOLDER / f"{name}.json").write_text(json.dumps(seen, indent=1, ensure_ascii=False) + "\n", "utf-8")
    compare(name, seen, recorded(name))
