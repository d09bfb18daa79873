"""Where the user wrote something: origins of callables, and declaration errors that gather the way to the mistake."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, get_args, get_origin

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
        raise type(error)(error.what, [(place, _shown(call, parameter)), *error.where], error.advice) from error.__cause__
    except FastAPIError as error:
        if type(error) is not FastAPIError:  # a class of its own says more than ours would
            raise
        name = parameter.name
        advice = (
            f"Write `{name}: Annotated[..., Depends(...)]` if it is a dependency, or annotate it with a type that pydantic knows."
        )
        raise DeclarationError(str(error), [(locate(call, ""), _shown(call, parameter))], advice) from error.__cause__


def _shown(call: Callable[..., Any], parameter: inspect.Parameter) -> str:
    """A callable with one of its parameters, as one would point at it."""
    annotation: Any = parameter.annotation
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    name = "" if annotation is parameter.empty else f": {getattr(annotation, '__name__', annotation)}"
    return f"{getattr(call, '__name__', type(call).__name__)}(..., {parameter.name}{name}, ...)"
