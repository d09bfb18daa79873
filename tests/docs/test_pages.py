"""Every program in README.md and docs/*.md runs, and every check under it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Program, programs_of

PROGRAMS = [pytest.param(program, id=program.where) for page in PAGES for program in programs_of(page)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documentation_runs_and_does_what_the_page_says(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # programs name files of the repository as one does who stands in it
    if not program.has_test_functions:
        program.run()
        return
    file = tmp_path / "test_program.py"
    file.write_text(program.source)
    # A folder of its own: two that tidy up the common one at the same time warn of each other's files.
    arguments = ["-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "folders")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documentation_is_followed_by_a_check(program: Program) -> None:
    assert any("assert " in block.text or "raises(" in block.text for block in program.tests), f"{program.where} asserts nothing"
