"""Included routers: the tree that `router.routes` is, and routes in the form in which they are effective inside it.

Includes are live: a route that is added to a router later is served wherever the router is included. Nothing is copied at include
time; effective routes are made when they are first asked for, and again when the router changed.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from starlette import routing
from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from tercel.analyse.forms import body_field_of, flat_body_params, should_embed
from tercel.analyse.signature import get_parameterless_sub_dependant
from tercel.compile.pattern import read_path
from tercel.declare.options import Layer, merge, nearest
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.limits import FormLimits, nearest_limit, validate_max_body_size, with_body_limit
from tercel.http.observed import observer_of
from tercel.openapi.ids import generate_unique_id
from tercel.routing.changes import unsettled
from tercel.routing.frontend import FrontendGroup
from tercel.routing.handled import Handled
from tercel.routing.operation import Operation, unwrap_default
from tercel.routing.route import EFFECTIVE_CONTEXT, APIRoute, APIWebSocketRoute, RouteState, attributes_of, effective_route_context
from tercel.serve.dispatch import update_scope

if TYPE_CHECKING:
    from tercel.routing.router import APIRouter

__all__ = [
    "INCLUDED_ROUTER",
    "EffectiveRoute",
    "IncludeContext",
    "IncludedRouter",
    "fastapi_scope",
    "match_candidate",
    "observed_path",
]

INCLUDED_ROUTER = "included_router"

_settling = threading.RLock()


def fastapi_scope(scope: Scope) -> dict[str, Any]:
    """The part of the ASGI scope that is the framework's."""
    part = scope.setdefault("fastapi", {})
    assert isinstance(part, dict)
    return part


@dataclass
class IncludeContext:
    """All that the layers around say about the routes of an included router.

    Args:
        included_router: whose routes they are.
        layer: merged, outermost to innermost `include_router`.
        dependency_overrides_provider: the outermost router's.
    """

    included_router: APIRouter
    layer: Layer = field(default_factory=Layer)
    dependency_overrides_provider: Any = None

    @classmethod
    def for_include(cls, parent: APIRouter, included: APIRouter, said: Layer) -> IncludeContext:
        """The context of one `include_router` call."""
        layer = merge(parent.layer, replace(said, strict_content_type=parent.strict_content_type))
        layer.max_body_size = nearest_limit(included.max_body_size, said.max_body_size, parent.max_body_size)
        layer.form_limits = {**said.form_limits, **included.form_limits}
        return cls(included, layer, parent.dependency_overrides_provider)

    def combine(self, child: IncludeContext) -> IncludeContext:
        """The context of a router included by the included one. Form limits add up on the way down instead, in the scope."""
        layer = merge(self.layer, child.layer)
        layer.form_limits = child.layer.form_limits
        return IncludeContext(child.included_router, layer, self.dependency_overrides_provider)

    def path_for(self, route: Any) -> str:
        return self.layer.prefix + str(route.path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)


