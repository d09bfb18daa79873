"""The parameters of plain functions are told as `inspect.signature` tells them."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest

from tercel.analyse import signature


def nothing(): ...


def some(a, b: int, c: str = "x", *, d: float, e: bool = True): ...


def only(a: int, /, b=1): ...


def rest(a: int = 1, *args: int, k: str, **more: str): ...


def keywords(**more): ...


async def later(q: list[int] | None = None, *items) -> dict[str, int]:
    return {}


def generator(x: int) -> Iterator[int]:
    local = x
    yield local


FUNCTIONS: list[Any] = [nothing, some, only, rest, keywords, later, generator]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_plain_function_has_the_parameters_that_inspect_finds(function: Callable[..., Any]) -> None:
    assert signature._parameters_of(function) == list(inspect.signature(function).parameters.values())
    told = signature.get_typed_signature(function)
    assert list(told.parameters.values()) == list(inspect.signature(function).parameters.values())


def test_wrapped_functions_and_strings_take_the_long_way() -> None:
    @wraps(some)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    def textual(a: "int") -> None: ...

    assert not signature._says_it_itself(wrapper)
    assert not signature._says_it_itself(textual)
    assert list(signature.get_typed_signature(wrapper).parameters) == ["a", "b", "c", "d", "e"]
    assert signature.get_typed_signature(textual).parameters["a"].annotation is int
