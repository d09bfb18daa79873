"""The ledger of `make conformance`: what is demanded, what is excused, and what counts as a difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.conformance.ledger import Ledger, write_demanded

ORIGINAL = {
    "tests/test_a.py::test_one": "passed",
    "tests/test_a.py::test_two[x-y]": "passed",
    "tests/test_a.py::test_skipped": "skipped",
    "tests/part/test_b.py::test_three": "passed",
    "tests/tool/test_c.py::test_four": "passed",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_demanded(tmp_path, "3.13", ORIGINAL)
    (tmp_path / "excused.txt").write_text("# comment\n\ntests/tool/  # not of the library\n")
    return tmp_path


def compare(folder: Path, outcomes: dict[str, str], *paths: str, python: str = "3.13") -> tuple[int, int, int, list[str]]:
    result = Ledger.read(folder, python).compare(outcomes, paths)
    return result.passed, result.demanded, result.excused, [problem.split(" ")[0] for problem in result.problems]


def without(*ids: str) -> dict[str, str]:
    return {test: outcome for test, outcome in ORIGINAL.items() if test not in ids and not test.startswith("tests/tool/")}


def test_all_that_passes_on_the_original_and_here_is_no_problem(folder: Path) -> None:
    assert compare(folder, without()) == (3, 3, 1, [])


def test_a_test_that_fails_here_is_named(folder: Path) -> None:
    result = Ledger.read(folder, "3.13").compare({**without(), "tests/test_a.py::test_one": "failed"})
    assert (result.passed, result.demanded) == (2, 3)
    assert result.problems == ["FAILED  tests/test_a.py::test_one"]


def test_a_test_that_is_skipped_only_here_is_a_problem(folder: Path) -> None:
    assert compare(folder, {**without(), "tests/test_a.py::test_one": "skipped"}) == (2, 3, 1, ["SKIPPED"])


def test_what_does_not_pass_on_the_original_may_do_as_it_likes(folder: Path) -> None:
    assert compare(folder, {**without(), "tests/test_a.py::test_skipped": "failed"}) == (3, 3, 1, [])


def test_a_file_that_was_not_collected_is_missed_with_all_its_tests(folder: Path) -> None:
    assert compare(folder, without("tests/part/test_b.py::test_three")) == (2, 3, 1, ["DIFFERS"])


def test_a_test_with_another_id_is_noticed(folder: Path) -> None:
    changed = {**without("tests/part/test_b.py::test_three"), "tests/part/test_b.py::test_other": "passed"}
    assert compare(folder, changed)[3] == ["DIFFERS"]


def test_an_excused_test_is_counted_and_must_need_it(folder: Path) -> None:
    with (folder / "excused.txt").open("a") as file:
        file.write("tests/test_a.py::test_two[x-y]  # looks at an internal\n")
    assert compare(folder, {**without(), "tests/test_a.py::test_two[x-y]": "failed"}) == (2, 2, 2, [])
    assert compare(folder, without()) == (2, 2, 2, ["PASSES"])


def test_an_excuse_needs_a_reason(folder: Path) -> None:
    (folder / "excused.txt").write_text("tests/test_a.py::test_one\n")
    with pytest.raises(ValueError, match="no reason for"):
        Ledger.read(folder, "3.13")


def test_a_part_is_compared_with_that_part(folder: Path) -> None:
    ran = {test: outcome for test, outcome in ORIGINAL.items() if test.startswith("tests/part/")}
    assert compare(folder, ran, "tests/part") == (1, 1, 0, [])
    assert compare(folder, {"tests/test_a.py::test_one": "passed"}, "tests/test_a.py::test_one") == (1, 1, 0, [])


def test_another_python_is_written_only_where_it_differs(folder: Path) -> None:
    before = (folder / "demanded.txt").read_text()
    write_demanded(folder, "3.11", ORIGINAL)
    assert (folder / "demanded.txt").read_text() == before
    write_demanded(folder, "3.11", {**ORIGINAL, "tests/test_a.py::test_one": "skipped"})
    assert (folder / "demanded.txt").read_text() != before
    assert compare(folder, without(), python="3.13") == (3, 3, 1, [])
    assert compare(folder, {**without(), "tests/test_a.py::test_one": "failed"}, python="3.11") == (2, 2, 1, [])


def test_recording_a_part_keeps_the_rest(folder: Path) -> None:
    write_demanded(folder, "3.13", {"tests/part/test_b.py::test_three": "passed", "tests/part/test_b.py::test_new": "passed"})
    assert compare(folder, {**without(), "tests/part/test_b.py::test_new": "passed"}) == (4, 4, 1, [])