class EffectiveRoute(RouteState):
    """A route as it is served in an included router. FastAPI's name for it is `_EffectiveRouteContext`.

    Attributes:
        original_route: the route as it was declared.
        starlette_route: for anything but path operations: a copy with the effective path.
        app: the ASGI application that serves it.
        operation: for path operations: what runs it.
    """

    original_route: BaseRoute
    starlette_route: BaseRoute | None
    app: ASGIApp | None
    operation: Operation | None
    frontend_prefix: str = ""
    path: str
    endpoint: Any
    name: str
    path_format: str
    methods: set[str]
    dependant: Any
    form_limits: FormLimits

    def __init__(self, original_route: BaseRoute, starlette_route: BaseRoute | None = None) -> None:
        self.original_route = original_route
        self.starlette_route = starlette_route
        self.app = self.operation = self.endpoint = self.dependant = None
        self.path = self.name = self.path_format = ""
        self.methods = set()

    @classmethod
    def of_api_route(cls, route: APIRoute, context: IncludeContext) -> EffectiveRoute:
        """What is served of a path operation. Most of it waits until somebody asks for it, where only layers differ and nobody's
        code takes part: it is settled with the first request of the route, with a document, or before a route changes."""
        layer = context.layer
        unique_ids = nearest(
            nearest(layer.generate_unique_id_function, context.included_router.generate_unique_id_function),
            route.generate_unique_id_function,
        )
        declared = vars(route)
        if (
            not route.is_untouched
            or "{" in layer.prefix
            or type(route).get_route_handler is not APIRoute.get_route_handler
            or "get_route_handler" in declared
            or unwrap_default(unique_ids) is not generate_unique_id
        ):
            return cls._settled(route, context)
        effective = cls.__new__(cls)
        effective.original_route = route
        effective.starlette_route = None
        effective.path = layer.prefix + route.path
        effective._regex, effective.path_format, effective.param_convertors = read_path(effective.path)
        effective.endpoint, effective.methods, effective.name = route.endpoint, route.methods, route.name
        effective.max_body_size = nearest(layer.max_body_size, route.max_body_size)
        effective.dependency_overrides_provider = context.dependency_overrides_provider
        effective._unsettled = context
        return effective

    _unsettled: IncludeContext | None = None

    @property
    def is_settled(self) -> bool:
        """Whether everything has been taken from the original route."""
        return self._unsettled is None

    def settle(self) -> None:
        """Takes everything from the original route, if that was put off."""
        with _settling:
            context = self._unsettled
            if context is not None:
                assert isinstance(self.original_route, APIRoute)
                attributes_of(self).update(vars(self._settled(self.original_route, context)), _unsettled=None)

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """All attributes: programs (cadwyn) copy them from one route to another."""
            self.settle()
            return attributes_of(self)

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("__"):
                self.settle()
                if name in vars(self):
                    return vars(self)[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def _settled(cls, route: APIRoute, context: IncludeContext) -> EffectiveRoute:
        effective = cls(route)
        layer, router = context.layer, context.included_router
        around = replace(layer)
        around.default_response_class = nearest(layer.default_response_class, router.default_response_class)
        around.generate_unique_id_function = nearest(layer.generate_unique_id_function, router.generate_unique_id_function)
        around.strict_content_type = nearest(layer.strict_content_type, router.strict_content_type)
        merged = merge(around, _layer_of(route))
        effective._added_dependencies = len(layer.dependencies)
        effective._prefix = layer.prefix
        effective.form_limits = route.form_limits
        if route.is_untouched and not merged.responses and _is_same(merged.default_response_class, route.response_class):
            effective._adopt(route, merged, context.dependency_overrides_provider)
            effective._build(route)
            return effective
        options = {name: getattr(route, name) for name in _PASSED_ON}
        options.update(
            tags=merged.tags,
            dependencies=merged.dependencies,
            responses=merged.responses,
            callbacks=merged.callbacks,
            deprecated=merged.deprecated,
            include_in_schema=merged.include_in_schema,
            response_class=merged.default_response_class,
            generate_unique_id_function=merged.generate_unique_id_function,
            strict_content_type=merged.strict_content_type,
            max_body_size=merged.max_body_size,
            cancel_on_disconnect=merged.cancel_on_disconnect,
            dependency_overrides_provider=context.dependency_overrides_provider,
        )
        effective._declare(merged.prefix, route.endpoint, options, stream_item_type=route.stream_item_type)
        effective._build(route)
        return effective

    _added_dependencies = 0
    _prefix = ""

    def _adopt(self, route: APIRoute, merged: Layer, dependency_overrides_provider: Any) -> None:
        """Does what `_declare` does for a route that still says what it said when it was declared: only what layers change is found
        out again, and what has the path in its name is renamed."""
        said = vars(route)
        vars(self).update({name: said[name] for name in _ADOPTED})
        self.path, self.methods = merged.prefix, set(route.methods)
        self._regex, self.path_format, self.param_convertors = read_path(self.path)
        self.tags, self.dependencies, self.responses, self.response_fields = merged.tags, merged.dependencies, {}, {}
        self.callbacks, self.deprecated, self.include_in_schema = merged.callbacks, merged.deprecated, merged.include_in_schema
        self.response_class, self.max_body_size = merged.default_response_class, merged.max_body_size
        validate_max_body_size(self.max_body_size)
        self.generate_unique_id_function, self.strict_content_type = merged.generate_unique_id_function, merged.strict_content_type
        self.cancel_on_disconnect = merged.cancel_on_disconnect
        self.dependency_overrides_provider = dependency_overrides_provider
        self.unique_id = self.operation_id or unwrap_default(self.generate_unique_id_function)(self)
        self._declare_inputs()
        if route.response_field is not None:
            self.response_field = route.response_field.renamed("Response_" + self.unique_id)
        if route.stream_item_field is not None:
            self.stream_item_field = route.stream_item_field.renamed("StreamItem_" + self.unique_id)

    def _declare_inputs(self) -> None:
        """The original's analysis with the dependencies around it in front; anew if the prefix itself has parameters, or where the
        original is no longer what was declared."""
        route = self.original_route
        assert isinstance(route, APIRoute)
        if "{" in self._prefix or not route.is_as_declared:
            super()._declare_inputs()
            return
        added = self.dependencies[: self._added_dependencies]
        if not added and not self._prefix and route.unique_id == self.unique_id:
            self.dependant = route.dependant
            self._embed_body_fields, self.body_field = route._embed_body_fields, route.body_field
            return
        self.dependant = copy.copy(route.dependant)
        self.dependant.path = self.path_format
        self.dependant.dependencies = [
            *(get_parameterless_sub_dependant(depends=depends, path=self.path_format) for depends in added),
            *route.dependant.dependencies,
        ]
        fields = flat_body_params(self.dependant)
        self._embed_body_fields = should_embed(fields)
        self.body_field = body_field_of(fields, name=self.unique_id, embed=self._embed_body_fields)

    def _build(self, route: APIRoute) -> None:
        self.operation = Operation(Handled.of(self), route.form_limits)
        wrapped = None
        if type(route).get_route_handler is not APIRoute.get_route_handler or "get_route_handler" in route.__dict__:
            token = effective_route_context.set(self)
            try:
                wrapped = route.get_route_handler()
            finally:
                effective_route_context.reset(token)
        self.app = self.operation.app(wrapped, self.max_body_size)

    @classmethod
    def of_frontend(cls, group: FrontendGroup, context: IncludeContext) -> EffectiveRoute:
        effective = cls(group)
        effective.frontend_prefix = context.layer.prefix
        effective.dependencies = [*context.layer.dependencies, *group.dependencies]
        effective.dependency_overrides_provider = context.dependency_overrides_provider
        effective.app = group.app_for(effective.frontend_prefix, effective.dependencies, effective.dependency_overrides_provider)
        return effective

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if isinstance(self.original_route, FrontendGroup):
            return self.original_route.matches_with_prefix(scope, self.frontend_prefix)
        if self.starlette_route is not None:
            return self.starlette_route.matches(scope)
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self.path_regex.match(get_route_path(scope))
        if not found:
            return Match.NONE, {}
        params = {key: self.param_convertors[key].convert(value) for key, value in found.groupdict().items()}
        child_scope = {"endpoint": self.endpoint, "path_params": {**scope.get("path_params", {}), **params}}
        return (Match.PARTIAL if self.methods and scope["method"] not in self.methods else Match.FULL), child_scope

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        if self.starlette_route is not None:
            return self.starlette_route.url_path_for(name, **path_params)
        if name != self.name or set(path_params) != set(self.param_convertors):
            raise routing.NoMatchFound(name, path_params)
        path, remaining = routing.replace_params(self.path_format, self.param_convertors, path_params)
        assert not remaining
        return URLPath(path=path, protocol="http")


_PASSED_ON = (
    "response_model",
    "status_code",
    "summary",
    "description",
    "response_description",
    "methods",
    "name",
    "operation_id",
    "openapi_extra",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
)


_ADOPTED = (
    "description",
    "endpoint",
    "is_json_stream",
    "is_sse_stream",
    "name",
    "openapi_extra",
    "operation_id",
    "response_description",
    "response_field",
    "response_model",
    "response_model_by_alias",
    "response_model_exclude",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
    "response_model_exclude_unset",
    "response_model_include",
    "status_code",
    "stream_item_field",
    "stream_item_type",
    "summary",
)
"""Attributes that an effective route has in common with the route as it was declared."""


def _is_same(effective: Any, declared: Any) -> bool:
    """Whether layers leave the response class as it is; placeholders are the same if they stand for the same."""
    if isinstance(effective, DefaultPlaceholder) and isinstance(declared, DefaultPlaceholder):
        return effective.value is declared.value
    return effective is declared


def _layer_of(route: APIRoute) -> Layer:
    """What a route itself says, in the terms of layers."""
    return Layer(
        prefix=route.path,
        tags=route.tags,
        dependencies=route.dependencies,
        default_response_class=route.response_class,
        responses=route.responses,
        callbacks=route.callbacks or [],
        deprecated=route.deprecated,
        include_in_schema=route.include_in_schema,
        generate_unique_id_function=route.generate_unique_id_function,
        strict_content_type=route.strict_content_type,
        max_body_size=route.max_body_size,
        cancel_on_disconnect=route.cancel_on_disconnect,
    )


# -- other kinds of routes in included routers -------------------------------------------------------------------------------------


def effective_form(route: BaseRoute, context: IncludeContext) -> EffectiveRoute | None:
    """The effective form of any route that an included router may hold; None for kinds that cannot be moved under a prefix."""
    if isinstance(route, APIRoute):
        return EffectiveRoute.of_api_route(route, context)
    if isinstance(route, FrontendGroup):
        return EffectiveRoute.of_frontend(route, context)
    moved = _moved(route, context)
    return None if moved is None else EffectiveRoute(route, moved)


def _moved(route: BaseRoute, context: IncludeContext) -> BaseRoute | None:
    if isinstance(route, routing.Route):
        return routing.Route(
            context.path_for(route),
            endpoint=route.endpoint,
            methods=list(route.methods or []),
            name=route.name,
            include_in_schema=route.include_in_schema,
        )
    if isinstance(route, APIWebSocketRoute):
        return APIWebSocketRoute(
            context.path_for(route),
            endpoint=route.endpoint,
            name=route.name,
            dependencies=[*context.layer.dependencies, *route.dependencies],
            dependency_overrides_provider=context.dependency_overrides_provider,
        )
    if isinstance(route, routing.WebSocketRoute):
        return routing.WebSocketRoute(context.path_for(route), route.endpoint, name=route.name)
    if isinstance(route, routing.Mount):
        mount = copy.copy(route)
        mount.path = context.path_for(route).rstrip("/")
        mount.path_regex, mount.path_format, mount.param_convertors = compile_path(mount.path + "/{path:path}")
        return mount
    if isinstance(route, routing.Host):
        app = route.app
        if context.layer.prefix:
            app = routing.Router(routes=[routing.Mount(context.layer.prefix, app=route.app)])
        return routing.Host(route.host, app=app, name=route.name)
    return None


@dataclass(eq=False)
class IncludedRouter(BaseRoute):
    """A router inside another's `routes`. FastAPI's name for it is `_IncludedRouter`."""

    original_router: APIRouter
    include_context: IncludeContext
    _effective_routes_lock: Any = field(default_factory=threading.Lock, repr=False)
    _candidates: list[Any] = field(default_factory=list, repr=False)
    _candidates_version: int | None = field(default=None, repr=False)
    _low_priority: list[EffectiveRoute] = field(default_factory=list, repr=False)
    _low_priority_version: int | None = field(default=None, repr=False)

    def effective_candidates(self) -> list[Any]:
        """The effective routes and nested included routers, in declaration order."""
        version = self.original_router._get_routes_version()
        if version != self._candidates_version:
            with self._effective_routes_lock:
                version = self.original_router._get_routes_version()
                if version != self._candidates_version:
                    self._candidates = list(self._make_candidates())
                    self._candidates_version = version
                    unsettled.add(self)
        return self._candidates

    def settle(self) -> None:
        """Settles the effective routes."""
        for candidate in self._candidates:
            if isinstance(candidate, EffectiveRoute):
                candidate.settle()

    def _branch(self, route: IncludedRouter) -> IncludedRouter:
        return IncludedRouter(route.original_router, self.include_context.combine(route.include_context))

    def _make_candidates(self) -> Iterator[Any]:
        first = bool(self.include_context.layer.dependencies)
        for route in self.original_router.routes:
            if isinstance(route, IncludedRouter):
                yield self._branch(route)
            else:
                effective = effective_form(route, self.include_context)
                if effective is not None:
                    if first:  # a mistake in what the layers say is a mistake in each
                        effective.settle()
                    first = False
                    yield effective

    def effective_low_priority_routes(self) -> list[EffectiveRoute]:
        """The effective frontends, which are tried when nothing else matched."""
        version = self.original_router._get_routes_version()
        if version != self._low_priority_version:
            with self._effective_routes_lock:
                self._low_priority = list(self._make_low_priority())
                self._low_priority_version = version
        return self._low_priority

    def _make_low_priority(self) -> Iterator[EffectiveRoute]:
        limit = self.include_context.layer.max_body_size
        for route in self.original_router._low_priority_routes:
            effective = effective_form(route, self.include_context)
            if effective is None:
                continue
            if not isinstance(route, APIRoute):
                serve = effective.app or (effective.starlette_route or route).handle
                effective.app = with_body_limit(serve, limit)
            yield effective
        for route in self.original_router.routes:
            if isinstance(route, IncludedRouter):
                yield from self._branch(route).effective_low_priority_routes()

    def effective_route_contexts(self) -> Iterator[EffectiveRoute]:
        for candidate in self.effective_candidates():
            if isinstance(candidate, IncludedRouter):
                yield from candidate.effective_route_contexts()
            else:
                yield candidate

    # -- as a route of its own: for routers that override `matches` or `handle`, and for code that walks routes ----------------

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        part = fastapi_scope(scope)
        previous = part.get(INCLUDED_ROUTER)
        part[INCLUDED_ROUTER] = self
        try:
            match, _ = self.original_router.matches(scope)
            return match, {}
        finally:
            if previous is None:
                part.pop(INCLUDED_ROUTER, None)
            else:
                part[INCLUDED_ROUTER] = previous

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        part = fastapi_scope(scope)
        part["form_limits"] = {**part.get("form_limits", {}), **self.include_context.layer.form_limits}
        part[INCLUDED_ROUTER] = self
        await self.original_router.handle(scope, receive, send)

    def select(self, scope: Scope) -> tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None]:
        """The route inside that answers a scope: the first full match, else the first partial one."""
        partial: tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None] | None = None
        for candidate in self.effective_candidates():
            match, child_scope, route, effective = match_candidate(candidate, scope)
            if match == Match.FULL:
                return match, child_scope, route, effective
            if match == Match.PARTIAL and partial is None:
                partial = match, child_scope, route, effective
        return partial or (Match.NONE, {}, None, None)

    async def _handle_selected(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a scope with the route that `select` finds."""
        match, child_scope, route, effective = self.select(scope)
        limit = self.include_context.layer.max_body_size
        if match == Match.NONE or route is None:
            await with_body_limit(self.original_router.default, limit)(scope, receive, send)
            return
        update_scope(scope, child_scope)
        observer = observer_of(scope)
        if observer is not None:
            observer.route_selected(observed_path(effective or route), isinstance(route, routing.Mount))
        if effective is not None:
            fastapi_scope(scope)[EFFECTIVE_CONTEXT] = effective
            if isinstance(effective.original_route, APIRoute):
                scope["route"] = effective.original_route
                await effective.original_route.handle(scope, receive, send)
                return
        serve: Callable[..., Any] = route.handle
        await (serve if isinstance(route, IncludedRouter) else with_body_limit(serve, limit))(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        for effective in self.effective_route_contexts():
            try:
                return effective.url_path_for(name, **path_params)
            except routing.NoMatchFound:
                pass
        raise routing.NoMatchFound(name, path_params)


IncludedRouter.__name__ = IncludedRouter.__qualname__ = "_IncludedRouter"  # programs compare the name of a route's class


def observed_path(candidate: Any) -> str | None:
    """The path of a route, original or effective, as an observer of requests has it; None for what has none, as a router."""
    own: str | None = getattr(candidate, "path_format", None)
    return getattr(candidate.starlette_route, "path_format", None) or own if isinstance(candidate, EffectiveRoute) else own


def match_candidate(candidate: Any, scope: Scope) -> tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None]:
    """Asks one effective route or included router, through the original route's own `matches` for path operations."""
    if isinstance(candidate, IncludedRouter):
        match, child_scope = candidate.matches(scope)
        return match, child_scope, candidate, None
    if isinstance(candidate.original_route, APIRoute):
        part = fastapi_scope(scope)
        missing = object()
        previous = part.get(EFFECTIVE_CONTEXT, missing)
        part[EFFECTIVE_CONTEXT] = candidate
        try:
            match, child_scope = candidate.original_route.matches(scope)
        finally:
            if previous is missing:
                part.pop(EFFECTIVE_CONTEXT, None)
            else:
                part[EFFECTIVE_CONTEXT] = previous
        return match, child_scope, candidate.original_route, candidate
    match, child_scope = candidate.matches(scope)
    return match, child_scope, candidate.starlette_route or candidate.original_route, candidate
