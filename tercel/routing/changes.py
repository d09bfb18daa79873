"""Noticing that routes or overrides changed, at the price of one integer comparison per request.

Every mutation anywhere increments one number; who froze something remembers it, and looks closer only when it moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, SupportsIndex, TypeVar
from weakref import WeakSet

__all__ = ["Overrides", "RouteList", "Unsettled", "changes", "settle_all", "unsettled"]

T = TypeVar("T")


class _Changes:
    """The number of mutations so far in this process.

    Attributes:
        touched: the number of the latest one to a route itself, or to what was analysed of it.
    """

    __slots__ = ("count", "touched")

    def __init__(self) -> None:
        self.count = 0
        self.touched = 0

    def touch(self) -> None:
        """Notes that a route itself was changed: every table is made again when it is next needed."""
        self.count += 1
        self.touched = self.count


changes = _Changes()


class Unsettled(Protocol):
    """Something that has put off what it takes from routes until somebody asks for it."""

    def settle(self) -> None:
        """Takes it now."""


unsettled: WeakSet[Unsettled] = WeakSet()


def settle_all() -> None:
    """Has everything taken from routes that was put off: a route is about to change."""
    while unsettled:
        try:
            unsettled.pop().settle()
        except KeyError:  # the last ones went in between
            return


class _Watched:
    """Adds a version to a built-in collection: the number of its latest change, which no other collection ever has."""

    version = 0

    def changed(self) -> None:
        changes.count += 1
        self.version = changes.count


class RouteList(_Watched, list[T], Generic[T]):
    """A list that notices being changed: applications append to `router.routes` directly, also while running."""

    def append(self, item: T) -> None:
        super().append(item)
        self.changed()

    def extend(self, items: Iterable[T]) -> None:
        super().extend(items)
        self.changed()

    def insert(self, index: SupportsIndex, item: T) -> None:
        super().insert(index, item)
        self.changed()

    def remove(self, item: T) -> None:
        super().remove(item)
        self.changed()

    def pop(self, index: SupportsIndex = -1) -> T:
        item = super().pop(index)
        self.changed()
        return item

    def clear(self) -> None:
        super().clear()
        self.changed()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        super().sort(key=key, reverse=reverse)
        self.changed()

    def reverse(self) -> None:
        super().reverse()
        self.changed()

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self.changed()

    def __delitem__(self, index: Any) -> None:
        super().__delitem__(index)
        self.changed()

    def __iadd__(self, items: Iterable[T]) -> RouteList[T]:  # type: ignore[override, misc]
        self.extend(items)
        return self

    def __imul__(self, count: SupportsIndex) -> RouteList[T]:
        super().__imul__(count)
        self.changed()
        return self


class Overrides(_Watched, dict[Callable[..., Any], Callable[..., Any]]):
    """`dependency_overrides`: replacements by original callable, effective for whatever is resolved afterwards.

    Attributes:
        written: empty until the next change, which puts another in its place: a plan that has kept it sees so by its truth.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: list[int] = []
        self.changed()

    def changed(self) -> None:
        super().changed()
        self.written.append(self.version)
        self.written = []

    def __setitem__(self, key: Callable[..., Any], value: Callable[..., Any]) -> None:
        if key not in self or self[key] is not value:
            super().__setitem__(key, value)
            self.changed()

    def __delitem__(self, key: Callable[..., Any]) -> None:
        super().__delitem__(key)
        self.changed()

    def clear(self) -> None:
        super().clear()
        self.changed()

    def pop(self, *args: Any) -> Any:
        value = super().pop(*args)
        self.changed()
        return value

    def popitem(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        item = super().popitem()
        self.changed()
        return item

    def setdefault(self, *args: Any) -> Any:
        value = super().setdefault(*args)
        self.changed()
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self.changed()

    def __ior__(self, other: Any) -> Overrides:  # type: ignore[override, misc]
        self.update(other)
        return self
