"""Plans under `dependency_overrides`, also under those that are written while a request is answered.

A plan is made for the overrides that are there at the time. Where others may be written before a dependency is resolved it has a
`Replan` step, which asks for the same plan with its rest made anew. Read `tercel.analyse.planner` next, which puts it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tercel.analyse.planner import InForce
from tercel.plan import Plan
from tercel.routing.changes import Overrides

__all__ = ["overrides_key", "overrides_of", "plan_under_overrides"]

PlanType = TypeVar("PlanType", bound=Plan)


def overrides_of(provider: Any) -> Mapping[Any, Any]:
    return getattr(provider, "dependency_overrides", None) or {}


def overrides_key(overrides: Mapping[Any, Any]) -> Any:
    """A value that is another one when overrides are; by identity, since what overrides need not be hashable."""
    if isinstance(overrides, Overrides):
        return overrides.version
    return tuple((id(call), id(override)) for call, override in overrides.items())


class _Compared:
    """True once the overrides of a provider are not what they were: for dicts that do not tell when they change."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self.known = dict(overrides_of(provider))

    def __len__(self) -> int:
        return overrides_of(self.provider) != self.known


def plan_under_overrides(
    provider: Any, make: Callable[[InForce], PlanType], earlier: Mapping[int, Mapping[Any, Any]] | None = None, number: int = 0
) -> PlanType:
    """A plan for the overrides that are there now, and made anew while it runs when they are written then.

    Args:
        provider: an object with `dependency_overrides`, or None.
        make: the planner of what is wanted.
        earlier: the overrides of steps that were already done, by the numbers of their `Replan` steps.
        number: from which of those on the present overrides are in force.
    """
    if provider is None:
        return make(InForce({0: {}}))
    overrides = overrides_of(provider)
    # What tells of changes comes first: one that happens in between is then told.
    written = overrides.written if isinstance(overrides, Overrides) else _Compared(provider)
    at = {**(earlier or {}), number: dict(overrides)}
    return make(InForce(at, written, lambda number: plan_under_overrides(provider, make, at, number)))
