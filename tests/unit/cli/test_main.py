"""The command line as a whole: version, help, wrong options, and what becomes of an error nobody foresaw."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from tercel.cli.main import main


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"tercel {importlib.metadata.version('tercel')} (Python ")


def test_python_m_tercel_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "tercel", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tercel ")


@pytest.mark.parametrize("command", ["dev", "run", "routes", "plan", "source", "openapi"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"tercel {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--frobnicate"], ["serve"], ["plan", "GET"], ["run", "--port", "many"], ["run", "--lifespan", "no"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: tercel" in capsys.readouterr().err


def test_a_refused_setting_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "main:app", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "error: --port must be between 0 and 65535\n"


def test_no_application_is_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["routes"]) == 2
    assert capsys.readouterr().err.startswith("error: no application was named")


def test_the_application_may_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERCEL_APP", "cli_not_there:app")
    assert main(["routes"]) == 2
    assert "there is no module `cli_not_there`" in capsys.readouterr().err


def test_an_error_nobody_foresaw_is_one_line_with_a_way_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("tercel.cli.commands.resolve_target", broken)
    assert main(["routes"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: a mistake in Tercel: RuntimeError: unforeseen\n")
    assert "TERCEL_TRACEBACK=1" in shown
    monkeypatch.setenv("TERCEL_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="unforeseen"):
        main(["routes"])
