"""What the document reads of a route, and how it finds routes inside included routers.

Routes come as they are, as route contexts, or as included routers that list theirs; the module tells them apart by their
attributes, so that it need not know the routing classes. Read `tercel.openapi.operation` next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol, cast

from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import ModelField

__all__ = ["DocumentedRoute", "documented_routes", "is_api_route"]


class DocumentedRoute(Protocol):
    """The attributes of an API route, or of a context that gives their effective values, which the document reads."""

    @property
    def path_format(self) -> str: ...
    @property
    def methods(self) -> Collection[str] | None: ...
    @property
    def name(self) -> str: ...
    @property
    def endpoint(self) -> Callable[..., Any]: ...
    @property
    def unique_id(self) -> str: ...
    @property
    def operation_id(self) -> str | None: ...
    @property
    def tags(self) -> Sequence[str | Enum]: ...
    @property
    def summary(self) -> str | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def deprecated(self) -> bool | None: ...
    @property
    def include_in_schema(self) -> bool: ...
    @property
    def dependant(self) -> Dependant: ...
    @property
    def body_field(self) -> ModelField | None: ...
    @property
    def response_class(self) -> Any: ...
    @property
    def status_code(self) -> int | None: ...
    @property
    def response_description(self) -> str: ...
    @property
    def response_field(self) -> ModelField | None: ...
    @property
    def response_fields(self) -> Mapping[int | str, ModelField]: ...
    @property
    def stream_item_field(self) -> ModelField | None: ...
    @property
    def is_sse_stream(self) -> bool: ...
    @property
    def is_json_stream(self) -> bool: ...
    @property
    def responses(self) -> Mapping[int | str, dict[str, Any]]: ...
    @property
    def callbacks(self) -> Sequence[Any] | None: ...
    @property
    def openapi_extra(self) -> dict[str, Any] | None: ...


def is_api_route(route: Any) -> bool:
    """True for a route that can be described: it has operations. Mounts, plain Starlette routes and WebSocket routes have none."""
    return hasattr(route, "operation_id") and hasattr(route, "dependant")


def documented_routes(routes: Iterable[Any]) -> Iterator[DocumentedRoute]:
    """The API routes among routes, route contexts and included routers, with the values effective where they are included.

    Routes that are not to appear in the document (`include_in_schema=False`) are among them.
    """
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        for context in [route] if contexts is None else contexts():
            if is_api_route(getattr(context, "original_route", context)):
                yield cast(DocumentedRoute, context)
