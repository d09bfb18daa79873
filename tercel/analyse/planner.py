"""`Dependant` trees -> plans: orders, shares and scopes dependencies. Pure, and run once per route and change.

The order of the steps is FastAPI's and public behaviour: the body is read first; then each callable's dependencies in order, then
its own parameters (path, query, header, cookie, body), then the callable; errors are collected over the whole tree before the
endpoint is reached. Read `tercel.compile.interpret` next, which runs a plan step by step, and `tercel.compile.emit`, which
compiles it.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal

from tercel.analyse.dependant import CacheKey, Dependant, cache_key, oauth_scopes, style_of
from tercel.analyse.early import early_validator
from tercel.analyse.fields import ModelField
from tercel.analyse.forms import flat_body_params
from tercel.analyse.momentary import Kind, examine, gives_scalar, runs_no_code
from tercel.analyse.origins import locate
from tercel.analyse.results import Renderer
from tercel.analyse.signature import get_dependant
from tercel.analyse.take import BodyTaker, ParamTaker
from tercel.declare import markers
from tercel.declare.scopes import SecurityScopes
from tercel.http.threads import threads_are_replaced
from tercel.plan import (
    Callee,
    Check,
    Inject,
    Injected,
    Invoke,
    Mark,
    Origin,
    Place,
    Plan,
    ReadBody,
    Render,
    Repeat,
    Replan,
    Resolve,
    Step,
    Style,
    Take,
    TakeBody,
)

__all__ = ["InForce", "Overrides", "Planner", "endpoint_context", "plan_http", "plan_tree", "plan_websocket"]

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]
_SCHEMES = "tercel.declare.security"  # not imported for its name alone
_RESERVED = frozenset({"ex", "errors", "scope", "body", "headers", "query", "cookies", "path", "result", "FAILED"})


@functools.lru_cache(maxsize=4096)
def _context(fn: Any) -> Mapping[str, Any]:
    try:
        context: dict[str, Any] = {}
        if (file := inspect.getsourcefile(fn)) is not None:
            context["file"] = file
        context["line"] = inspect.getsourcelines(fn)[1]
        if (name := getattr(fn, "__name__", None)) is not None:
            context["function"] = name
    except Exception:  # no source, or one that has changed since and cannot be read: it is for messages only
        return {}
    return context


def endpoint_context(fn: Any) -> Mapping[str, Any]:
    """Function, file and line of an endpoint, for the text of validation errors; empty when there is no source."""
    try:
        return _context(fn)
    except TypeError:  # not hashable
        return {}


@dataclass(frozen=True, slots=True)
class InForce:
    """The overrides that a plan is made for.

    Args:
        at: overrides by the number of the `Replan` step from which on they are in force; 0 is the beginning.
        written: empty until others are written; None when that is not noticed, and the plan has no such steps.
        again: makes the plan anew with the overrides that are there now, from the step with a number on.
    """

    at: Mapping[int, Overrides]
    written: Sized | None = None
    again: Callable[[int], Plan] | None = None


@dataclass(slots=True)
class _Inputs:
    """The arguments of one callable: names with slots, and the slots that may be FAILED."""

    args: list[tuple[str, str]]
    fallible: list[str]


class Planner:
    """Walks a tree once; what is known about slots so far is in its attributes."""

    def __init__(self, kind: Literal["http", "websocket"], embed: bool, in_force: InForce, body_slot: str | None) -> None:
        self.kind: Literal["http", "websocket"] = kind
        self.embed = embed
        self.in_force = in_force
        self.overrides = in_force.at[0]
        self.has_called = False
        self.replans = 0
        self.body_slot = body_slot
        self.steps: list[Step] = []
        self.names = set(_RESERVED)
        self.values: dict[CacheKey, str] = {}
        self.fallible: set[str] = set()
        self.repeated: set[str] = set()
        self.kinds: dict[str, Kind] = {}
        self.injected: dict[str, str] = {}
        self.uses_scopes: dict[int, bool] = {}
        self.yields = False
        self.shares_stacks = False
        self.plain_queries = True

    def slot(self, name: str) -> str:
        """A slot for a parameter or a callable: its own name where that is free, and an identifier in any case."""
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):  # `__name__` may be any text
            name = re.sub(r"\W", "_", f"it_{name}", flags=re.ASCII)
        candidate, number = name, 1
        while candidate in self.names:
            number += 1
            candidate = f"{name}_{number}"
        self.names.add(candidate)
        return candidate

    # -- dependencies --------------------------------------------------------------------------------------------------------

    def solve(self, dependant: Dependant) -> _Inputs:
        """Emits everything that has to happen before a callable can be called."""
        inputs = _Inputs([], [])
        for sub in dependant.dependencies:
            slot = self.dependency(sub)
            if slot in self.fallible:
                inputs.fallible.append(slot)
            if sub.name is not None:
                inputs.args.append((sub.name, slot))
        self.parameters(dependant, inputs)
        self.body_parameters(dependant, inputs)
        self.injections(dependant, inputs)
        return inputs

    def dependency(self, sub: Dependant) -> str:
        """The slot with a dependency's value: that of an earlier use within the request, or of a call made here."""
        key = cache_key(sub, self.uses_scopes)
        known = self.values.get(key) if sub.use_cache else None
        if known is None:
            self.reconsider(sub)
        used = self.overridden(sub)
        origin = locate(used.call, f"Depends({getattr(used.call, '__name__', type(used.call).__name__)})")
        if known is not None and not _has_uncached(used):
            if known in self.fallible:
                self.repeated.add(known)
                self.steps.append(Repeat(known, origin))
            return known
        slot = self.slot(sub.name or getattr(used.call, "__name__", None) or type(used.call).__name__)
        position = len(self.steps)
        inputs = self.solve(used)
        if known is not None:
            # Its own uncached dependencies have run again, as in FastAPI; the value is the earlier one.
            return known
        if inputs.fallible:
            self.fallible.add(slot)
            self.steps.insert(position, Mark(slot, origin))
        style, kind = self.style(used, inputs)
        if style in ("enter", "aenter"):
            self.yields = True
        if kind is not Kind.SCALAR:
            self.forget(inputs)
        if kind is not None:
            self.kinds[slot] = kind
        assert used.call is not None
        callee = Callee(used.call, style, tuple(inputs.args), used.concurrency)
        until: Literal["function", "request"] = "function" if sub.scope == "function" else "request"
        self.steps.append(Resolve(slot, callee, tuple(inputs.fallible), until, False, origin))
        self.values.setdefault(key, slot)
        self.has_called = self.has_called or not (kind is not None or _is_scheme(used.call))
        return slot

    def style(self, dependant: Dependant, inputs: _Inputs) -> tuple[Style, Kind | None]:
        """How a callable is run, and what is known of its result. Synchronous ones that cannot block are called in place."""
        style = style_of(dependant.call)
        if style != "thread" or dependant.call is None or threads_are_replaced():
            return style, None
        kind = examine(dependant.call, {name: self.kinds[slot] for name, slot in inputs.args if slot in self.kinds})
        return (style if kind is None else "call"), kind

    def forget(self, inputs: _Inputs) -> None:
        """Nothing is known any more of containers that a callable was given: it may have put something into them, or kept them."""
        for _, slot in inputs.args:
            if self.kinds.get(slot) is Kind.PLAIN:
                del self.kinds[slot]

    def reconsider(self, sub: Dependant) -> None:
        """Looks whether overrides were written, where code of the user's may have done so since the last look."""
        written, again = self.in_force.written, self.in_force.again
        if written is None or again is None or not self.has_called:
            return
        self.has_called = False
        self.replans += 1
        self.overrides = self.in_force.at.get(self.replans, self.overrides)
        self.steps.append(Replan(self.replans, written, again, locate(sub.call, "overrides")))

    def overridden(self, sub: Dependant) -> Dependant:
        if not self.overrides or sub.call is None:
            return sub
        call = self.overrides.get(sub.call, sub.call)
        if call is sub.call:
            # Analysed again only where something below it is replaced: the planner asks for each of those in turn.
            return sub
        return get_dependant(
            path=sub.path or "",
            call=call,
            name=sub.name,
            parent_oauth_scopes=oauth_scopes(sub),
            scope=sub.scope,
            concurrency=sub.concurrency,
        )

    # -- parameters ----------------------------------------------------------------------------------------------------------

    def parameters(self, dependant: Dependant, inputs: _Inputs) -> None:
        groups: tuple[tuple[Place, Sequence[ModelField]], ...] = (
            ("path", dependant.path_params),
            ("query", dependant.query_params),
            ("header", dependant.header_params),
            ("cookie", dependant.cookie_params),
        )
        for place, fields in groups:
            for field in fields:
                taker = ParamTaker(field)
                if place == "query" and taker.quick is None:
                    self.plain_queries = False
                slot = self.slot(field.name)
                self.steps.append(Take(slot, place, taker, locate(dependant.call, f"{taker.label}")))
                if gives_scalar(field):
                    self.kinds[slot] = Kind.SCALAR
                inputs.args.append((field.name, slot))
                self.fail(slot, inputs)

    def body_parameters(self, dependant: Dependant, inputs: _Inputs) -> None:
        fields = dependant.body_params
        if not fields:
            return
        taker = BodyTaker(fields, self.embed)
        single = fields[0].name if len(fields) == 1 else None
        slot = self.slot(single or "fields")
        self.steps.append(TakeBody(slot, self.body_slot, taker, single, locate(dependant.call, taker.label)))
        inputs.args.append((single or "**", slot))
        self.fail(slot, inputs)

    def fail(self, slot: str, inputs: _Inputs) -> None:
        self.fallible.add(slot)
        inputs.fallible.append(slot)

    def injections(self, dependant: Dependant, inputs: _Inputs) -> None:
        wanted: list[tuple[str | None, Injected]] = [
            (dependant.http_connection_param_name, "connection"),
            (dependant.request_param_name if self.kind == "http" else None, "request"),
            (dependant.websocket_param_name if self.kind == "websocket" else None, "websocket"),
            (dependant.background_tasks_param_name, "background"),
            (dependant.response_param_name, "response"),
        ]
        for name, what in wanted:
            if name is None:
                continue
            actual: Injected = ("request" if self.kind == "http" else "websocket") if what == "connection" else what
            slot = self.injected.get(actual)
            if slot is None:
                slot = self.injected[actual] = self.slot(name)
                self.steps.append(Inject(slot, actual, None, locate(dependant.call, name)))
            if actual in ("request", "websocket") and not _is_scheme(dependant.call):
                self.shares_stacks = True
            inputs.args.append((name, slot))
        name = dependant.security_scopes_param_name
        if name is not None:
            slot = self.slot(name)
            self.steps.append(
                Inject(slot, "scopes", functools.partial(_scopes, tuple(oauth_scopes(dependant))), locate(dependant.call, name))
            )
            inputs.args.append((name, slot))

    def finished(self) -> list[Step]:
        """The steps, with errors marked only where they are repeated later."""
        steps: list[Step] = []
        for step in self.steps:
            match step:
                case Mark(of=of):
                    if of in self.repeated:
                        steps.append(step)
                case Resolve(slot=slot):
                    steps.append(replace(step, marks=slot in self.repeated))
                case _:
                    steps.append(step)
        return steps

    def plan(self, title: str, origin: Origin, *last: Step, endpoint: Dependant | None = None) -> Plan:
        """The plan of what was solved, with the steps that come last and the endpoint that is called in them, if one is."""
        return Plan(
            title=title,
            kind=self.kind,
            steps=(*self.finished(), *last),
            context=endpoint_context(endpoint.call) if endpoint is not None else {},
            yields=self.yields,
            shares_stacks=self.shares_stacks,
            path=endpoint.path or "" if endpoint is not None else "",
            queries_are_plain=self.plain_queries,
            origin=origin,
        )


