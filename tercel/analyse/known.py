"""Dependencies that are in many trees: what their parameters mean is found out once.

Kept for as long as one of these trees is alive, and valid for as long as the function says the same of itself. Only for plain
functions; what a parameter means must not depend on the path either. Must not know what is done with it; read
`tercel.analyse.signature` next, the only caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator

from tercel.analyse.fields import ModelField
from tercel.declare import markers

__all__ = ["Known", "ParamDetails", "find_known", "keep_known"]


@dataclass
class ParamDetails:
    """What one parameter turned out to be: a dependency, a field, or (neither) an injected object."""

    type_annotation: Any
    depends: markers.Depends | None
    field: ModelField | None

    def twin(self) -> ParamDetails:
        """The same for another tree."""
        return self if self.field is None else replace(self, field=self.field.twin())


class Known:
    """What the parameters of a function mean.

    Args:
        call: the function.
        parameters: in its order, each with what it means.
    """

    __slots__ = ("__weakref__", "_said", "call", "parameters")

    def __init__(self, call: Callable[..., Any], parameters: list[tuple[inspect.Parameter, ParamDetails]]) -> None:
        self.call = call
        self.parameters = parameters
        self._said = _said_by(call)

    def holds(self) -> bool:
        """Whether the function still says the same of itself."""
        said = _said_by(self.call)
        return len(said) == len(self._said) and all(now is then for now, then in zip(said, self._said, strict=True))


def _said_by(call: Any) -> tuple[Any, ...]:
    """The objects that the signature of a plain function comes from."""
    keywords = call.__kwdefaults__ or {}
    return call.__code__, call.__defaults__, *keywords.values(), *call.__annotations__.values()


_known: WeakValueDictionary[int, Known] = WeakValueDictionary()


def find_known(call: Callable[..., Any], path_names: set[str]) -> Known | None:
    """What is known of a callable, if it has been in a tree that is still alive and none of its parameters is in the path."""
    known = _known.get(id(call))
    if known is None or known.call is not call or call.__dict__ or not known.holds():
        return None
    if path_names and any(parameter.name in path_names for parameter, _ in known.parameters):
        return None
    return known


def keep_known(
    call: Callable[..., Any], path_names: set[str], parameters: list[tuple[inspect.Parameter, ParamDetails]]
) -> Known | None:
    """Keeps what was found out of a callable, for as long as somebody holds the result; None where it may not be kept."""
    if type(call) is not FunctionType or call.__dict__ or any(type(said) is str for said in call.__annotations__.values()):
        return None  # what a name stands for may change
    kept = []
    for parameter, details in parameters:
        # A marker that is a default value is itself the information of the field, and stays the same object everywhere.
        if isinstance(parameter.default, FieldInfo) or parameter.name in path_names:
            return None
        if details.field is not None and type(details.field._type_adapter.validator) is not SchemaValidator:
            return None  # a pydantic plugin hears of each one by itself
        kept.append((parameter, details.twin()))
    known = _known[id(call)] = Known(call, kept)
    return known
