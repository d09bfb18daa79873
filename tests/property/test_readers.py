"""The compiled reader: whatever it does not decline is what pydantic makes of the same bytes, down to the state of each model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import SchemaValidator

from tercel.analyse.early import _fit
from tercel.analyse.readers import _agreeing, _make_reader, _state, make_reader
from tests.property.extensions import is_built, there

EXAMPLES = int(os.environ.get("TERCEL_EXAMPLES", "60"))

pytestmark = pytest.mark.skipif(not is_built("tercel.http._reader"), reason="the reader was not built: it needs a C compiler")


@pytest.fixture(autouse=True, scope="module")
def compiled() -> Iterator[None]:
    with there(_agreeing):
        yield


class Leaf(BaseModel):
    text: str
    number: int = 3
    size: float | None = None


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(alias="the-name")
    kind: Literal["a", "ä"] = "a"
    flag: bool = False
    nothing: None = None
    leaf: Leaf
    leaves: list[Leaf] = []
    many: list[list[float]] = Field(default_factory=list)
    bounded: Annotated[int, Field(ge=0, le=10)] = 5
    day: date | None = None
    at: datetime = datetime(2026, 1, 1)
    key: UUID | None = None
    child: Tree | None = None


class Declined(Exception):
    """The reader asks pydantic."""


def decline(raw: bytes) -> Any:
    raise Declined(raw)


def both(model: type[BaseModel], raw: bytes) -> tuple[Any, Any]:
    """What the reader makes of a text, and what pydantic does; `Declined` and `ValidationError` where they make nothing."""
    schema = _fit(model.__pydantic_core_schema__)
    read = _make_reader(schema, decline)
    assert read is not None
    results: list[Any] = []
    for function, error in ((read, Declined), (SchemaValidator(schema, _use_prebuilt=False).validate_json, ValidationError)):  # type: ignore[call-arg]
        try:
            results.append(_state(function(raw)))
        except error:
            results.append(error)
    return results[0], results[1]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.text('"\\/\0\x1f\x7f\n\u2028aé', max_size=9)
LEAVES = st.fixed_dictionaries(
    {"text": TEXTS},
    optional={
        "number": st.integers(-(10**18) + 1, 10**18 - 1),
        "size": st.none() | st.integers(-1000, 1000) | st.decimals(-1000, 1000, places=3).map(float),
    },
)
TREES: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {"the-name": TEXTS, "leaf": LEAVES},
        optional={
            "kind": st.sampled_from(["a", "ä"]),
            "flag": st.booleans(),
            "nothing": st.none(),
            "leaves": st.lists(LEAVES, max_size=3),
            "many": st.lists(st.lists(st.integers(-9, 9).map(float), max_size=3), max_size=2),
            "bounded": st.integers(0, 10),
            "day": st.none() | st.dates().map(str),
            "at": st.datetimes().map(datetime.isoformat),
            "key": st.none() | st.uuids().map(str),
            "child": st.none() | TREES,
        },
    )
)


@settings(max_examples=EXAMPLES * 2)
@given(value=TREES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), order=st.randoms(use_true_random=False))
def test_what_is_read_is_what_pydantic_reads(value: dict[str, Any], ascii_only: bool, indent: int | None, order: Any) -> None:
    names = list(value)
    order.shuffle(names)
    raw = json.dumps({name: value[name] for name in names}, ensure_ascii=ascii_only, indent=indent).encode()
    mine, theirs = both(Tree, raw)
    assert mine is Declined or mine == theirs


COMPLETE = {
    "the-name": "é \"quoted\"", "kind": "ä", "flag": True, "nothing": None, "leaf": {"text": "t", "number": -7, "size": 0.125},
    "leaves": [{"text": "one character: x"}, {"text": "", "size": None}], "many": [[1.0, 2.5], []], "bounded": 10,
    "day": "2026-02-03", "at": "2026-02-03T04:05:06", "key": "0f4a1f3c-9d9b-4d0e-8a3f-5b6c7d8e9f00", "child": None,
}  # fmt: skip


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_complete_body_is_not_declined(ascii_only: bool) -> None:
    mine, theirs = both(Tree, json.dumps({**COMPLETE, "child": COMPLETE}, ensure_ascii=ascii_only).encode())
    assert mine is not Declined
    assert mine == theirs


@pytest.mark.parametrize(
    "text", ["0", "7", "-7", "0.5", "-0.0", "1e3", "-0", "12345678901234567890", "01", "1.", ".5", "+1", "0.1", "--1"]
)
@pytest.mark.parametrize("field", ["number", "size"])
def test_a_number_is_read_as_pydantic_reads_it_or_declined(text: str, field: str) -> None:
    mine, theirs = both(Leaf, b'{"text": "t", "%b": %b}' % (field.encode(), text.encode()))
    assert mine is Declined or str(mine) == str(theirs)


@settings(max_examples=EXAMPLES * 4)
@given(data=st.data())
def test_a_text_with_wrong_bytes_is_never_taken_for_another(data: st.DataObject) -> None:
    raw = bytearray(json.dumps(COMPLETE, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        wrong = data.draw(st.sampled_from(b'"\\{}[]:,0 1.eE-+\n\x00\x1f\xff\x80\xc3antf') | st.integers(0, 255))
        raw[place : place + data.draw(st.integers(0, 2))] = bytes([wrong] * data.draw(st.integers(0, 2)))
    mine, theirs = both(Tree, bytes(raw))
    assert mine is Declined or mine == theirs


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"{}", b"null", b"[]", b'{"text": "a",}', b'{"text": "a"} x', b'{"text": "a", "text": "b"}',
        b'{"text": "a" "number": 1}', b'{"text": "a', b'{"text": "a\\', b'{"text": "\\ud800"}', b'{"text": "\xed\xa0\x80"}',
        b'{"text": "\xff"}', b'{"text": "\x01"}', b'{"text": 1}', b'{"text": "a", "number": "1"}', b'{"text": "a", "number": 1.0}',
        b'{"text": "a", "number": true}', b'{"text": "a", "other": 1}', b'\xef\xbb\xbf{"text": "a"}',
        b'{"text": "a", "number": nul}', b'{"tex\\u0074": "a"}',
    ],
)  # fmt: skip
def test_what_is_not_plainly_right_is_left_to_pydantic(raw: bytes) -> None:
    assert both(Leaf, raw)[0] is Declined


def test_what_is_declined_is_read_by_pydantic() -> None:
    validator = SchemaValidator(_fit(Leaf.__pydantic_core_schema__), _use_prebuilt=False)  # type: ignore[call-arg]
    read = make_reader(_fit(Leaf.__pydantic_core_schema__), validator.validate_json)
    assert read is not None
    assert read(b'{"text": "a", "number": "12"}') == Leaf(text="a", number=12)
    with pytest.raises(ValidationError, match="number"):
        read(b'{"text": "a", "number": "twelve"}')


def test_a_deeply_nested_body_is_left_to_pydantic() -> None:
    raw = b'{"the-name": "n", "leaf": {"text": "t"}, "child": ' * 150 + b"null" + b"}" * 150
    assert both(Tree, raw)[0] is Declined
