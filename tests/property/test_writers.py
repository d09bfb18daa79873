"""The compiled writer: whatever it does not decline, pydantic writes with the same bytes, whether validated before or not."""

from __future__ import annotations

import gc
import json
import math
import os
import struct
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
    model_validator,
)

from tercel.analyse.writers import _agreeing, make_writer
from tercel.http.encode import jsonable_encoder
from tercel.http.render import finite
from tercel.http.written import writer_class
from tests.property.extensions import is_built, there

EXAMPLES = int(os.environ.get("TERCEL_EXAMPLES", "60"))

pytestmark = pytest.mark.skipif(not is_built("tercel.http._writer"), reason="the writer was not built: it needs a C compiler")


@pytest.fixture(autouse=True, scope="module")
def compiled() -> Iterator[None]:
    with there(_agreeing):
        yield


class Colour(Enum):
    RED = "red \N{GREEK SMALL LETTER BETA}"
    ONE = 1


class Level(StrEnum):
    LOW = 'l"ow'
    HIGH = "high"


class Number(IntEnum):
    ONE = 1
    BIG = 2**60


class OddText(str):
    pass


class OddNumber(int):
    pass


class OddZone(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(minutes=7)

    def dst(self, when: datetime | None) -> timedelta | None:
        return None

    def tzname(self, when: datetime | None) -> str:
        return "odd"


# -- types and values of them -----------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text('"\\/\0\x1f\x7f\n\u2028a', max_size=6)
ZONES = st.sampled_from(
    [None, UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=3)), ZoneInfo("Europe/Berlin")]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**63), 2**63 - 1)),
    (str, TEXTS),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-1000, 1000, places=3).map(float)),
    (bool, st.booleans()),
    (None, st.none()),
    (datetime, st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES).filter(lambda at: _whole_minutes(at))),
    (date, st.dates()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Any, ANYTHING),
    (Literal["a", 'b"'], st.sampled_from(["a", 'b"'])),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Number, st.sampled_from(Number)),
]
WRONG: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [OddText("odd"), OddNumber(3), (), (1,), {1: 2}, {"a"}, b"bytes", 1.0, 2**70, -(2**64), math.nan, -math.inf, True]
    ),
    st.sampled_from(["\ud800", Colour.RED, Number.ONE, datetime(2026, 1, 1, tzinfo=OddZone()), timedelta(1), Level, object()]),
    st.sampled_from([datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=75))), Decimal("sNaN"), "", 0, None, [], {}]),
)


def _whole_minutes(at: datetime) -> bool:
    offset = at.utcoffset()
    return offset is None or offset.total_seconds() % 60 == 0


