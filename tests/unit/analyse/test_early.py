"""Bodies that are validated straight from their bytes: which may be, and that nobody can tell the difference."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    StrictInt,
    StringConstraints,
    ValidationError,
    computed_field,
    create_model,
    field_validator,
    model_validator,
)

from tercel.analyse.early import early_validator
from tercel.analyse.fields import ModelField
from tercel.declare.markers import Body
from tercel.http.body import parse_json


def field_of(annotation: Any, **options: Any) -> ModelField:
    return ModelField(field_info=Body(annotation=annotation, **options), name="body")


# -- which bodies qualify ----------------------------------------------------------------------------------------------------------


class Inner(BaseModel):
    x: float = 1.0


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Plain(BaseModel):
    """One field of every type that behaves the same in both of pydantic's modes."""

    text: str
    number: int = Field(1, ge=0)
    ratio: Annotated[float, Field(gt=-1, lt=10)] = 0.5
    flag: bool = False
    at: datetime | None = None
    day: date | None = None
    hour: time | None = None
    key: UUID | None = None
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    inners: list[Inner] = Field(default_factory=list)
    short: Annotated[str, Field(alias="sh", max_length=3, pattern="^[a-z]*$")] = ""


@pytest.mark.parametrize("model", [Plain, Inner, Node])
def test_ordinary_models_qualify(model: type[BaseModel]) -> None:
    assert early_validator(field_of(model)) is not None


def test_models_nested_deep_take_no_deeper_stack() -> None:
    """The first request for a body plans it, however little is left of the stack then."""
    model: type[BaseModel] = Inner
    for number in range(200):
        model = create_model(f"Nested{number}", child=(model, ...))
    field = field_of(model)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 30)
    try:
        validate = early_validator(field)
    finally:
        sys.setrecursionlimit(limit)
    assert validate is not None


def test_the_value_is_that_of_the_model() -> None:
    validate = early_validator(field_of(Plain))
    assert validate is not None
    assert validate(b'{"text": "t", "number": "3", "inner": {"x": 2}}') == Plain(text="t", number=3, inner=Inner(x=2))


def test_fields_that_are_ignored_are_left_to_the_general_way() -> None:
    """It refuses NaN wherever it is; a validator that ignores a field does not see it."""
    validate = early_validator(field_of(Inner))
    assert validate is not None
    with pytest.raises(ValidationError):
        validate(b'{"x": 1, "y": NaN}')


def test_infinities_in_models_inside_are_left_to_the_general_way() -> None:
    validate = early_validator(field_of(Plain))
    assert validate is not None
    assert validate(b'{"text": "", "inner": {"x": 1e10}}').inner.x == 1e10
    for inner in (b'"inner": {"x": 1e999}', b'"inners": [{"x": NaN}]', b'"inners": [{"y": NaN}]'):
        with pytest.raises(ValidationError):
            validate(b'{"text": "", %b}' % inner)


def test_of_a_key_that_occurs_twice_the_last_value_counts() -> None:
    validate = early_validator(field_of(Inner))
    assert validate is not None
    assert validate(b'{"x": 1, "x": 2}') == Inner(x=2) == field_of(Inner).validate(parse_json(b'{"x": 1, "x": 2}'))[0]


def test_infinities_are_left_to_the_general_way() -> None:
    validate = early_validator(field_of(Inner))
    assert validate is not None
    for raw in (b'{"x": 1e999}', b'{"x": NaN}', b'{"x": -Infinity}', b'{"x": "inf"}'):
        with pytest.raises(ValidationError):
            validate(raw)


class Color(Enum):
    RED = "red"


class WithInit(BaseModel):
    x: int

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


class WithNew(BaseModel):
    x: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(cls)


class WithPostInit(BaseModel):
    x: int

    def model_post_init(self, context: Any) -> None: ...


class WithPrivate(BaseModel):
    x: int
    _seen: list[int] = PrivateAttr(default_factory=list)


