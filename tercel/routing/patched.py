"""FastAPI's inner functions as functions of their own, and the path that calls their replacements when a program has replaced any.

Tercel's own requests run plans and need none of these. Packages call some of them (`solve_dependencies`), and instrumentations
replace them; then a route is answered by `respond`, which does what a plan does but calls each part by its name. Signatures are
FastAPI's.
`tercel.routing.replaced` knows what is replaced; `tercel.routing.operation` asks it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from tercel.analyse.dependant import CacheKey, Dependant, shape, style_of
from tercel.analyse.fields import ModelField, Undefined
from tercel.analyse.origins import locate
from tercel.analyse.planner import InForce, Planner, endpoint_context
from tercel.analyse.results import Renderer, add_injected
from tercel.compile import support
from tercel.compile.interpret import PlanRun, StackScope
from tercel.compile.streams import stream_response
from tercel.http import observed
from tercel.http.asgi import ASGIExchange
from tercel.http.defaults import Default, DefaultPlaceholder
from tercel.http.encode import jsonable_encoder
from tercel.http.errors import EndpointContext, ResponseValidationError, WebSocketRequestValidationError
from tercel.http.limits import FormLimits
from tercel.http.render import finite
from tercel.http.status import is_body_allowed_for_status_code
from tercel.http.threads import run_in_threadpool
from tercel.plan import FAILED, Inject, Plan, ReadBody, Render
from tercel.routing.handled import Handled
from tercel.routing.overriding import overrides_key, overrides_of, plan_under_overrides
from tercel.routing.replaced import replacements

if TYPE_CHECKING:
    from pydantic.main import IncEx

    from tercel.routing.operation import Operation, SocketOperation

__all__ = [
    "SolvedDependency",
    "get_request_handler",
    "get_websocket_app",
    "replaced_app",
    "request_handler",
    "respond",
    "run_endpoint_function",
    "serialize_response",
    "solve_dependencies",
    "talk",
]

RequestHandler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
Kind: TypeAlias = Literal["http", "websocket"]

_SOLUTIONS_KEPT = 1024
"""Plans of dependency trees that are remembered: one per route of a large application."""


# -- dependencies ------------------------------------------------------------------------------------------------------------------


@dataclass
class SolvedDependency:
    """What the dependencies and parameters of a callable came to.

    Attributes:
        values: by parameter name; without those that failed.
        errors: in pydantic's form; the callable must not be called when there are any.
        background_tasks: those of the request, if anybody asked for them.
        response: the injected one, whose headers and status belong to the real response.
        dependency_cache: values by what identifies a dependency within the request.
    """

    values: dict[str, Any]
    errors: list[Any]
    background_tasks: StarletteBackgroundTasks | None
    response: Response
    dependency_cache: dict[CacheKey, Any]


@dataclass(frozen=True, kw_only=True)
class _TreePlan(Plan):
    """A plan of dependencies with the arguments they come to, and where the values that may be shared are."""

    args: Sequence[tuple[str, str]]
    slots: Mapping[CacheKey, str]


@dataclass(frozen=True)
class _Solution:
    """How to solve a tree. Tree, provider and overrides are kept, so that what they are known by (`id`) stays theirs."""

    dependant: Dependant
    provider: Any
    overrides: Sequence[Any]
    shape: Any
    plan: _TreePlan


_solutions: dict[Any, _Solution] = {}


def _plan(dependant: Dependant, kind: Kind, embed: bool, known: Sequence[CacheKey], in_force: InForce) -> _TreePlan:
    planner = Planner(kind, embed, in_force, "body")
    for number, key in enumerate(known):
        planner.values[key] = planner.slot(f"known{number}")
    inputs = planner.solve(dependant)
    return _TreePlan(
        title="dependencies",
        kind=kind,
        steps=tuple(planner.finished()),
        context=endpoint_context(dependant.call),
        yields=planner.yields,
        shares_stacks=planner.shares_stacks,
        path=dependant.path or "",
        queries_are_plain=planner.plain_queries,
        origin=locate(dependant.call, "dependencies"),
        args=tuple(inputs.args),
        slots=dict(planner.values),
    )


def _tree_plan(dependant: Dependant, kind: Kind, embed: bool, provider: Any, known: Mapping[CacheKey, Any]) -> _TreePlan:
    make = partial(_plan, dependant, kind, embed, tuple(known))  # what is known at the start
    if known:
        return plan_under_overrides(provider, make)
    overrides = overrides_of(provider)
    key = (id(dependant), kind, embed, id(provider), overrides_key(overrides))
    found = _solutions.get(key)
    if found is None or found.shape != shape(dependant):
        kept = tuple(overrides.items())
        found = _Solution(dependant, provider, kept, shape(dependant), plan_under_overrides(provider, make))
        while len(_solutions) >= _SOLUTIONS_KEPT:
            del _solutions[next(iter(_solutions))]
        _solutions[key] = found
    return found.plan


class _Solving(PlanRun):
    """A run of a plan whose parameters come from a request object, which may be of a class of the user's."""

    def __init__(self, plan: _TreePlan, request: Request | WebSocket, scope: StackScope, response: Response, tasks: Any) -> None:
        super().__init__(plan, request, scope)
        self.request = request
        self.response = response
        self.background_tasks = tasks

    def source(self, place: str) -> Any:
        request = self.request
        match place:
            case "path":
                return request.path_params
            case "query":
                return request.query_params
            case "header":
                return request.headers
            case _:
                return request.cookies

    def inject(self, step: Inject) -> Any:
        match step.what:
            case "response":
                return self.response
            case "background":
                if self.background_tasks is None:
                    self.background_tasks = support.background_tasks()
                return self.background_tasks
            case "scopes":
                return step.value()
            case _:
                return self.request