class Kind:
    """A type with a strategy for values of it, and one for values of which some part is wrong."""

    def __init__(self, annotation: Any, right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> None:
        self.annotation = annotation
        self.right = right
        self.wrong = wrong


def _optional(kind: Kind) -> Kind:
    return Kind(kind.annotation | None if kind.annotation is not None else None, st.none() | kind.right, kind.wrong)


def _list(kind: Kind) -> Kind:
    wrong = st.lists(kind.wrong | kind.right, max_size=4)
    return Kind(list[kind.annotation], st.lists(kind.right, max_size=4), wrong | wrong.map(tuple))  # type: ignore[name-defined]


def _dict(kind: Kind) -> Kind:
    wrong = st.dictionaries(TEXTS | st.integers() | st.just(OddText("k")), kind.wrong | kind.right, max_size=3)
    return Kind(dict[str, kind.annotation], st.dictionaries(TEXTS, kind.right, max_size=3), wrong)  # type: ignore[name-defined]


CONFIGS = [ConfigDict(), ConfigDict(extra="forbid"), ConfigDict(str_to_upper=True, from_attributes=True), ConfigDict(strict=True)]


@st.composite
def _model(draw: st.DrawFn, parts: st.SearchStrategy[Kind]) -> Kind:
    fields: dict[str, Any] = {}
    kinds = draw(st.lists(parts, min_size=0, max_size=4))
    for number, kind in enumerate(kinds):
        alias = draw(st.none() | st.just(f'key "{number}" \N{GREEK SMALL LETTER BETA}'))
        fields[f"field_{number}"] = (kind.annotation, Field(serialization_alias=alias) if alias else ...)
    # Pydantic applies these to fields only when it validates, which it does not with an instance.
    model = create_model("Made", __config__=draw(st.sampled_from(CONFIGS)), **fields)
    under = create_model("Under", __base__=model, more=(int, 3))

    @st.composite
    def values(draw: st.DrawFn, wrong: bool) -> Any:
        names = list(draw(st.permutations(list(fields))))
        held = {
            name: draw(kinds[int(name[6:])].wrong if wrong and draw(st.booleans()) else kinds[int(name[6:])].right)
            for name in names
        }
        made = draw(st.sampled_from([model, under])).model_construct()
        made.__dict__.clear()
        made.__dict__.update(held)
        if wrong and draw(st.booleans()):
            if held and draw(st.booleans()):
                del made.__dict__[names[0]]
            else:
                made.__dict__["stray"] = 1
        elif type(made) is under:
            made.__dict__["more"] = 4
        return made

    return Kind(model, values(wrong=False), values(wrong=True) | WRONG | st.fixed_dictionaries({}))


KINDS = st.recursive(
    st.sampled_from([Kind(annotation, right, WRONG) for annotation, right in SCALARS]),
    lambda parts: st.one_of(parts.map(_optional), parts.map(_list), parts.map(_dict), _model(parts)),
    max_leaves=5,
)


def expected(adapter: TypeAdapter[Any], value: Any) -> bytes:
    """What pydantic writes, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return adapter.serializer.to_json(value, by_alias=True)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.data())
def test_values_of_the_declared_types_are_written_as_pydantic_writes_them(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    adapter: TypeAdapter[Any] = TypeAdapter(kind.annotation)
    writer = make_writer(adapter)
    assert writer is not None
    value = data.draw(kind.right)
    assert writer.write(value) == expected(adapter, value)
    if writer.validates:
        assert writer.write(value) == expected(adapter, adapter.validator.validate_python(value, from_attributes=True))


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.data())
def test_of_other_values_none_is_written_in_another_way(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    adapter: TypeAdapter[Any] = TypeAdapter(kind.annotation)
    writer = make_writer(adapter)
    assert writer is not None
    value = data.draw(kind.wrong)
    written = writer.write(value)
    if written is not None:
        assert written == expected(adapter, value)
        if writer.validates:
            assert written == expected(adapter, adapter.validator.validate_python(value, from_attributes=True))


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.binary(min_size=8, max_size=8) | st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 9)))
def test_every_finite_float_is_written_as_pydantic_writes_it(source: bytes | tuple[int, int]) -> None:
    number = struct.unpack("<d", source)[0] if isinstance(source, bytes) else source[0] / 10 ** source[1]
    adapter = TypeAdapter(float)
    writer, plain = make_writer(adapter), _class()("plain")
    assert writer is not None
    if math.isfinite(number):
        assert writer.write(number) == expected(adapter, number)
        assert plain.write(number) == json.dumps(number).encode()
    else:
        assert writer.write(number) is plain.write(number) is None


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(ANYTHING | WRONG | st.lists(ANYTHING | WRONG, max_size=3) | st.dictionaries(st.sampled_from(["_sa_x", "_s", "k"]), ANYTHING))
def test_plain_data_is_written_as_the_general_encoder_writes_it(value: Any) -> None:
    written = _class()("plain").write(value)
    if written is not None:
        data = finite(jsonable_encoder(value))
        assert written == json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _class() -> Any:
    kind = writer_class()
    assert kind is not None
    return kind


# -- what is declined --------------------------------------------------------------------------------------------------------------


class Plain(BaseModel):
    number: int


class Serialized(Plain):
    @field_serializer("number")
    def twice(self, number: int) -> int:
        return 2 * number


class Dumped(Plain):
    @model_serializer
    def dump(self) -> dict[str, int]:
        return {"dumped": self.number}


class Computed(Plain):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def half(self) -> float:
        return self.number / 2


class Open(Plain):
    model_config = ConfigDict(extra="allow")


class Hidden(Plain):
    secret: int = Field(default=1, exclude=True)


class Infinite(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    number: float


class Timed(BaseModel):
    model_config = ConfigDict(ser_json_temporal="seconds")
    at: datetime


class Intercepted(Plain):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class Rooted(RootModel[list[int]]):
    pass


class Renamed(Enum):
    A = "a"

    @property
    def value(self) -> str:  # type: ignore[override]
        return "renamed"


class Several(Enum):
    A = ("a", 1)


CLASSES: list[Any] = [Serialized, Dumped, Computed, Open, Hidden, Infinite, Timed, Intercepted, Rooted, Renamed, Several]
UNPROVEN: list[Any] = [bytes, timedelta, set[int], tuple[int, str], int | str, dict[int, str], Literal[1]]


@pytest.mark.parametrize("annotation", [*CLASSES, *UNPROVEN, Annotated[int, PlainSerializer(str)]])
@pytest.mark.parametrize("around", [False, True], ids=["alone", "inside"])
def test_there_is_no_writer_for_a_type_of_which_nothing_is_proven(annotation: Any, around: bool) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(create_model("Around", inner=(list[annotation] | None, ...)) if around else annotation)
    assert make_writer(adapter) is None


def test_an_instance_of_a_class_that_intercepts_attributes_is_declined_where_its_base_is_declared() -> None:
    writer = make_writer(TypeAdapter(Plain))
    assert writer is not None
    assert writer.write(Intercepted(number=1)) is None
    assert writer.write(Serialized(number=1)) == expected(TypeAdapter(Plain), Serialized(number=1)) == b'{"number":1}'


class Node(BaseModel):
    name: str
    below: list[Node] = []
    also: dict[str, Node] | None = None


def test_models_that_contain_themselves_are_written_to_a_depth_that_pydantic_reaches_too() -> None:
    adapter = TypeAdapter(Node)
    writer = make_writer(adapter)
    assert writer is not None
    tree = Node(name="root", below=[Node(name="a"), Node(name="b", also={"c": Node(name="c")})])
    assert writer.write(tree) == expected(adapter, tree)
    circle = Node(name="circle")
    circle.below.append(circle)
    assert writer.write(circle) is None


def _positive(number: int) -> int:
    return abs(number)


class Checked(BaseModel):
    number: int

    @model_validator(mode="after")
    def change(self) -> Checked:
        return Checked.model_construct(number=self.number + 1)


REFUSED: dict[str, Any] = {
    "changed by a function": Annotated[int, AfterValidator(_positive)],
    "items with a bound": list[Annotated[int, Field(ge=0)]],
    "text with a length": Annotated[str, Field(max_length=3)],
    "a model with a function": Checked,
    "keys with a length": dict[Annotated[str, Field(max_length=3)], int],
    "a list with a length": Annotated[list[int], Field(max_length=1)],
}


@pytest.mark.parametrize("annotation", REFUSED.values(), ids=REFUSED)
def test_what_validation_may_refuse_or_change_is_written_only_after_it(annotation: Any) -> None:
    writer = make_writer(TypeAdapter(annotation))
    assert writer is not None
    assert not writer.validates


def test_a_writer_that_has_declined_many_values_in_a_row_declines_all() -> None:
    writer = make_writer(TypeAdapter(list[Plain]))
    assert writer is not None
    for _ in range(63):
        assert writer.write([{"number": 1}]) is None
    assert writer.write([Plain(number=1)]) == b'[{"number":1}]'
    for _ in range(64):
        assert writer.write([{"number": 1}]) is None
    assert writer.write([Plain(number=1)]) is None


def values_of_all_kinds() -> Iterator[tuple[Any, Any]]:
    yield Node, Node(name="x" * 5000, below=[Node(name='"')] * 20)
    yield dict[str, Any], {"a": [1.5, None, {"b": True}], "\x00": 10**15}
    yield list[Colour | None], [Colour.RED, None]
    yield list[Decimal], [Decimal("1.10")] * 3
    yield list[datetime], [datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))] * 3
    yield list[float], [1e300, 0.1 + 0.2]
    yield list[str], ["\ud800"]
    yield list[int], [2**70]


def test_writing_keeps_no_memory() -> None:
    for annotation, value in values_of_all_kinds():
        writer = make_writer(TypeAdapter(annotation))
        assert writer is not None
        for _ in range(100):  # fills caches and free lists
            writer.write(value)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(300):
            writer.write(value)
        gc.collect()
        assert sys.getallocatedblocks() - before < 100, annotation
