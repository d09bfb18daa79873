"""The placeholder that tells "the user said nothing" from a value that happens to equal the default.

Options that merge over layers (application, router, include, route) need the difference; so do markers, where `None` is a value.
Knows nothing of which options exist. Read `tercel.declare.markers` next for the first use.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

__all__ = ["Default", "DefaultPlaceholder", "DefaultType", "Unset"]

DefaultType = TypeVar("DefaultType")


class DefaultPlaceholder:
    """A default that was not chosen by the user; true, false and equal as its value, yet recognisable by its type.

    Args:
        value: what applies as long as no layer says otherwise.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DefaultPlaceholder) and bool(other.value == self.value)

    def __repr__(self) -> str:
        return f"Default({self.value!r})"


def Default(value: DefaultType) -> DefaultType:
    """A `DefaultPlaceholder` for `value` that type checkers see as the value itself, so that it fits any parameter's type."""
    return cast("DefaultType", DefaultPlaceholder(value))


Unset: Any = Default(None)
"""Stands for an argument that was not given where None would mean something."""