def _stack(scope: Mapping[str, Any], name: str) -> AsyncExitStack:
    stack = scope.get(name)
    assert isinstance(stack, AsyncExitStack), f"{name} not found in request scope"
    return stack


async def solve_dependencies(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any = Undefined,
    background_tasks: StarletteBackgroundTasks | None = None,
    response: Response | None = None,
    dependency_overrides_provider: Any | None = None,
    dependency_cache: dict[CacheKey, Any] | None = None,
    async_exit_stack: AsyncExitStack,
    embed_body_fields: bool,
    _uses_scopes_cache: Any = None,
) -> SolvedDependency:
    """Takes the parameters of a callable from a request and calls its dependencies, in FastAPI's order.

    Args:
        request: its scope holds the exit stacks `fastapi_inner_astack` and `fastapi_function_astack`, on which generators are left.
        body: parsed JSON, bytes of another content type, a form, or Undefined.
        response: what is injected for `Response`; a new one otherwise.
        dependency_cache: values that count as known; those found are added.
        async_exit_stack: not used; part of the signature.
        embed_body_fields: the body is an object keyed by parameter.
    """
    cache = {} if dependency_cache is None else dependency_cache
    kind: Kind = "websocket" if isinstance(request, WebSocket) else "http"
    plan = _tree_plan(dependant, kind, embed_body_fields, dependency_overrides_provider, cache)
    inner, function = (_stack(request.scope, name) for name in ("fastapi_inner_astack", "fastapi_function_astack"))
    given = support.injected_response() if response is None else response
    run = _Solving(plan, request, StackScope(inner, function, inner), given, background_tasks)
    run.values["body"] = body
    run.values.update({plan.slots[key]: value for key, value in cache.items()})
    try:
        await run.run()
    finally:
        plan = cast(_TreePlan, run.plan)  # another one where overrides were written meanwhile
        for key, slot in plan.slots.items():
            if run.values.get(slot, FAILED) is not FAILED:
                cache.setdefault(key, run.values[slot])
    values: dict[str, Any] = {}
    for name, slot in plan.args:
        value = run.values[slot]
        if value is not FAILED:
            values.update(value if name == "**" else {name: value})
    return SolvedDependency(values, run.errors, run.background_tasks, given, cache)


# -- endpoints ---------------------------------------------------------------------------------------------------------------------


async def run_endpoint_function(*, dependant: Dependant, values: dict[str, Any], is_coroutine: bool) -> Any:
    """Calls an endpoint: awaited, or in a worker thread."""
    assert dependant.call is not None, "dependant.call must be a function"
    if is_coroutine:
        with observed.operation("endpoint", dependant.call):
            return await dependant.call(**values)
    return await run_in_threadpool(_run_observed, dependant.call, values)


def _run_observed(call: Callable[..., Any], values: dict[str, Any]) -> Any:
    with observed.operation("endpoint", call):
        return call(**values)


async def serialize_response(
    *,
    field: ModelField | None = None,
    response_content: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    is_coroutine: bool = True,
    endpoint_ctx: EndpointContext | None = None,
    dump_json: bool = False,
) -> Any:
    """What an endpoint returned as its response model has it: plain objects, or JSON bytes with `dump_json`.

    Args:
        field: the response model; without one `jsonable_encoder` decides.
        is_coroutine: False validates in a worker thread, as the endpoint ran in one.

    Raises:
        ResponseValidationError: it is not what the response model promises; answered with 500.
    """
    if field is None:
        return jsonable_encoder(response_content)
    if is_coroutine:
        value, errors = field.validate(response_content, loc=("response",))
    else:
        value, errors = await run_in_threadpool(field.validate, response_content, loc=("response",))
    if errors:
        raise ResponseValidationError(errors=errors, body=response_content, endpoint_ctx=endpoint_ctx or EndpointContext())
    dump: Callable[..., Any] = field.serialize_json if dump_json else field.serialize
    return dump(
        value,
        include=include,
        exclude=exclude,
        by_alias=by_alias,
        exclude_unset=exclude_unset,
        exclude_defaults=exclude_defaults,
        exclude_none=exclude_none,
    )


