"""Predicates over type annotations: is this a scalar, a sequence, bytes, an upload, a model of pydantic's first version?

Where a parameter is looked for (query string, body, files) follows from these answers, so they are FastAPI's answers exactly,
corner cases included. The module must not know fields, markers or pydantic's internals; read `tercel.analyse.fields` next.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import VERSION as PYDANTIC_VERSION
from pydantic import BaseModel
from starlette.datastructures import UploadFile

__all__ = [
    "PYDANTIC_VERSION_MINOR_TUPLE",
    "annotation_is_pydantic_v1",
    "field_annotation_is_complex",
    "field_annotation_is_scalar",
    "field_annotation_is_scalar_sequence",
    "field_annotation_is_sequence",
    "is_bytes_or_nonable_bytes_annotation",
    "is_bytes_sequence_annotation",
    "is_plain_scalar",
    "is_pydantic_v1_model_class",
    "is_pydantic_v1_model_instance",
    "is_uploadfile_or_nonable_uploadfile_annotation",
    "is_uploadfile_sequence_annotation",
    "lenient_issubclass",
    "sequence_annotation_to_type",
    "sequence_types",
    "union_members",
    "value_is_sequence",
]

T = TypeVar("T")

PYDANTIC_VERSION_MINOR_TUPLE: tuple[int, ...] = tuple(int(part) for part in PYDANTIC_VERSION.split(".")[:2])

sequence_annotation_to_type: dict[Any, Any] = {
    # An abstract Sequence has no constructor: its values are collected in a list.
    Sequence: list,
    **{concrete: concrete for concrete in (list, tuple, set, frozenset, deque)},
}
sequence_types: tuple[type[Any], ...] = tuple(sequence_annotation_to_type)


def lenient_issubclass(cls: Any, class_or_tuple: type[T] | tuple[type[T], ...]) -> TypeGuard[type[T]]:
    """`issubclass` that answers False for what is no class at all: `list[int]`, `int | None`, a string."""
    return isinstance(cls, type) and issubclass(cls, class_or_tuple)


def union_members(annotation: object) -> tuple[Any, ...] | None:
    """The members of `A | B` or `Union[A, B]` in their order, or None for anything else."""
    origin = get_origin(annotation)
    return get_args(annotation) if origin is Union or origin is UnionType else None


def _bare(annotation: Any) -> Any:
    """What stands inside `Annotated`, however deep; the annotation itself when it is not one."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


# -- sequences, scalars ------------------------------------------------------------------------------------------------------------


def _class_is_sequence(cls: object) -> bool:
    return lenient_issubclass(cls, sequence_types) and not issubclass(cls, (str, bytes))


def field_annotation_is_sequence(annotation: object) -> bool:
    """True for a sequence type, plain or parametrised, and for a union with one; text and bytes are not sequences."""
    annotation = _bare(annotation)
    members = union_members(annotation)
    if members is not None:
        return any(map(field_annotation_is_sequence, members))
    return _class_is_sequence(annotation) or _class_is_sequence(get_origin(annotation))


def value_is_sequence(value: Any) -> bool:
    """The same question for a value."""
    return isinstance(value, sequence_types) and not isinstance(value, (str, bytes))


def _class_is_complex(cls: object) -> bool:
    return lenient_issubclass(cls, (BaseModel, Mapping, UploadFile)) or _class_is_sequence(cls) or is_dataclass(cls)


def field_annotation_is_complex(annotation: object) -> bool:
    """True when a value of this type cannot be one string: model, mapping, sequence, upload, data class, generic custom type."""
    annotation = _bare(annotation)
    members = union_members(annotation)
    if members is not None:
        return any(map(field_annotation_is_complex, members))
    origin = get_origin(annotation)
    return (
        _class_is_complex(annotation)
        or _class_is_complex(origin)
        # A generic class that brings its own pydantic schema may be anything.
        or hasattr(origin, "__pydantic_core_schema__")
        or hasattr(origin, "__get_pydantic_core_schema__")
    )


_SCALARS = frozenset({str, int, float, bool})
_SCALARS_OR_NONE = _SCALARS | {type(None)}


