"""`APIRoute` and `APIWebSocketRoute`: a declared route, analysed when it is made so that mistakes surface where they are.

The state of a path operation (`RouteState`) is computed in one place for a route and for its effective form in an included
router. Read `tercel.routing.operation` next for what happens at run time.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from enum import Enum, IntEnum
from functools import cached_property
from operator import is_
from typing import Any, Self

from starlette import routing
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, compile_path, get_name
from starlette.types import ASGIApp, Receive, Scope, Send

from tercel.analyse.annotations import lenient_issubclass
from tercel.analyse.dependant import Dependant, is_generator
from tercel.analyse.fields import ModelField, create_model_field
from tercel.analyse.forms import body_field_of, flat_body_params, should_embed
from tercel.analyse.signature import dependant_of, get_stream_item_type, get_typed_return_annotation
from tercel.compile.pattern import PathRegex, read_path
from tercel.declare.markers import Depends
from tercel.declare.options import OPERATION_DEFAULTS, complete, with_signature
from tercel.http.defaults import Default, DefaultPlaceholder
from tercel.http.errors import DeclarationAssertion
from tercel.http.limits import FormLimits, validate_form_limits, validate_max_body_size
from tercel.http.sse import EventSourceResponse, ServerSentEvent
from tercel.http.status import is_body_allowed_for_status_code
from tercel.routing.changes import changes, settle_all
from tercel.routing.handled import Handled
from tercel.routing.operation import Operation, SocketOperation, unwrap_default, websocket_session
from tercel.routing.patched import request_handler

__all__ = ["ROUTE_DEFAULTS", "APIRoute", "APIWebSocketRoute", "RouteState", "attributes_of", "effective_route_context"]

ROUTE_DEFAULTS: Mapping[str, Any] = {
    **OPERATION_DEFAULTS,
    "methods": None,
    "dependency_overrides_provider": None,
    "strict_content_type": Default(True),
}

EFFECTIVE_CONTEXT = "effective_route_context"

effective_route_context: ContextVar[Any] = ContextVar("tercel_effective_route_context", default=None)
"""The effective form for which `get_route_handler` is being called, if it is for one."""


class RouteState:
    """Everything known about a path operation once its options are merged and its signature analysed.

    The attributes have FastAPI's names; integrations and the OpenAPI document read them.
    """

    path: str
    path_format: str
    param_convertors: dict[str, Any]
    endpoint: Callable[..., Any]
    methods: set[str]
    name: str
    response_model: Any
    stream_item_type: Any
    status_code: int | None
    tags: list[str | Enum]
    dependencies: list[Depends]
    summary: str | None
    description: str
    response_description: str
    responses: dict[int | str, dict[str, Any]]
    deprecated: bool | None
    operation_id: str | None
    unique_id: str
    response_model_include: Any
    response_model_exclude: Any
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    include_in_schema: bool
    response_class: type[Response] | DefaultPlaceholder
    dependency_overrides_provider: Any
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder
    strict_content_type: bool | DefaultPlaceholder
    max_body_size: int | None
    cancel_on_disconnect: bool | None
    response_field: ModelField | None
    response_fields: dict[int | str, ModelField]
    stream_item_field: ModelField | None
    dependant: Dependant
    body_field: ModelField | None
    is_sse_stream: bool
    is_json_stream: bool
    _embed_body_fields: bool

    _regex: PathRegex | re.Pattern[str]

    @cached_property
    def path_regex(self) -> Any:
        """The expression that paths match; a program may put another in its place."""
        return self._regex.compile() if isinstance(self._regex, PathRegex) else self._regex

    @property
    def regex_or_path(self) -> PathRegex | re.Pattern[str]:
        """`path_regex`, or what it would be compiled from if nobody has asked for it."""
        own: re.Pattern[str] | None = attributes_of(self).get("path_regex")
        return self._regex if own is None else own

    def _declare(self, path: str, endpoint: Callable[..., Any], options: Mapping[str, Any], stream_item_type: Any = None) -> None:
        """Sets every attribute from complete options.

        Raises:
            DeclarationError: the signature, a response model or a status code cannot work.
        """
        if not callable(endpoint):
            raise DeclarationAssertion("An endpoint must be a callable")
        text = options["description"] or (inspect.cleandoc(endpoint.__doc__) if endpoint.__doc__ else "")
        said = vars(self)  # written to directly: assigning runs `__setattr__` of routes, which is for programs
        said.update({plain: options[plain] for plain in _TAKEN_AS_THEY_ARE})
        validate_max_body_size(self.max_body_size)
        regex, path_format, convertors = read_path(path)
        said.update(
            path=path,
            endpoint=endpoint,
            stream_item_type=stream_item_type,
            tags=options["tags"] or [],
            responses=options["responses"] or {},
            dependencies=list(options["dependencies"] or []),
            name=get_name(endpoint) if options["name"] is None else options["name"],
            _regex=regex,
            path_format=path_format,
            param_convertors=convertors,
            methods={method.upper() for method in (["GET"] if options["methods"] is None else options["methods"])},
            description=text.split("\f")[0].strip(),  # what follows a form feed is for readers of the source only
        )
        said["unique_id"] = self.operation_id or unwrap_default(self.generate_unique_id_function)(self)
        if isinstance(self.status_code, IntEnum):
            said["status_code"] = int(self.status_code)
        self._declare_documented_responses()
        self._declare_inputs()
        self._declare_result(options["response_model"])

    def _declare_inputs(self) -> None:
        dependant = dependant_of(self.path_format, self.endpoint, self.dependencies)
        fields = flat_body_params(dependant)
        embed = should_embed(fields)
        body_field = body_field_of(fields, name=self.unique_id, embed=embed)
        vars(self).update(dependant=dependant, _embed_body_fields=embed, body_field=body_field)

    def _declare_documented_responses(self) -> None:
        fields = vars(self)["response_fields"] = {}
        for status, response in self.responses.items():
            if not isinstance(response, dict):
                raise DeclarationAssertion("An additional response must be a dict")
            model = response.get("model")
            if model:
                _refuse_body(status)
                name = f"Response_{status}_{self.unique_id}"
                fields[status] = create_model_field(name=name, type_=model, mode="serialization")

    def _declare_result(self, response_model: Any) -> None:
        generator = is_generator(self.dependant.call)
        events = lenient_issubclass(self.response_class, EventSourceResponse)
        if isinstance(response_model, DefaultPlaceholder):
            response_model = self._from_annotation(generator, events)
        response_field = stream_item_field = None
        if response_model:
            _refuse_body(self.status_code)
            response_field = create_model_field("Response_" + self.unique_id, response_model, mode="serialization")
        if self.stream_item_type:
            stream_item_field = create_model_field("StreamItem_" + self.unique_id, self.stream_item_type, mode="serialization")
        vars(self).update(
            is_sse_stream=generator and events,
            is_json_stream=generator and isinstance(self.response_class, DefaultPlaceholder),
            response_model=response_model,
            response_field=response_field,
            stream_item_field=stream_item_field,
        )

    def _from_annotation(self, generator: bool, events: bool) -> Any:
        """The response model that the return annotation says; sets the type of a stream's items instead where it is one."""
        annotation = get_typed_return_annotation(self.endpoint)
        if lenient_issubclass(annotation, Response):
            return None
        item = get_stream_item_type(annotation)
        if item is None or not generator:
            return annotation
        if (isinstance(self.response_class, DefaultPlaceholder) or events) and not lenient_issubclass(item, ServerSentEvent):
            vars(self)["stream_item_type"] = item
        return None