def get_request_handler(
    dependant: Dependant,
    body_field: ModelField | None = None,
    status_code: int | None = None,
    response_class: type[Response] | DefaultPlaceholder = Default(JSONResponse),
    response_field: ModelField | None = None,
    response_model_include: IncEx | None = None,
    response_model_exclude: IncEx | None = None,
    response_model_by_alias: bool = True,
    response_model_exclude_unset: bool = False,
    response_model_exclude_defaults: bool = False,
    response_model_exclude_none: bool = False,
    dependency_overrides_provider: Any | None = None,
    embed_body_fields: bool = False,
    strict_content_type: bool | DefaultPlaceholder = Default(True),
    stream_item_field: ModelField | None = None,
    is_json_stream: bool = False,
    form_limits: FormLimits | None = None,
) -> RequestHandler:
    """A function from a request to its response, unsent, for an endpoint with all that a route knows about it.

    The scope of the request must hold the exit stacks that `request_response` puts there.
    """
    from tercel.routing.operation import Operation  # at call time: operations use this module

    assert dependant.call is not None, "dependant.call must be a function"
    handled = Handled(
        dependant,
        body_field,
        status_code,
        response_class,
        response_field,
        response_model_include,
        response_model_exclude,
        response_model_by_alias,
        response_model_exclude_unset,
        response_model_exclude_defaults,
        response_model_exclude_none,
        dependency_overrides_provider,
        embed_body_fields,
        strict_content_type,
        stream_item_field,
        is_json_stream,
    )
    return Operation(handled, form_limits or {}).respond_to


def get_websocket_app(
    dependant: Dependant, dependency_overrides_provider: Any | None = None, embed_body_fields: bool = False
) -> Callable[[WebSocket], Coroutine[Any, Any, Any]]:
    """A function that solves the dependencies of a WebSocket endpoint, then runs it."""

    async def app(websocket: WebSocket) -> None:
        observer = observed.observer_of(websocket.scope)
        data = None if observer is None else observer.data
        if data is not None:
            data.websocket = websocket
        with observed.operation("dependencies", dependant.call):
            solved = await replacements.get("solve_dependencies", solve_dependencies)(
                request=websocket,
                dependant=dependant,
                dependency_overrides_provider=dependency_overrides_provider,
                async_exit_stack=_stack(websocket.scope, "fastapi_inner_astack"),
                embed_body_fields=embed_body_fields,
            )
            if data is not None:
                data.values, data.errors = solved.values, solved.errors
        if solved.errors:
            context = EndpointContext(**dict(endpoint_context(dependant.call)))  # type: ignore[typeddict-item]
            if dependant.path:
                context["path"] = f"WS {websocket.scope.get('root_path', '').rstrip('/')}{dependant.path}"
            with observed.refusals(observer):
                raise WebSocketRequestValidationError(solved.errors, endpoint_ctx=context)
        assert dependant.call is not None, "dependant.call must be a function"
        with observed.operation("endpoint", dependant.call):
            await dependant.call(**solved.values)

    return app


# -- the path that calls replacements ----------------------------------------------------------------------------------------------


def request_handler(route: Handled, operation: Operation, form_limits: FormLimits) -> RequestHandler:
    """What `APIRoute.get_route_handler` returns: the operation's own handler, or what the replacement makes of the route."""
    if "get_request_handler" not in replacements:
        return operation.respond_to
    make: Callable[..., RequestHandler] = replacements.get("get_request_handler", get_request_handler)
    return make(
        dependant=route.dependant,
        body_field=route.body_field,
        status_code=route.status_code,
        response_class=route.response_class,
        response_field=route.response_field,
        response_model_include=route.response_model_include,
        response_model_exclude=route.response_model_exclude,
        response_model_by_alias=route.response_model_by_alias,
        response_model_exclude_unset=route.response_model_exclude_unset,
        response_model_exclude_defaults=route.response_model_exclude_defaults,
        response_model_exclude_none=route.response_model_exclude_none,
        dependency_overrides_provider=route.dependency_overrides_provider,
        embed_body_fields=route._embed_body_fields,
        strict_content_type=route.strict_content_type,
        stream_item_field=route.stream_item_field,
        is_json_stream=route.is_json_stream,
        form_limits=form_limits,
    )


