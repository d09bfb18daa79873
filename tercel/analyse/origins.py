"""Where the user wrote something: origins of callables, and declaration errors that gather the way to the mistake."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tercel.analyse.dependant import unwrapped
from tercel.http.errors import DeclarationError, FastAPIError
from tercel.plan import Origin

__all__ = ["locate", "origin_of"]


def locate(call: Callable[..., Any] | None, what: str) -> Origin:
    """The origin of a callable: the file and first line of the function inside partials, wrappers and instances."""
    inner = unwrapped(call)
    code = getattr(inner, "__code__", None)
    if code is None:
        method = getattr(inner, "__init__" if inspect.isclass(inner) else "__call__", None)
        code = getattr(method, "__code__", None)
    if code is None:
        return Origin("", 0, what)
    return Origin(code.co_filename, code.co_firstlineno, what)


@contextmanager
def origin_of(call: Callable[..., Any], parameter: inspect.Parameter) -> Iterator[None]:
    """Adds the callable and its parameter to the trail of a declaration error that passes through."""
    try:
        yield
    except DeclarationError as error:
        place = locate(call, "")
        text = f"{getattr(call, '__name__', type(call).__name__)}({parameter})"
        raise type(error)(error.what, [(place, text), *error.where], error.advice) from error.__cause__
    except FastAPIError as error:
        # Not ours to rewrite: the message is FastAPI's; where it happened is added as a note.
        place = locate(call, "")
        if place.file:
            error.add_note(f"  {place.file}:{place.line}  parameter {parameter}")
        raise
