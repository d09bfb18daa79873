"""Units of generated source: names, comments, loading."""

from __future__ import annotations

import gc
import linecache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.compile.source import SourceUnit, comment, identifier
from tercel.plan import Origin


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("call_get_db", "call_get_db"),
        ("GET /shops/{shop_id}", "GET_shops_shop_id"),
        ("<lambda>", "lambda"),
        ("2fa", "_2fa"),
        ("", "it"),
        ("class", "_class"),
        ("lambda: 1\nimport os", "lambda_1_import_os"),
        ("größe", "gr_e"),
    ],
)
def test_an_identifier_resembles_the_text(text: str, name: str) -> None:
    assert identifier(text) in (name, f"_{name}")
    assert identifier(text).isidentifier()


@given(st.text())
def test_whatever_the_text_an_identifier_and_a_comment_are_harmless(text: str) -> None:
    name = identifier(text)
    compile(f"{name} = 1  # {comment(text)}", "<test>", "exec")
    assert name.isascii()
    assert comment(text).isascii()
    assert comment(text).isprintable()


def test_the_same_object_has_one_name_and_another_object_another() -> None:
    unit = SourceUnit("f", "title")
    one, two = object(), object()
    assert unit.bind(one, "thing") == "thing"
    assert unit.bind(two, "thing") == "thing_2"
    assert unit.bind(one, "whatever") == "thing"


def test_names_of_variables_are_not_given_to_objects() -> None:
    unit = SourceUnit("f", "title")
    unit.reserve("ex", "ex_2")
    assert unit.bind(object(), "ex") == "ex_3"


def test_a_local_variable_takes_a_free_name_that_nothing_takes_afterwards() -> None:
    unit = SourceUnit("f", "title")
    unit.reserve("data")
    assert [unit.local("data"), unit.local("data"), unit.local("hop")] == ["data_2", "data_3", "hop"]
    assert unit.bind(object(), "hop") == "hop_2"


def test_lines_are_indented_and_origins_stand_in_one_column() -> None:
    unit = SourceUnit("f", "title")
    unit.line("def f():")
    unit.indent += 1
    unit.line("x = 1", Origin("/some/where/app.py", 12, "Depends(get_db)"))
    unit.line("return x", Origin("", 0, "GET /"))
    first, second, third = unit.text.splitlines()
    assert first == "def f():"
    assert second.startswith("    x = 1 ")
    assert second.endswith("  # Depends(get_db) (app.py:12)")
    assert second.index("#") == third.index("#") == 98


def test_loading_gives_the_function_with_its_source() -> None:
    unit = SourceUnit("double", "GET /double")
    two = unit.bind(2, "TWO")
    unit.line("def double(x):")
    unit.line(f"    return x * {two}")
    double = unit.load()
    assert double(21) == 42
    assert double.__tercel_source__ == unit.text  # type: ignore[attr-defined]
    assert double.__module__ == "tercel.generated.double"


def test_a_source_is_in_linecache_as_long_as_its_code() -> None:
    unit = SourceUnit("f", "GET /f")
    unit.line("def f():")
    unit.line("    return 1")
    function = unit.load()
    name = function.__code__.co_filename
    assert name.startswith("<tercel GET /f #")
    assert linecache.getlines(name) == ["def f():\n", "    return 1\n"]
    linecache.checkcache()  # does not drop it: there is no file to be out of date
    assert linecache.getline(name, 2) == "    return 1\n"
    del function
    gc.collect()
    assert name not in linecache.cache


def test_two_units_with_the_same_title_have_different_files() -> None:
    names = set()
    for _ in range(2):
        unit = SourceUnit("f", "GET /f")
        unit.line("def f(): ...")
        names.add(unit.load().__code__.co_filename)
    assert len(names) == 2


def test_a_real_file_is_utf_8_whatever_the_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCEL_SOURCE_DIR", str(tmp_path))
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    unit = SourceUnit("f", "GET /größe")
    unit.line("def f(größe): return größe")
    function = unit.load()
    assert function(3) == 3
    assert Path(function.__code__.co_filename).read_text(encoding="utf-8") == unit.text
