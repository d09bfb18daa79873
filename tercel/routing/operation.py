"""One route at run time: its plan, its handler in the engine in force, and the same as an ASGI application.

A plan is made when it is first needed, and again when `dependency_overrides` change. Read `tercel.routing.table` next for how
operations get into the route table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, Self, cast

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette._utils import is_async_callable
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from tercel.analyse.dependant import Dependant, is_generator, shape, style_of
from tercel.analyse.planner import InForce, plan_http, plan_websocket
from tercel.analyse.results import Renderer, StreamKind
from tercel.compile.emit import compile_plan, emit
from tercel.compile.interpret import Handler, interpreted_handler, interpreted_socket, response_to
from tercel.compile.observed import run_for
from tercel.compile.scopes import SWALLOWED, leaving_late
from tercel.http.asgi import ASGIExchange, WebSocketExchange
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.errors import FastAPIError
from tercel.http.exchange import Exchange
from tercel.http.leaving import cancelled_with_client
from tercel.http.limits import FormLimits, with_body_limit
from tercel.http.observed import observer_of
from tercel.http.websocket import stepped, websocket_of
from tercel.plan import Plan
from tercel.routing import patched
from tercel.routing.changes import changes
from tercel.routing.handled import Handled, watch_tree
from tercel.routing.overriding import overrides_key, overrides_of, plan_under_overrides
from tercel.routing.replaced import replacements

__all__ = ["Engine", "Operation", "SocketOperation", "request_response", "websocket_session"]

Engine = Literal["compiled", "interpreted"]
RequestHandler = Callable[[Request], Awaitable[Response] | Response]


def engine_of(provider: Any) -> Engine:
    """The engine of the application that a route belongs to; compiled unless it says otherwise."""
    return "interpreted" if getattr(provider, "engine", "compiled") == "interpreted" else "compiled"


def renderer_of(route: Handled) -> Renderer:
    """How a route answers."""
    call = route.dependant.call
    stream: StreamKind | None = None
    if route.is_sse_stream:
        stream = "sse"
    elif route.is_json_stream:
        stream = "jsonl"
    elif is_generator(call):
        stream = "raw"
    return Renderer(
        response_class=route.response_class,
        status_code=route.status_code,
        field=route.response_field,
        dump={
            "include": route.response_model_include,
            "exclude": route.response_model_exclude,
            "by_alias": route.response_model_by_alias,
            "exclude_unset": route.response_model_exclude_unset,
            "exclude_defaults": route.response_model_exclude_defaults,
            "exclude_none": route.response_model_exclude_none,
        },
        stream=stream,
        item_field=route.stream_item_field,
        in_thread=style_of(call) == "thread",
    )


class _Planned:
    """A plan and its handler, made anew when the overrides in force are others, or the tree has changed.

    Args:
        dependant: the tree.
    """

    def __init__(self, dependant: Dependant) -> None:
        self._dependant = dependant
        self._key: Any = None
        self._shape: Any = None
        self._seen = -1
        self._plan: Plan | None = None
        self._handler: Handler | None = None
        self._observed: Handler | None = None

    def __deepcopy__(self, memo: Any) -> Self:
        """As a closure would: the copy of a route has its handler in common with the original."""
        return self

    def _refresh(self, provider: Any, make: Callable[[InForce], Plan]) -> Plan:
        key = overrides_key(overrides_of(provider))
        if self._plan is None or key != self._key or self._has_changed():
            watch_tree(self._dependant)
            self._shape, self._seen = shape(self._dependant), changes.touched
            self._plan, self._key = plan_under_overrides(provider, make), key
            self._handler = self._observed = None
        return self._plan

    def _has_changed(self) -> bool:
        if self._seen == changes.touched:
            return False
        self._seen = changes.touched
        return bool(self._shape != shape(self._dependant))


class Operation(_Planned):
    """A path operation, original or as it is effective in an included router.

    Args:
        route: what it was made of.
        form_limits: of the original route.
    """

    def __init__(self, route: Handled, form_limits: FormLimits) -> None:
        super().__init__(route.dependant)
        self.route = route
        self.form_limits = form_limits
        self._replaced_app: ASGIApp | None = None
        self._replaced_version = -1

    def plan(self) -> Plan:
        """The plan under the overrides in force."""
        route = self.route
        return self._refresh(
            route.dependency_overrides_provider,
            lambda in_force: plan_http(
                route,
                title=f"{next(iter(sorted(route.methods)), 'ANY')} {route.path_format}",
                in_force=in_force,
                renderer=renderer_of(route),
                form_limits=cast(Mapping[str, int], self.form_limits) or None,
            ),
        )

    def handler(self) -> Handler:
        """The function that answers an exchange."""
        plan = self.plan()
        if self._handler is None:
            compiled = engine_of(self.route.dependency_overrides_provider) == "compiled"
            handler = compile_plan(plan) if compiled else interpreted_handler(plan)
            self._handler = cancelled_with_client(handler) if self.route.cancel_on_disconnect else handler
        return self._handler

    def observed_handler(self) -> Handler:
        """The same for an exchange that somebody observes: it tells what it does."""
        plan = self.plan()
        if self._observed is None:
            handler = interpreted_handler(plan, run_for)
            self._observed = cancelled_with_client(handler) if self.route.cancel_on_disconnect else handler
        return self._observed

    async def answer_observed(self, ex: Exchange) -> None:
        await self.observed_handler()(ex)

    def source(self) -> str:
        """The generated source, whichever engine is in force."""
        return emit(self.plan()).text

    async def respond_to(self, request: Request) -> Response:
        """The response to a request, unsent: what `APIRoute.get_route_handler` gives to route classes that wrap it."""
        if replacements.parts:
            return await patched.respond(self, request)
        return await response_to(self.plan(), request, run_for)

    def _replaced(self) -> ASGIApp:
        """The application made of the functions that a program put in place of the original ones; made again when they change."""
        if self._replaced_app is None or self._replaced_version != replacements.version:
            self._replaced_app = patched.replaced_app(self, request_response)
            self._replaced_version = replacements.version
        return self._replaced_app

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The operation as an ASGI application, with the exception handlers of the application around."""
        if replacements:
            await self._cancelled(self._replaced())(scope, receive, send)
            return
        request = Request(scope, receive, send)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            ex = ASGIExchange(scope, receive, send, request)
            await (self.handler() if observer_of(scope) is None else self.observed_handler())(ex)

        await leaving_late(scope, wrap_app_handling_exceptions(answer, request)(scope, receive, send))

    def app(self, wrapped: RequestHandler | None, max_body_size: int | None) -> ASGIApp:
        """The ASGI application of the route, behind its body limit.

        Args:
            wrapped: what an overridden `get_route_handler` returned, or None.
        """
        return with_body_limit(self.asgi if wrapped is None else self._cancelled(request_response(wrapped)), max_body_size)

    def _cancelled(self, app: ASGIApp) -> ASGIApp:
        """The application, cancelled when its client goes away if the route says so."""
        if not self.route.cancel_on_disconnect:
            return app

        async def call(ex: Exchange) -> None:
            await app(ex.scope, ex.receive, ex.send)

        cancelled = cancelled_with_client(call)

        async def cancelled_app(scope: Scope, receive: Receive, send: Send) -> None:
            await cancelled(ASGIExchange(scope, receive, send))

        return cancelled_app


