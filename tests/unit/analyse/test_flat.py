"""Dependency trees and parameter models laid flat."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, Json
from pydantic.fields import FieldInfo

from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import ModelField, get_cached_model_fields
from tercel.analyse.flat import flat_fields, get_flat_params, param_aliases, param_model, walk
from tercel.declare.markers import Cookie, Header, Path, Query


class Filters(BaseModel):
    limit: int = 10
    order_by: str = "id"


def field(info: FieldInfo, name: str = "some_name", config: ConfigDict | None = None) -> ModelField:
    return ModelField(field_info=info, name=name, config=config)


def aliases(info: FieldInfo, config: ConfigDict | None = None, **options: Any) -> list[tuple[str, str]]:
    return param_aliases(field(info, config=config), **options)


# -- names -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (Query(annotation=int), [("some_name", "some_name")]),
        (Query(annotation=int, alias="a"), [("a", "a")]),
        (Query(annotation=int, alias="a", validation_alias="v"), [("v", "v")]),
        (Query(annotation=int, validation_alias=AliasChoices("a", "b_c")), [("a", "a"), ("b_c", "b_c")]),
        (Query(annotation=int, validation_alias=AliasChoices("a", AliasPath("b", 0))), [("some_name", "some_name")]),
        (Query(annotation=int, validation_alias=AliasPath("b", 0)), [("some_name", "some_name")]),
        (Path(annotation=int, validation_alias=AliasChoices("a", "b")), [("some_name", "some_name")]),
    ],
    ids=repr,
)
def test_names_are_tried_in_declared_order(info: FieldInfo, expected: list[tuple[str, str]]) -> None:
    assert aliases(info) == expected


def test_a_header_without_alias_is_sent_with_hyphens() -> None:
    assert aliases(Header(annotation=str), convert_underscores=True) == [("some_name", "some-name")]
    assert aliases(Header(annotation=str, alias="own_name"), convert_underscores=True) == [("own_name", "own_name")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ConfigDict(), [("a", "a")]),
        (ConfigDict(validate_by_name=True), [("a", "a"), ("some_name", "some-name")]),
        (ConfigDict(populate_by_name=True), [("a", "a"), ("some_name", "some-name")]),
        (ConfigDict(validate_by_name=True, validate_by_alias=False), [("some_name", "some-name")]),
    ],
)
def test_a_model_may_accept_names_besides_aliases(config: ConfigDict, expected: list[tuple[str, str]]) -> None:
    class Named(BaseModel):
        model_config = config
        some_name: str = Field(alias="a")

    assert param_aliases(get_cached_model_fields(Named)[0], convert_underscores=True) == expected


def test_a_name_that_is_its_own_alias_comes_once() -> None:
    assert aliases(Query(annotation=int), ConfigDict(validate_by_name=True)) == [("some_name", "some_name")]


# -- models ------------------------------------------------------------------------------------------------------------------------


def test_a_parameter_model_stands_for_its_fields() -> None:
    model, single = field(Query(annotation=Filters)), field(Query(annotation=int))
    assert [item.name for item in flat_fields([model, single])] == ["limit", "order_by", "some_name"]
    assert flat_fields([model]) == get_cached_model_fields(Filters)


@pytest.mark.parametrize("marker", [Query, Header, Cookie])
def test_a_nullable_model_is_a_model(marker: type[FieldInfo]) -> None:
    assert param_model(field(marker(annotation=Filters | None))) is Filters
    assert param_model(field(marker(annotation=None | Filters))) is Filters


@pytest.mark.parametrize("annotation", [int, list[int], Filters | int | None, dict[str, int]], ids=str)
def test_other_types_are_one_parameter(annotation: Any) -> None:
    assert param_model(field(Query(annotation=annotation))) is None


def test_a_model_as_json_text_is_one_parameter() -> None:
    info = Query.from_annotation(Json[Filters])  # type: ignore[type-arg]
    assert info.annotation is Filters
    assert param_model(field(info)) is None


# -- trees -------------------------------------------------------------------------------------------------------------------------


def one() -> None: ...
def two() -> None: ...
def end() -> None: ...


def test_a_tree_is_walked_depth_first_and_a_shared_dependency_comes_once() -> None:
    def leaf() -> Dependant:
        return Dependant(call=two)

    root = Dependant(call=end, dependencies=[Dependant(call=one, dependencies=[leaf()]), leaf()])
    assert [current.call for current, _ in walk(root)] == [end, one, two]


def test_scopes_go_down_the_tree_each_once() -> None:
    inner = Dependant(call=two, own_oauth_scopes=["c", "a"])
    root = Dependant(call=end, dependencies=[Dependant(call=one, own_oauth_scopes=["a", "b"], dependencies=[inner])])
    assert [scopes for _, scopes in walk(root)] == [[], ["a", "b"], ["a", "b", "c"]]


def test_different_scopes_make_different_dependencies() -> None:
    root = Dependant(call=end, dependencies=[Dependant(call=one, own_oauth_scopes=[scope]) for scope in ("a", "b", "a")])
    assert [scopes for _, scopes in walk(root)] == [[], ["a"], ["b"]]


def test_flat_parameters_are_ordered_by_place_then_by_tree() -> None:
    def params(suffix: str) -> dict[str, Any]:
        return {
            "path_params": [field(Path(annotation=int), f"path_{suffix}")],
            "query_params": [field(Query(annotation=int), f"query_{suffix}")],
            "header_params": [field(Header(annotation=str), f"header_{suffix}")],
            "cookie_params": [field(Cookie(annotation=str), f"cookie_{suffix}")],
        }

    root = Dependant(call=end, **params("end"), dependencies=[Dependant(call=one, **params("one"))])
    assert [item.name for item in get_flat_params(root)] == [
        f"{place}_{suffix}" for place in ("path", "query", "header", "cookie") for suffix in ("end", "one")
    ]


def test_callables_need_not_be_hashable() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> None: ...

    call = Unhashable()
    root = Dependant(call=call, dependencies=[Dependant(call=call)])
    assert [current.call for current, _ in walk(root)] == [call]
