"""Runs a plan step by step: the specification of what a plan means, the debug engine, and the oracle in tests.

`interpreted_handler` answers an exchange; `response_to` returns a `Response` instead and keeps generators on the exit stacks in the
scope, for route classes that wrap their handler. `tercel.compile.emit` must do the same as this module; read it next.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import Response

from tercel.compile import support
from tercel.compile.scopes import RequestScope, run_late, step_into, step_out
from tercel.compile.streams import stream_response
from tercel.http.asgi import ASGIExchange
from tercel.http.errors import ResponseValidationError
from tercel.http.exchange import Exchange
from tercel.http.threads import contextmanager_in_threadpool
from tercel.plan import (
    FAILED,
    Callee,
    Check,
    Inject,
    Invoke,
    Mark,
    Plan,
    ReadBody,
    Render,
    Repeat,
    Replan,
    Resolve,
    Take,
    TakeBody,
)

__all__ = [
    "Handler",
    "MakeRun",
    "PlanRun",
    "Replanned",
    "StackScope",
    "interpreted_handler",
    "interpreted_socket",
    "response_to",
    "run_plan",
]

Handler = Callable[[Any], Coroutine[Any, Any, None]]


class PlanRun:
    """One run of a plan: the values of its slots so far, and the errors."""

    def __init__(self, plan: Plan, ex: Any, scope: Any) -> None:
        self.plan = plan
        self.ex = ex
        self.scope = scope
        self.values: dict[str, Any] = {}
        self.errors: list[Any] = []
        self.early: Any = FAILED
        self.marks: dict[str, tuple[int, int]] = {}
        self.sources: dict[str, Any] = {}

    async def run(self, index: int = 0) -> Response | None:
        """Runs the steps, from the one at an index; what the last one returns is the response, if there is one to return."""
        return (await self.run_until(None, index))[1]

    async def run_until(self, kind: type[Check | Invoke] | None, index: int = 0) -> tuple[int, Response | None]:
        """Runs the steps up to the first of a kind, or all; returns the index at which to go on, and the response, if any."""
        response = None
        while index < len(self.plan.steps):
            step = self.plan.steps[index]
            if kind is not None and isinstance(step, kind):
                break
            index += 1
            match step:
                case ReadBody():
                    await self.read_body(step)
                case Take():
                    self.values[step.slot] = step.taker.take(self.source(step.place), self.errors)
                case TakeBody():
                    await self.take_body(step)
                case Inject():
                    self.values[step.slot] = self.inject(step)
                case Mark():
                    self.marks[step.of] = (len(self.errors), 0)
                case Resolve():
                    await self.resolve(step)
                case Repeat():
                    if self.values[step.of] is FAILED:
                        start, end = self.marks[step.of]
                        self.errors.extend(self.errors[start:end])
                case Replan():
                    if step.written:
                        index = self.replan(step)
                case Check():
                    if self.errors:
                        body = self.values.get(step.body or "", support.Undefined)
                        raise support.check(self.errors, body, self.early, self.plan, self.ex)
                case Invoke():
                    await self.invoke(step)
                case Render():
                    response = await self.render(step)
                case _:
                    assert_never(step)
        return index, response

    def replan(self, step: Replan) -> int:
        """Takes a plan made anew in place of this one, and returns the index in it at which to go on."""
        self.plan = step.again(step.number)
        done = next(
            index for index, other in enumerate(self.plan.steps, 1) if isinstance(other, Replan) and other.number == step.number
        )
        for passed in self.plan.steps[:done]:
            if isinstance(passed, Mark):  # not taken where the old plan had no use for it: none of its errors are repeated
                self.marks.setdefault(passed.of, (len(self.errors), len(self.errors)))
        return done

    def source(self, place: str) -> Any:
        source = self.sources.get(place)
        if source is None:
            source = self.sources[place] = support.general_source(self.ex, place)
        return source

    async def read_body(self, step: ReadBody) -> None:
        if step.form == "form":
            form = await support.read_form(self.ex, step.form_limits, self.plan)
            self.values[step.slot] = self.scope.closing(form)
        else:
            self.values[step.slot] = await support.read_json(self.ex, step.strict_content_type, self.plan)

    async def take_body(self, step: TakeBody) -> None:
        body = support.Undefined if step.source is None else self.values[step.source]
        self.values[step.slot] = await support.take_read(step.taker, body, step.single, self.errors)

    def inject(self, step: Inject) -> Any:
        match step.what:
            case "request":
                return self.shared(support.request_of(self.ex))
            case "websocket" | "connection":
                return self.shared(self.ex.view)
            case "response":
                return support.injected_response()
            case "background":
                return self.scope.background(support.background_tasks())
            case "scopes":
                return step.value()
            case _:
                assert_never(step.what)

    def shared(self, view: Any) -> Any:
        return self.scope.shared(view) if self.plan.shares_stacks else view

    async def resolve(self, step: Resolve) -> None:
        if any(self.values[slot] is FAILED for slot in step.fallible):
            self.values[step.slot] = FAILED
        else:
            self.values[step.slot] = await self.call(step.callee, step.until == "function")
        if step.marks and step.slot in self.marks:
            self.marks[step.slot] = (self.marks[step.slot][0], len(self.errors))

    def arguments(self, callee: Callee) -> dict[str, Any]:
        """The arguments of a callable; without those that failed."""
        arguments: dict[str, Any] = {}
        for name, slot in callee.args:
            value = self.values[slot]
            if value is not FAILED:
                arguments.update(value if name == "**" else {name: value})
        return arguments

    async def invoke(self, step: Invoke) -> None:
        self.values[step.slot] = await self.call(step.callee)

    async def call(self, callee: Callee, until_function: bool = False) -> Any:
        arguments = self.arguments(callee)
        match callee.style:
            case "enter":
                if callee.limit is not None:
                    await self.scope.hold(callee.limit, until_function)
                return await self.scope.enter_sync(callee.fn, arguments, until_function)
            case "aenter":
                if callee.limit is not None:
                    await self.scope.hold(callee.limit, until_function)
                return await self.scope.enter_async(callee.fn(**arguments), until_function)
            case _:
                if callee.limit is None:
                    return await _call(callee, arguments)
                async with callee.limit.get_semaphore():
                    return await _call(callee, arguments)

    async def render(self, step: Render) -> Response | None:
        renderer = step.renderer
        value = self.values[step.value]
        injected = self.values.get(step.response or "")
        background = self.values.get(step.background or "")
        if renderer.stream is not None:
            response = stream_response(renderer, value, injected, background)
        else:
            response = await self.respond(renderer, value, injected, background)
        if not isinstance(self.scope, RequestScope):
            return await self.scope.deliver(response)  # type: ignore[no-any-return]
        await self.scope.leave_function()
        await support.respond_with(self.ex, response)
        return None

    async def respond(self, renderer: Any, value: Any, injected: Response | None, background: Any) -> Response:
        """The response for what the endpoint returned."""
        try:
            value = await support.in_thread(renderer.checked, value) if renderer.in_thread else renderer.checked(value)
        except ResponseValidationError as error:
            raise support.with_context(error, self.plan, self.ex) from None
        return renderer.response(value, injected, background)  # type: ignore[no-any-return]


MakeRun = Callable[[Plan, Any, Any], PlanRun]
"""Makes a run of a plan, for an exchange, with a scope."""


async def _call(callee: Callee, arguments: dict[str, Any]) -> Any:
    if callee.style == "await":
        return await callee.fn(**arguments)
    if callee.style == "call":
        return callee.fn(**arguments)
    return await support.in_thread(callee.fn, **arguments)


def interpreted_handler(plan: Plan, make_run: MakeRun = PlanRun) -> Handler:
    """A handler that runs a plan for each exchange and answers it."""

    async def handle(ex: Exchange) -> None:
        async with RequestScope(ex) as scope:
            await make_run(plan, ex, scope).run()

    return handle


def interpreted_socket(plan: Plan, make_run: MakeRun = PlanRun) -> Handler:
    """A handler that runs a plan for each WebSocket connection."""

    async def handle(ex: Any) -> None:
        async with RequestScope(ex, strict=False) as scope:
            await make_run(plan, ex, scope).run()

    return handle


async def run_plan(plan: Plan, ex: Exchange, scope: RequestScope) -> tuple[Response | None, Any]:
    """Runs a plan without an endpoint within a scope of the caller's; returns the injected response and background tasks."""
    run = PlanRun(plan, ex, scope)
    await run.run()
    found: dict[str, Any] = {step.what: run.values[step.slot] for step in plan.steps if isinstance(step, Inject)}
    return found.get("response"), found.get("background")