class WithFieldValidator(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def check(cls, value: int) -> int:
        return value


class WithModelValidator(BaseModel):
    x: int

    @model_validator(mode="after")
    def check(self) -> Any:
        return self


class WithComputed(BaseModel):
    x: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.x


class WithDataFactory(BaseModel):
    x: int
    y: int = Field(default_factory=lambda data: data["x"])


def configured(**config: Any) -> type[BaseModel]:
    return create_model("Configured", __config__=ConfigDict(**config), x=(int, 1))


def with_type(annotation: Any) -> type[BaseModel]:
    return create_model("Typed", x=(annotation, ...))


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param(int, id="not a model"),
        pytest.param(list[Inner], id="a list of models"),
        pytest.param(Inner | None, id="a nullable model"),
        pytest.param(Annotated[Inner, AfterValidator(lambda value: value)], id="a model with a validator of its own"),
        pytest.param(RootModel[int], id="a root model"),
        pytest.param(WithInit, id="an __init__ of the user's"),
        pytest.param(WithNew, id="a __new__ of the user's"),
        pytest.param(WithPostInit, id="a hook of the user's"),
        pytest.param(WithPrivate, id="private attributes"),
        pytest.param(WithFieldValidator, id="a field validator"),
        pytest.param(WithModelValidator, id="a model validator"),
        pytest.param(WithComputed, id="a computed field"),
        pytest.param(WithDataFactory, id="a default made from other fields"),
        pytest.param(configured(extra="allow"), id="extra fields"),
        pytest.param(configured(strict=True), id="strictness"),
        pytest.param(configured(str_strip_whitespace=True), id="a configuration for all strings"),
        pytest.param(configured(validate_default=True), id="validated defaults"),
        pytest.param(with_type(bytes), id="bytes"),
        pytest.param(with_type(Decimal), id="decimals"),
        pytest.param(with_type(int | str), id="unions"),
        pytest.param(with_type(Any), id="anything"),
        pytest.param(with_type(dict[str, int]), id="dicts"),
        pytest.param(with_type(set[int]), id="sets"),
        pytest.param(with_type(tuple[int, int]), id="tuples"),
        pytest.param(with_type(Color), id="enums"),
        pytest.param(with_type(Literal[1, 2]), id="literals that are no strings"),
        pytest.param(with_type(StrictInt), id="a strict field"),
        pytest.param(with_type(Annotated[int, BeforeValidator(int)]), id="a validator of a field"),
        pytest.param(with_type(list[WithFieldValidator]), id="a validator further inside"),
    ],
)
def test_whatever_may_differ_or_be_observed_does_not_qualify(annotation: Any) -> None:
    assert early_validator(field_of(annotation)) is None


def test_constraints_of_the_parameter_itself_do_not_qualify() -> None:
    assert early_validator(ModelField(field_info=Body(annotation=Inner, strict=True), name="body")) is None


def test_a_model_that_is_not_complete_does_not_qualify() -> None:
    class Incomplete(BaseModel):
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821

    assert early_validator(field_of(Incomplete)) is None


# -- the same outcome as the general way -------------------------------------------------------------------------------------------

LEAVES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "none": None,
    "datetime": datetime,
    "date": date,
    "time": time,
    "uuid": UUID,
    "literal": Literal["a", "b"],
    "short": Annotated[str, Field(min_length=1, max_length=3)],
    "pattern": Annotated[str, Field(pattern=r"^[a-z0-9]+$")],
    "stripped": Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, max_length=4)],
    "small": Annotated[int, Field(ge=-3, lt=100, multiple_of=2)],
    "ratio": Annotated[float, Field(gt=-1, le=1e10)],
    "later": Annotated[datetime, Field(gt=datetime(2000, 1, 1))],
}
DEFAULTS: dict[str, Any] = {"str": "d", "int": 7, "float": 0.5, "bool": True}
NAMES = ["a", "b", "c", "a_b"]


def types(depth: int) -> st.SearchStrategy[Any]:
    leaves = st.sampled_from(sorted(LEAVES)).map(LEAVES.__getitem__)
    if depth == 0:
        return leaves
    deeper = types(depth - 1)
    return st.one_of(
        leaves, deeper.map(lambda kind: kind | None if kind is not None else kind), deeper.map(as_list), models(depth - 1)
    )


def as_list(kind: Any) -> Any:
    return list[kind]


@st.composite
def models(draw: st.DrawFn, depth: int = 2) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        options: dict[str, Any] = draw(
            st.sampled_from(
                [{}, {}, {"alias": "al"}, {"validation_alias": "va"}, {"validation_alias": AliasChoices("x", AliasPath("y", 0))}]
            )
        )
        key = draw(st.sampled_from(sorted(DEFAULTS)))
        if draw(st.booleans()):
            fields[name] = (LEAVES[key], Field(DEFAULTS[key], **options))
        else:
            fields[name] = (draw(types(depth)), Field(**options))
    config = ConfigDict(
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "extra": st.sampled_from(["ignore", "forbid"]),
                    "populate_by_name": st.booleans(),
                    "from_attributes": st.booleans(),
                    "title": st.just("T"),
                },
            )
        )
    )
    return create_model("Random", __config__=config, **fields)


