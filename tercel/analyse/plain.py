"""Parameters without a marker whose type is a plain scalar: most of them, and many have the same name, type and default.

What is made of the first one is kept, and the others become twins of it (`ModelField.twin`), which takes a fifth of the time and of
the memory. Anything else is for `tercel.analyse.signature`, the only caller. Must not know callables or trees.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from typing import Any, Final

from pydantic_core import SchemaValidator

from tercel.analyse.annotations import is_plain_scalar
from tercel.analyse.fields import ModelField, RequiredParam, create_model_field
from tercel.declare import markers

__all__ = ["plain_field"]

_CONSTANTS: Final = frozenset({bool, int, str, float, type(None)})

_KEPT: Final = 1024
"""Fields that are kept: more than applications have names of parameters, and bounded for programs that make them for ever."""

_fields: dict[Hashable, ModelField] = {}


def plain_field(name: str, annotation: Any, value: Any, is_path: bool) -> ModelField | None:
    """The field of a parameter of the path or the query that is a plain scalar, or None for every other parameter.

    Args:
        value: the default, or `inspect.Signature.empty`.
        is_path: whether the path has a parameter of this name.
    """
    empty = value is inspect.Signature.empty
    if not is_plain_scalar(annotation) or not (empty or type(value) in _CONSTANTS):
        return None
    # As equal as pydantic needs it: `1 == True`, `0.0 == -0.0`, and `int | str == str | int`.
    key = (name, annotation, getattr(annotation, "__args__", None), type(value), repr(value) if not empty else None, is_path)
    field = _fields.get(key)
    if field is None:
        info: Any
        if is_path:
            info = markers.Path(annotation=annotation)
        else:
            info = markers.Query(annotation=annotation, default=RequiredParam if empty else value)
        info.alias = name
        field = create_model_field(name=name, type_=annotation, field_info=info)
        if type(field._type_adapter.validator) is not SchemaValidator:  # a pydantic plugin hears of each one by itself
            return field
        if len(_fields) >= _KEPT:
            _fields.clear()
        _fields[key] = field
    return field.twin()
