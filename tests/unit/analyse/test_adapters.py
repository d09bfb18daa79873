"""Fields share an adapter only when nothing tells their schemas apart."""

from __future__ import annotations

import gc
import typing
from enum import Enum
from typing import Annotated, Any, Literal
from weakref import ref

import pytest
from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, Field, PydanticSchemaGenerationError
from pydantic.fields import FieldInfo
from pydantic_core import SchemaError, core_schema

from tercel.analyse.adapters import shared_adapter
from tercel.declare.markers import Path, Query


class Color(Enum):
    red = "red"


class Item(BaseModel):
    name: str


def adapter(annotation: Any, **options: Any) -> Any:
    return shared_adapter(Query(annotation=annotation, **options), None)


@pytest.mark.parametrize(
    ("annotation", "options"),
    [
        (int, {}),
        (str | None, {"default": None}),
        (list[int], {"default": 3}),
        (Item, {}),
        (dict[str, Item], {}),
        (tuple[int, ...], {}),
        (Color, {"description": "hue"}),
        (Literal["a", 1], {"title": "T"}),
        (list[Annotated[int, Gt(2)]], {}),
        (str, {"min_length": 2, "max_length": 3, "pattern": "^a"}),
        (float, {"ge": 1.5, "allow_inf_nan": False}),
    ],
    ids=str,
)
def test_equal_declarations_share(annotation: Any, options: dict[str, Any]) -> None:
    first = adapter(annotation, **options)
    assert adapter(annotation, **options) is first


PAIRS: list[tuple[tuple[Any, dict[str, Any]], tuple[Any, dict[str, Any]]]] = [
    ((int, {}), (str, {})),
    ((int | str, {}), (str | int, {})),
    ((list[int | str], {}), (list[str | int], {})),
    ((Literal[1], {}), (Literal[True], {})),
    ((int, {"default": 1}), (int, {"default": True})),
    ((float, {"default": 0.0}), (float, {"default": -0.0})),
    ((int, {}), (int, {"default": None})),
    ((int, {"gt": 1}), (int, {"gt": 1.0})),
    ((int, {"gt": 1}), (int, {"ge": 1})),
    ((str, {"pattern": "a"}), (str, {"pattern": "b"})),
    ((str, {"title": "a"}), (str, {"description": "a"})),
    ((str, {"deprecated": True}), (str, {})),
    ((tuple[()], {}), (tuple, {})),
    ((tuple[()], {}), (typing.Tuple, {})),  # noqa: UP006 - the two are not the same
    ((list[int], {}), (set[int], {})),
    ((int, {"default": 1}), (int, {"default": 1, "validate_default": True})),
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=str)
def test_different_declarations_do_not_share(one: tuple[Any, dict[str, Any]], other: tuple[Any, dict[str, Any]]) -> None:
    first, second = adapter(one[0], **one[1]), adapter(other[0], **other[1])
    assert first is not second


class Own:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.any_schema()


UNSHARED: list[tuple[Any, dict[str, Any]]] = [
    (Own, {}),
    (list[Own], {}),
    (int, {"json_schema_extra": {"x": 1}}),
    (int, {"examples": [1]}),
    (list[int], {"default_factory": list}),
    (Annotated[int, Field(gt=1)] | None, {}),
    (list[int], {"default": [1]}),
]


@pytest.mark.parametrize(("annotation", "options"), UNSHARED, ids=str)
def test_what_may_have_a_schema_of_its_own_does_not_share(annotation: Any, options: dict[str, Any]) -> None:
    first = adapter(annotation, **options)
    assert adapter(annotation, **options) is not first


def test_a_configuration_is_not_shared() -> None:
    config = ConfigDict(str_max_length=3)
    first = shared_adapter(FieldInfo(annotation=str), config)
    assert first is not adapter(str)
    assert shared_adapter(FieldInfo(annotation=str), config) is not first


def test_the_kind_of_marker_does_not_matter() -> None:
    first = adapter(int)
    assert shared_adapter(Path(annotation=int), None) is first


def test_a_rebuilt_model_gets_a_new_adapter() -> None:
    class Grows(BaseModel):
        value: int

    first = adapter(Grows)
    Grows.model_rebuild(force=True)
    assert adapter(Grows) is not first


def test_an_adapter_lives_as_long_as_a_field() -> None:
    class Local(BaseModel):
        value: int

    alive = ref(adapter(Local))
    gc.collect()
    assert alive() is None


def test_a_type_without_schema_is_refused_at_once() -> None:
    class Opaque:
        pass

    with pytest.raises(PydanticSchemaGenerationError):
        adapter(Opaque)


def test_an_impossible_constraint_is_refused_at_once() -> None:
    with pytest.raises(SchemaError):
        adapter(str, pattern="(")


def test_attributes_for_fields_of_models_cause_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    adapter(int, alias="other", deprecated=True, default=3)
    assert not recwarn.list
