"""A router's tree of routes -> the entries of a flat table, each with the handler that serves it.

Runs at freeze. Which handler a route gets: its compiled one when nothing about it is overridden, else its ASGI application.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from starlette import routing
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from tercel.compile.match import Entry
from tercel.http.exchange import Exchange
from tercel.http.limits import with_body_limit
from tercel.openapi.constants import METHODS_WITH_BODY
from tercel.plan import Plan
from tercel.routing.changes import Overrides
from tercel.routing.files import KeptFiles, kept_files
from tercel.routing.include import EffectiveRoute, IncludedRouter, match_candidate, observed_path
from tercel.routing.operation import Operation
from tercel.routing.replaced import replacements
from tercel.routing.route import EFFECTIVE_CONTEXT, APIRoute, APIWebSocketRoute, attributes_of
from tercel.serve.dispatch import Served

if TYPE_CHECKING:
    from tercel.routing.router import APIRouter

__all__ = ["entries_of"]

_HTTP = routing.Route.matches
_WEBSOCKET = (routing.WebSocketRoute.matches, APIWebSocketRoute.matches)


def entries_of(router: APIRouter, said: Mapping[str, Any]) -> Iterator[Entry]:
    """The table entries of a router, in the order in which its routes are matched.

    Args:
        said: entries of every scope.
    """
    limits = cast(Mapping[str, int], router.form_limits)
    for route in router.routes:
        yield from _entries(route, said, limits, None)


def _entries(candidate: Any, said: Mapping[str, Any], limits: Mapping[str, int], around: IncludedRouter | None) -> Iterator[Entry]:
    if isinstance(candidate, IncludedRouter):
        if not candidate.original_router.has_own_matching:
            inner = {**limits, **candidate.include_context.layer.form_limits}
            for inside in candidate.effective_candidates():
                for entry in _entries(inside, said, inner, candidate):
                    entry.payload.redirects &= candidate.original_router.redirect_slashes
                    yield entry
        else:
            yield _probed(candidate, None, said, limits, None)
    elif isinstance(candidate, EffectiveRoute):
        limit = None if around is None else around.include_context.layer.max_body_size
        if isinstance(candidate.original_route, APIRoute):
            yield _api_entry(candidate.original_route, candidate, said, limits)
        else:
            yield _other_entry(candidate.starlette_route or candidate.original_route, candidate, said, limits, limit)
    elif isinstance(candidate, APIRoute):
        yield _api_entry(candidate, None, said, limits)
    else:
        yield _other_entry(candidate, None, said, limits, None)


# -- path operations ---------------------------------------------------------------------------------------------------------------


def _api_entry(route: APIRoute, effective: EffectiveRoute | None, said: Mapping[str, Any], limits: Mapping[str, int]) -> Entry:
    state: Any = route if effective is None else effective
    if type(route).matches is not APIRoute.matches or "matches" in route.__dict__:
        return _probed(route if effective is None else effective, effective, said, limits, None)
    framework = {} if effective is None else {EFFECTIVE_CONTEXT: effective}
    told = {**said, "endpoint": state.endpoint, "route": route}
    direct = route.is_plain and state.max_body_size is None and not replacements
    served = Served(_unserved, state.methods, told, framework, limits)
    served.path = state.path_format
    served.handler = _compiled(served, state) if direct else _through_asgi(served, route.handle)
    methods = frozenset(state.methods)
    methods = _METHODS.get(methods, methods)
    return Entry(state.path, state.regex_or_path, state.param_convertors, methods, "http", served)


_METHODS: dict[frozenset[str], frozenset[str]] = {each: each for method in METHODS_WITH_BODY for each in [frozenset({method})]}
"""One object for all routes of one method."""


async def _unserved(ex: Exchange) -> None:
    raise AssertionError("replaced before the entry is used")


class _First:
    """The handler of a path operation that nobody has asked for yet.

    Args:
        served: where the handler goes.
        state: the route or its effective form.
    """

    __slots__ = ("served", "state")

    def __init__(self, served: Served, state: Any) -> None:
        self.served = served
        self.state = state

    def plan(self) -> Plan:
        plan: Plan = self.state.operation.plan()
        return plan

    async def answer(self, ex: Exchange) -> None:
        """Makes the handler, and answers the first request with it."""
        handler = self.served.handler = self.state.operation.handler()
        await handler(ex)

    async def answer_observed(self, ex: Exchange) -> None:
        """The same where somebody observes the request."""
        await self.state.operation.answer_observed(ex)

    async def answer_anew(self, ex: Exchange) -> None:
        """Asks for the handler each time: overrides in a dict do not tell when they change."""
        await self.state.operation.handler()(ex)


def _compiled(served: Served, state: Any) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    """The operation's handler, made when the first request comes, so that starting does not wait for routes that nobody asks
    for."""
    operation: Operation | None = attributes_of(state).get("operation")
    provider = state.dependency_overrides_provider if operation is None else operation.route.dependency_overrides_provider
    overrides = getattr(provider, "dependency_overrides", None)
    first = _First(served, state)
    served.observed = first.answer_observed
    if overrides is None or isinstance(overrides, Overrides):
        served.plan = first.plan
        return first.answer
    return first.answer_anew


def _through_asgi(served: Served, app: ASGIApp) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    """A handler that speaks ASGI to a route, with the match described in the scope."""

    async def handle(ex: Exchange) -> None:
        scope = ex.scope
        if ex.native or ex.entry is not None:
            served.describe(scope, ex.path_params)
        if "fastapi_middleware_astack" in scope:
            await app(scope, ex.receive, ex.send)
            return
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await app(scope, ex.receive, ex.send)

    return handle


# -- everything else ---------------------------------------------------------------------------------------------------------------


def _other_entry(
    route: BaseRoute, effective: EffectiveRoute | None, said: Mapping[str, Any], limits: Mapping[str, int], limit: int | None
) -> Entry:
    own_matching = "matches" in route.__dict__
    framework = {} if effective is None else {EFFECTIVE_CONTEXT: effective}
    if isinstance(route, routing.WebSocketRoute) and type(route).matches in _WEBSOCKET and not own_matching:
        told = {**said, "endpoint": route.endpoint}
        if isinstance(route, APIWebSocketRoute):
            told["route"] = route
        served = Served(_unserved, None, told, framework, limits)
        served.path = route.path_format
        served.handler = _to_socket(route.handle)
        return Entry(route.path, route.path_regex, route.param_convertors, None, "websocket", served)
    if isinstance(route, routing.Route) and type(route).matches is _HTTP and not own_matching:
        told = {**said, "endpoint": route.endpoint}
        served = Served(_unserved, route.methods, told, framework, limits)
        served.path = route.path_format
        served.handler = _through_asgi(served, with_body_limit(route.handle, limit))
        methods = None if route.methods is None else frozenset(route.methods)
        return Entry(route.path, route.path_regex, route.param_convertors, methods, "http", served)
    return _probed(route if effective is None else effective, effective, said, limits, limit)


def _to_socket(app: ASGIApp) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """A handler of `(scope, receive, send)`: WebSocket connections are ASGI on every server."""

    async def handle(connection: tuple[Any, Any, Any]) -> None:
        await app(*connection)

    return handle


def _literal_prefix(route: Any) -> str | None:
    """What every path that a mount matches begins with."""
    if type(route) is routing.Mount or (isinstance(route, routing.Mount) and type(route).matches is routing.Mount.matches):
        prefix = str(route.path).partition("{")[0]
        return prefix or None
    return None


def _probed(
    candidate: Any, effective: EffectiveRoute | None, said: Mapping[str, Any], limits: Mapping[str, int], limit: int | None
) -> Entry:
    """An entry that is asked by calling `matches`: mounts, hosts, WebSocket routes, routes and routers with matching of their
    own."""
    route: Any = candidate
    if effective is not None:
        route = effective.starlette_route or effective.original_route
    framework = {} if effective is None else {EFFECTIVE_CONTEXT: effective}
    told = dict(said)
    if effective is not None and isinstance(effective.original_route, APIRoute):
        told["route"] = effective.original_route

    def probe(scope: Scope) -> tuple[Match, Scope]:
        match, child_scope, _, _ = _matched(candidate, effective, scope)
        return match, child_scope

    served = Served(_unserved, getattr(route, "methods", None), told, framework, limits)
    served.path, served.is_mount = observed_path(candidate), isinstance(route, routing.Mount)
    is_api = effective is not None and isinstance(effective.original_route, APIRoute)
    serve = route.handle if isinstance(route, IncludedRouter) or is_api else with_body_limit(route.handle, limit)
    kept = kept_files(route) if limit is None else None
    if kept is None:
        served.handler = _probed_handler(served, serve)
    else:
        served.handler = _files_handler(served, serve, kept)
        served.at_once = kept.answer_at_once
    kind = "scan"
    return Entry(str(getattr(route, "path", "")), None, {}, None, kind, served, _literal_prefix(route), probe)  # type: ignore[arg-type]


def _probed_handler(served: Served, app: ASGIApp) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    """Like `_through_asgi`; the path parameters are in what the probe returned."""

    async def handle(ex: Exchange) -> None:
        scope = ex.scope
        if ex.native or ex.entry is not None:
            params = scope.get("path_params", {})
            served.describe(scope, params)
        async with AsyncExitStack() as stack:
            scope.setdefault("fastapi_middleware_astack", stack)
            await app(scope, ex.receive, ex.send)

    return handle


def _files_handler(served: Served, app: ASGIApp, kept: KeptFiles) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    """As `_probed_handler`; a file that was sent is kept for the next request."""
    answer = _probed_handler(served, app)

    async def handle(ex: Exchange) -> None:
        await answer(ex)
        if ex.native and ex.method == "GET":
            await kept.keep(ex.path, kept.files.get_path(ex.scope))

    return handle


def _matched(candidate: Any, effective: EffectiveRoute | None, scope: Scope) -> tuple[Match, Scope, Any, Any]:
    if effective is not None or isinstance(candidate, IncludedRouter):
        return match_candidate(candidate, scope)
    match, child_scope = candidate.matches(scope)
    return match, child_scope, candidate, None