_ATTRIBUTES = vars(RouteState)["__dict__"]


def attributes_of(state: RouteState) -> dict[str, Any]:
    """The attributes that are set; `vars` first has an effective route take all that it has in common with its original."""
    attributes: dict[str, Any] = _ATTRIBUTES.__get__(state)
    return attributes


_SERVED_BY = frozenset(
    {
        "app",
        "endpoint",
        "get_route_handler",
        "handle",
        "matches",
        "max_body_size",
        "methods",
        "param_convertors",
        "path",
        "path_format",
        "path_regex",
    }
)
"""Attributes of a route that decide what the route table does with it."""

_SIGNED_BY = ("__signature__", "__wrapped__", "__defaults__", "__kwdefaults__")
"""Attributes of a callable that its signature comes from, where programs replace them: class-based views, for one."""


def _add_signed(tree: Dependant, found: list[Any]) -> None:
    """Appends a tree, its callables, and what their signatures come from."""
    call: Any = tree.call
    found += (tree, call, *[getattr(call, name, None) for name in _SIGNED_BY], *getattr(call, "__annotations__", {}).values())
    for sub in tree.dependencies:
        _add_signed(sub, found)


_TAKEN_AS_THEY_ARE = (
    "status_code",
    "summary",
    "response_description",
    "deprecated",
    "operation_id",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
    "include_in_schema",
    "response_class",
    "dependency_overrides_provider",
    "callbacks",
    "openapi_extra",
    "generate_unique_id_function",
    "strict_content_type",
    "max_body_size",
    "cancel_on_disconnect",
)


