"""Operation ids: names for operations that client generators turn into function names.

Knows names, paths and methods, nothing of schemas. Read `tercel.openapi.operation` next for where they are used.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from typing import Any, Protocol

from tercel.http.errors import FastAPIDeprecationWarning

__all__ = ["generate_operation_id", "generate_operation_id_for_path", "generate_unique_id", "ordered_methods"]


class NamedRoute(Protocol):
    """What an id is made from."""

    @property
    def name(self) -> str: ...
    @property
    def path_format(self) -> str: ...
    @property
    def methods(self) -> Collection[str] | None: ...


def ordered_methods(methods: Collection[str]) -> list[str]:
    """The methods in their order; a set, whose order changes from process to process, is sorted."""
    return sorted(methods) if isinstance(methods, (set, frozenset)) else list(methods)


def generate_unique_id(route: NamedRoute) -> str:
    """An id from the function's name, the path and the first method: `read_item_items__item_id__get`."""
    assert route.methods
    return _identifier(route.name, route.path_format, ordered_methods(route.methods)[0])


def _identifier(name: str, path: str, method: str) -> str:
    words = re.sub(r"\W", "_", name + path)
    return f"{words}_{method.lower()}"


def generate_operation_id_for_path(*, name: str, path: str, method: str) -> str:
    """Deprecated: the id that `generate_unique_id` makes, from its parts."""
    _warn_unused("fastapi.utils.generate_operation_id_for_path()")
    return _identifier(name, path, method)


def generate_operation_id(*, route: Any, method: str) -> str:
    """Deprecated: the declared id, else one from name, path and method."""
    _warn_unused("fastapi.openapi.utils.generate_operation_id()")
    declared: str | None = route.operation_id
    return declared or _identifier(route.name, route.path_format, method)


def _warn_unused(function: str) -> None:
    warnings.warn(
        f"{function} was deprecated, it is not used internally, and will be removed soon",
        category=FastAPIDeprecationWarning,
        stacklevel=3,
    )
