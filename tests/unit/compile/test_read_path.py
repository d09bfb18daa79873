"""`read_path` says what Starlette's `compile_path` says, and compiles nothing before it must."""

from __future__ import annotations

import copy

import pytest
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import compile_path

from tercel.compile.pattern import PathRegex, read_path


class Broken(Convertor[str]):
    regex = "(["

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/items",
        "/a.b+c/ü",
        "/items/{item_id}",
        "/{a:int}/x{b:float}.json",
        "/{p:path}",
        "/{u:uuid}/",
        "/{not valid}/{x}",
        "/{",
    ],
)
def test_a_path_is_read_as_starlette_reads_it_but_not_compiled(path: str) -> None:
    regex, form, convertors = read_path(path)
    expected = compile_path(path)
    assert isinstance(regex, PathRegex)
    assert (regex.pattern, regex.flags) == (expected[0].pattern, expected[0].flags)
    assert regex.compile() == expected[0]
    assert regex.compile() is copy.deepcopy(regex).compile()
    assert (form, convertors) == expected[1:]


@pytest.mark.parametrize("path", ["", "{host}.example.org:80", "items"])
def test_what_begins_without_a_slash_is_left_to_starlette(path: str) -> None:
    assert read_path(path) == compile_path(path)


def test_mistakes_are_told_when_the_path_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="Unknown path convertor 'nothing'"):
        read_path("/{a:nothing}")
    with pytest.raises(ValueError, match="Duplicated param name a"):
        read_path("/{a}/{a}")
    monkeypatch.setitem(CONVERTOR_TYPES, "broken", Broken())
    with pytest.raises(Exception, match="unterminated character set"):
        read_path("/{a:broken}")
