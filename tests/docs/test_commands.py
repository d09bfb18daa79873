"""The commands in ```console run blocks print what the page shows."""

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
        [sys.executable, "-m", "tercel", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    shown = done.stdout if done.returncode == 0 else done.stderr
    assert _without_blanks(shown) == _without_blanks(command.output)