# -- for generated handlers whose plan is out of date -----------------------------------------------------------------------------


@dataclass(slots=True)
class Replanned:
    """What a generated function in a worker thread returns when overrides were written meanwhile.

    Args:
        step: where that was noticed.
        values: those of the function's variables.
    """

    step: Replan
    values: dict[str, Any]


async def answer_rest(plan: Plan, step: Replan, ex: Any, values: dict[str, Any], early: Any = FAILED) -> None:
    """Answers what is left of a request, when the overrides that its generated handler was made for are not those in force.

    Args:
        plan: of the handler.
        step: how far it has come.
        values: its local variables: slots by name, `errors`, and `scope` where it has one.
        early: the value of a body that was validated from its bytes.
    """
    scope: RequestScope | None = values.get("scope")
    if scope is None:
        scope = RequestScope(ex, strict=plan.kind == "http")
        for done in plan.steps:
            if isinstance(done, Inject) and done.what == "background" and done.slot in values:
                scope.background(values[done.slot])
    try:
        async with scope:
            run = PlanRun(plan, ex, scope)
            run.values = values
            run.errors = values.get("errors", run.errors)
            body = next((step.slot for step in plan.steps if isinstance(step, ReadBody)), "")
            if early is not FAILED and isinstance(values.get(body), bytes):
                values[body] = support.parse_early(values[body], plan, ex)
            await run.run(run.replan(step))
    finally:
        scope.is_over = True