def replaced_app(operation: Operation, request_response: Callable[[Any], ASGIApp]) -> ASGIApp:
    """A path operation as FastAPI would have made it from the functions that are in place now."""
    handler = request_handler(operation.route, operation, operation.form_limits)
    wrap: Callable[[Any], ASGIApp] = replacements.get("request_response", request_response)
    return wrap(handler)


async def _read(plan: Plan, ex: ASGIExchange) -> Any:
    """The body as the first step of a plan reads it; Undefined where the route has none."""
    step = plan.steps[0]
    if not isinstance(step, ReadBody):
        return Undefined
    if step.form == "json":
        return await support.read_json(ex, step.strict_content_type, plan)
    form = await support.read_form(ex, step.form_limits, plan)
    _stack(ex.scope, "fastapi_middleware_astack").push_async_callback(form.close)
    return form


async def _solve(
    route: Handled, plan: Plan, ex: ASGIExchange, request: Request, observer: observed.Observer | None
) -> tuple[Any, SolvedDependency]:
    """The body, and what the dependencies came to."""
    data = None if observer is None else observer.data
    if data is not None:
        data.request = request
    with observed.refusals(observer):
        body = await _read(plan, ex)
    if data is not None:
        data.body = None if body is Undefined else body
    with observed.operation("dependencies", route.dependant.call):
        solved: SolvedDependency = await replacements.get("solve_dependencies", solve_dependencies)(
            request=request,
            dependant=route.dependant,
            body=body,
            dependency_overrides_provider=route.dependency_overrides_provider,
            async_exit_stack=_stack(request.scope, "fastapi_inner_astack"),
            embed_body_fields=route._embed_body_fields,
        )
        if data is not None:
            data.values, data.errors = solved.values, solved.errors
    return body, solved


async def respond(operation: Operation, request: Request) -> Response:
    """The response to a request, each part made by the function that is in place for it.

    Raises:
        RequestValidationError: 422.
    """
    route, plan = operation.route, operation.plan()
    ex = ASGIExchange(request.scope, request.receive, request._send, request)
    observer = observed.observer_of(request.scope)
    body, solved = await _solve(route, plan, ex, request, observer)
    if solved.errors:
        with observed.refusals(observer):
            raise support.check(solved.errors, body, FAILED, plan, ex)
    call = route.dependant.call
    assert call is not None
    renderer: Renderer = cast(Render, plan.steps[-1]).renderer
    if renderer.stream is not None:
        return stream_response(renderer, call(**solved.values), solved.response, solved.background_tasks)
    is_coroutine = style_of(call) == "await"
    run: Callable[..., Awaitable[Any]] = replacements.get("run_endpoint_function", run_endpoint_function)
    value = await run(dependant=route.dependant, values=solved.values, is_coroutine=is_coroutine)
    return await _rendered(renderer, call, value, solved, support.context_of(plan, ex))


async def _rendered(
    renderer: Renderer, call: Callable[..., Any], value: Any, solved: SolvedDependency, context: EndpointContext
) -> Response:
    """The response for what an endpoint returned, by way of `serialize_response`."""
    if isinstance(value, Response):
        if value.background is None:
            value.background = solved.background_tasks
        return value
    dump_json = renderer.field is not None and renderer.is_default
    serialize: Callable[..., Awaitable[Any]] = replacements.get("serialize_response", serialize_response)
    with observed.operation("serialization", call):
        content = await serialize(
            field=renderer.field,
            response_content=value,
            **renderer.dump,
            is_coroutine=style_of(call) == "await",
            endpoint_ctx=context,
            dump_json=dump_json,
        )
    arguments = renderer.response_arguments(solved.response, solved.background_tasks)
    if dump_json:
        response = Response(content, media_type="application/json", **arguments)
    else:
        try:
            response = renderer.response_class(content, **arguments)
        except ValueError:  # NaN in a JSON response: null, as on the ordinary path
            response = renderer.response_class(finite(content), **arguments)
    if not is_body_allowed_for_status_code(response.status_code):
        response.body = b""
    return add_injected(response, solved.response)


async def talk(operation: SocketOperation, websocket: WebSocket) -> None:
    """Runs a WebSocket endpoint with the functions that are in place."""
    make: Callable[..., Any] = replacements.get("get_websocket_app", get_websocket_app)
    app = make(
        dependant=operation.dependant,
        dependency_overrides_provider=operation.dependency_overrides_provider,
        embed_body_fields=operation.embed,
    )
    await app(websocket)
