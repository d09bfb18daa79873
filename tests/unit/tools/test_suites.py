"""Running another project's suite: outcomes by id, and an end to what does not end by itself."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

import pytest

from tools import suites
from tools.environment import Problem

TESTS = """
import pytest

def test_passes(): pass
def test_fails(): assert 0
@pytest.mark.skip
def test_is_skipped(): pass
@pytest.fixture
def broken():
    yield
    raise ValueError
def test_fails_after_it_passed(broken): pass
"""


def test_outcomes_come_by_id_and_the_worst_part_counts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    log, results = tmp_path / "log", tmp_path / "results.json"
    outcomes = suites.run_pytest(Path(sys.executable), tmp_path, ["test_it.py"], results, log=log, environment={"PYTHONPATH": ""})
    assert outcomes == {
        "test_it.py::test_passes": "passed",
        "test_it.py::test_fails": "failed",
        "test_it.py::test_is_skipped": "skipped",
        "test_it.py::test_fails_after_it_passed": "failed",
    }
    assert "1 failed, 2 passed, 1 skipped, 1 error" in log.read_text()
    assert not results.exists()


def test_a_test_that_is_expected_to_fail_is_not_reported_as_a_failure(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    log = tmp_path / "log"
    arguments = ["--expect-failure=test_it.py::test_fails", "--expect-failure=test_it.py::test_passes", "test_it.py"]
    outcomes = suites.run_pytest(Path(sys.executable), tmp_path, arguments, tmp_path / "results.json", log=log)
    assert outcomes["test_it.py::test_fails"] == "skipped"
    assert outcomes["test_it.py::test_passes"] == "passed"
    assert "1 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error" in log.read_text()
    assert "FAILED" not in log.read_text()


def test_a_suite_that_does_not_start_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import nothing_of_this_name")
    with pytest.raises(Problem, match="before it had run the tests"):
        suites.run_pytest(Path(sys.executable), tmp_path, ["."], tmp_path / "results.json", log=tmp_path / "log")


def test_what_hangs_is_interrupted_when_its_time_is_over(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    assert suites._run_bounded(command, tmp_path, dict(os.environ), tmp_path / "log", 0.2) != 0


def test_what_does_not_heed_it_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "GRACE_S", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # The child holds the pipe's other end until it is dead.
    child = f"import threading; held = open({str(pipe)!r}, 'w'); threading.Event().wait()"
    parent = f"import signal, subprocess, sys; signal.signal(2, signal.SIG_IGN); subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", parent]
    try:
        assert suites._run_bounded(command, tmp_path, dict(os.environ), tmp_path / "log", 1.0) < 0
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_an_archive_is_unpacked_anew_and_without_what_is_not_wanted(tmp_path: Path) -> None:
    inner = tmp_path / "thing-1.0"
    for name in ("tests", "thing"):
        (inner / name).mkdir(parents=True)
        (inner / name / "file.py").write_text(name)
    with tarfile.open(tmp_path / "thing.tar.gz", "w:gz") as tar:
        tar.add(inner, "thing-1.0")
    target = tmp_path / "there"
    for _ in range(2):
        folder = suites.unpack(tmp_path / "thing.tar.gz", target, without=["thing"])
        assert folder == target / "thing-1.0"
        assert [path.name for path in folder.iterdir()] == ["tests"]
        (folder / "left behind").write_text("by a test")