# -- for wrapped handlers ----------------------------------------------------------------------------------------------------------


class StackScope:
    """Keeps generators on exit stacks that somebody else closes: those which FastAPI puts into the ASGI scope.

    Args:
        request: closed after the response was sent.
        function: closed when the handler returned.
        form: closed after everything.
    """

    def __init__(self, request: AsyncExitStack, function: AsyncExitStack, form: AsyncExitStack) -> None:
        self.request = request
        self.function = function
        self.form = form

        self.begun: int | None = None  # how many background tasks there were after the response; None before it

    def shared(self, view: Any) -> Any:
        return view

    def closing(self, form: Any) -> Any:
        self.form.push_async_callback(form.close)
        return form

    def background(self, tasks: Any) -> Any:
        async def late() -> None:
            if self.begun is not None:
                await run_late(tasks, self.begun)

        def mark() -> None:
            self.begun = len(tasks.tasks)

        self.tasks_started = mark
        self.form.push_async_callback(late)
        return tasks

    tasks_started: Callable[[], None] | None = None

    def _stack(self, until_function: bool) -> AsyncExitStack:
        return self.function if until_function else self.request

    async def enter_async(self, generator: Any, until_function: bool = False) -> Any:
        value = await step_into(generator)

        async def leave(kind: Any, exc: BaseException | None, trace: Any) -> bool:
            return await step_out(generator, exc)

        self._stack(until_function).push_async_exit(leave)
        return value

    async def enter_sync(self, fn: Callable[..., Any], arguments: dict[str, Any], until_function: bool = False) -> Any:
        manager = contextmanager_in_threadpool(contextmanager(fn)(**arguments))
        return await self._stack(until_function).enter_async_context(manager)

    async def hold(self, limit: Any, until_function: bool = False) -> None:
        await self._stack(until_function).enter_async_context(limit.get_semaphore())

    async def deliver(self, response: Response) -> Response:
        if self.tasks_started is not None:
            self.request.callback(self.tasks_started)  # the first thing after the response and its tasks
        return response


async def response_to(plan: Plan, request: Request, make_run: MakeRun = PlanRun) -> Response:
    """Runs a plan for a `Request`, which may be of a class of the user's, and returns the response without sending it.

    The scope must hold `fastapi_inner_astack`, `fastapi_function_astack` and `fastapi_middleware_astack`.
    """
    scope = request.scope
    request_stack = scope.get("fastapi_inner_astack")
    assert isinstance(request_stack, AsyncExitStack), "fastapi_inner_astack not found in request scope"
    function_stack = scope.get("fastapi_function_astack")
    assert isinstance(function_stack, AsyncExitStack), "fastapi_function_astack not found in request scope"
    form_stack = scope.get("fastapi_middleware_astack")
    assert isinstance(form_stack, AsyncExitStack), "fastapi_middleware_astack not found in request scope"
    ex = ASGIExchange(scope, request.receive, request._send, request)
    response = await make_run(plan, ex, StackScope(request_stack, function_stack, form_stack)).run()
    assert response is not None
    return response
