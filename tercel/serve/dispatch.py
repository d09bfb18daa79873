"""From an exchange to its handler: match, call, answer what was raised.

An `Assembly` is what an application or router froze into: immutable, made again when something changed. This is where a request
spends its one framework frame between the server and the handler. Read `tercel.compile.match` for the table and
`tercel.serve.failures` for exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tercel.compile.match import MISS, Hit, Miss, Partial, RouteTable
from tercel.compile.scopes import leaving_late
from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange
from tercel.http.observed import observer_of
from tercel.plan import Plan
from tercel.serve.failures import Handlers, answer_exception, find_in_scope, handle_by, handle_exception

__all__ = ["Assembly", "Served", "update_scope"]


def update_scope(scope: Scope, child_scope: Mapping[str, Any]) -> None:
    """Adds what a match found, without losing what the framework's part of the scope holds already."""
    for key, value in child_scope.items():
        if key == "fastapi" and isinstance(value, dict):
            scope.setdefault("fastapi", {}).update(value)
        else:
            scope[key] = value


def say(scope: Scope, said: Mapping[str, Any]) -> None:
    """Updates the scope; the outermost router stays, since `url_for` begins there."""
    router = scope.get("router")
    scope.update(said)
    if router is not None:
        scope["router"] = router


class Served:
    """The payload of a table entry: the handler of one route, and what its match says in the ASGI scope.

    Args:
        handler: answers an exchange. It may replace itself by a faster one after its first call.
        methods: in the order in which Allow names them.
        said: entries of the scope that do not depend on the request: endpoint, route, application.
        framework: entries of `scope["fastapi"]`.
        form_limits: of the routers around, outermost first.
        redirects: a path that differs only by a slash at its end may be redirected here.

    Attributes:
        plan: what the handler does, where it is a compiled or interpreted one that stays as it is.
        observed: answers an exchange that somebody observes; None where `handler` does that as well.
        path: as an observer has it: with parameters in braces and no convertors; None for what has none.
        is_mount: what is below says the rest of it.
        at_once: for a "scan" entry: answers some exchanges without being asked whether it matches; None for all others.
        ends_with_response: nothing happens in the handler after its response; found out with the first request that asks.
    """

    __slots__ = (
        "at_once",
        "ends_with_response",
        "form_limits",
        "framework",
        "handler",
        "is_mount",
        "methods",
        "observed",
        "path",
        "plan",
        "redirects",
        "said",
    )

    def __init__(
        self,
        handler: Callable[[Any], Coroutine[Any, Any, None]],
        methods: Any = None,
        said: Mapping[str, Any] | None = None,
        framework: Mapping[str, Any] | None = None,
        form_limits: Mapping[str, int] | None = None,
    ) -> None:
        self.handler = handler
        self.methods = methods
        self.said = dict(said or {})
        self.framework = dict(framework or {})
        self.form_limits = form_limits
        self.redirects = True
        self.plan: Callable[[], Plan] | None = None
        self.ends_with_response: bool | None = None
        self.observed: Callable[[Any], Coroutine[Any, Any, None]] | None = None
        self.path: str | None = None
        self.is_mount = False
        self.at_once: Callable[[Exchange], Coroutine[Any, Any, None] | None] | None = None

    def tell(self, scope: Scope) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Tells the observer of a request, if it has one, that it came here, and returns what is to answer it."""
        observer = observer_of(scope)
        if observer is None:
            return self.handler
        observer.route_selected(self.path, self.is_mount)
        return self.observed or self.handler

    def describe(self, scope: Scope, path_params: Mapping[str, Any]) -> None:
        """Writes the match into the scope, where user code and integrations read it."""
        say(scope, self.said)
        scope["path_params"] = {**scope.get("path_params", {}), **path_params}
        if self.framework or self.form_limits:
            part = scope.setdefault("fastapi", {})
            part.update(self.framework)
            if self.form_limits:
                part["form_limits"] = {**part.get("form_limits", {}), **self.form_limits}


class Assembly:
    """A frozen application or router.

    Args:
        table: its routes.
        missed: answers an exchange that no route matches: redirects, frontends, 404.
        handlers: of exceptions, where no ASGI middleware is in between.
        said: entries of every scope: application, router, exception handlers.
    """

    __slots__ = ("handlers", "missed", "nowhere", "rescue", "table")

    def __init__(
        self,
        table: RouteTable,
        missed: Callable[[Exchange], Coroutine[Any, Any, None]],
        handlers: Handlers,
        said: Mapping[str, Any],
    ) -> None:
        self.table = table
        self.missed = missed
        self.handlers = handlers
        self.nowhere = Served(missed, said=said)
        self.rescue = partial(answer_exception, handlers)

    def answer(self, ex: Exchange) -> Coroutine[Any, Any, None]:
        """Answers an exchange whole, including what its handler raises.

        Not a coroutine function itself: where nothing but a handler is needed, its coroutine is returned, and the server passes on
        what it raises.
        """
        ex.view = None
        if ex.rescued and not ex.root_path:
            try:
                found = self.table.find_at_once(ex.method, ex.path)
            except Exception:
                found = None  # raised again where it is answered
            if found is not None:
                served: Served
                served, ex.path_params = found
                ex.entry = served
                ex.rescue = self.rescue
                return served.handler(ex)
            scanned: Served | None = self.table.first_scan(ex.path)
            if scanned is not None and scanned.at_once is not None:
                answering = scanned.at_once(ex)
                if answering is not None:
                    ex.rescue = self.rescue
                    return answering
        ex.rescue = None
        return self.answer_watched(ex)

    async def answer_watched(self, ex: Exchange) -> None:
        try:
            found = self.find(ex)
            if type(found) is Hit and found.child_scope is None:
                served: Served = found.entry.payload
                ex.entry = served
                ex.path_params = found.params or {}
                await served.handler(ex)
            else:
                await self.answer_unusual(ex, found)
        except Exception as exc:
            await answer_exception(self.handlers, ex, exc)

    def find(self, ex: Exchange) -> Hit | Partial | Miss:
        """What answers an exchange; raises what a convertor or a route that matches for itself raises."""
        path = ex.path if not ex.root_path else get_route_path({"path": ex.path, "root_path": ex.root_path})
        return self.table.match_http(ex.method, path, lambda: self.scope_of(ex))

    async def answer_found(self, ex: Exchange, found: Hit | Partial | Miss) -> None:
        """Answers with what was found, and what that raises by exception handlers.

        Raises:
            Exception: what no handler took; nothing was answered then, unless it says that the response had begun.
        """
        try:
            if type(found) is Hit and found.child_scope is None:
                served: Served = found.entry.payload
                ex.entry = served
                ex.path_params = found.params or {}
                await served.handler(ex)
            else:
                await self.answer_unusual(ex, found)
        except Exception as exc:
            await handle_exception(self.handlers, ex, exc)

    async def answer_unusual(self, ex: Exchange, found: Hit | Partial | Miss) -> None:
        """Serves what was found by asking, refuses what only the method keeps from matching, and everything else is missing."""
        if found is MISS:
            ex.entry = self.nowhere
            ex.path_params = {}
            await self.missed(ex)
        else:
            served: Served = found.entry.payload
            ex.entry = served
            ex.path_params = found.params or {}
            if found.child_scope is not None:
                update_scope(self.scope_of(ex), found.child_scope)
                await served.handler(ex)  # a route that decides for itself also refuses for itself
            elif ex.method in served.methods:
                await served.handler(ex)  # added to the route since the table was made
            else:
                raise HTTPException(status_code=405, headers={"Allow": ", ".join(served.methods)})

    def scope_of(self, ex: Exchange) -> Scope:
        """The scope of an exchange with what this assembly says in it."""
        scope = ex.scope
        say(scope, self.nowhere.said)
        return scope

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The routes as an ASGI application inside of middleware, which answers what no route's exception handler took."""
        ex = ASGIExchange(scope, receive, send)
        try:
            await self.route_asgi(ex, scope)
        except Exception as exc:
            await leaving_late(scope, handle_by(find_in_scope(scope), ex, exc))
        finally:
            ex.view = None  # as in `FastAPI.__call__`

    async def route_asgi(self, ex: ASGIExchange, scope: Scope) -> None:
        found = self.table.match_http(ex.method, get_route_path(scope), lambda: scope)
        if found is MISS:
            await self.missed(ex)
            return
        served: Served = found.entry.payload
        served.describe(scope, found.params or {})
        handler = served.tell(scope)
        ex.path_params = scope["path_params"]
        if found.child_scope is not None:
            update_scope(scope, found.child_scope)
        elif type(found) is not Hit and ex.method not in served.methods:
            raise HTTPException(status_code=405, headers={"Allow": ", ".join(served.methods)})
        await handler(ex)
