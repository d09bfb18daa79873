"""Markers are pydantic fields: what they pass on, what they keep, and what they refuse."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
import warnings
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tercel.declare import markers
from tercel.declare.markers import (
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Param,
    ParamOptions,
    ParamTypes,
    Path,
    Query,
    Security,
)
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.errors import DeclarationAssertion, FastAPIDeprecationWarning

ALL = [Param, Path, Query, Header, Cookie, Body, Form, File]

# The order in which FastAPI shows them; the names in brackets exist in some classes only.
ORDER = [
    "default",
    "default_factory",
    "annotation",
    "[embed]",
    "[media_type]",
    "alias",
    "alias_priority",
    "validation_alias",
    "serialization_alias",
    "[convert_underscores]",
    "title",
    "description",
    "gt",
    "ge",
    "lt",
    "le",
    "min_length",
    "max_length",
    "pattern",
    "regex",
    "discriminator",
    "strict",
    "validate_default",
    "union_mode",
    "fail_fast",
    "multiple_of",
    "allow_inf_nan",
    "max_digits",
    "decimal_places",
    "examples",
    "example",
    "openapi_examples",
    "deprecated",
    "include_in_schema",
    "json_schema_extra",
]
OWN: dict[type[Any], dict[str, Any]] = {
    Header: {"convert_underscores": True},
    Body: {"embed": None, "media_type": "application/json"},
    Form: {"media_type": "application/x-www-form-urlencoded"},
    File: {"media_type": "multipart/form-data"},
}


@pytest.mark.parametrize("marker", ALL)
def test_the_signature_shows_every_option_in_fastapis_order(marker: type[Any]) -> None:
    own = OWN.get(marker, {})
    expected = [name.strip("[]") for name in ORDER if name[0] != "[" or name.strip("[]") in own]
    parameters = inspect.signature(marker).parameters
    assert list(parameters) == expected
    assert [p.kind for p in parameters.values()] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] + [inspect.Parameter.KEYWORD_ONLY] * (
        len(expected) - 1
    )
    assert {name: parameters[name].default for name in own} == own
    assert parameters["default"].default is (... if marker is Path else PydanticUndefined)
    assert parameters["gt"].default is None
    assert isinstance(parameters["title"].default, DefaultPlaceholder)
    assert parameters["gt"].annotation == float | None
    assert next(iter(inspect.signature(marker.__init__).parameters)) == "self"


def test_every_option_has_a_default_and_every_default_an_option() -> None:
    assert ParamOptions.__annotations__.keys() == markers._DEFAULTS.keys()


@pytest.mark.parametrize("marker", ALL)
def test_an_unknown_option_is_a_type_error(marker: type[Any]) -> None:
    with pytest.raises(TypeError, match=rf"{marker.__name__}\(\) got an unexpected keyword argument 'maximum'"):
        marker(maximum=3)


@pytest.mark.parametrize("marker", ALL)
def test_only_what_was_said_is_passed_to_pydantic(marker: type[Any]) -> None:
    plain = marker()
    assert isinstance(plain, FieldInfo)
    assert set(plain._attributes_set) == {"annotation"}
    assert plain.is_required()
    assert plain.include_in_schema is True
    assert plain.openapi_examples is None
    assert isinstance(plain.example, DefaultPlaceholder)
    titled = marker(title=None, gt=1, deprecated=True)
    assert set(titled._attributes_set) == {"annotation", "title", "deprecated"}


@pytest.mark.parametrize("marker", [Query, Header, Cookie, Body, Form, File])
def test_options_work_as_in_pydantic(marker: type[Any]) -> None:
    adapter = TypeAdapter(Annotated[int, marker(gt=1, le=5, multiple_of=2)])
    assert adapter.validate_python("4") == 4
    for refused in (1, 3, 6):
        with pytest.raises(ValidationError):
            adapter.validate_python(refused)
    strict = TypeAdapter(Annotated[str, marker(pattern=re.compile("^a"), max_length=2, json_schema_extra={"x": 1})])
    assert strict.json_schema() == {"type": "string", "pattern": "^a", "maxLength": 2, "x": 1}


def test_defaults_and_factories() -> None:
    assert Query("d").default == "d"
    assert Query(None).default is None
    assert Query(...).is_required()
    assert Query(default_factory=list).get_default(call_default_factory=True) == []
    with pytest.raises(TypeError, match="both default and default_factory"):
        Query(1, default_factory=list)


def test_a_path_parameter_has_no_default() -> None:
    assert Path(...).is_required()
    with pytest.raises(DeclarationAssertion, match=r"^Path parameters cannot have a default value\n"):
        Path("x")


@pytest.mark.parametrize(
    ("options", "aliases"),
    [
        ({}, (None, None, None)),
        ({"alias": "a"}, ("a", "a", "a")),
        ({"alias": "a", "validation_alias": "v"}, ("a", "v", "a")),
        ({"alias": "a", "serialization_alias": "s"}, ("a", "a", "s")),
        ({"validation_alias": AliasChoices("x", "y")}, (None, AliasChoices("x", "y"), None)),
        ({"alias": None, "validation_alias": None}, (None, None, None)),
    ],
)
def test_an_alias_stands_for_both_directions_unless_they_have_their_own(options: Any, aliases: Any) -> None:
    field = Query(**options)
    assert (field.alias, field.validation_alias, field.serialization_alias) == aliases


@pytest.mark.parametrize("marker", ALL)
def test_the_representation_is_the_class_and_the_default(marker: type[Any]) -> None:
    assert repr(marker()) == f"{marker.__name__}(PydanticUndefined)"
    if marker is not Path:
        assert repr(marker([])) == f"{marker.__name__}([])"


def test_each_kind_knows_where_it_is_sent() -> None:
    assert [kind.in_ for kind in (Path, Query, Header, Cookie)] == [
        ParamTypes.path,
        ParamTypes.query,
        ParamTypes.header,
        ParamTypes.cookie,
    ]
    assert Header().convert_underscores is True
    assert Header(convert_underscores=False).convert_underscores is False
    assert (Body().embed, Body().media_type) == (None, "application/json")
    assert (Body(embed=True).embed, Body(media_type="a/b").media_type) == (True, "a/b")
    assert (Form().embed, Form().media_type) == (None, "application/x-www-form-urlencoded")
    assert (File().media_type, File(media_type="a/b").media_type) == ("multipart/form-data", "a/b")


def test_a_copy_keeps_what_is_ours() -> None:
    copied = copy.copy(Body(embed=True, openapi_examples={"one": {"value": 1}}, include_in_schema=False))
    assert (copied.embed, copied.openapi_examples, copied.include_in_schema) == (True, {"one": {"value": 1}}, False)


@pytest.mark.parametrize("marker", ALL)
@pytest.mark.parametrize(("option", "instead"), [("regex", "pattern"), ("example", "examples")])
def test_deprecated_options_work_and_warn_at_the_users_line(marker: type[Any], option: str, instead: str) -> None:
    class Own(marker):  # type: ignore[misc]
        pass

    for kind in (marker, Own):
        with pytest.warns(FastAPIDeprecationWarning, match=f"`{option}` has been deprecated, please use `{instead}`") as caught:
            field = kind(**{option: "^a$"})
        assert [warning.filename for warning in caught] == [__file__]
        assert field.example == "^a$" if option == "example" else "^a$" in repr(field.metadata)


# -- dependencies --------------------------------------------------------------------------------------------------------------


def get_db() -> None: ...


def test_dependencies_are_frozen_and_equal_by_what_they_say() -> None:
    assert Depends(get_db) == Depends(get_db)
    assert hash(Depends(get_db)) == hash(Depends(get_db))
    assert hash(Security(get_db)) == hash(Security(get_db))
    assert Depends(get_db) != Depends(get_db, scope="function")
    assert Depends(get_db) != Security(get_db)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Depends(get_db).use_cache = False  # type: ignore[misc]


def test_dependencies_print_what_they_say() -> None:
    assert repr(Security(len, scopes=["a"])) == (
        "Security(dependency=<built-in function len>, use_cache=True, scope=None, max_concurrency=None, scopes=['a'])"
    )


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "1"])
def test_a_limit_on_concurrency_is_a_positive_integer(limit: Any) -> None:
    with pytest.raises(ValueError, match="max_concurrency must be a positive integer or None"):
        Depends(get_db, max_concurrency=limit)


def test_each_declaration_has_its_own_limiter_which_copies_share() -> None:
    one = Depends(get_db, max_concurrency=2)
    assert one._concurrency is not None
    assert one._concurrency.max_concurrency == 2
    assert Depends(get_db, max_concurrency=2)._concurrency is not one._concurrency
    assert dataclasses.replace(one, use_cache=False)._concurrency is one._concurrency
    assert dataclasses.replace(one, max_concurrency=None)._concurrency is None
    changed = dataclasses.replace(one, max_concurrency=3)._concurrency
    assert changed is not None
    assert changed.max_concurrency == 3
    assert Depends(get_db)._concurrency is None


def test_nothing_warns_without_a_deprecated_option() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for marker in ALL:
            marker(examples=[1], pattern="a")