def _is_scheme(call: Any) -> bool:
    """Whether a security scheme is called as it is here: it reads headers, and nothing else of the request."""
    return getattr(inspect.getattr_static(type(call), "__call__", None), "__module__", None) == _SCHEMES


def _scopes(scopes: tuple[str, ...]) -> SecurityScopes:
    return SecurityScopes(scopes=list(scopes))


def _has_uncached(dependant: Dependant) -> bool:
    return any(not sub.use_cache or _has_uncached(sub) for sub in dependant.dependencies)


# -- whole routes ---------------------------------------------------------------------------------------------------------------


def _read_body(planner: Planner, route: Any, form_limits: Mapping[str, int] | None, origin: Origin) -> None:
    """The step that reads the body, where anything in the tree wants one."""
    body_field: ModelField | None = route.body_field
    if body_field is None:
        return
    is_form = isinstance(body_field.field_info, markers.Form)
    strict = route.strict_content_type
    planner.body_slot = "body"
    early = None
    if not is_form and not planner.overrides:
        fields = flat_body_params(route.dependant)
        if len(fields) == 1 and not planner.embed:
            early = early_validator(fields[0])
    planner.steps.append(
        ReadBody("body", "form" if is_form else "json", bool(strict), form_limits if is_form else None, early, origin)
    )


