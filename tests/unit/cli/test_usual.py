"""`tercel run` with plain words is read without Typer, and read as Typer reads it."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tercel.cli import commands
from tercel.cli.served import Served
from tercel.cli.settings import SETTINGS
from tercel.cli.target import Target
from tercel.cli.usual import read_usual

PLAIN = [
    ["run"],
    ["run", "main:app"],
    ["run", "main:app", "--port", "8001", "--host=0.0.0.0"],
    ["run", "--factory", "main:make", "--dropin", "--app-dir", "src"],
    ["run", "main:app", "--workers", "4", "--log-level", "debug", "--no-access-log", "--reload"],
    ["run", "main:app", "--access-log", "--no-access-log", "--port", "1", "--port", "2"],
    ["run", "main:app", "--reload-dir", "a", "--reload-dir=b", "--root-path", "api/", "--uds-mode", "660"],
    ["run", "main:app", "--ws-ping-interval", "0", "--head-timeout", "2.5", "--forwarded-allow-ips", "10.0.0.1, 10.0.0.2"],
]
NOT_PLAIN = [
    [],
    ["dev", "main:app"],
    ["run", "--help"],
    ["run", "main:app", "other:app"],
    ["run", "main:app", "--prot", "1"],
    ["run", "main:app", "--port", "many"],
    ["run", "main:app", "--port"],
    ["run", "main:app", "--port", "--reload"],
    ["run", "main:app", "--log-level", "loud"],
    ["run", "main:app", "--uds-mode", "999"],
    ["run", "main:app", "--reload=yes"],
    ["run", "--", "main:app"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_plain_words_mean_what_they_mean_to_typer(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def serve(*arguments: Any) -> int:
        told.extend(arguments)
        return 0

    monkeypatch.setattr(commands, "serve", serve)
    with pytest.raises(SystemExit):
        commands.cli(args=words, prog_name="tercel")
    usual = read_usual(words, {})
    assert usual is not None
    assert [usual.app, usual.factory, usual.app_dir, usual.dropin, usual.settings] == told


@pytest.mark.parametrize("words", NOT_PLAIN, ids=" ".join)
def test_anything_else_is_left_to_typer(words: list[str]) -> None:
    assert read_usual(words, {}) is None


def test_a_setting_in_the_environment_is_left_to_typer() -> None:
    assert read_usual(["run", "main:app"], {"TERCEL_APP": "other:app"}) is None
    names = [row.envvar for row in SETTINGS if row.envvar]
    assert names
    for name in names:
        assert read_usual(["run", "main:app"], {name: "1"}) is None


def test_every_setting_can_be_read() -> None:
    for row in SETTINGS:
        value = {"uds_mode": "600"}.get(row.field, "1" if row.kind in (int, float) else "x")
        words = [row.flags.split("/")[0]] if row.kind is bool else [row.flags, value]
        usual = read_usual(["run", "main:app", *words], {})
        if value == "x" and "Literal" in str(row.kind):
            assert usual is None
        else:
            assert usual is not None
            assert list(usual.settings) == [row.field]


def test_a_server_starts_without_what_only_some_need(tmp_path: Path) -> None:
    (tmp_path / "plain_app.py").write_text(
        "import json, sys\n"
        "from tercel import FastAPI\n"
        "app = FastAPI()\n"
        "names = ['typer', 'rich', 'picows', 'tercel.openapi.models', 'tercel.declare.security']\n"
        "print(json.dumps([name for name in names if name in sys.modules]))\n"
        "sys.exit('seen')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("TERCEL_APP", "WEB_CONCURRENCY")}
    command = [sys.executable, "-m", "tercel", "run", "plain_app:app", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "ended the program" in done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("own", [None, (123, 4, 5)])
def test_the_collector_is_as_it_was_after_loading(own: tuple[int, int, int] | None, tmp_path: Path) -> None:
    name = "collected_app" if own is None else "collecting_app"
    (tmp_path / f"{name}.py").write_text(
        "import gc\nfrom tercel import FastAPI\napp = FastAPI()\napp.state.seen = gc.get_threshold()\n"
        + (f"gc.set_threshold{own}\n" if own else "")
    )
    before = gc.get_threshold()
    path = list(sys.path)
    try:
        loaded = Served(Target(name, "app", tmp_path, None, name), False, False, False, False).load()
        assert loaded.app.state.seen[0] >= 50_000
        assert gc.get_threshold() == (own or before)
    finally:
        gc.set_threshold(*before)
        sys.path[:] = path
        sys.modules.pop(name, None)
