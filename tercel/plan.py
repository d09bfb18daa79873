"""The analysed form of one route: a list of steps in single-assignment form, as frozen data.

A plan is all that crosses from analysis to execution: `tercel.compile.interpret` runs it step by step, `tercel.compile.emit`
turns it into a function, and `tercel plan METHOD PATH` prints it. A slot is the name of one value, written once and then only
read. The order of the steps is public behaviour (see docs/internals.md). This module imports nothing of tercel and does nothing.
Read `tercel.analyse.planner` next, which makes plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = [
    "FAILED",
    "Callee",
    "Check",
    "Inject",
    "Invoke",
    "Mark",
    "Origin",
    "Plan",
    "ReadBody",
    "Render",
    "Repeat",
    "Replan",
    "Resolve",
    "Step",
    "Style",
    "Take",
    "TakeBody",
    "describe",
]


class _Failed:
    """The value of a slot whose validation failed, or which depends on one that did."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "FAILED"

    def __bool__(self) -> bool:
        return False


FAILED: Any = _Failed()

Style = Literal["call", "await", "thread", "enter", "aenter"]
"""How a callable is run: in place, awaited, in a worker thread, as a generator stepped in threads, as an async generator."""

Place = Literal["path", "query", "header", "cookie"]
Injected = Literal["request", "websocket", "connection", "response", "background", "scopes"]
Until = Literal["function", "request"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the user wrote something.

    Args:
        file: the path of the source file, or "" when it is not known.
        line: one-based, 0 when it is not known.
        what: the thing itself in a few words, such as `Depends(get_db)`.
    """

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        where = f"{self.file.rpartition('/')[2]}:{self.line}" if self.file else "?"
        return f"{self.what}  ({where})"


@dataclass(frozen=True, slots=True)
class Callee:
    """A callable of the user's with the slots of its arguments.

    Args:
        fn: what is called.
        style: how; decided once.
        args: pairs of a parameter name and the slot with its value; the name `**` spreads a slot that holds several.
        limit: an object with `get_semaphore()` when at most so many calls may run at once (`Depends(max_concurrency=)`), or None.
    """

    fn: Callable[..., Any]
    style: Style
    args: tuple[tuple[str, str], ...]
    limit: Any = None

    @property
    def name(self) -> str:
        return getattr(self.fn, "__name__", None) or type(self.fn).__name__

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={slot}' if name != '**' else f'**{slot}' for name, slot in self.args)})"


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Receive the request body once and decode it. What cannot be decoded stops here, before any dependency has run.

    Args:
        form: `json` (bytes for other content types) or `form` (urlencoded and multipart).
        strict_content_type: a body without Content-Type is not JSON.
        form_limits: max_fields, max_files, max_part_size (bytes) of this route over those it inherits.
        early: a validator of JSON bytes that may run at once, since its outcome cannot be observed before `TakeBody`; or None.
    """

    slot: str
    form: Literal["json", "form"]
    strict_content_type: bool
    form_limits: Mapping[str, int] | None
    early: Callable[[bytes], Any] | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Take:
    """One parameter -> its value, or FAILED plus collected errors.

    Args:
        taker: an object of `tercel.compile.take`: the field with its names, ready to extract and validate.
    """

    slot: str
    place: Place
    taker: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class TakeBody:
    """The body parameters of one callable -> a mapping of parameter names to values, or FAILED plus collected errors.

    Args:
        source: the slot of the `ReadBody` step, or None (a WebSocket has no body).
        taker: an object of `tercel.compile.take` for all the fields together.
        single: the name of the parameter when there is just one; the slot then holds its value itself.
    """

    slot: str
    source: str | None
    taker: Any
    single: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Inject:
    """An object of the framework for a parameter: the request, the response under construction, background tasks, scopes."""

    slot: str
    what: Injected
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Resolve:
    """Call a dependency once; FAILED, without a call, if one of its inputs is.

    Args:
        fallible: the input slots that may be FAILED.
        until: when a generator is resumed: after the endpoint returned (`function`) or after the response was sent (`request`).
        marks: True when a later step repeats the errors of this one.
    """

    slot: str
    callee: Callee
    fallible: tuple[str, ...]
    until: Until
    marks: bool
    origin: Origin

    @property
    def may_fail(self) -> bool:
        return bool(self.fallible)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A second use of a dependency that failed reports its errors again, as FastAPI does. Nothing happens when it did not fail."""

    of: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Mark:
    """Remember how many errors there are, at the beginning of the inputs of the dependency in `of`."""

    of: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Replan:
    """Go on with a plan made anew, if overrides of dependencies were written since this one was made.

    Stands where code of the user's has run and dependencies follow that can be overridden.

    Args:
        number: one-based among the steps of this kind; up to its own one of this number the new plan has the same steps.
        written: empty until overrides are written.
        again: makes the new plan, given the number.
    """

    number: int
    written: Sized
    again: Callable[[int], Plan]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Check:
    """Stop with 422 (a WebSocket: close code 1008) if anything was collected."""

    body: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call the endpoint, then leave the generators that live until `function`."""

    slot: str
    callee: Callee
    origin: Origin


@dataclass(frozen=True, slots=True)
class Render:
    """Value -> response -> exchange, then background tasks.

    Args:
        value: the slot of the endpoint's result.
        response: the slot of the injected Response whose headers and status are merged in, or None.
        background: the slot of the injected BackgroundTasks, or None.
        renderer: an object of `tercel.compile.render`: response class, status code, field and dump options, ready to use.
    """

    value: str
    response: str | None
    background: str | None
    renderer: Any
    origin: Origin


Step: TypeAlias = ReadBody | Take | TakeBody | Inject | Resolve | Repeat | Replan | Mark | Check | Invoke | Render


@dataclass(frozen=True, slots=True)
class Plan:
    """What one route does for one request.

    Args:
        title: method and path, as in `POST /orders`.
        kind: `http` or `websocket`.
        steps: in the order in which they happen.
        context: function, file, line and path of the endpoint, shown by `str()` of validation errors.
        yields: True when generators have to be left after the response.
        shares_stacks: user code gets the request or WebSocket, and with its scope the stacks of what is left after the response.
        path: the path as the user wrote it with every prefix, for error messages; "" for none.
        queries_are_plain: every query parameter is a single value, so that the query string need not be kept as a multi-dict.
    """

    title: str
    kind: Literal["http", "websocket"]
    steps: Sequence[Step]
    context: Mapping[str, Any]
    yields: bool
    shares_stacks: bool = False
    path: str = ""
    queries_are_plain: bool = False
    origin: Origin = field(default=Origin("", 0, ""))

    def __str__(self) -> str:
        lines = [self.title]
        width = len(str(len(self.steps)))
        for number, step in enumerate(self.steps, 1):
            lines.append(f"  {number:>{width}}  {describe(step)}")
        return "\n".join(lines)


def describe(step: Step) -> str:
    """One line for a step, as printed by `tercel plan`."""
    match step:
        case ReadBody(slot=slot, form=form):
            text = f"{slot} = read {form} body" + (" (validated early)" if step.early is not None else "")
        case Take(slot=slot, place=place, taker=taker):
            text = f"{slot} = take {place} {taker.label}"
        case TakeBody(slot=slot, source=source, taker=taker):
            text = f"{slot} = take {taker.label} from {source or 'nothing'}"
        case Inject(slot=slot, what=what):
            text = f"{slot} = {what}"
        case Resolve(slot=slot, callee=callee, until=until):
            guard = f" unless {' or '.join(step.fallible)} failed" if step.fallible else ""
            lives = f", left after the {'response' if until == 'request' else 'endpoint'}" if "enter" in callee.style else ""
            text = f"{slot} = {callee.style} {callee}{lives}{guard}"
        case Repeat(of=of):
            text = f"repeat the errors of {of}"
        case Replan():
            text = "plan the rest anew if overrides were written meanwhile"
        case Mark(of=of):
            text = f"mark the errors before {of}"
        case Check():
            text = "stop with 422 if anything failed"
        case Invoke(slot=slot, callee=callee):
            text = f"{slot} = {callee.style} {callee}"
        case Render(value=value, renderer=renderer):
            text = f"respond with {value} as {renderer.label}"
    return f"{text:<86} # {step.origin}"