SAMPLE_UUID = "12345678-1234-5678-1234-567812345678"
FITTING: dict[Any, list[str]] = {
    str: ['"a"', '"b"', '""', '" a "', '"abc"', '"A"', '"1"', r'"\u00e9"', r'"\ud83d\ude00"'],
    int: [
        "0",
        "-0",
        "1",
        "2",
        "98",
        "1.0",
        "-0.0",
        "1e2",
        '"1"',
        '"01"',
        '" 1 "',
        '"1.0"',
        "true",
        "9223372036854775808",
        "1" * 400,
    ],
    float: ["0", "-0", "1", "1.5", "-0.0", "1E-2", "1e308", '"1.5"', '"1e2"', '"-0"', "true", "123456789012345678901234567890"],
    bool: ["true", "false", "0", "1", "1.0", '"true"', '"off"', '"YES"', '"1"'],
    None: ["null"],
    datetime: [
        '"2024-01-31T10:00:00Z"',
        '"2024-01-31 10:00:00.123456+01:00"',
        '"2024-01-31"',
        "1706695200",
        "1706695200.5",
        '"1706695200"',
    ],
    date: ['"2024-01-31"', '"2024-01-31T00:00:00"', "1706659200", '"1706659200"', "86400.0", "-86400"],
    time: ['"10:00"', '"10:00:00.123456"', '"10:00Z"', "3600", "3600.5", '"3600"'],
    UUID: [
        '"12345678-1234-5678-1234-567812345678"',
        '"{12345678-1234-5678-1234-567812345678}"',
        '"12345678123456781234567812345678"',
    ],
    Literal: ['"a"', '"b"'],
}
ODD = [
    *("1e400", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 5000, "01", "+1", "1.", "é", "", "[", "{", "'a'"),
    *(
        '"1_000"',
        '"nan"',
        '"inf"',
        '"2024-02-30"',
        '"10:00:00.123456789"',
        '"P1D"',
        r'"\ud800"',
        '"\\',
        '"\x01"',
        "18446744073709551616",
    ),
]
TOKENS = [*(token for tokens in FITTING.values() for token in tokens), *ODD]
SCALARS = st.sampled_from(TOKENS) | st.text(max_size=4).map(lambda text: json.dumps(text, ensure_ascii=False))
KEYS = st.sampled_from([f'"{key}"' for key in (*NAMES, "al", "va", "x", "y", "other")]) | st.sampled_from(
    [r'"\u0061"', "a", r'"\ud800"']
)
SPACE = st.sampled_from(["", "", "", " ", "\n", "\t"])


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    return "[" + draw(SPACE) + ",".join(draw(st.lists(items, max_size=3))) + draw(st.sampled_from(["]"] * 15 + [",]", ""]))


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(KEYS, values), max_size=5))  # a key may occur twice
    space = draw(SPACE)
    inside = ",".join(f"{key}{space}:{space}{value}" for key, value in pairs)
    return "{" + inside + draw(st.sampled_from(["}"] * 15 + [",}", ""]))


ANYTHING = st.recursive(SCALARS, lambda inner: arrays(inner) | objects(inner), max_leaves=12)


def fitting(kind: Any, draw: Callable[[Any], Any], depth: int = 0) -> str:
    """A JSON text that is often valid for a type."""
    if draw(st.integers(0, 24)) == 0 or depth > 5:
        return str(draw(ANYTHING))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return fitting_object(kind, draw, depth)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return "[" + ",".join(fitting(arguments[0], draw, depth + 1) for _ in range(draw(st.integers(0, 2)))) + "]"
    if type(None) in arguments:
        inner = next(argument for argument in arguments if argument is not type(None))
        return "null" if draw(st.booleans()) else fitting(inner, draw, depth + 1)
    base = arguments[0] if origin is Annotated else Literal if origin is Literal else kind
    return str(draw(st.sampled_from(FITTING[None if base is type(None) else base])))


def fitting_object(model: type[BaseModel], draw: Callable[[Any], Any], depth: int) -> str:
    pairs = []
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else "x" if info.validation_alias else name
        if info.is_required() or draw(st.booleans()):
            key = alias if draw(st.integers(0, 9)) else name
            inner: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            pairs.append(f'"{key}":{fitting(inner, draw, depth + 1)}')
    if draw(st.integers(0, 9)) == 0:
        pairs.append(f"{draw(KEYS)}:{draw(ANYTHING)}")
    return "{" + ",".join(pairs) + "}"


@st.composite
def cases(draw: st.DrawFn) -> tuple[type[BaseModel], bytes]:
    model = draw(models())
    raw = fitting(model, draw).encode("utf-8", "surrogatepass")
    around = draw(st.sampled_from([b"%b"] * 20 + [b" %b\n", b"%b x", b"\xef\xbb\xbf%b", b"\xff%b", b"%b\x00", b"[%b]"]))
    return model, around.replace(b"%b", raw)


def repeats_a_key(raw: bytes) -> bool:
    """Whether an object in a document has a key twice: only the last value counts then, and the first may be NaN."""
    pairs_seen: list[list[str]] = []
    json.loads(raw, object_pairs_hook=lambda pairs: pairs_seen.append([key for key, _ in pairs]))
    return any(len(keys) != len(set(keys)) for keys in pairs_seen)


@settings(max_examples=int(os.environ.get("TERCEL_EXAMPLES", "150")), deadline=None)
@given(cases())
def test_where_it_succeeds_parsing_first_gives_an_equal_value(case: tuple[type[BaseModel], bytes]) -> None:
    model, raw = case
    field = field_of(model)
    validate = early_validator(field)
    assert validate is not None, model.model_fields
    try:
        value = validate(raw)
    except ValidationError:
        event("refused")
        return
    event("accepted")
    if repeats_a_key(raw):
        return
    expected, errors = field.validate(parse_json(raw), loc=("body",))
    assert errors == []
    assert (value, repr(value)) == (expected, repr(expected))  # True == 1 == 1.0
    assert value.model_fields_set == expected.model_fields_set
