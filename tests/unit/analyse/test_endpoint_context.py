"""What the text of a validation error says of the endpoint: its function, file and line, where there are such."""

from typing import Any

import pytest

from tercel.analyse.planner import endpoint_context


async def endpoint() -> None: ...


def test_the_context_of_an_endpoint_is_its_function_file_and_line() -> None:
    assert endpoint_context(endpoint) == {"file": __file__, "line": endpoint.__code__.co_firstlineno, "function": "endpoint"}


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    async def __call__(self) -> None: ...


@pytest.mark.parametrize("call", [len, Unhashable(), eval(compile("lambda: 1", "<nowhere>", "eval"))])
def test_the_context_of_what_has_no_source_is_empty(call: Any) -> None:
    assert endpoint_context(call) == {}
