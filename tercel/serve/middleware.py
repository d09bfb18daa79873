"""Middleware functions without ASGI in between: `@app.middleware("http")` and subclasses of Starlette's `BaseHTTPMiddleware`.

Each function is called with a request and with `call_next`, which calls the next one or what is below all of them and returns its
response. Below are the routes, where functions are all the middleware there is (`AroundRoutes`), or the next ASGI application of
the stack (`AroundApp`). This module must not know how responses travel. Read `tercel.serve.passage` and `tercel.serve.handover`
for that, and the design record 0010 for the reasons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tercel.compile.match import MISS, Hit, Miss
from tercel.compile.support import request_of, respond_with, too_large
from tercel.http.asgi import ASGIExchange
from tercel.http.cancel_scopes import on_asyncio
from tercel.http.exchange import BodyTooLarge, Exchange, Scope
from tercel.http.handlers import http_exception_handler
from tercel.http.limits import body_limit_error
from tercel.plan import Plan, ReadBody, Render
from tercel.serve.captured import NextResponse
from tercel.serve.dispatch import Assembly, Served
from tercel.serve.failures import answer_server_error, handle_exception
from tercel.serve.handover import Apart, InPlace
from tercel.serve.passage import Journey, MiddlewareRequest, Receive, Send

__all__ = ["AroundApp", "AroundRoutes", "is_function"]

Function = Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]
ASGICall = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARLETTE_CALL: Final[Any] = BaseHTTPMiddleware.__call__


def is_function(middleware: Any) -> bool:
    """Whether a middleware, as built, does nothing but call its function, so that this can be called in its place."""
    kind: Any = type(middleware)
    return getattr(kind, "__call__", None) is BaseHTTPMiddleware.__call__ and hasattr(middleware, "dispatch_func")  # noqa: B004


def _ends_with_response(served: Served) -> bool:
    """Whether a handler holds nothing open when it responds, so that it can end before the response is sent."""
    known = served.ends_with_response
    if known is None:
        known = served.ends_with_response = served.plan is not None and _holds_nothing(served.plan())
    return known


def _holds_nothing(plan: Plan) -> bool:
    for step in plan.steps:
        if isinstance(step, ReadBody) and step.form == "form":
            return False
        if isinstance(step, Render) and step.renderer.stream is not None:
            return False
    return not plan.yields


class _Functions(ABC):
    """Functions around something.

    Args:
        functions: outermost first.
        app: the application, for the scope.
    """

    __slots__ = ("_app", "functions")

    def __init__(self, functions: Sequence[Function], app: Any) -> None:
        self.functions = list(functions)
        self._app = app

    async def _run(self, journey: Journey, ex: Exchange) -> None:
        """Answers an exchange; whatever goes wrong is dealt with by `_fail`."""
        try:
            response = await self._enter(journey, ex, 0)
            await (response.send_to(ex) if type(response) is NextResponse else respond_with(ex, response))
            journey.over = True
            if journey.waiting:
                await journey.settle()
        except BaseException as exc:
            journey.over = True
            await self._fail(journey, ex, exc)
        finally:
            if journey.inner is not None:
                journey.inner.view = None
                journey.inner = None  # which knows the journey: without this only the garbage collector would find the two

    def _enter(self, journey: Journey, outer: Exchange, index: int) -> Awaitable[Response]:
        """The call of a function, to be awaited."""
        request = MiddlewareRequest(journey, outer)

        def call_next(_: Request) -> Awaitable[Response]:
            return self._next(journey, outer, request, index + 1)

        return self.functions[index](request, call_next)

    async def _next(self, journey: Journey, outer: Exchange, request: MiddlewareRequest, index: int) -> NextResponse:
        """What `call_next` does: the next function or what is below all of them."""
        if index < len(self.functions):
            passage = InPlace(journey, outer, request)
            await respond_with(passage, await self._enter(journey, passage, index))
            response = passage.response
        else:
            response = await self._below(journey, outer, request)
        if journey.over:  # the function has returned without waiting for this
            await journey.settle()
        if response is None:
            raise RuntimeError("No response returned.")
        return response

    @abstractmethod
    async def _below(self, journey: Journey, outer: Exchange, request: MiddlewareRequest) -> NextResponse | None:
        """The response of what is below all functions."""

    @abstractmethod
    async def _fail(self, journey: Journey, ex: Exchange, exc: BaseException) -> None:
        """Ends what is still open after a failure that no function caught, and deals with it."""


class AroundRoutes(_Functions):
    """An assembly with functions around it; answers exchanges as an `Assembly` does.

    Args:
        assembly: the routes.
        functions: outermost first.
        app: the application.
        stack: the same as an ASGI application, for event loops other than asyncio's.
    """

    __slots__ = ("_assembly", "_stack")

    def __init__(self, assembly: Assembly, functions: Sequence[Function], app: Any, stack: ASGIApp) -> None:
        super().__init__(functions, app)
        self._assembly = assembly
        self._stack = stack

    async def answer(self, ex: Exchange) -> None:
        """Answers an exchange whole, including what the functions raise."""
        if not ex.native and not on_asyncio():
            scope = ex.scope
            scope["app"] = self._app
            await self._stack(scope, ex.receive, ex.send)
            return
        ex.view = None
        ex.entry = None
        await self._run(Journey(ex, self._app), ex)

    async def _below(self, journey: Journey, outer: Exchange, request: MiddlewareRequest) -> NextResponse | None:
        assembly = self._assembly
        inner = journey.inner = InPlace(journey, outer, request, self._handle)
        try:
            found = assembly.find(inner)
        except Exception as exc:
            await self._handle(inner, exc)
            return inner.response
        served = assembly.nowhere if found is MISS else found.entry.payload
        apart = found is MISS or found.child_scope is not None or (type(found) is Hit and not _ends_with_response(served))
        passage = journey.inner = Apart(journey, outer, request) if apart else inner
        if journey.seen is not None and not isinstance(found, Miss):
            served.describe(journey.seen, found.params or {})
        if request._form is not None:
            passage.entry, passage.path_params = served, getattr(found, "params", None) or {}
            request_of(passage)._form = request._form
        work = assembly.answer_found(passage, found)
        if isinstance(passage, Apart):
            return await passage.handed_over(work)
        await work
        return inner.response

    async def _handle(self, ex: Exchange, exc: Exception) -> None:
        await handle_exception(self._assembly.handlers, ex, exc)

    async def _fail(self, journey: Journey, ex: Exchange, exc: BaseException) -> None:
        """Ends what is still open and answers what no function caught: 413 beyond a limit, else as a server error.

        Raises:
            BaseException: the same, unless it was a limit.
        """
        try:
            await journey.abandon(exc)
            if not isinstance(exc, Exception):
                raise exc
            scope = journey.scope()
            limit: Any = too_large() if isinstance(exc, BodyTooLarge) else None
            if MAX_BODY_SIZE_SCOPE_KEY in scope:
                limit = body_limit_error(exc)
            if isinstance(limit, HTTPException) and not ex.started:
                await respond_with(ex, await http_exception_handler(request_of(ex), limit))
                return
            await answer_server_error(self._assembly.handlers, ex, exc)
            raise exc
        finally:
            del exc  # whose traceback has this frame


class AroundApp(_Functions):
    """An ASGI application with functions around it, in a stack that has other middleware as well, or a body limit.

    Args:
        outermost: the middleware of the outermost function. Those of the others are below it, one around the next.

    Attributes:
        app: the same, as Starlette would call it; for everything that is not HTTP, and for whoever walks through the stack.
        inner: the application below the functions.
    """

    __slots__ = ("app", "inner")

    def __init__(self, outermost: Any) -> None:
        functions = []
        inner = outermost
        while is_function(inner):
            functions.append(inner.dispatch_func)
            inner = inner.app
        super().__init__(functions, None)
        self.app: ASGICall = outermost
        self.inner: ASGICall = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An integration that has replaced Starlette's method meanwhile wants to be called.
        if scope["type"] != "http" or BaseHTTPMiddleware.__call__ is not _STARLETTE_CALL or not on_asyncio():
            await self.app(scope, receive, send)
            return
        ex = ASGIExchange(scope, receive, send)
        journey = Journey(ex, None)
        journey.seen = scope
        await self._run(journey, ex)

    async def _below(self, journey: Journey, outer: Exchange, request: MiddlewareRequest) -> NextResponse | None:
        passage = Apart(journey, outer, request)
        return await passage.handed_over(self._call(passage))

    async def _call(self, passage: Apart) -> None:
        await self.inner(passage.scope, passage.receive, passage.send)

    async def _fail(self, journey: Journey, ex: Exchange, exc: BaseException) -> None:
        try:
            await journey.abandon(exc)
            if not isinstance(exc, BodyTooLarge) or ex.started:
                raise exc
            await respond_with(ex, await http_exception_handler(request_of(ex), too_large()))
        finally:
            ex.view = None
            del exc  # whose traceback has this frame
