"""What is proven to take but a moment, and what is not."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field

from tercel import HTTPException, Query
from tercel.analyse import momentary
from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import create_model_field
from tercel.analyse.momentary import Kind, examine, gives_scalar, runs_no_code
from tercel.analyse.signature import get_dependant

LIMIT = 10
KNOWN = {"a": Kind.SCALAR, "b": Kind.SCALAR}
TABLE = {"a": 1}


class Slow:
    """Answers whatever it is asked with code of its own."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = None  # type: ignore[assignment]


SLOW: Any = Slow()


def nothing() -> None: ...


def constant() -> str:
    return "a"


def same(a: Any) -> Any:
    return a


def global_value() -> Any:
    return TABLE


def pages(a: int, b: int) -> dict[str, int]:
    return {"skip": a, "limit": b}


def with_unknown(x: Any) -> dict[str, Any]:
    return {"x": x}


def containers(a: str, b: int) -> Any:
    return [a, (a, b), {"a": a, "b": [1, 2, 3]}, {a, "c"}]


def merged(a: str) -> Any:
    first, second = {"a": a}, ["c"]
    return {**first, "b": [*second, a]}


def conditional(a: str, b: int) -> Any:
    if not a or (b > 3 and "x" not in a):
        return None
    return a if b == 2 else b


def is_none(x: Any) -> bool:
    return x is None


def text(a: str, b: int) -> str:
    c = f"{a!r} and {b}"
    return c + a


def methods(a: str) -> str:
    return a.strip().removeprefix("Bearer ").lower()


def parts(a: str) -> Any:
    first, second = a.partition("=")[0], a.split(",")
    return {"first": first, "second": second[:2]}


def calls(a: str, b: int) -> Any:
    return {"length": len(a), "text": str(b), "sorted": sorted(a), "least": min(b, 100)}


def refuses(a: str) -> str:
    if a != "secret":
        raise HTTPException(status_code=401, detail="no", headers={"WWW-Authenticate": "Bearer"})
    return a


class Pages:
    def __init__(self, a: int, b: int = 10) -> None:
        self.a = a
        self.b = b


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: int) -> None:
        self.a = a


@dataclass
class Filter:
    a: str
    b: int = 1


PROVEN: list[tuple[Callable[..., Any], Kind]] = [
    (nothing, Kind.SCALAR),
    (constant, Kind.SCALAR),
    (same, Kind.SCALAR),
    (global_value, Kind.OTHER),
    (pages, Kind.PLAIN),
    (with_unknown, Kind.OTHER),
    (containers, Kind.PLAIN),
    (merged, Kind.PLAIN),
    (conditional, Kind.SCALAR),
    (is_none, Kind.SCALAR),
    (text, Kind.SCALAR),
    (methods, Kind.SCALAR),
    (parts, Kind.PLAIN),
    (calls, Kind.PLAIN),
    (refuses, Kind.SCALAR),
    (Pages, Kind.OTHER),
    (Slotted, Kind.OTHER),
    (Filter, Kind.OTHER),
]


