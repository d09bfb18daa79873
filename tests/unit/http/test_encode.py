"""jsonable_encoder: which case decides, and what each option reaches."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
import types
from collections import deque
from decimal import Decimal
from enum import Enum, StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path, PureWindowsPath
from re import compile as pattern
from typing import Any
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, Field, SecretBytes, SecretStr
from pydantic_core import PydanticUndefined

from tercel.http import encode
from tercel.http.encode import ENCODERS_BY_TYPE, generate_encoders_by_class_tuples, jsonable_encoder
from tercel.http.errors import PydanticV1NotSupportedError


class Colour(Enum):
    red = "r"


class Named(StrEnum):
    first = "1st"


class Item(BaseModel):
    name: str = Field(default="x", alias="Name")
    price: float | None = None
    extra: dict[str, Any] = {}


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date | None = None


class Pairs:
    def __iter__(self) -> Any:
        return iter([("a", 1), ("b", None)])


class Attributes:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Neither:
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (Colour.red, "r"),
        (Named.first, "1st"),
        (PureWindowsPath("c:/x"), "c:\\x"),
        (Path("/a/b"), "/a/b"),
        (b"text", "text"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.UTC), "2020-01-02T03:04:00+00:00"),
        (datetime.time(1, 2, 3), "01:02:03"),
        (datetime.timedelta(seconds=90, milliseconds=5), 90.005),
        (Decimal("1.10"), 1.1),
        (Decimal("5"), 5),
        (Decimal("5E+3"), 5000),
        (ip_address("127.0.0.1"), "127.0.0.1"),
        (ip_network("::/8"), "::/8"),
        (pattern("a+"), "a+"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (SecretStr("hidden"), "**********"),
        (SecretBytes(b"hidden"), "b'**********'"),
        (AnyUrl("http://example.com/a"), "http://example.com/a"),
        (PydanticUndefined, None),
        (
            {
                1,
            },
            [1],
        ),
        (deque([Point(1)]), [{"x": 1, "when": None}]),
        ((n for n in (1, 2)), [1, 2]),
        (Point(1, datetime.date(2020, 1, 2)), {"x": 1, "when": "2020-01-02"}),
        (Pairs(), {"a": 1, "b": None}),
        (Attributes(a=Attributes(b=1)), {"a": {"b": 1}}),
        (Item(Name="n"), {"Name": "n", "price": None, "extra": {}}),
        ({Colour.red: {UUID(int=1): 1}}, {"r": {"00000000-0000-0000-0000-000000000001": 1}}),
    ],
)
def test_each_kind_of_value_becomes_json_data(value: Any, encoded: Any) -> None:
    result = jsonable_encoder(value)
    assert result == encoded
    assert type(result) is type(encoded)
    json.dumps(result)


def test_subclasses_are_encoded_like_the_type_they_extend() -> None:
    class Moment(datetime.datetime): ...

    class Text(str): ...

    assert jsonable_encoder(Moment(2020, 1, 1)) == "2020-01-01T00:00:00"
    text = Text("a")
    assert jsonable_encoder(text) is text


def test_an_encoder_added_to_the_table_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS_BY_TYPE, Neither, lambda _: "added")
    assert jsonable_encoder([Neither()]) == ["added"]


def test_the_table_turned_round_keeps_every_type() -> None:
    turned = generate_encoders_by_class_tuples({int: str, float: str, bytes: bytes.decode})
    assert dict(turned) == {str: (int, float), bytes.decode: (bytes,)}
    assert encode.encoders_by_class_tuples[str]


def test_include_and_exclude_hold_for_the_outermost_keys_and_pass_through_lists() -> None:
    value = [{"a": 1, "b": {"a": 1, "b": 2}}]
    assert jsonable_encoder(value, include={"b"}) == [{"b": {"a": 1, "b": 2}}]
    assert jsonable_encoder(value, exclude=["b"]) == [{"a": 1}]  # type: ignore[arg-type]
    assert jsonable_encoder(value, include=set()) == [{}]
    assert jsonable_encoder(Item(), include={"name"}) == {"Name": "x"}
    assert jsonable_encoder(Point(1), exclude={"x"}) == {"when": None}


def test_none_is_left_out_everywhere_on_request() -> None:
    value = {"a": None, "b": [None, {"c": None}], "item": Item(extra={"d": None})}
    assert jsonable_encoder(value, exclude_none=True) == {"b": [None, {}], "item": {"Name": "x", "extra": {}}}


def test_unset_and_default_fields_of_models_are_left_out_on_request() -> None:
    item = Item(price=None)
    assert jsonable_encoder({"i": item}, exclude_unset=True) == {"i": {"price": None}}
    assert jsonable_encoder([item], exclude_defaults=True) == [{}]
    assert jsonable_encoder(item, by_alias=False) == {"name": "x", "price": None, "extra": {}}


def test_keys_of_sqlalchemy_are_left_out_unless_wanted() -> None:
    value = Attributes(_sa_instance_state=1, a=2)
    assert jsonable_encoder(value) == {"a": 2}
    assert jsonable_encoder(value, sqlalchemy_safe=False) == {"_sa_instance_state": 1, "a": 2}
    assert jsonable_encoder(Item(extra={"_sa_x": 1, "y": 2}))["extra"] == {"y": 2}


def test_custom_encoders_come_first_exact_types_before_their_bases() -> None:
    encoders = {int: lambda _: "int", bool: lambda _: "bool", BaseModel: lambda _: "model"}
    value = {"i": 1, "b": True, "m": Item(), "s": "s"}
    assert jsonable_encoder(value, custom_encoder=encoders) == {"i": "int", "b": "bool", "m": "model", "s": "s"}
    assert jsonable_encoder(Point(1), custom_encoder={int: lambda _: "int"}) == {"x": "int", "when": None}


def test_what_is_neither_mapping_nor_has_attributes_is_refused_with_both_reasons() -> None:
    with pytest.raises(ValueError, match="not iterable") as caught:
        jsonable_encoder(Neither())
    assert [type(reason) for reason in caught.value.args[0]] == [TypeError, TypeError]


def test_a_dataclass_itself_is_not_a_value() -> None:
    with pytest.raises(AssertionError):
        jsonable_encoder(Point)


def test_models_of_pydantic_1_are_refused_without_importing_that_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class OldModel:
        def __repr__(self) -> str:
            return "OldModel()"

    fake = types.ModuleType("pydantic.v1")
    fake.BaseModel = OldModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pydantic.v1", fake)
    with pytest.raises(PydanticV1NotSupportedError, match=r"Please update the model OldModel\(\)\."):
        jsonable_encoder({"old": OldModel()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10),
        ("1E+3", 1000),
        ("1.0", 1.0),
        ("1E+4299", 10**4299),
        ("1E+4300", float("inf")),
        ("-1E+999999999", float("-inf")),  # as an int it would take hours
    ],
)
def test_a_decimal_without_a_fraction_is_an_int_as_far_as_python_writes_them(text: str, expected: float) -> None:
    found = jsonable_encoder(Decimal(text))
    assert (type(found), found) == (type(expected), expected)
