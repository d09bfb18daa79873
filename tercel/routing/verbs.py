"""The decorators that applications and routers share: one per HTTP method, and those for WebSockets.

Every verb takes the options of `OperationArguments`, which documents them once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from typing_extensions import Unpack

from tercel.declare.markers import Depends
from tercel.declare.options import OPERATION_DEFAULTS, OperationArguments, complete, with_signature

__all__ = ["ON_EVENT_IS_DEPRECATED", "Verbs"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Decorator(Protocol):
    """Registers a function and returns it as it is."""

    def __call__(self, endpoint: Decorated, /) -> Decorated: ...


ON_EVENT_IS_DEPRECATED = "on_event is deprecated, use lifespan event handlers instead (the `lifespan` parameter)."
_OWN_OPTIONS = frozenset({"cancel_on_disconnect"})
"""Options that FastAPI does not have, so that a subclass written for it need not take them."""
_shown = with_signature("self", "path", defaults=OPERATION_DEFAULTS, required="path")


class Verbs:
    """Decorators for path operations and WebSocket endpoints."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        raise NotImplementedError

    def add_api_websocket_route(
        self, path: str, endpoint: Callable[..., Any], name: str | None = None, *, dependencies: Sequence[Depends] | None = None
    ) -> None:
        raise NotImplementedError

    @with_signature("self", "path", defaults={**OPERATION_DEFAULTS, "methods": None}, required="path")
    def api_route(self, path: str, *, methods: list[str] | None = None, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for several methods; `GET` by default.

        Args:
            methods: such as `["GET", "HEAD"]`.
            options: see `OperationArguments`.
        """
        # Every option is passed on, as FastAPI does: an `add_api_route` of a subclass looks at what was not said, too.
        given = complete("api_route", OPERATION_DEFAULTS, options)
        given = {name: value for name, value in given.items() if name in options or name not in _OWN_OPTIONS}

        def decorate(endpoint: Decorated) -> Decorated:
            self.add_api_route(path, endpoint, methods=methods, **given)
            return endpoint

        return decorate

    def _verb(self, method: str, path: str, options: OperationArguments) -> Decorator:
        complete(method.lower(), OPERATION_DEFAULTS, options)
        made: Decorator = self.api_route(path, methods=[method], **options)
        return made

    @_shown
    def get(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for GET (RFC 9110 §9.3.1). HEAD is not implied."""
        return self._verb("GET", path, options)

    @_shown
    def put(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for PUT (RFC 9110 §9.3.4)."""
        return self._verb("PUT", path, options)

    @_shown
    def post(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for POST (RFC 9110 §9.3.3)."""
        return self._verb("POST", path, options)

    @_shown
    def delete(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for DELETE (RFC 9110 §9.3.5)."""
        return self._verb("DELETE", path, options)

    @_shown
    def options(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for OPTIONS (RFC 9110 §9.3.7)."""
        return self._verb("OPTIONS", path, options)

    @_shown
    def head(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for HEAD (RFC 9110 §9.3.2); its body is not sent."""
        return self._verb("HEAD", path, options)

    @_shown
    def patch(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for PATCH (RFC 5789)."""
        return self._verb("PATCH", path, options)

    @_shown
    def trace(self, path: str, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for TRACE (RFC 9110 §9.3.8)."""
        return self._verb("TRACE", path, options)

    def websocket(
        self, path: str, name: str | None = None, *, dependencies: Sequence[Depends] | None = None
    ) -> Callable[[Decorated], Decorated]:
        """A WebSocket endpoint (RFC 6455); its dependencies run before the handshake is answered."""

        def decorate(endpoint: Decorated) -> Decorated:
            self.add_api_websocket_route(path, endpoint, name=name, dependencies=dependencies)
            return endpoint

        return decorate

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[Decorated], Decorated]:
        """A Starlette WebSocket route, without analysis of its signature."""

        def decorate(endpoint: Decorated) -> Decorated:
            self.add_websocket_route(path, endpoint, name=name)
            return endpoint

        return decorate

    def add_websocket_route(self, path: str, endpoint: Callable[..., Any], name: str | None = None) -> None:
        raise NotImplementedError
