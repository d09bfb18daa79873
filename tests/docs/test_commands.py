"""The commands in ```console run blocks print what the page shows; `TERCEL_DOCS=write` copies what they print into the pages."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import PAGES, ROOT, Command, commands_of

COMMANDS = [pytest.param(command, id=command.where) for page in PAGES for command in commands_of(page)]


def _without_blanks(text: str) -> list[str]:
    """Lines without what stands at their ends, and without empty lines at the end."""
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip().splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_the_page_shows(command: Command) -> None:
    program, *arguments = shlex.split(command.command)
    assert program == "tercel", f"{command.where}: only `tercel` is run here"
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tercel", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    printed = _without_blanks(done.stdout if done.returncode == 0 else done.stderr)
    if os.environ.get("TERCEL_DOCS") == "write" and printed != _without_blanks(command.output):
        text = command.page.read_text()
        head = f"$ {command.command}\n"
        assert text.count(head + command.output) == 1
        command.page.write_text(text.replace(head + command.output, head + "\n".join(printed) + "\n"))
        return
    assert printed == _without_blanks(command.output), "run `TERCEL_DOCS=write python -m pytest tests/docs`, look at the difference"
