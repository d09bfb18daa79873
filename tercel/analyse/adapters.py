"""pydantic's adapters for declared types, one for all fields that are equal beyond doubt.

Building an adapter takes about 100 µs and 10 KiB, deciding whether there is one takes 5 µs, and an application declares `str`,
`int | None` and the same few models hundreds of times. The module must not know names, markers or requests; read
`tercel.analyse.fields` next, its only caller.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID
from weakref import WeakValueDictionary

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.types import AllowInfNan, FailFast, Strict
from pydantic.warnings import UnsupportedFieldAttributeWarning
from pydantic_core import PydanticUndefined, SchemaValidator

__all__ = ["shared_adapter"]

# Of what a FieldInfo says, these reach the schema of a value that stands alone. The others (aliases, exclude, frozen, …) concern
# the field of a model, and pydantic would warn that it ignores them here.
_ADAPTED_ATTRIBUTES = (
    "default",
    "default_factory",
    "validate_default",
    "title",
    "description",
    "examples",
    "deprecated",
    "json_schema_extra",
    "discriminator",
)

_adapters: WeakValueDictionary[Hashable, TypeAdapter[Any]] = WeakValueDictionary()


def _build_adapter(field_info: FieldInfo, config: ConfigDict | None) -> TypeAdapter[Any]:
    said = {name: value for name in _ADAPTED_ATTRIBUTES if (value := getattr(field_info, name, None)) is not None}
    # An explicit `default=None` is a default; only the sentinel stands for none.
    if "default" not in said:
        said["default"] = None
    elif said["default"] is PydanticUndefined:
        del said["default"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UnsupportedFieldAttributeWarning)
        annotated: Any = Annotated[(field_info.annotation, *field_info.metadata, Field(**said))]
        return TypeAdapter(annotated, config=config)


# -- which fields may share ------------------------------------------------------------------------------------------------------

_PLAIN_TYPES: frozenset[Any] = frozenset(
    {str, int, float, bool, bytes, complex, Decimal, date, datetime, time, timedelta, UUID, object, Any, None, type(None)}
    | {list, dict, set, frozenset, tuple}
)
_GENERIC_ORIGINS: frozenset[Any] = frozenset({list, dict, set, frozenset, tuple, Sequence, Mapping, Iterable})
_CONSTANT_TYPES: frozenset[Any] = frozenset({bool, int, str, bytes, float, type(None), type(PydanticUndefined), re.Pattern})
_CONSTRAINTS: frozenset[Any] = frozenset(
    {annotated_types.Gt, annotated_types.Ge, annotated_types.Lt, annotated_types.Le, annotated_types.MultipleOf}
    | {annotated_types.MinLen, annotated_types.MaxLen, Strict, AllowInfNan, FailFast}
)
_PLAIN_GET_SCHEMA = BaseModel.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]


class _Unshared(Exception):
    """Equality of two such fields cannot be decided."""


def _field_key(field_info: FieldInfo) -> Hashable | None:
    """Equal keys mean equal schemas; None means that nothing is known. Python's own equality is too weak: `1 == True`, and
    `int | str == str | int` although the order decides which type is tried first."""
    try:
        return (
            _type_key(field_info.annotation),
            tuple(map(_constraint_key, field_info.metadata)),
            *[
                value if (value := getattr(field_info, name)) is None or value is PydanticUndefined else _constant_key(value)
                for name in _ADAPTED_ATTRIBUTES
            ],
        )
    except _Unshared:
        return None


def _constant_key(value: Any) -> Hashable:
    kind = type(value)
    if kind not in _CONSTANT_TYPES:
        raise _Unshared
    return (kind, repr(value)) if kind is float else (kind, value)


def _constraint_key(constraint: Any) -> Hashable:
    kind = type(constraint)
    if kind in _CONSTRAINTS:
        return (kind, *[_constant_key(getattr(constraint, name)) for name in kind.__dataclass_fields__])
    if kind.__name__ == "_PydanticGeneralMetadata":
        return (kind, *[(name, _constant_key(value)) for name, value in vars(constraint).items()])
    raise _Unshared


def _type_key(annotation: Any) -> Hashable:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return _class_key(annotation)
    if annotation is Any or annotation is None:
        return annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return (Annotated, _type_key(arguments[0]), *map(_constraint_key, arguments[1:]))
    if origin is Literal:
        return (Literal, *map(_constant_key, arguments))
    if origin is UnionType or origin is Union:
        return (Union, *map(_type_key, arguments))
    if origin is tuple and not arguments:
        # `typing.Tuple`, which holds anything, and `tuple[()]`, which holds nothing, tell the same of themselves.
        raise _Unshared
    if origin in _GENERIC_ORIGINS:
        return (origin, *[argument if argument is Ellipsis else _type_key(argument) for argument in arguments])
    raise _Unshared


def _class_key(cls: Any) -> Hashable:
    metaclass: Any = type(cls)
    if metaclass.__eq__ is not type.__eq__:  # classes that say themselves which of them are equal
        raise _Unshared
    if cls in _PLAIN_TYPES:
        return (type, cls)
    if issubclass(cls, BaseModel) and getattr(cls.__get_pydantic_core_schema__, "__func__", None) is _PLAIN_GET_SCHEMA:
        # A rebuilt model has a new validator.
        return (type, cls, cls.__dict__.get("__pydantic_validator__"))
    if issubclass(cls, Enum) and not hasattr(cls, "__get_pydantic_core_schema__"):
        return (type, cls)
    raise _Unshared


def shared_adapter(field_info: FieldInfo, config: ConfigDict | None) -> TypeAdapter[Any]:
    """The adapter of an equal field if one is alive, else a new one.

    Args:
        config: configuration for types that have none of their own; an adapter with it is not shared.

    Raises:
        PydanticSchemaGenerationError: pydantic has no schema for the type.
        PydanticUserError, SchemaError: the constraints do not fit the type.
    """
    key = None if config is not None else _field_key(field_info)
    if key is None:
        return _build_adapter(field_info, config)
    adapter = _adapters.get(key)
    if adapter is None:
        adapter = _build_adapter(field_info, config)
        # An incomplete adapter waits for names from where it was made; with a pydantic plugin each one is reported by itself.
        if adapter.pydantic_complete and type(adapter.validator) is SchemaValidator:
            _adapters[key] = adapter
    return adapter
