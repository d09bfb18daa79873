"""What a type annotation says about where its value is looked for."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar, Union

import pytest
from pydantic import BaseModel
from pydantic_core import core_schema
from starlette.datastructures import UploadFile

from tercel.analyse import annotations

T = TypeVar("T")


class Model(BaseModel):
    value: int


@dataclass
class Data:
    value: int


class Color(Enum):
    red = "red"


class Described(Generic[T]):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.any_schema()


SCALARS = [int, str, bytes, Color, Any, None, int | None, Literal["a"], Annotated[int, "note"], "forward", Described, TypeVar, ...]
SEQUENCES = [list, list[int], tuple[int, ...], set[str], frozenset[int], deque[int], Sequence[str], Annotated[list[int], "note"]]
OTHERS = [Model, Data, dict, dict[str, int], Mapping[str, int], UploadFile, Model | None, Annotated[Model, "note"], Described[int]]


@pytest.mark.parametrize("annotation", SCALARS, ids=str)
def test_what_one_string_can_hold_is_a_scalar(annotation: Any) -> None:
    assert annotations.field_annotation_is_scalar(annotation)
    assert not annotations.field_annotation_is_sequence(annotation)


@pytest.mark.parametrize("annotation", SEQUENCES, ids=str)
def test_sequences_are_complex(annotation: Any) -> None:
    assert annotations.field_annotation_is_sequence(annotation)
    assert annotations.field_annotation_is_complex(annotation)
    assert annotations.field_annotation_is_scalar_sequence(annotation)


@pytest.mark.parametrize("annotation", OTHERS, ids=str)
def test_models_mappings_uploads_and_described_generics_are_complex(annotation: Any) -> None:
    assert annotations.field_annotation_is_complex(annotation)
    assert not annotations.field_annotation_is_sequence(annotation)
    assert not annotations.field_annotation_is_scalar_sequence(annotation)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (list[int] | None, True),
        (list[int] | str, True),
        (Union[None, set[int]], True),  # noqa: UP007 - the spelling is the case
        (list[Model], False),
        (list[int] | Model, False),
        (list[int] | list[Model], False),
        (int | str, False),
    ],
    ids=str,
)
def test_a_union_is_a_scalar_sequence_if_one_member_is_and_the_others_are_scalars(annotation: Any, expected: bool) -> None:
    assert annotations.field_annotation_is_scalar_sequence(annotation) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [([1], True), ((), True), ({1}, True), (deque(), True), ("ab", False), (b"ab", False), (1, False)]
)
def test_text_and_bytes_are_no_sequences_of_values(value: Any, expected: bool) -> None:
    assert annotations.value_is_sequence(value) is expected


@pytest.mark.parametrize(("item", "single", "several"), [
    (bytes, annotations.is_bytes_or_nonable_bytes_annotation, annotations.is_bytes_sequence_annotation),
    (UploadFile, annotations.is_uploadfile_or_nonable_uploadfile_annotation, annotations.is_uploadfile_sequence_annotation),
], ids=["bytes", "upload"])  # fmt: skip
def test_bytes_and_uploads_are_recognised_alone_in_unions_and_in_sequences(item: Any, single: Any, several: Any) -> None:
    class Own(item):  # type: ignore[misc]
        pass

    assert single(item)
    assert single(Own)
    assert single(item | None)
    assert not single(str)
    assert not single(list[item])
    assert not single(Annotated[item, "note"])
    assert several(list[item])
    assert several(list[item | None])
    assert several(list[str] | list[item])
    assert several(list)
    assert not several(item)
    assert not several(list[str])


def test_lenient_issubclass_takes_what_is_no_class() -> None:
    assert annotations.lenient_issubclass(bool, int)
    assert annotations.lenient_issubclass(bool, (str, int))
    assert not annotations.lenient_issubclass(list[int], list)
    assert not annotations.lenient_issubclass(int | None, int)
    assert not annotations.lenient_issubclass("int", int)
    assert not annotations.lenient_issubclass(None, int)


def test_members_of_a_union_keep_their_order() -> None:
    assert annotations.union_members(int | str) == (int, str)
    assert annotations.union_members(Union[str, int]) == (str, int)  # noqa: UP007 - the spelling is the case
    assert annotations.union_members(list[int]) is None


PYDANTIC_1 = """
import warnings
from tercel.analyse import annotations as a
import sys
assert not a.annotation_is_pydantic_v1(int), "nothing of pydantic 1 is loaded"
assert "pydantic.v1" not in sys.modules, "asking must not load it"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydantic.v1 import BaseModel
class Old(BaseModel):
    pass
for annotation in (Old, Old | None, list[Old], list[Old] | None, dict[str, int] | list[list[Old]]):
    assert a.annotation_is_pydantic_v1(annotation), annotation
assert not a.annotation_is_pydantic_v1(list[int] | None)
assert a.is_pydantic_v1_model_class(Old) and not a.is_pydantic_v1_model_class(int)
assert a.is_pydantic_v1_model_instance(Old()) and not a.is_pydantic_v1_model_instance(1)
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic.v1 does not work on Python 3.14")
def test_models_of_pydantic_1_are_found_without_importing_it() -> None:
    done = subprocess.run([sys.executable, "-c", PYDANTIC_1], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
