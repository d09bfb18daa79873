"""`tools.environment`: what its commands share, when several of them run at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import environment


def test_threads_that_need_uv_install_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    both_ask = threading.Barrier(2)

    def run(command: list[str]) -> None:
        ran.append(command[2])
        if command[2] == "pip":
            folder = tmp_path / "uv" / "bin"
            folder.mkdir(parents=True)
            (folder / "uv").touch()

    def ask() -> str:
        both_ask.wait(timeout=30)
        return environment.find_uv()

    monkeypatch.setattr(environment, "CACHE", tmp_path)
    monkeypatch.setattr(environment, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        assert {each.result(timeout=30) for each in asked} == {str(tmp_path / "uv" / "bin" / "uv")}
    assert ran == ["venv", "pip"]
