"""The page that says where each promise of the server is tested: the tests exist, and those of settings set them."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tercel.server import ServerConfig
from tests.docs.pages import ROOT, functions_of

PAGE = (ROOT / "docs/server-tests.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _between(marks: str) -> list[str]:
    """The rows of all tables between two marks, without their heads."""
    _, begun, text = PAGE.partition(f"<!-- {marks}: begin.")
    text, ended, _ = text.partition(f"<!-- {marks}: end -->")
    assert begun
    assert ended
    return [line for line in text.splitlines() if line.startswith("| ") and not re.match(r"\| (promise|setting) \|", line)]


PROMISES = _between("PROMISES")
SETTINGS = {row.split("`")[1]: row for row in _between("SETTINGS")}


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[2:40])
def test_a_promise_names_tests_that_exist(row: str) -> None:
    found = _TEST.findall(row)
    assert found
    assert [f"{file}::{name}" for file, name in found if name not in functions_of(file)] == []


def test_every_setting_of_time_and_size_and_of_websockets_is_there() -> None:
    names = {field.name for field in dataclasses.fields(ServerConfig)}
    assert set(SETTINGS) == {name for name in names if re.search(r"^(max|ws)_|_(s|bytes)$", name)}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_test_of_a_setting_sets_it(name: str) -> None:
    ((file, test),) = _TEST.findall(SETTINGS[name])
    assert re.search(rf"\b{name}\b", functions_of(file)[test])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_default_and_its_reason_on_the_page_of_the_server(name: str) -> None:
    default = next(field.default for field in dataclasses.fields(ServerConfig) if field.name == name)
    match = re.search(rf"^\| `{name}` \| `([^`]+)` \| (.+) \|$", (ROOT / "docs/server.md").read_text(), re.MULTILINE)
    assert match is not None
    assert match[1].strip('"').replace("_", "") == str(default).replace("_", "")
    assert len(match[2]) > 30
