"""`make ecosystem`: what counts as a difference between two runs of a suite or two documents, and what the catalogue promises."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tools.ecosystem import __main__ as main
from tools.ecosystem import documents, page
from tools.ecosystem.answers import Answers
from tools.ecosystem.catalogue import HERE, Application, Suite, read, read_applications, read_left_out, read_suites, select
from tools.ecosystem.comparison import compare, confirm, rerun, steady
from tools.ecosystem.places import FASTAPI, Place, lock_of
from tools.environment import Problem

ORIGINAL = {"test_a.py::test_one": "passed", "test_a.py::test_two[x]": "passed", "test_b.py::test_three": "failed"}


def test_what_passes_on_both_is_kept() -> None:
    result = compare(ORIGINAL, ORIGINAL)
    assert (result.total, result.passed, result.kept, result.lost) == (3, 2, 2, {})


def test_what_passes_on_fastapi_alone_is_lost_whatever_became_of_it() -> None:
    result = compare(
        {**ORIGINAL, "test_a.py::test_four": "passed"}, {"test_a.py::test_one": "failed", "test_a.py::test_two[x]": "skipped"}
    )
    assert result.lost == {"test_a.py::test_one": "failed", "test_a.py::test_two[x]": "skipped", "test_a.py::test_four": "missing"}
    assert (result.passed, result.kept) == (3, 0)


def test_what_fails_on_fastapi_is_not_demanded_but_told_when_it_passes() -> None:
    result = compare(ORIGINAL, {**ORIGINAL, "test_b.py::test_three": "passed", "test_b.py::test_more": "passed"})
    assert result.lost == {}
    assert result.gained == ["test_b.py::test_three", "test_b.py::test_more"]


def test_a_named_test_is_excused_with_all_its_parameters_and_still_not_kept() -> None:
    excuses = {"test_a.py::test_two": "looks at an internal", "test_a.py::test_one": "does not fail"}
    result = compare(ORIGINAL, {**ORIGINAL, "test_a.py::test_two[x]": "failed"}, excuses)
    assert (result.passed, result.kept, result.lost) == (2, 1, {})
    assert result.excused == {"test_a.py::test_two[x]": "looks at an internal"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("t.py::test[<Thing object at 0x7f00aa11bb22>]", "t.py::test[<Thing object at 0x7f99cc33dd44>]"),
        (
            "t.py::test[/d35d213e-f3d8-4f08-954a-7e0d1bea286f-GET]",
            "t.py::test[/0b1c5a44-9c1d-4a0e-8a53-1f0a5a7d1c22-GET]",
        ),
        (
            "t.py::test[hhu-BFDbEYcjrOoaTZxerdJ1emYvvJFtd-HS256]",
            "t.py::test[q9_u7TTTbbJrOoaTZxerdJ1emYvvJFtdg-HS256]",
        ),
        ("t.py::test[1795528609.6349754-False]", "t.py::test[1795528611.02-False]"),
    ],
)
def test_what_changes_from_run_to_run_does_not_make_another_test(before: str, after: str) -> None:
    assert list(steady({before: "passed"})) == list(steady({after: "passed"}))
    assert compare({before: "passed"}, {after: "passed"}).kept == 1


def test_ids_that_become_the_same_are_counted_and_none_is_forgotten() -> None:
    ids = [f"t.py::test[0x7f00aa11bb{number}]" for number in (11, 22, 33)]
    outcomes = dict(zip(ids, ["passed", "failed", "passed"], strict=True))
    assert list(steady(outcomes).values()) == ["passed", "failed", "passed"]
    assert list(compare(dict.fromkeys(ids, "passed"), outcomes).lost.values()) == ["failed"]


@pytest.mark.parametrize("name", ["t.py::test[a-long-name-of-a-parameter-in-words]", "t.py::test_0x123456789", "t.py::test[0xff]"])
def test_ordinary_ids_stay_as_they_are(name: str) -> None:
    assert list(steady({name: "passed"})) == [name]


def test_a_second_run_separates_what_is_unsteady_from_what_is_lost() -> None:
    names = ["t.py::always", "t.py::once", "t.py::unsteady_on_fastapi"]
    first = compare(dict.fromkeys(names, "passed"), dict.fromkeys(names, "failed"))
    again = dict.fromkeys(names, "failed")
    result = confirm(first, {**dict.fromkeys(names, "passed"), names[2]: "failed"}, {**again, names[1]: "passed"})
    assert list(result.lost) == ["t.py::always"]
    assert result.unsteady == ["t.py::once", "t.py::unsteady_on_fastapi"]
    assert (result.passed, result.kept) == (3, 1)


def test_lost_tests_are_run_again_by_function_and_those_that_did_not_run_are_not() -> None:
    lost = {"t.py::one[a]": "failed", "t.py::one[b]": "failed", "t.py::two": "missing", "t.py": "failed"}
    assert rerun(lost) == ["t.py::one"]


# -- documents ---------------------------------------------------------------------------------------------------------------------


def test_a_suite_of_which_nothing_passes_on_fastapi_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"test_a.py::test_one": "failed"}
    monkeypatch.setattr(main, "prepare", lambda suite, side: Place(suite, side, Path("python")))
    monkeypatch.setattr(main, "run_side", lambda place, suite: outcomes)
    with pytest.raises(Problem, match="no test passes on FastAPI"):
        main.run_suite(Suite("one", "1"))


def test_documents_are_equal_only_to_the_byte() -> None:
    one = json.dumps({"paths": {"/a": {"get": {}, "post": {}}}, "info": {}})
    other = json.dumps({"info": {}, "paths": {"/a": {"get": {}, "post": {}}}})
    result = documents.compare({"app": one, "same": one, "broken": None}, {"app": other, "same": one, "broken": one})
    assert (result.documents, result.equal, result.operations) == (2, 1, 4)
    assert result.problems == ["app: : the same keys in another order, and no other difference"]


def test_a_document_that_only_fastapi_makes_is_a_problem() -> None:
    assert documents.compare({"app": "{}"}, {"app": None}).problems == ["app: no document on Tercel"]
    assert documents.compare({"app": "{}"}, {}).problems == ["app: no document on Tercel"]


@pytest.mark.parametrize(
    ("original", "tercel", "said"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "/a/b/1 is 3, not 2"),
        ({"a": 1, "b": 2}, {"a": 1}, "/b is missing"),
        ({"a": 1}, {"a": 1, "c": 2}, "/c is too much"),
        ({"a": [1]}, {"a": [1, 2]}, "/a is [1, 2], not [1]"),
        ({"a": 1.0}, {"a": 1}, "/a is 1, not 1.0"),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, "/a: the same keys in another order"),
    ],
)
def test_the_first_difference_is_told_with_its_place(original: Any, tercel: Any, said: str) -> None:
    assert documents.difference(original, tercel) == said


# -- the catalogue and the page ----------------------------------------------------------------------------------------------------


def test_every_entry_has_a_lock_with_fastapi_and_itself_in_it() -> None:
    for entry in [*read_suites().values(), *read_applications().values()]:
        pins = [line.removesuffix(" \\") for line in lock_of(entry).read_text("utf-8").splitlines()]
        assert f"fastapi=={FASTAPI}" in pins, entry.name
        own = isinstance(entry, Suite) and entry.own
        assert own or f"{entry.distribution or entry.name}=={entry.version}" in pins, entry.name


def test_every_suite_is_held_to_a_hash_and_no_name_is_used_twice() -> None:
    suites, applications = read_suites(), read_applications()
    assert all(re.fullmatch("[0-9a-f]{64}", suite.sha256) for suite in suites.values() if not suite.own)
    assert all((HERE / suite.own).is_dir() and not suite.sha256 for suite in suites.values() if suite.own)
    assert all(re.fullmatch("[0-9a-f]{64}", each.sha256) for each in applications.values() if each.source)
    assert not set(suites) & set(applications)


def test_what_is_left_out_has_no_entry() -> None:
    names = [package.partition(" ")[0] for packages in read_left_out().values() for package in packages]
    assert names
    assert len(set(names)) == len(names)
    assert not set(names) & set(read_suites())


@pytest.mark.parametrize(
    ("text", "said"),
    [('[a]\nversion = "1"\npath = ["x"]', "a has unknown keys: path"), ('[a]\nsha256 = "0"', "a has no version")],
)
def test_a_mistake_in_a_catalogue_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "suites.toml").write_text(text)
    with pytest.raises(Problem, match=said):
        read(Suite, tmp_path / "suites.toml")


def test_entries_are_chosen_by_name_in_their_own_order() -> None:
    entries = {name: Suite(name, "1") for name in ("one", "two", "three")}
    assert [entry.name for entry in select(entries, "three  one")] == ["one", "three"]
    assert len(select(entries, "")) == 3
    with pytest.raises(Problem, match=r"four\. There are: one, two, three"):
        select(entries, "one four")


def facts(result: Any, **more: Any) -> dict[str, Any]:
    versions = {"version": "1.2", "date": "2026-11-24", "note": "", "starlette": "1.10.0", "pydantic": "2.14.3", "python": "3.13.0"}
    return {**versions, **asdict(result), **more}


def test_the_page_has_a_row_for_each_suite_and_names_what_differs() -> None:
    lost = compare(ORIGINAL, {**ORIGINAL, "test_a.py::test_one": "failed"})
    results: page.Results = {
        "suites": {"one": facts(compare(ORIGINAL, ORIGINAL)), "two": facts(lost, note="Needs a server."), "gone": facts(lost)},
        "applications": {
            "shop": {
                **asdict(documents.Documents(2, 1, 7, ["main:app: /info is missing"], answers=Answers(9, 8, 3, ["GET /: 500"]))),
                "version": "3",
            }
        },
    }
    text = page.text(
        results,
        {name: Suite(name, "1.2") for name in ("two", "one")},
        {"shop": Application("shop", "3")},
        {"No tests": ["four 1", "five 2"]},
    )
    assert "| one | 1.2 | 3 | 2 | 2 | none | 1.10.0, 2.14.3, 3.13.0 | 2026-11-24 |" in text
    assert "| two | 1.2 | 3 | 2 | 1 | 1 |" in text
    assert "| **2 suites** | | 6 | 4 | 3 | 1 |" in text
    assert "Needs a server.\n\n- `test_a.py::test_one`: failed on Tercel" in text
    assert "| shop | 3 | 2 | 7 | 1 | 9 | 8 | 3 |" in text
    assert "- **shop**: `GET /: 500`" in text
    assert "- **shop**: `main:app: /info is missing`" in text
    assert "### Without a row of their own\n\n- No tests: four 1, five 2\n" in text
    assert "gone" not in text


def test_the_committed_page_is_what_the_results_give() -> None:
    assert page.text(page.read(), read_suites(), read_applications(), read_left_out()) == page.PAGE.read_text("utf-8")
