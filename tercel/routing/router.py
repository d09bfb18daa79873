"""`APIRouter`: collects routes, includes other routers, and serves them as an ASGI application.

Requests do not walk the tree of routes: it is laid flat into a table when the first one comes, and again after every change. Read
`tercel.routing.include` for the tree and `tercel.routing.table` for the table.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from starlette import routing
from starlette._utils import get_route_path
from starlette.datastructures import URL
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
from starlette.websockets import WebSocket
from typing_extensions import Unpack, deprecated

from tercel.compile.match import MISS, RouteTable
from tercel.compile.support import respond_with
from tercel.declare.markers import Depends
from tercel.declare.options import (
    INCLUDE_DEFAULTS,
    OPERATION_DEFAULTS,
    IncludeArguments,
    Layer,
    complete,
    merge,
    with_signature,
)
from tercel.http.defaults import Default
from tercel.http.errors import DeclarationAssertion, FastAPIError
from tercel.http.exchange import Exchange
from tercel.http.limits import FormLimits, validate_form_limits, validate_max_body_size, with_body_limit
from tercel.http.observed import observer_of
from tercel.openapi.ids import generate_unique_id
from tercel.routing.changes import RouteList, changes
from tercel.routing.frontend import (
    CheckDir,
    Fallback,
    FrontendGroup,
    join_frontend_paths,
    normalised_frontend_path,
    resolved_check_dir,
    specificity_of,
)
from tercel.routing.include import (
    INCLUDED_ROUTER,
    EffectiveRoute,
    IncludeContext,
    IncludedRouter,
    fastapi_scope,
    match_candidate,
)
from tercel.routing.lifespan import lifespan_context_of, merged_lifespan
from tercel.routing.replaced import replacements
from tercel.routing.route import EFFECTIVE_CONTEXT, APIRoute, APIWebSocketRoute
from tercel.routing.table import entries_of
from tercel.routing.verbs import ON_EVENT_IS_DEPRECATED, Verbs
from tercel.routing.walking import iter_route_contexts
from tercel.serve.dispatch import Assembly, Served, update_scope
from tercel.serve.failures import Handlers

__all__ = ["APIRouter"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
ROUTER_OPERATION_DEFAULTS = {
    **OPERATION_DEFAULTS,
    "methods": None,
    "route_class_override": None,
    "strict_content_type": Default(True),
}


def _checked_prefix(prefix: str) -> None:
    if prefix and not prefix.startswith("/"):
        raise DeclarationAssertion("A path prefix must start with '/'")
    if prefix.endswith("/"):
        raise DeclarationAssertion("A path prefix must not end with '/', as the routes will start with '/'")


class APIRouter(Verbs, routing.Router):
    """A group of routes, to be included into an application or another router.

    Args:
        prefix: of every path in it; begins with a slash and does not end with one.
        tags, dependencies, default_response_class, responses, callbacks, deprecated, include_in_schema,
            generate_unique_id_function, max_body_size, form_limits,
            cancel_on_disconnect: for every route in it; see `OperationArguments`.
        routes: to begin with.
        redirect_slashes: answer 307 to a path that differs from a route's only by a slash at its end. Only the outermost router's
            counts.
        default: an ASGI application for what no route matches; 404 by default.
        dependency_overrides_provider: an object with `dependency_overrides`.
        route_class: the class of path operations.
        on_startup, on_shutdown: functions run by the lifespan, unless `lifespan` is given.
        lifespan: an asynchronous context manager function of the application.
        strict_content_type: False lets a body without Content-Type be JSON.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        tags: list[str | Enum] | None = None,
        dependencies: Sequence[Depends] | None = None,
        default_response_class: type[Response] = Default(JSONResponse),
        responses: dict[int | str, dict[str, Any]] | None = None,
        callbacks: list[BaseRoute] | None = None,
        routes: list[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        dependency_overrides_provider: Any | None = None,
        route_class: type[APIRoute] = APIRoute,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Lifespan[Any] | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        generate_unique_id_function: Callable[[APIRoute], str] = Default(generate_unique_id),
        strict_content_type: bool = Default(True),
        max_body_size: int | None = None,
        form_limits: FormLimits | None = None,
        cancel_on_disconnect: bool | None = None,
    ) -> None:
        validate_max_body_size(max_body_size)
        self._routes: RouteList[BaseRoute] = RouteList()
        self._routes_marks = 0
        context = lifespan_context_of(self, lifespan)
        limit = [Middleware(with_body_limit, max_body_size=max_body_size)] if max_body_size is not None else None
        routing.Router.__init__(
            self, routes=routes, redirect_slashes=redirect_slashes, default=default, lifespan=context, middleware=limit
        )
        self.lifespan_context = context
        _checked_prefix(prefix)
        self.on_startup: list[Callable[[], Any]] = [] if on_startup is None else list(on_startup)
        self.on_shutdown: list[Callable[[], Any]] = [] if on_shutdown is None else list(on_shutdown)
        self.prefix = prefix
        self.tags: list[str | Enum] = tags or []
        self.dependencies = list(dependencies or [])
        self.deprecated = deprecated
        self.include_in_schema = include_in_schema
        self.responses = responses or {}
        self.callbacks = callbacks or []
        self.dependency_overrides_provider = dependency_overrides_provider
        self.route_class = route_class
        self.default_response_class = default_response_class
        self.generate_unique_id_function = generate_unique_id_function
        self.form_limits = validate_form_limits(form_limits)
        self.strict_content_type = strict_content_type
        self.max_body_size = max_body_size
        self.cancel_on_disconnect = cancel_on_disconnect
        self._low_priority_routes: list[BaseRoute] = []
        self._frontend_routes: FrontendGroup | None = None
        self._assembly: Assembly | None = None
        self._assembly_key: Any = None

    # -- the tree ---------------------------------------------------------------------------------------------------------------

    @property
    def routes(self) -> list[BaseRoute]:
        """The tree: routes, and included routers as one entry each. Changes take effect with the next request."""
        return self._routes

    @routes.setter
    def routes(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = RouteList(routes)
        self._mark_routes_changed()

    @property
    def layer(self) -> Layer:
        """What this router says about its routes."""
        return Layer(
            prefix=self.prefix,
            tags=self.tags,
            dependencies=self.dependencies,
            default_response_class=self.default_response_class,
            responses=self.responses,
            callbacks=self.callbacks,
            deprecated=self.deprecated,
            include_in_schema=self.include_in_schema,
            generate_unique_id_function=self.generate_unique_id_function,
            strict_content_type=self.strict_content_type,
            max_body_size=self.max_body_size,
            cancel_on_disconnect=self.cancel_on_disconnect,
            form_limits=self.form_limits,
        )

    @property
    def has_own_matching(self) -> bool:
        """True for classes that override how a router matches or handles, which then decide for their routes."""
        cls = type(self)
        return cls.matches is not APIRouter.matches or cls.handle is not APIRouter.handle

    def _mark_routes_changed(self) -> None:
        changes.count += 1
        self._routes_marks = changes.count

    def _get_routes_version(self, seen: set[int] | None = None) -> int:
        """A number that grows with every change of this router or of one included in it: that of the latest of these changes."""
        seen = set() if seen is None else seen
        version = max(self._routes.version, self._routes_marks)
        if id(self) not in seen:
            seen.add(id(self))
            for route in self._routes:
                if isinstance(route, IncludedRouter):
                    version = max(version, route.original_router._get_routes_version(seen))
        return version

    def _contains_router(self, router: APIRouter, seen: set[int] | None = None) -> bool:
        seen = set() if seen is None else seen
        if id(self) in seen:
            return False
        seen.add(id(self))
        included = [route.original_router for route in self._routes if isinstance(route, IncludedRouter)]
        return any(inner is router or inner._contains_router(router, seen) for inner in included)

    # -- adding -------------------------------------------------------------------------------------------------------------------

    def add_route(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response] | Response],
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Adds a Starlette route: a function of a request, or an ASGI class, without analysis of its signature."""
        routing.Router.add_route(self, path, endpoint, methods=methods, name=name, include_in_schema=include_in_schema)

    def route(
        self, path: str, methods: Collection[str] | None = None, name: str | None = None, include_in_schema: bool = True
    ) -> Callable[[Decorated], Decorated]:
        """Decorator of `add_route`."""

        def decorate(func: Decorated) -> Decorated:
            self.add_route(path, func, methods=methods, name=name, include_in_schema=include_in_schema)
            return func

        return decorate

    def add_websocket_route(self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]], name: str | None = None) -> None:
        """Adds a Starlette WebSocket route, without analysis of its signature."""
        routing.Router.add_websocket_route(self, path, endpoint, name=name)

    @with_signature("self", "path", "endpoint", defaults=ROUTER_OPERATION_DEFAULTS, required="path endpoint")
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Adds a path operation.

        Args:
            options: see `OperationArguments`; also `methods`, `route_class_override`, `strict_content_type`.

        Raises:
            DeclarationError: the declaration cannot work.
        """
        given = complete("add_api_route", ROUTER_OPERATION_DEFAULTS, options)
        route_class = given.pop("route_class_override") or self.route_class
        form_limits = given.pop("form_limits")
        own = Layer(
            prefix=path,
            tags=given["tags"] or [],
            dependencies=list(given["dependencies"] or []),
            default_response_class=given["response_class"],
            responses=given["responses"] or {},
            callbacks=given["callbacks"] or [],
            deprecated=given["deprecated"],
            include_in_schema=given["include_in_schema"],
            generate_unique_id_function=given["generate_unique_id_function"],
            strict_content_type=given["strict_content_type"],
            cancel_on_disconnect=given["cancel_on_disconnect"],
        )
        merged = merge(self.layer, own)
        given.update(
            tags=merged.tags,
            dependencies=merged.dependencies,
            response_class=merged.default_response_class,
            responses=merged.responses,
            callbacks=merged.callbacks,
            deprecated=merged.deprecated,
            include_in_schema=merged.include_in_schema,
            generate_unique_id_function=merged.generate_unique_id_function,
            strict_content_type=merged.strict_content_type,
            cancel_on_disconnect=merged.cancel_on_disconnect,
            dependency_overrides_provider=self.dependency_overrides_provider,
        )
        if form_limits is not None:
            given["form_limits"] = form_limits
        self._routes.append(route_class(merged.prefix, endpoint=endpoint, **given))

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[Depends] | None = None,
    ) -> None:
        """Adds a WebSocket endpoint with dependencies."""
        route = APIWebSocketRoute(
            self.prefix + path,
            endpoint=endpoint,
            name=name,
            dependencies=[*self.dependencies, *(dependencies or [])],
            dependency_overrides_provider=self.dependency_overrides_provider,
        )
        self._routes.append(route)

    def frontend(
        self,
        path: str,
        *,
        directory: typing.Any,
        fallback: Fallback = "auto",
        check_dir: CheckDir = "auto",
    ) -> None:
        """Serves the built files of a single-page application below a path, behind every route.

        Args:
            path: begins with a slash.
            directory: of the files.
            fallback: the file for unknown paths: `index.html` for navigation, `404.html` with 404, `auto` for what exists, or None.
            check_dir: fail now if the directory is missing; `auto` only warns in development.

        Raises:
            RuntimeError: the directory or the fallback file does not exist.
        """
        check = resolved_check_dir(directory, check_dir)
        normal = normalised_frontend_path(path)
        if self._frontend_routes is None:
            self._frontend_routes = FrontendGroup(
                dependencies=self.dependencies, dependency_overrides_provider=self.dependency_overrides_provider
            )
            self._low_priority_routes.append(self._frontend_routes)
        self._frontend_routes.add_frontend_route(
            join_frontend_paths(self.prefix, normal), directory=directory, fallback=fallback, check_dir=check
        )
        self._mark_routes_changed()

    @with_signature("self", "router", defaults=INCLUDE_DEFAULTS, required="router")
    def include_router(self, router: APIRouter, **options: Unpack[IncludeArguments]) -> None:
        """Makes the routes of another router part of this one, under a prefix and with what is said here for all of them.

        Args:
            router: stays live: routes added to it later are served too.
            options: see `IncludeArguments`.

        Raises:
            DeclarationError: a router inside itself, or a prefix that is none.
            FastAPIError: a route with neither prefix nor path.
        """
        if self is router:
            raise DeclarationAssertion(
                "Cannot include the same APIRouter instance into itself. Did you mean to include a different router?"
            )
        if router._contains_router(self):
            raise DeclarationAssertion(
                "Cannot include an APIRouter instance that already includes this router. Did you mean to include a "
                "different router?"
            )
        given = complete("include_router", INCLUDE_DEFAULTS, options)
        validate_max_body_size(given["max_body_size"])
        _checked_prefix(given["prefix"])
        if not given["prefix"]:
            for context in iter_route_contexts(router.routes):
                if context.path == "":
                    name = context.name or "unknown"
                    raise FastAPIError(f"Prefix and path cannot be both empty (path operation: {name})")
        said = Layer(
            prefix=given["prefix"],
            tags=given["tags"] or [],
            dependencies=list(given["dependencies"] or []),
            default_response_class=given["default_response_class"],
            responses=given["responses"] or {},
            callbacks=given["callbacks"] or [],
            deprecated=given["deprecated"],
            include_in_schema=given["include_in_schema"],
            generate_unique_id_function=given["generate_unique_id_function"],
            max_body_size=given["max_body_size"],
            cancel_on_disconnect=given["cancel_on_disconnect"],
            form_limits=validate_form_limits(given["form_limits"]),
        )
        self._routes.append(IncludedRouter(router, IncludeContext.for_include(self, router, said)))
        for handler in router.on_startup:
            self.add_event_handler("startup", handler)
        for handler in router.on_shutdown:
            self.add_event_handler("shutdown", handler)
        self.lifespan_context = merged_lifespan(self.lifespan_context, router.lifespan_context)

    def add_event_handler(self, event_type: str, func: Callable[[], Any]) -> None:
        """Adds a function that runs at `startup` or `shutdown`, unless a `lifespan` is in force."""
        if event_type not in ("startup", "shutdown"):
            raise DeclarationAssertion(f"event_type must be 'startup' or 'shutdown', not {event_type!r}")
        (self.on_startup if event_type == "startup" else self.on_shutdown).append(func)

    @deprecated(ON_EVENT_IS_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[Decorated], Decorated]:
        """Decorator of `add_event_handler`. Use `lifespan` instead."""

        def decorate(func: Decorated) -> Decorated:
            self.add_event_handler(event_type, func)
            return func

        return decorate

    # -- serving ------------------------------------------------------------------------------------------------------------------

    def assembly(self, handlers: Handlers | None = None, said: Mapping[str, Any] | None = None) -> Assembly:
        """The router frozen as it is now: the same object until something changes.

        Args:
            handlers: of exceptions, where no ASGI middleware surrounds the router.
            said: entries of every scope.
        """
        overrides = getattr(self.dependency_overrides_provider, "dependency_overrides", None)
        versions = (self._get_routes_version(), getattr(overrides, "version", None), replacements.version, changes.touched)
        key = (versions, id(overrides), id(handlers))
        if self._assembly is None or key != self._assembly_key:
            told = dict(said or {})
            self._assembly = Assembly(RouteTable(entries_of(self, told)), self._missed, handlers or Handlers({}, False), told)
            self._assembly_key = key
            self._seen_changes = changes.count
        return self._assembly

    _seen_changes = -1

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The router inside its own middleware: matches and serves one connection, or runs the lifespan."""
        assert scope["type"] in ("http", "websocket", "lifespan")
        if "router" not in scope:
            scope["router"] = self
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        assembly = self._assembly
        if assembly is None or self._seen_changes != changes.count:
            assembly = self.assembly()
            self._seen_changes = changes.count
        if scope["type"] == "http":
            await assembly.asgi(scope, receive, send)
        else:
            await self._serve_websocket(assembly, scope, receive, send)

    async def _serve_websocket(self, assembly: Assembly, scope: Scope, receive: Receive, send: Send) -> None:
        found = assembly.table.match_websocket(get_route_path(scope), lambda: scope)
        if found is MISS:
            await self.default(scope, receive, send)
            return
        served: Served = found.entry.payload
        served.describe(scope, found.params or {})
        served.tell(scope)
        if found.child_scope is not None:
            update_scope(scope, found.child_scope)
        if found.entry.kind == "websocket":
            await served.handler((scope, receive, send))
        else:
            await served.handler(_SocketConnection(scope, receive, send))

    async def _missed(self, ex: Exchange) -> None:
        """What no route matches: another spelling of a path that one does, a frontend, or the default."""
        scope = ex.scope
        if ex.entry is not None:
            ex.entry.describe(scope, {})
        path = get_route_path(scope)
        other = self._find(_with_other_slash(scope, path)) if self.redirect_slashes and path != "/" else None
        if other is not None:
            observer = observer_of(scope)
            if observer is not None:
                observer.route_selected(other.path, False)
            url = URL(scope=_with_other_slash(scope, path))
            await respond_with(ex, RedirectResponse(url=str(url)))
            return
        match, child_scope, route, effective = self._match_low_priority(scope)
        if match == Match.NONE or route is None:
            await self.default(scope, ex.receive, ex.send)
            return
        update_scope(scope, child_scope)
        if self.form_limits:
            part = fastapi_scope(scope)
            part["form_limits"] = {**part.get("form_limits", {}), **self.form_limits}
        if effective is None:
            await route.handle(scope, ex.receive, ex.send)
            return
        fastapi_scope(scope)[EFFECTIVE_CONTEXT] = effective
        if isinstance(effective.original_route, APIRoute):
            scope["route"] = effective.original_route
            await effective.original_route.handle(scope, ex.receive, ex.send)
        else:
            assert effective.app is not None
            await effective.app(scope, ex.receive, ex.send)

    def _find(self, scope: Scope) -> Served | None:
        """What another spelling of a path leads to, if a request may be redirected there."""
        assert self._assembly is not None
        found = self._assembly.table.match_http(scope["method"], get_route_path(scope), lambda: scope)
        return found.entry.payload if found is not MISS and found.entry.payload.redirects else None

    def _low_priority_candidates(self) -> Iterator[Any]:
        yield from self._low_priority_routes
        for route in self._routes:
            if isinstance(route, IncludedRouter):
                yield from route.effective_low_priority_routes()

    def _match_low_priority(self, scope: Scope) -> tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None]:
        """The frontend with the longest path; one that answers the method before one that does not."""
        best: tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None] = (Match.NONE, {}, None, None)
        for candidate in self._low_priority_candidates():
            if isinstance(candidate, EffectiveRoute):
                found = match_candidate(candidate, scope)
            else:
                match, child_scope = candidate.matches(scope)
                found = match, child_scope, candidate, None
            if found[0] == Match.NONE:
                continue
            mine, other = specificity_of(found[1]), specificity_of(best[1])
            longer = mine is not None and other is not None and mine > other
            if found[0].value > best[0].value or (found[0] == best[0] and longer):
                best = found
        return best

    # -- as one route among others: what subclasses override to decide for themselves ----------------------------------------------

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether one of the routes matches; asked only while this router is included in another."""
        included = scope.get("fastapi", {}).get(INCLUDED_ROUTER)
        if isinstance(included, IncludedRouter) and included.original_router is self:
            match, child_scope, _, _ = included.select(scope)
            return match, child_scope
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a scope that `matches` accepted."""
        included = scope.get("fastapi", {}).get(INCLUDED_ROUTER)
        if isinstance(included, IncludedRouter) and included.original_router is self:
            await included._handle_selected(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class _SocketConnection:
    """A WebSocket connection in the shape in which probed routes are served."""

    native = False
    entry = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send


def _with_other_slash(scope: Scope, route_path: str) -> Scope:
    """A copy of the scope with the slash at the end of the path added or taken away."""
    path: str = scope["path"]
    return {**scope, "path": path.rstrip("/") if route_path.endswith("/") else path + "/"}