def is_plain_scalar(annotation: Any) -> bool:
    """Whether it is one of the few types of most parameters, or `| None` of them, about which nothing else need be asked."""
    kind = type(annotation)
    if kind is type:
        return annotation in _SCALARS
    return kind is UnionType and all(type(member) is type and member in _SCALARS_OR_NONE for member in annotation.__args__)


def field_annotation_is_scalar(annotation: Any) -> bool:
    """True when one string can hold a value of this type. `...` stands for an omitted type and is a scalar."""
    return is_plain_scalar(annotation) or annotation is Ellipsis or not field_annotation_is_complex(annotation)


def field_annotation_is_scalar_sequence(annotation: object) -> bool:
    """True for a sequence of scalars; for a union, when one member is such a sequence and the others are scalars."""
    annotation = _bare(annotation)
    members = union_members(annotation)
    if members is None:
        return field_annotation_is_sequence(annotation) and all(map(field_annotation_is_scalar, get_args(annotation)))
    any_sequence = False
    for member in members:
        if field_annotation_is_scalar_sequence(member):
            any_sequence = True
        elif not field_annotation_is_scalar(member):
            return False
    return any_sequence


# -- bytes and uploads -------------------------------------------------------------------------------------------------------------


def _is_or_may_be(annotation: Any, wanted: type[Any]) -> bool:
    """The class itself, or a union with it as a direct member. `Annotated` is not looked into: markers were taken off before."""
    members = union_members(annotation)
    return any(lenient_issubclass(candidate, wanted) for candidate in ((annotation,) if members is None else members))


def _is_sequence_of(annotation: Any, is_item: Callable[[Any], bool]) -> bool:
    members = union_members(annotation)
    if members is not None:
        return any(_is_sequence_of(member, is_item) for member in members)
    # An unparametrised `list` has no arguments and passes: it may hold what is asked for.
    return field_annotation_is_sequence(annotation) and all(map(is_item, get_args(annotation)))


def is_bytes_or_nonable_bytes_annotation(annotation: Any) -> bool:
    """True for `bytes`, a subclass, or a union with one, as in `bytes | None`."""
    return _is_or_may_be(annotation, bytes)


def is_uploadfile_or_nonable_uploadfile_annotation(annotation: Any) -> bool:
    """True for an upload class or a union with one, as in `UploadFile | None`."""
    return _is_or_may_be(annotation, UploadFile)


def is_bytes_sequence_annotation(annotation: Any) -> bool:
    """True for a sequence of bytes, or a union with one."""
    return _is_sequence_of(annotation, is_bytes_or_nonable_bytes_annotation)


def is_uploadfile_sequence_annotation(annotation: Any) -> bool:
    """True for a sequence of uploads, or a union with one."""
    return _is_sequence_of(annotation, is_uploadfile_or_nonable_uploadfile_annotation)


# -- pydantic 1 --------------------------------------------------------------------------------------------------------------------


def _v1_base() -> type[Any] | None:
    """`pydantic.v1.BaseModel` when somebody has imported it. Without that import no class can derive from it, so none is made here:
    importing it takes tens of milliseconds, and warns on Python 3.14."""
    module = sys.modules.get("pydantic.v1.main")
    return getattr(module, "BaseModel", None)


def is_pydantic_v1_model_class(cls: Any) -> bool:
    """True for a model class of `pydantic.v1`."""
    base = _v1_base()
    return base is not None and lenient_issubclass(cls, base)


def is_pydantic_v1_model_instance(obj: Any) -> bool:
    """True for an instance of a model of `pydantic.v1`."""
    base = _v1_base()
    return base is not None and isinstance(obj, base)


def annotation_is_pydantic_v1(annotation: Any) -> bool:
    """True when a `pydantic.v1` model is the annotation, a member of its union, or an item of its sequence."""
    if _v1_base() is None:
        return False
    return any(map(is_pydantic_v1_model_class, _v1_candidates(annotation)))


def _v1_candidates(annotation: Any) -> Iterator[Any]:
    yield annotation
    yield from union_members(annotation) or ()
    if field_annotation_is_sequence(annotation):
        for item in get_args(annotation):
            yield from _v1_candidates(item)