@pytest.mark.parametrize(("call", "kind"), PROVEN, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_calls_and_loops_over_nothing_is_proven(call: Callable[..., Any], kind: Kind) -> None:
    assert examine(call, KNOWN) is kind


def sleeps() -> None:
    time.sleep(1)


def loops(a: str) -> Any:
    for _ in a:
        pass


def loops_for_ever(a: int) -> Any:
    while a:
        a = a + 1


def comprehension(a: str) -> Any:
    return [c + "" for c in a]


def compares_unknown(x: Any) -> bool:
    return x == 1  # type: ignore[no-any-return]


def compares_with_unknown(a: int) -> bool:
    return a == SLOW  # type: ignore[no-any-return]


def asks_unknown(x: Any) -> Any:
    return 1 if x else 2


def formats_unknown(x: Any) -> str:
    return f"{x}"


def reads_attribute(x: Any) -> Any:
    return x.value


def calls_method_of_unknown(x: Any) -> Any:
    return x.lower()


def indexes_unknown(a: str) -> Any:
    return TABLE[a]


def indexes_with_unknown(x: Any) -> Any:
    return {"a": 1}[x]


def hashes_unknown(x: Any) -> Any:
    return {x: 1}


def makes_set_of_unknown(x: Any) -> Any:
    return {x}


def adds_unknown(x: Any, a: int) -> Any:
    return a + x


def spreads_unknown(x: Any) -> Any:
    return {**x}


def calls_unknown(x: Any) -> Any:
    return x()


def calls_another(a: str) -> Any:
    return constant()


def length_of_unknown(x: Any) -> int:
    return len(x)


def text_of_unknown(x: Any) -> str:
    return str(x)


def decodes(a: bytes, b: str) -> str:
    return str(a, b)


def with_key(a: str) -> Any:
    return max(a, key=constant)


def powers(a: int) -> Any:
    return a**a


def repeats(a: int) -> Any:
    return "a" * a


def pads(a: int, b: int) -> Any:
    return f"{a:{b}}"


def fills(a: str) -> str:
    return a.zfill(10)


def doubles(a: str) -> str:
    a = a + a
    a = a + a
    a = a + a
    a = a + a
    a = a + a
    a = a + a
    a = a + a
    a = a + a
    return a + a


def imports() -> Any:
    import json

    return json


def writes_global() -> None:
    global LIMIT
    LIMIT = 11


def writes_item() -> None:
    TABLE["a"] = 2


def writes_attribute(x: Any) -> None:
    x.value = 1


def raises_unknown(x: Any) -> None:
    raise x


def raises_class() -> None:
    raise HTTPException


def catches(a: str) -> Any:
    try:
        return a
    except ValueError:
        return None


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None: ...


def closure() -> Callable[[], Any]:
    value = 1

    def inner() -> Any:
        nonlocal value
        value = 2

    return inner


@functools.wraps(constant)
def wrapped() -> str:
    return "a"


class WithProperty:
    def __init__(self, a: int) -> None:
        self.a = a

    @property
    def a(self) -> int:
        return 1

    @a.setter
    def a(self, value: int) -> None:
        time.sleep(1)


class WithSetattr:
    def __init__(self, a: int) -> None:
        self.a = a

    def __setattr__(self, name: str, value: Any) -> None:
        time.sleep(1)


class WithNew:
    def __new__(cls, a: int) -> WithNew:
        return super().__new__(cls)

    def __init__(self, a: int) -> None:
        self.a = a


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class WithMeta(metaclass=Meta):
    def __init__(self, a: int) -> None:
        self.a = a


class CallsOther:
    def __init__(self, a: int) -> None:
        self.a = constant()


class Model(BaseModel):
    a: int


class Without: ...


@dataclass
class WithFactory:
    a: list[int] = field(default_factory=list)


@dataclass
class WithPostInit:
    a: int

    def __post_init__(self) -> None: ...


class Instance:
    def __call__(self) -> int:
        return 1


UNPROVEN: list[Any] = [
    *(sleeps, loops, loops_for_ever, comprehension, imports, catches, generator, coroutine, wrapped, closure()),
    *(compares_unknown, compares_with_unknown, asks_unknown, formats_unknown, reads_attribute, calls_method_of_unknown),
    *(indexes_unknown, indexes_with_unknown, hashes_unknown, makes_set_of_unknown, adds_unknown, spreads_unknown),
    *(calls_unknown, calls_another, length_of_unknown, text_of_unknown, decodes, with_key),
    *(powers, repeats, pads, fills, doubles),
    *(writes_global, writes_item, writes_attribute, raises_unknown, raises_class),
    *(WithProperty, WithSetattr, WithNew, WithMeta, CallsOther, Model, Without, WithFactory, WithPostInit),
    *(Instance(), functools.partial(constant), len, "a".upper),
]


@pytest.mark.parametrize("call", UNPROVEN, ids=lambda call: getattr(call, "__name__", type(call).__name__))
def test_everything_else_may_block(call: Any) -> None:
    assert examine(call, KNOWN) is None


def test_arguments_that_may_be_anything_are_not_asked_for_anything() -> None:
    assert examine(conditional, {"a": Kind.SCALAR}) is None
    assert examine(methods, {}) is None
    assert examine(refuses, {}) is None


def test_a_long_function_is_not_followed() -> None:
    source = "def long(a):\n" + "".join(f"    if a == {number}: return {number}\n" for number in range(200))
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    assert examine(namespace["long"], {"a": Kind.SCALAR}) is None


def test_instructions_that_are_not_known_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(momentary, "_LOADS", frozenset())
    assert examine(same, {"a": Kind.SCALAR}) is None
    assert examine(constant, {}) is Kind.SCALAR


# -- parameters and results --------------------------------------------------------------------------------------------------------


def field_of(annotation: Any, default: Any = ...) -> Any:
    def endpoint(q: Any) -> None: ...

    endpoint.__annotations__["q"] = annotation
    if default is not ...:
        endpoint.__defaults__ = (default,)
    dependant: Dependant = get_dependant(path="/", call=endpoint)
    (one,) = dependant.query_params
    return one


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (str, ..., True),
        (int, 3, True),
        (str | None, None, True),
        (Annotated[int, Query(ge=1)], 1, True),
        (int, "text", True),
        (str, SLOW, False),
        (Annotated[list[str], Query()], ..., False),
        (Annotated[str, AfterValidator(lambda value: SLOW)], ..., False),
        (Annotated[str, Query(default_factory=lambda: SLOW)], ..., False),
        (Any, ..., False),
        ("Unknown", None, False),
    ],
)
def test_parameters_are_scalars_if_nothing_else_can_come_out_of_them(annotation: Any, default: Any, expected: bool) -> None:
    assert gives_scalar(field_of(annotation, default)) is expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (dict[str, str], True),
        (list[dict[str, int | None]], True),
        (Any, True),
        (Annotated[int, Field(ge=1)], True),
        (Annotated[str, AfterValidator(str.lower)], False),
        (list[Annotated[str, AfterValidator(str.lower)]], False),
        (Model, False),
        ("Unknown", False),
    ],
)
def test_results_are_written_in_place_if_that_runs_nothing_of_the_users(annotation: Any, expected: bool) -> None:
    assert runs_no_code(create_model_field("response", annotation)) is expected
