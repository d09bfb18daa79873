"""Runs a plan for an exchange that somebody observes: step by step, telling the observer what is being done.

The same steps in the same order as `tercel.compile.interpret`, whichever engine is in force; generated code knows no observers, so
that it costs nothing where there are none. Read `tercel.http.observed` for what an observer is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from starlette.responses import Response

from tercel.compile import support
from tercel.compile.interpret import PlanRun
from tercel.http.observed import Observer, observer_of, refusals
from tercel.plan import Callee, Check, Invoke, Plan, ReadBody, Render

__all__ = ["run_for"]


def run_for(plan: Plan, ex: Any, scope: Any) -> PlanRun:
    """A run of a plan; an observed one where an observer is in the ASGI scope."""
    observer = observer_of(ex.scope if plan.kind == "http" else ex.view.scope)
    return PlanRun(plan, ex, scope) if observer is None else _ObservedRun(plan, ex, scope, observer)


class _ObservedRun(PlanRun):
    """One run of the plan of a path operation or a WebSocket endpoint."""

    def __init__(self, plan: Plan, ex: Any, scope: Any, observer: Observer) -> None:
        super().__init__(plan, ex, scope)
        self.observer = observer
        self.streams = any(isinstance(step, Render) and step.renderer.stream is not None for step in plan.steps)

    @property
    def endpoint(self) -> Callee:
        """The endpoint with its arguments, which are of other slots once the rest of the plan was made anew."""
        return next(step.callee for step in self.plan.steps if isinstance(step, Invoke))

    async def run(self, index: int = 0) -> Response | None:
        observer, data = self.observer, self.observer.data
        if data is not None:
            if self.plan.kind == "websocket":
                data.websocket = self.ex.view
            else:
                data.request = support.request_of(self.ex)
        first = self.plan.steps[index]
        if isinstance(first, ReadBody):
            index += 1
            with refusals(observer):
                await self.read_body(first)
            if data is not None:
                body = self.values[first.slot]
                data.body = None if body is support.Undefined else body
        with observer.operation("dependencies", self.endpoint.fn):
            index, _ = await self.run_until(Check, index)
            if data is not None:
                data.values, data.errors = self.arguments(self.endpoint), self.errors
        with refusals(observer):
            index, _ = await self.run_until(Invoke, index)
        return await super().run(index)

    async def invoke(self, step: Invoke) -> None:
        callee = step.callee
        if self.streams:  # the call only makes a generator
            await super().invoke(step)
        elif callee.style == "thread":
            self.values[step.slot] = await support.in_thread(self._call_observed, callee.fn, self.arguments(callee))
        else:
            with self.observer.operation("endpoint", callee.fn):
                await super().invoke(step)

    def _call_observed(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """In the worker thread, so that what the endpoint does there is below its span."""
        with self.observer.operation("endpoint", function):
            return function(**arguments)

    async def respond(self, renderer: Any, value: Any, injected: Response | None, background: Any) -> Response:
        is_made = isinstance(value, Response)
        with nullcontext() if is_made else self.observer.operation("serialization", self.endpoint.fn):
            return await super().respond(renderer, value, injected, background)
