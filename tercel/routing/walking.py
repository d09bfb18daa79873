"""All routes of a tree, included ones in their effective form, one after the other: for documents, add-ons and programs.

Must not change what it walks over. Read `tercel.routing.include` first, which has the effective forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute

from tercel.routing.include import EffectiveRoute, IncludedRouter

__all__ = ["RouteContext", "iter_route_contexts"]


@dataclass(frozen=True)
class RouteContext:
    """A route with its effective values, whether it is included or not; unknown attributes are the effective route's."""

    route: BaseRoute
    _route_context: EffectiveRoute | None = field(default=None, repr=False)

    @property
    def original_route(self) -> BaseRoute:
        return self.route if self._route_context is None else self._route_context.original_route

    @property
    def _effective_route(self) -> Any:
        context = self._route_context
        return self.route if context is None else context.starlette_route or context

    @property
    def path(self) -> str | None:
        return getattr(self._effective_route, "path", None)

    @property
    def path_format(self) -> str | None:
        return getattr(self._effective_route, "path_format", None)

    @property
    def name(self) -> str | None:
        return getattr(self._effective_route, "name", None)

    @property
    def methods(self) -> set[str] | None:
        return getattr(self._effective_route, "methods", None)

    @property
    def endpoint(self) -> Callable[..., Any] | None:
        return getattr(self._effective_route, "endpoint", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._effective_route, name)


def iter_route_contexts(routes: Sequence[BaseRoute | RouteContext]) -> Iterator[RouteContext]:
    """Every route of a tree with its effective path and options, in the order in which they are matched."""
    for route in routes:
        if isinstance(route, RouteContext):
            yield route
        elif isinstance(route, IncludedRouter):
            for effective in route.effective_route_contexts():
                yield RouteContext(effective.original_route, effective)
        else:
            yield RouteContext(route)