class SocketOperation(_Planned):
    """A WebSocket endpoint."""

    def __init__(self, dependant: Dependant, path_format: str, embed: bool, dependency_overrides_provider: Any) -> None:
        super().__init__(dependant)
        self.dependant = dependant
        self.path_format = path_format
        self.embed = embed
        self.dependency_overrides_provider = dependency_overrides_provider

    def plan(self) -> Plan:
        return self._refresh(
            self.dependency_overrides_provider,
            lambda in_force: plan_websocket(self.dependant, title=f"WS {self.path_format}", embed=self.embed, in_force=in_force),
        )

    def handler(self) -> Handler:
        plan = self.plan()
        if self._handler is None:
            compiled = engine_of(self.dependency_overrides_provider) == "compiled"
            self._handler = compile_plan(plan) if compiled else interpreted_socket(plan)
        return self._handler

    def observed_handler(self) -> Handler:
        """The same for a connection that somebody observes."""
        plan = self.plan()
        if self._observed is None:
            self._observed = interpreted_socket(plan, run_for)
        return self._observed

    def source(self) -> str:
        return emit(self.plan()).text

    async def session(self, websocket: WebSocket) -> None:
        if replacements.parts:
            await patched.talk(self, websocket)
            return
        handler = self.handler() if observer_of(websocket.scope) is None else self.observed_handler()
        await stepped(websocket, handler(WebSocketExchange(websocket)))


def unwrap_default(value: Any) -> Any:
    return value.value if isinstance(value, DefaultPlaceholder) else value


# -- ASGI applications around functions --------------------------------------------------------------------------------------------


def request_response(func: RequestHandler) -> ASGIApp:
    """An ASGI application around a function from a request to a response.

    Its exit stacks are in the scope for whatever the function opens: left after the response (`fastapi_inner_astack`), or as soon
    as the function returned (`fastapi_function_astack`).
    """
    operation = getattr(func, "__self__", None)
    if type(operation) is Operation and func == operation.respond_to and not replacements:
        return operation.asgi  # a handler of ours that nobody has wrapped

    async def call(request: Request) -> Response:
        if is_async_callable(func):
            return await func(request)  # type: ignore[no-any-return]
        from tercel.http.threads import run_in_threadpool

        return await run_in_threadpool(func, request)  # type: ignore[arg-type]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            sent = False
            async with AsyncExitStack() as request_stack:
                scope["fastapi_inner_astack"] = request_stack
                async with AsyncExitStack() as function_stack:
                    scope["fastapi_function_astack"] = function_stack
                    response = await call(request)
                await response(scope, receive, send)
                sent = True
            if not sent:
                raise FastAPIError(SWALLOWED)

        async with AsyncExitStack() as form_stack:
            scope.setdefault("fastapi_middleware_astack", form_stack)
            await wrap_app_handling_exceptions(answer, request)(scope, receive, send)

    return app


def websocket_session(func: Callable[[WebSocket], Awaitable[None]]) -> ASGIApp:
    """An ASGI application around a function that talks to a WebSocket."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = websocket_of(scope, receive, send)

        async def talk(scope: Scope, receive: Receive, send: Send) -> None:
            async with AsyncExitStack() as request_stack:
                scope["fastapi_inner_astack"] = request_stack
                async with AsyncExitStack() as function_stack:
                    scope["fastapi_function_astack"] = function_stack
                    await func(session)

        await leaving_late(scope, wrap_app_handling_exceptions(talk, session)(scope, receive, send))

    return app
