"""`read_path` says what Starlette's `compile_path` says, and compiles nothing before it must."""

from __future__ import annotations

import copy

import pytest
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import compile_path

from tercel.compile.pattern import PathRegex, find_way, read_path


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


def test_a_path_whose_parameters_were_given_other_convertors_is_left_to_its_expression() -> None:
    regex, _, convertors = read_path("/items/{item_id:int}")
    way = find_way("/items/{item_id:int}", regex, convertors)
    assert way is not None
    assert (way.steps, [bind[0] for bind in way.binds]) == (["items", None], ["item_id"])
    assert find_way("/items/{item_id:int}", regex, {"item_id": CONVERTOR_TYPES["str"]}) is None
    assert find_way("/things/{item_id:int}", regex, convertors) is None


def test_a_path_without_parameters_is_a_way_of_its_segments() -> None:
    for path, steps in {"/": [""], "/items": ["items"], "/items//a/": ["items", "", "a", ""]}.items():
        way = find_way(path, read_path(path)[0], {})
        assert way is not None
        assert (way.shape, way.steps, way.binds, way.rest) == ((path,), steps, [], [])
    assert find_way("/a\nb", read_path("/a\nb")[0], {}) is None
