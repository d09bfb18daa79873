"""`FastAPI`: the application object. Collects declarations, freezes them, and is an ASGI application.

Without middleware of the user's, a request goes from the server straight to `Assembly.answer`; through middleware functions where
there are no others; otherwise through the same middleware stack as Starlette's. Which of the three is decided when the application
freezes, not per request.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, ExceptionHandler, Lifespan, Receive, Scope, Send
from typing_extensions import Unpack, deprecated

from tercel.declare.markers import Depends
from tercel.declare.options import INCLUDE_DEFAULTS, OPERATION_DEFAULTS, IncludeArguments, OperationArguments, with_signature
from tercel.http.asgi import ASGIExchange
from tercel.http.defaults import Default
from tercel.http.errors import FastAPIDeprecationWarning, RequestValidationError, WebSocketRequestValidationError
from tercel.http.exchange import Exchange
from tercel.http.handlers import (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from tercel.http.limits import AppBodyLimitMiddleware, FormLimits
from tercel.http.observed import SCOPE_KEY
from tercel.openapi.ids import generate_unique_id
from tercel.openapi.pages import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from tercel.plan import Plan
from tercel.routing.changes import Overrides, changes
from tercel.routing.frontend import CheckDir, Fallback, resolved_check_dir
from tercel.routing.operation import Engine, Operation, SocketOperation
from tercel.routing.route import APIRoute
from tercel.routing.router import APIRouter
from tercel.routing.verbs import ON_EVENT_IS_DEPRECATED, Decorator, Verbs
from tercel.routing.walking import iter_route_contexts
from tercel.serve.cautions import warn_about_credentials_for_all
from tercel.serve.dispatch import Assembly
from tercel.serve.failures import Handlers
from tercel.serve.middleware import AroundApp, AroundRoutes, is_function
from tercel.telemetry._api import complete
from tercel.telemetry._switch import Switch, UntilOn

if TYPE_CHECKING:
    from tercel.telemetry._asgi import NativeTelemetry

__all__ = ["FastAPI"]

_RUNTIME = "tercel.telemetry._runtime"
"""Imported by whoever has asked for exporters, which are flushed at the end of every lifespan."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
AppType = TypeVar("AppType", bound="FastAPI")


def _is_pristine(cls: type, name: str) -> bool:
    """Whether a method is the one its module defined: integrations replace some at run time, and then want to be called."""
    method = cls.__dict__.get(name)
    module = sys.modules[cls.__module__]
    return isinstance(method, FunctionType) and method.__code__.co_filename == module.__file__


def _chosen_engine(engine: Engine | None) -> Engine:
    """The engine that an application was given, or else the environment's."""
    chosen = engine or os.environ.get("TERCEL_ENGINE") or "compiled"
    if chosen not in ("compiled", "interpreted"):
        raise ValueError(f"engine must be 'compiled' or 'interpreted', not {chosen!r}")
    return cast(Engine, chosen)


def _warn_about_root_path() -> None:
    warnings.warn(
        "The `root_path` parameter is deprecated. Configure the server's root path instead, "
        "for example with `fastapi run --root-path /api/v1` (Tercel's own: `tercel run --root-path /api/v1`).",
        category=FastAPIDeprecationWarning,
        stacklevel=3,
    )


def _with_default_handlers(given: Mapping[int | type[Exception], Callable[[Request, Any], Any]] | None) -> dict[Any, Any]:
    """The exception handlers of an application: what was given, and FastAPI's for what was not."""
    handlers: dict[Any, Any] = dict(given or {})
    handlers.setdefault(HTTPException, http_exception_handler)
    handlers.setdefault(RequestValidationError, request_validation_exception_handler)
    handlers.setdefault(WebSocketRequestValidationError, websocket_request_validation_exception_handler)
    return handlers