def _refuse_body(status: int | str | None) -> None:
    if not is_body_allowed_for_status_code(status):
        raise DeclarationAssertion(
            f"Status code {status} must not have a response body",
            advice="Annotate the function with `-> None`, or pass `response_model=None` (RFC 9110 §15.3.5, §15.4.5).",
        )


def effective_context(scope: Scope) -> Any:
    """The effective form of the route that is being matched or handled, or None."""
    return scope.get("fastapi", {}).get(EFFECTIVE_CONTEXT)


async def method_not_allowed(methods: Sequence[str] | set[str], scope: Scope, receive: Receive, send: Send) -> None:
    """405 with Allow (RFC 9110 §15.5.6): raised inside an application, sent by a route that stands alone."""
    headers = {"Allow": ", ".join(methods)}
    if "app" in scope:
        raise HTTPException(status_code=405, headers=headers)
    await PlainTextResponse("Method Not Allowed", status_code=405, headers=headers)(scope, receive, send)


class _Fingerprint(tuple[Any, ...]):
    """What a route was analysed from, compared by identity. A copy of the route knows the copies of what was copied with it."""

    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> Self:
        return type(self)(memo.get(id(each), each) for each in self)


class APIRoute(RouteState, routing.Route):  # type: ignore[misc, override] # Starlette allows None for "any method"
    """A path operation. Subclasses may override `get_route_handler`, `matches` and `handle`.

    Args:
        path: with parameters in braces: `/items/{item_id:int}`.
        endpoint: the function that answers.
        options: see `OperationArguments`; also `methods` (["GET"]), `dependency_overrides_provider`, `strict_content_type`.

    Raises:
        DeclarationError: the declaration cannot work; says where and what to write instead.
    """

    form_limits: FormLimits
    _declared: _Fingerprint
    _app: ASGIApp | None
    _own_app: ASGIApp | None

    @with_signature("self", "path", "endpoint", defaults=ROUTE_DEFAULTS, required="path endpoint")
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        complete_options = complete("APIRoute.__init__", ROUTE_DEFAULTS, options)
        said = vars(self)
        said["form_limits"] = validate_form_limits(complete_options["form_limits"])
        self._declare(path, endpoint, complete_options)
        app: ASGIApp | None = None
        if type(self).get_route_handler is not APIRoute.get_route_handler:
            app = self.operation.app(self.get_route_handler(), self.max_body_size)
        said.update(_declared=self._fingerprint(), _app=app, _own_app=app)

    @cached_property
    def operation(self) -> Operation:
        """What runs it: made of what the route said when it was declared, since it is asked for before anything is assigned."""
        return Operation(Handled.of(self), self.form_limits)

    def __getstate__(self) -> Any:
        self.operation  # noqa: B018  (a copy has its handler in common with the original)
        return object.__getstate__(self)

    def _fingerprint(self) -> _Fingerprint:
        tree = self.dependant
        found: list[Any] = [self.endpoint]
        _add_signed(tree, found)
        found += (
            len(tree.path_params),
            len(tree.query_params),
            len(tree.header_params),
            len(tree.cookie_params),
            len(tree.body_params),
            len(tree.dependencies),
            len(self.dependencies),
        )
        return _Fingerprint(found)

    @property
    def is_as_declared(self) -> bool:
        """Whether the analysis is still that of the endpoint and the dependencies that the route names."""
        fingerprint = self._fingerprint()
        return len(fingerprint) == len(self._declared) and all(map(is_, fingerprint, self._declared))

    @property
    def app(self) -> ASGIApp:
        """The route as an ASGI application. Integrations replace it; requests then go through the replacement."""
        if self._app is None:
            self._app = self._own_app = self.operation.app(None, self.max_body_size)
        return self._app

    @app.setter
    def app(self, app: ASGIApp) -> None:
        operation = getattr(app, "__self__", None)
        if isinstance(operation, Operation) and app == operation.asgi:
            self.operation, self._own_app = operation, app  # made anew of what the route says now
        self._app = app

    def __setattr__(self, name: str, value: Any) -> None:
        if "_own_app" in self.__dict__ and not name.startswith("_"):
            self.operation  # noqa: B018  (of what the route says before)
            settle_all()
            self.__dict__["is_untouched"] = False
            object.__setattr__(self, name, value)
            if name in _SERVED_BY:
                changes.touch()
        else:
            object.__setattr__(self, name, value)

    is_untouched = True
    """Whether no attribute was assigned since the route was made."""

    @property
    def is_plain(self) -> bool:
        """True when nothing of the class or the instance is overridden, so that the compiled handler may be called directly."""
        cls = type(self)
        return (
            self._app is self._own_app
            and cls.get_route_handler is APIRoute.get_route_handler
            and cls.handle is APIRoute.handle
            and "get_route_handler" not in self.__dict__
            and "handle" not in self.__dict__
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """A function from a request to its response, which subclasses wrap. Called once for each router that includes the route."""
        effective = effective_route_context.get()
        state: Any = self if effective is None or effective.original_route is not self else effective
        operation: Operation = state.operation
        if not operation.route.is_what(state):
            operation = Operation(Handled.of(state), self.form_limits)
        return request_handler(operation.route, operation, self.form_limits)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        effective = effective_context(scope)
        if effective is not None and effective.original_route is self:
            match, child_scope = effective.matches(scope)
        else:
            match, child_scope = super().matches(scope)
        if match != Match.NONE:
            child_scope["route"] = self
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        effective = effective_context(scope)
        if effective is None or effective.original_route is not self:
            effective = self
        if effective.methods and scope["method"] not in effective.methods:
            await method_not_allowed(effective.methods, scope, receive, send)
        else:
            await effective.app(scope, receive, send)


class APIWebSocketRoute(routing.WebSocketRoute):
    """A WebSocket endpoint with dependencies, which run before the handshake is answered.

    Raises:
        DeclarationError: the declaration cannot work.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        dependencies: Sequence[Depends] | None = None,
        dependency_overrides_provider: Any | None = None,
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.name = get_name(endpoint) if name is None else name
        self.dependencies = list(dependencies or [])
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.dependant = dependant_of(self.path_format, endpoint, self.dependencies)
        self._embed_body_fields = should_embed(flat_body_params(self.dependant))
        self.operation = SocketOperation(self.dependant, self.path_format, self._embed_body_fields, dependency_overrides_provider)
        self.app = self._own_app = websocket_session(self.operation.session)

    @property
    def is_plain(self) -> bool:
        """True when the compiled handler may be called directly."""
        return self.app is self._own_app and type(self).handle is routing.WebSocketRoute.handle

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        if match != Match.NONE:
            child_scope["route"] = self
        return match, child_scope