def _is_momentary(renderer: Renderer, kind: Kind | None) -> bool:
    """Whether validating what a momentary endpoint returns runs no code of the user's either."""
    if renderer.field is None:
        return True
    return kind is not None and kind <= Kind.PLAIN and runs_no_code(renderer.field)


def plan_http(route: Any, *, title: str, in_force: InForce, renderer: Renderer, form_limits: Mapping[str, int] | None) -> Plan:
    """The plan of a path operation.

    Args:
        route: an object with `dependant`, `body_field`, `strict_content_type` and `_embed_body_fields`, as `APIRoute` has.
        title: method and path.
        in_force: replacements of dependencies.
        renderer: what becomes of the result.
        form_limits: limits of this route's forms over those in force, or None.

    Raises:
        DeclarationError: an override whose signature cannot be resolved.
    """
    dependant: Dependant = route.dependant
    origin = locate(dependant.call, title)
    planner = Planner("http", bool(route._embed_body_fields), in_force, None)
    _read_body(planner, route, form_limits, origin)
    inputs = planner.solve(dependant)
    assert dependant.call is not None
    style, kind = planner.style(dependant, inputs)
    if style == "call":
        if _is_momentary(renderer, kind):
            renderer.in_thread = False
        else:
            style = "thread"
    callee = Callee(dependant.call, "call" if renderer.stream is not None else style, tuple(inputs.args))
    injected = planner.injected
    return planner.plan(
        title,
        origin,
        Check(planner.body_slot, origin),
        Invoke("result", callee, origin),
        Render("result", injected.get("response"), injected.get("background"), renderer, origin),
        endpoint=dependant,
    )


def plan_websocket(dependant: Dependant, *, title: str, embed: bool, in_force: InForce) -> Plan:
    """The plan of a WebSocket endpoint; its dependencies run before the handshake is answered."""
    origin = locate(dependant.call, title)
    planner = Planner("websocket", embed, in_force, None)
    inputs = planner.solve(dependant)
    assert dependant.call is not None
    style = style_of(dependant.call)
    callee = Callee(dependant.call, "await" if style == "thread" else style, tuple(inputs.args))
    return planner.plan(title, origin, Check(None, origin), Invoke("result", callee, origin), endpoint=dependant)


def plan_tree(dependant: Dependant, title: str, in_force: InForce) -> Plan:
    """The plan of dependencies alone, with nothing to call at the end: frontends have such."""
    origin = locate(dependant.call, title)
    planner = Planner("http", False, in_force, None)
    planner.solve(dependant)
    return planner.plan(title, origin, Check(None, origin))