class FastAPI(Verbs, Starlette):
    """An application.

    Args:
        engine: `compiled` runs generated handlers; `interpreted` runs plans step by step, which is slower and easier to debug. By
            default what the environment variable TERCEL_ENGINE says, else `compiled`.
        debug: server errors show a traceback to the client. Never in production.
        routes: to begin with.
        title, summary, description, version, terms_of_service, contact, license_info, openapi_tags, servers, openapi_external_docs:
            metadata of the OpenAPI document.
        openapi_url: path of the OpenAPI document; None for none, and then no documentation pages either.
        docs_url, redoc_url, swagger_ui_oauth2_redirect_url: paths of the documentation pages; None for none.
        swagger_ui_init_oauth, swagger_ui_parameters: options of Swagger UI.
        separate_input_output_schemas: document a model separately for requests and responses where the two differ.
        generate_unique_id_function: makes operation ids.
        dependencies, default_response_class, responses, callbacks, deprecated, include_in_schema, strict_content_type,
            max_body_size, form_limits, cancel_on_disconnect: for every route; see `OperationArguments`.
        webhooks: a router whose routes describe requests that the API sends.
        middleware: outermost first.
        exception_handlers: by status code or exception class.
        on_startup, on_shutdown: functions run by the lifespan, unless `lifespan` is given.
        lifespan: a function from the application to an asynchronous context manager, which may yield state.
        root_path: deprecated; configure the server's instead.
        root_path_in_servers: add the root path to the servers of the OpenAPI document.
        redirect_slashes: answer 307 to a path that differs from a route's only by a slash at its end.
        telemetry: what of OpenTelemetry's is recorded, and with which providers; see `tercel.telemetry.TelemetryConfig`.
    """

    def __init__(
        self,
        *,
        telemetry: Mapping[str, Any] | None = None,
        debug: bool = False,
        routes: list[BaseRoute] | None = None,
        title: str = "FastAPI",
        summary: str | None = None,
        description: str = "",
        version: str = "0.1.0",
        openapi_url: str | None = "/openapi.json",
        openapi_tags: list[dict[str, Any]] | None = None,
        servers: list[dict[str, str | Any]] | None = None,
        dependencies: Sequence[Depends] | None = None,
        default_response_class: type[Response] = Default(JSONResponse),
        redirect_slashes: bool = True,
        docs_url: str | None = "/docs",
        redoc_url: str | None = "/redoc",
        swagger_ui_oauth2_redirect_url: str | None = "/docs/oauth2-redirect",
        swagger_ui_init_oauth: dict[str, Any] | None = None,
        middleware: Sequence[Middleware] | None = None,
        exception_handlers: Mapping[int | type[Exception], Callable[[Request, Any], Any]] | None = None,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Lifespan[Any] | None = None,
        terms_of_service: str | None = None,
        contact: dict[str, str | Any] | None = None,
        license_info: dict[str, str | Any] | None = None,
        root_path: str = "",
        root_path_in_servers: bool = True,
        responses: dict[int | str, dict[str, Any]] | None = None,
        callbacks: list[BaseRoute] | None = None,
        webhooks: APIRouter | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        swagger_ui_parameters: dict[str, Any] | None = None,
        generate_unique_id_function: Callable[[APIRoute], str] = Default(generate_unique_id),
        separate_input_output_schemas: bool = True,
        openapi_external_docs: dict[str, Any] | None = None,
        strict_content_type: bool = True,
        max_body_size: int | None = None,
        form_limits: FormLimits | None = None,
        cancel_on_disconnect: bool | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.engine = _chosen_engine(engine)
        self.debug, self.max_body_size = debug, max_body_size
        self._init_telemetry(telemetry)
        self._init_metadata(title, summary, description, version, terms_of_service, contact, license_info)
        self._init_document(openapi_url, openapi_tags, openapi_external_docs, servers, root_path_in_servers)
        self._init_pages(docs_url, redoc_url, swagger_ui_oauth2_redirect_url, swagger_ui_init_oauth, swagger_ui_parameters)
        self.separate_input_output_schemas = separate_input_output_schemas
        self.webhooks = webhooks or APIRouter()
        self.root_path = root_path
        if root_path:
            _warn_about_root_path()
        self._init_state()
        self.router: APIRouter = APIRouter(
            routes=routes,
            redirect_slashes=redirect_slashes,
            dependency_overrides_provider=self,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
            lifespan=lifespan,
            default_response_class=default_response_class,
            dependencies=dependencies,
            callbacks=callbacks,
            deprecated=deprecated,
            include_in_schema=include_in_schema,
            responses=responses,
            generate_unique_id_function=generate_unique_id_function,
            strict_content_type=strict_content_type,
            max_body_size=max_body_size,
            form_limits=form_limits,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        self.exception_handlers = _with_default_handlers(exception_handlers)
        self.user_middleware: list[Middleware] = list(middleware or [])
        self.setup()

    # -- parts of `__init__`, which is long enough with its parameters ------------------------------------------------------------

    def _init_telemetry(self, telemetry: Mapping[str, Any] | None) -> None:
        self._telemetry = complete(telemetry)
        self._telemetry_switch = Switch(self._telemetry)
        self._native_telemetry: NativeTelemetry | None = None

    def _init_metadata(
        self,
        title: str,
        summary: str | None,
        description: str,
        version: str,
        terms_of_service: str | None,
        contact: dict[str, str | Any] | None,
        license_info: dict[str, str | Any] | None,
    ) -> None:
        self.title = title
        self.summary = summary
        self.description = description
        self.version = version
        self.terms_of_service = terms_of_service
        self.contact = contact
        self.license_info = license_info

    def _init_document(
        self,
        openapi_url: str | None,
        openapi_tags: list[dict[str, Any]] | None,
        openapi_external_docs: dict[str, Any] | None,
        servers: list[dict[str, str | Any]] | None,
        root_path_in_servers: bool,
    ) -> None:
        self.openapi_url = openapi_url
        self.openapi_tags = openapi_tags
        self.openapi_external_docs = openapi_external_docs
        self.servers = servers or []
        self.root_path_in_servers = root_path_in_servers
        self.openapi_version = "3.1.0"
        self.openapi_schema: dict[str, Any] | None = None
        self._openapi_routes_version: int | None = None
        if openapi_url:
            assert self.title, "A title must be provided for OpenAPI, e.g.: 'My API'"
            assert self.version, "A version must be provided for OpenAPI, e.g.: '2.1.0'"

    def _init_pages(
        self,
        docs_url: str | None,
        redoc_url: str | None,
        swagger_ui_oauth2_redirect_url: str | None,
        swagger_ui_init_oauth: dict[str, Any] | None,
        swagger_ui_parameters: dict[str, Any] | None,
    ) -> None:
        self.docs_url = docs_url
        self.redoc_url = redoc_url
        self.swagger_ui_oauth2_redirect_url = swagger_ui_oauth2_redirect_url
        self.swagger_ui_init_oauth = swagger_ui_init_oauth
        self.swagger_ui_parameters = swagger_ui_parameters

    def _init_state(self) -> None:
        self.state = State()
        self._overrides: Any = Overrides()
        self.middleware_stack: ASGIApp | None = None
        self._built_stack: ASGIApp | None = None
        self._native: Assembly | AroundRoutes | UntilOn | None = None
        self._handlers: Handlers | None = None
        self._seen_changes = -1

    # -- dependencies -----------------------------------------------------------------------------------------------------------

    @property
    def dependency_overrides(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """Replacements of dependencies by original callable, for whatever is resolved from then on; for tests."""
        return self._overrides  # type: ignore[no-any-return]

    @dependency_overrides.setter
    def dependency_overrides(self, overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None) -> None:
        if isinstance(self._overrides, Overrides):
            self._overrides.changed()
        self._overrides = overrides  # a dict of the user's stays the one that the user has, and is compared at each request
        changes.count += 1

    # -- documentation ------------------------------------------------------------------------------------------------------------

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document as a dict, made once and again when routes change. Replace this method to customise it."""
        from tercel.openapi.document import get_openapi  # with all models of the document: not before somebody asks for one

        version = self.router._get_routes_version()
        if not self.openapi_schema or self._openapi_routes_version != version:
            self.openapi_schema = get_openapi(
                title=self.title,
                version=self.version,
                openapi_version=self.openapi_version,
                summary=self.summary,
                description=self.description,
                terms_of_service=self.terms_of_service,
                contact=self.contact,
                license_info=self.license_info,
                routes=self.routes,
                webhooks=self.webhooks.routes,
                tags=self.openapi_tags,
                servers=self.servers,
                separate_input_output_schemas=self.separate_input_output_schemas,
                external_docs=self.openapi_external_docs,
            )
            self._openapi_routes_version = version
        return self.openapi_schema

    def setup(self) -> None:
        """Adds the routes of the OpenAPI document and the documentation pages."""
        if not self.openapi_url:
            return
        self.add_route(self.openapi_url, self._serve_openapi, name="openapi", include_in_schema=False)
        if self.docs_url:
            self.add_route(self.docs_url, self._serve_swagger_ui, name="swagger_ui_html", include_in_schema=False)
            if self.swagger_ui_oauth2_redirect_url:
                redirect_url = self.swagger_ui_oauth2_redirect_url
                self.add_route(redirect_url, self._serve_oauth2_redirect, name="swagger_ui_redirect", include_in_schema=False)
        if self.redoc_url:
            self.add_route(self.redoc_url, self._serve_redoc, name="redoc_html", include_in_schema=False)

    async def _serve_openapi(self, request: Request) -> JSONResponse:
        root_path = _root_path(request)
        schema = self.openapi()
        if root_path and self.root_path_in_servers:
            servers = schema.get("servers", [])
            if root_path not in {server.get("url") for server in servers}:
                schema = {**schema, "servers": [{"url": root_path}, *servers]}  # a copy: the cached one is for every root path
        return JSONResponse(schema)

    async def _serve_swagger_ui(self, request: Request) -> HTMLResponse:
        root_path = _root_path(request)
        redirect = self.swagger_ui_oauth2_redirect_url
        return get_swagger_ui_html(
            openapi_url=root_path + (self.openapi_url or ""),
            title=f"{self.title} - Swagger UI",
            oauth2_redirect_url=root_path + redirect if redirect else redirect,
            init_oauth=self.swagger_ui_init_oauth,
            swagger_ui_parameters=self.swagger_ui_parameters,
        )

    async def _serve_oauth2_redirect(self, request: Request) -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    async def _serve_redoc(self, request: Request) -> HTMLResponse:
        return get_redoc_html(openapi_url=_root_path(request) + (self.openapi_url or ""), title=f"{self.title} - ReDoc")

    # -- declaring -----------------------------------------------------------------------------------------------------------------

    @with_signature("self", "path", "endpoint", defaults={**OPERATION_DEFAULTS, "methods": None}, required="path endpoint")
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Adds a path operation. See `APIRouter.add_api_route`."""
        self.router.add_api_route(path, endpoint=endpoint, **options)

    @with_signature("self", "path", defaults={**OPERATION_DEFAULTS, "methods": None}, required="path")
    def api_route(self, path: str, *, methods: list[str] | None = None, **options: Unpack[OperationArguments]) -> Decorator:
        """A path operation for several methods, by the router's `add_api_route`. See `APIRouter.api_route`."""
        made: Decorator = Verbs.api_route(self.router, path, methods=methods, **options)
        return made

    def _verb(self, method: str, path: str, options: OperationArguments) -> Decorator:
        """The decorator of the router: methods that a subclass of the application overrides are not asked, as on FastAPI."""
        made: Decorator = getattr(self.router, method.lower())(path, **options)
        return made

    def add_api_websocket_route(
        self, path: str, endpoint: Callable[..., Any], name: str | None = None, *, dependencies: Sequence[Depends] | None = None
    ) -> None:
        """Adds a WebSocket endpoint with dependencies."""
        self.router.add_api_websocket_route(path, endpoint, name=name, dependencies=dependencies)

    def add_websocket_route(self, path: str, endpoint: Callable[..., Any], name: str | None = None) -> None:
        """Adds a Starlette WebSocket route, without analysis of its signature."""
        self.router.add_websocket_route(path, endpoint, name=name)

    @with_signature("self", "router", defaults=INCLUDE_DEFAULTS, required="router")
    def include_router(self, router: APIRouter, **options: Unpack[IncludeArguments]) -> None:
        """Makes the routes of a router part of the application. See `APIRouter.include_router`."""
        self.router.include_router(router, **options)

    def frontend(self, path: str, *, directory: Any, fallback: Fallback = "auto", check_dir: CheckDir = "auto") -> None:
        """Serves the built files of a single-page application behind every route. See `APIRouter.frontend`."""
        check = resolved_check_dir(directory, check_dir)
        self.router.frontend(path, directory=directory, fallback=fallback, check_dir=check)

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        """Serves another ASGI application below a path. Its own lifespan does not run; enter it from this application's."""
        if isinstance(app, FastAPI) and app.docs_url is None and app.openapi_url is not None:
            warnings.warn(
                f"The application mounted at {path!r} has docs_url=None, but its document stays public at {app.openapi_url!r}. "
                "Pass openapi_url=None as well to serve no document.",
                stacklevel=2,
            )
        self.router.mount(path, app=app, name=name)

    def middleware(self, middleware_type: str) -> Callable[[Decorated], Decorated]:
        """Decorator for `async def middleware(request, call_next) -> Response`.

        Args:
            middleware_type: `http`.
        """

        def decorate(func: Decorated) -> Decorated:
            self.add_middleware(BaseHTTPMiddleware, dispatch=func)
            return func

        return decorate

    def exception_handler(self, exc_class_or_status_code: int | type[Exception]) -> Callable[[Decorated], Decorated]:
        """Decorator for the handler of an exception class or a status code."""

        def decorate(func: Decorated) -> Decorated:
            self.add_exception_handler(exc_class_or_status_code, func)
            return func

        return decorate

    @deprecated(ON_EVENT_IS_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[Decorated], Decorated]:
        """Decorator for a function that runs at `startup` or `shutdown`. Use `lifespan` instead."""
        return self.router.on_event(event_type)

    # -- looking inside ------------------------------------------------------------------------------------------------------------

    def operation_for(self, method: str, path: str) -> Operation | SocketOperation:
        """What runs a route.

        Args:
            method: upper case; `WS` for a WebSocket endpoint.
            path: as it was declared, with every prefix.

        Raises:
            LookupError: there is no such path operation.
        """
        for context in iter_route_contexts(self.routes):
            operation = getattr(context, "operation", None)
            if operation is None or path not in (context.path, context.path_format):
                continue
            if isinstance(operation, SocketOperation) if method == "WS" else method in (context.methods or ()):
                return operation  # type: ignore[no-any-return]
        raise LookupError(f"no path operation {method} {path}")

    def plan_for(self, method: str, path: str) -> Plan:
        """The plan of a route; `str()` of it shows one step per line. Arguments and errors as for `operation_for`."""
        return self.operation_for(method, path).plan()

    def source_for(self, method: str, path: str) -> str:
        """The generated source of a route's handler. Arguments and errors as for `operation_for`."""
        return self.operation_for(method, path).source()

    # -- serving -------------------------------------------------------------------------------------------------------------------

    def build_middleware_stack(self) -> ASGIApp:
        """The ASGI application with everything around the router, outermost first: server errors, the body limit, the user's
        middleware, exception handlers."""
        server_error = None
        handlers: dict[Any, ExceptionHandler] = {}
        for key, handler in self.exception_handlers.items():
            if key in (500, Exception):
                server_error = handler
            else:
                handlers[key] = handler
        stack = [
            Middleware(ServerErrorMiddleware, handler=server_error, debug=self.debug),
            Middleware(AppBodyLimitMiddleware, max_body_size=self.max_body_size),
            *self.user_middleware,
            Middleware(ExceptionMiddleware, handlers=handlers, debug=self.debug),
        ]
        warn_about_credentials_for_all(self.user_middleware)
        # Middleware functions that follow one another are called as functions, not as the ASGI applications they are.
        natively = _is_pristine(BaseHTTPMiddleware, "__call__")
        app: ASGIApp = self.router
        for cls, args, kwargs in reversed(stack):
            if natively and is_function(app) and getattr(cls, "__call__", None) is not BaseHTTPMiddleware.__call__:  # noqa: B004
                app = AroundApp(app)
            app = cls(app, *args, **kwargs)
        return app

    def _is_plain(self) -> bool:
        """Whether nothing stands between the server and the routes that would have to be called."""
        cls, router = type(self), self.router
        return (
            self.max_body_size is None
            and not self.root_path
            and self.middleware_stack is self._built_stack
            and cls.build_middleware_stack is FastAPI.build_middleware_stack
            and "build_middleware_stack" not in self.__dict__
            and type(router).app is APIRouter.app
            and type(router).__call__ is APIRouter.__call__
            and all(_is_pristine(patched, "__call__") for patched in (ServerErrorMiddleware, ExceptionMiddleware, Starlette))
        )

    def _middleware_functions(self) -> list[Any] | None:
        """The user's middleware as functions; None where some of it has to be called as an ASGI application."""
        limited: Any = self._built_stack  # server errors, and in them the body limit of the application
        around = getattr(getattr(limited, "app", None), "app", None)
        if isinstance(around, AroundApp) and _is_pristine(BaseHTTPMiddleware, "__call__"):
            return around.functions if isinstance(around.inner, ExceptionMiddleware) else None
        return None if self.user_middleware else []

    def _freeze(self) -> Assembly | AroundRoutes | UntilOn | None:
        """The routes as they are now, if they may be served without middleware, and None otherwise."""
        if self.middleware_stack is None:
            self.middleware_stack = self._built_stack = self.build_middleware_stack()
            self._handlers = Handlers(self.exception_handlers, self.debug)
        self._native = None
        if self._is_plain() and (handlers := self._handlers) is not None:
            said = {"app": self, "router": self.router, "starlette.exception_handlers": (handlers.by_class, handlers.by_status)}
            assembly = self.router.assembly(handlers, said)
            functions = self._middleware_functions()
            if functions is not None:
                assert self.middleware_stack is not None
                native = AroundRoutes(assembly, functions, self, self.middleware_stack) if functions else assembly
                may_come_on = self._telemetry_switch.may_come_on
                self._native = UntilOn(native, self._telemetry_switch, self._answer_through_asgi) if may_come_on else native
        self._seen_changes = changes.count
        return self._native

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if SCOPE_KEY in scope or self._telemetry_switch.is_on() or scope["type"] == "lifespan":
            await self._call_observed(scope, receive, send)
            return
        if scope["type"] == "http":
            is_current = self._seen_changes == changes.count and self.middleware_stack is self._built_stack
            native = self._native if is_current else self._freeze()
            if native is not None:
                ex = ASGIExchange(scope, receive, send)
                try:
                    await native.answer(ex)
                finally:
                    ex.view = None  # which knows it: only the garbage collector would find the two, and the body with them
                return
        if self.middleware_stack is None:
            self._freeze()
        if self.root_path:
            scope["root_path"] = self.root_path
        await Starlette.__call__(self, scope, receive, send)

    async def _call_observed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application with telemetry around: a lifespan, and what comes while telemetry is on or from one that records it."""
        if self.root_path:
            scope["root_path"] = self.root_path
        if self.middleware_stack is None:
            self._freeze()
        app = partial(Starlette.__call__, self)
        if scope["type"] == "lifespan":
            if self._telemetry["auto_configure"] or _RUNTIME in sys.modules:
                from tercel.telemetry._runtime import lifespan

                await lifespan(config=self._telemetry, app=app, scope=scope, receive=receive, send=send)
            else:
                await app(scope, receive, send)
            return
        from tercel.telemetry._asgi import NativeTelemetry, is_instrumented, observe_exceptions

        observe_exceptions(self.middleware_stack)
        if SCOPE_KEY in scope:  # of an application that this one is mounted in
            await app(scope, receive, send)
            return
        if self._native_telemetry is None:
            self._native_telemetry = NativeTelemetry(self._telemetry)
        scope["app"] = self
        instrumented = is_instrumented(self.middleware_stack)
        await self._native_telemetry(app=app, scope=scope, receive=receive, send=send, legacy_otel=instrumented)

    def direct_handler(self) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
        """A function that answers exchanges of Tercel's own server, without ASGI in between where nothing needs it."""
        if type(self).__call__ is not FastAPI.__call__:
            return self._answer_through_asgi
        return self._answer

    async def _answer_through_asgi(self, ex: Exchange) -> None:
        await self(ex.scope, ex.receive, ex.send)

    def _answer(self, ex: Exchange) -> Coroutine[Any, Any, None]:
        """Not a coroutine function itself: the coroutine of what answers is returned, which spares every request a frame."""
        native = self._native
        if self._seen_changes != changes.count or self.middleware_stack is not self._built_stack:
            native = self._freeze()
        return self._answer_through_asgi(ex) if native is None else native.answer(ex)


def _root_path(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
