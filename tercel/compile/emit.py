"""Plans -> functions: one method per step type, each of which returns lines of Python and nothing else.

The text looks as one would write the handler by hand; what needs loops or `try` is an ordinary function of
`tercel.compile.support`. It must do exactly what `tercel.compile.interpret` does. Names in it come from `SourceUnit.bind` and
from slots, never from user text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from starlette.responses import Response

from tercel.compile import support
from tercel.compile.interpret import Handler, Replanned, answer_rest
from tercel.compile.scopes import LEFT, RequestScope
from tercel.compile.source import SourceUnit, comment, identifier
from tercel.compile.streams import stream_response
from tercel.http.render import json_bytes
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
    Step,
    Take,
    TakeBody,
)

__all__ = ["compile_plan", "emit"]

_LOCALS = ("ex", "errors", "scope", "headers", "query", "cookies", "path")
"""Variables of every handler. The planner gives none of these names to a slot; other variables take the names that slots leave."""


class _Emitter:
    """Writes one handler."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.unit = SourceUnit(f"handle_{identifier(plan.title).lower()}", plan.title)
        self.unit.reserve(*_LOCALS)
        self.unit.reserve(*(slot for slot in (getattr(step, "slot", None) for step in plan.steps) if slot))
        self.early_name, self.response, self.data = map(self.unit.local, ("early", "response", "data"))
        self.marks: dict[str, str] = {}
        self.ends: dict[str, str] = {}
        self.sources: set[str] = set()
        self.has_errors = any(isinstance(step, Take | TakeBody) for step in plan.steps)
        self.early = False
        self.form = any(isinstance(step, ReadBody) and step.form == "form" for step in plan.steps)
        self.function_scoped = plan.shares_stacks or any(
            isinstance(step, Resolve) and step.until == "function" and "enter" in step.callee.style for step in plan.steps
        )
        self.scoped = plan.yields or self.form or plan.shares_stacks
        self.in_hop = False
        # The result of a synchronous endpoint is validated in the thread that made it.
        self.dumps_in_hop = any(
            isinstance(step, Render) and step.renderer.is_json and step.renderer.in_thread and step.renderer.field is not None
            for step in plan.steps
        )

    def use(self, function: Any) -> str:
        """The name of a function; also of a built-in one, since a slot may have taken its name."""
        return self.unit.bind(function, function.__name__)

    def write(self) -> SourceUnit:
        unit = self.unit
        unit.line(f"async def {unit.name}(ex):")
        unit.indent += 1
        unit.line(f"# {comment(self.plan.title)}", self.plan.origin)
        if self.has_errors:
            unit.line("errors = []")
        if self.scoped:
            strict = "" if self.plan.kind == "http" else ", strict=False"
            unit.line(f"scope = {self.use(RequestScope)}(ex{strict})")
            unit.line("try:")
            unit.indent += 1
        for run in runs(self.plan.steps):
            if len(run) > 1 or (self.dumps_in_hop and isinstance(run[0], Invoke)):
                self.hop(run)
            else:
                self.step(run[0])
        if self.scoped:
            unit.indent -= 1
            self.leave()
        return unit

    def leave(self) -> None:
        """What `async with` would do, without its two coroutines."""
        unit, error = self.unit, self.unit.local("error")
        unit.line(f"except {self.use(BaseException)} as {error}:")
        unit.line(f"    if not await scope.leave_raised({error}):")
        unit.line("        raise")
        unit.line("else:")
        unit.line(f"    if await scope.leave() is not {self.unit.bind(LEFT, 'LEFT')}:")
        unit.line("        await scope.refuse_yield()")

    def step(self, step: Step) -> None:
        match step:
            case ReadBody():
                self.read_body(step)
            case Take():
                self.take(step)
            case TakeBody():
                self.take_body(step)
            case Inject():
                self.inject(step)
            case Mark():
                self.marks[step.of] = self.unit.local(f"mark_{step.of}")
                self.unit.line(f"{self.marks[step.of]} = {self.use(len)}(errors)")
            case Resolve():
                self.resolve(step)
            case Repeat():
                self.unit.line(f"if {step.of} is {self.failed}:")
                self.unit.line(f"    errors.extend(errors[{self.marks[step.of]}:{self.ends[step.of]}])")
            case Replan():
                self.replan(step)
            case Check():
                self.check(step)
            case Invoke():
                self.invoke(step)
            case Render():
                self.render(step)
            case _:
                assert_never(step)

    def hop(self, run: Sequence[Step]) -> None:
        """Synchronous calls that follow one another, with what lies between them, in one worker thread."""
        unit = self.unit
        for step in run:
            if isinstance(step, Take):
                self.source(step.place, step.taker.quick is not None)
        name = unit.local("hop")
        unit.line(f"def {name}():")
        unit.indent += 1
        self.in_hop = True
        for step in run:
            self.step(step)
        if self.dumps_in_hop and isinstance(run[-1], Invoke):
            self.dump(run[-1].slot)
        self.in_hop = False
        results = [step.slot for step in run if isinstance(step, Take | Inject | Resolve | Invoke)]
        results += [self.ends[step.slot] for step in run if isinstance(step, Resolve) and step.marks]
        if self.dumps_in_hop and isinstance(run[-1], Invoke):
            results.append(self.data)
        unit.line(f"return {', '.join(results)}")
        unit.indent -= 1
        done = f"await {self.use(support.in_thread)}({name})"
        if any(isinstance(step, Replan) for step in run):
            outcome = unit.local("done")
            unit.line(f"{outcome} = {done}")
            unit.line(f"if {self.use(isinstance)}({outcome}, {self.use(Replanned)}):")
            self.answer_rest(f"{outcome}.step", f"{{**{self.use(locals)}(), **{outcome}.values}}")
            done = outcome
        unit.line(f"{', '.join(results)} = {done}")

    @property
    def failed(self) -> str:
        return self.unit.bind(FAILED, "FAILED")

    @property
    def plan_name(self) -> str:
        return self.unit.bind(self.plan, "PLAN")

    # -- the request -----------------------------------------------------------------------------------------------------------

    def read_body(self, step: ReadBody) -> None:
        if step.form == "form":
            limits = "None" if step.form_limits is None else self.unit.bind(step.form_limits, "FORM_LIMITS")
            self.unit.line(
                f"{step.slot} = scope.closing(await {self.use(support.read_form)}(ex, {limits}, {self.plan_name}))", step.origin
            )
        elif step.early is not None:
            self.early = True
            validate = self.unit.bind(step.early, "validate_body")
            self.unit.line(
                f"{step.slot}, {self.early_name} = {self.use(support.model_at_once)}(ex, {step.strict_content_type}, {validate})"
                f" or await {self.use(support.read_model)}(ex, {step.strict_content_type}, {validate}, {self.plan_name})",
                step.origin,
            )
        else:
            self.unit.line(
                f"{step.slot} = await {self.use(support.read_json)}(ex, {step.strict_content_type}, {self.plan_name})", step.origin
            )

    def source(self, place: str, plain: bool) -> str:
        """The variable with the values of a place, made on its first use; single header fields are asked of the exchange."""
        if place == "header" and plain:
            return "ex"
        name, code = {
            "path": ("path", "ex.path_params"),
            "query": ("query", f"{self.use(support.last_values)}(ex.query_string)")
            if self.plan.queries_are_plain
            else ("query", f'{self.use(support.general_source)}(ex, "query")'),
            "header": ("headers", f'{self.use(support.general_source)}(ex, "header")'),
            "cookie": ("cookies", f"{self.use(support.parse_cookies)}(ex)"),
        }[place]
        if name not in self.sources:
            self.sources.add(name)
            self.unit.line(f"{name} = {code}")
        return name

    def take(self, step: Take) -> None:
        taker = step.taker
        quick = taker.quick
        source = self.source(step.place, quick is not None)
        name = self.unit.bind(quick or taker.take, f"take_{step.slot}")
        if quick is not None:
            source += f".{'text_of' if step.place == 'header' else 'get'}({taker.key!r})"
        self.unit.line(f"{step.slot} = {name}({source}, errors)", step.origin)

    def take_body(self, step: TakeBody) -> None:
        taker = self.unit.bind(step.taker, f"take_{step.slot}")
        source = step.source or self.unit.bind(support.Undefined, "Undefined")
        taken = f"await {self.use(support.take_read)}({taker}, {source}, {step.single!r}, errors)"
        if self.early:
            taken = f"{self.early_name} if {self.early_name} is not {self.failed} else {taken}"
        self.unit.line(f"{step.slot} = {taken}", step.origin)

    def inject(self, step: Inject) -> None:
        match step.what:
            case "request":
                code = self.shared(f"{self.use(support.request_of)}(ex)")
            case "websocket" | "connection":
                code = self.shared("ex.view")
            case "response":
                code = f"{self.use(support.injected_response)}()"
            case "background":
                code = f"{self.use(support.background_tasks)}()"
                if self.scoped:
                    code = f"scope.background({code})"
            case "scopes":
                code = f"{self.unit.bind(step.value, 'security_scopes')}()"
            case _:
                assert_never(step.what)
        self.unit.line(f"{step.slot} = {code}")

    def shared(self, view: str) -> str:
        return f"scope.shared({view})" if self.plan.shares_stacks else view

    # -- calls -----------------------------------------------------------------------------------------------------------------

    def call(self, callee: Callee, until_function: bool = False) -> str:
        fn = self.unit.bind(callee.fn, f"call_{callee.name}")
        arguments = ", ".join(f"**{slot}" if name == "**" else f"{name}={slot}" for name, slot in callee.args)
        until = ", True" if until_function else ""
        match callee.style:
            case "call":
                return f"{fn}({arguments})"
            case "await":
                return f"await {fn}({arguments})"
            case "thread" if self.in_hop:
                return f"{self.use(support.apart)}({', '.join(filter(None, (fn, arguments)))})"
            case "thread":
                return f"await {self.use(support.in_thread)}({', '.join(filter(None, (fn, arguments)))})"
            case "enter":
                return f"await scope.enter_sync({fn}, {self.use(dict)}({arguments}){until})"
            case "aenter":
                return f"await scope.enter_async({fn}({arguments}){until})"
            case _:
                assert_never(callee.style)

    def resolve(self, step: Resolve) -> None:
        unit = self.unit
        until_function = step.until == "function"
        code = self.call(step.callee, until_function)
        guard = " or ".join(f"{slot} is {self.failed}" for slot in step.fallible)
        if step.callee.limit is None:
            value = f"{self.failed} if {guard} else {code}" if guard else code
            unit.line(f"{step.slot} = {value}", step.origin)
        else:
            if guard:
                unit.line(f"if {guard}:")
                unit.line(f"    {step.slot} = {self.failed}")
                unit.line("else:")
                unit.indent += 1
            limit = unit.bind(step.callee.limit, f"limit_{step.slot}")
            if "enter" in step.callee.style:
                unit.line(f"await scope.hold({limit}, {until_function})")
                unit.line(f"{step.slot} = {code}", step.origin)
            else:
                unit.line(f"async with {limit}.get_semaphore():")
                unit.line(f"    {step.slot} = {code}", step.origin)
            unit.indent -= bool(guard)
        if step.marks:
            self.ends[step.slot] = unit.local(f"end_{step.slot}")
            unit.line(f"{self.ends[step.slot]} = {self.use(len)}(errors)")

    def check(self, step: Check) -> None:
        if not self.has_errors:
            return
        body = step.body or self.unit.bind(support.Undefined, "Undefined")
        early = self.early_name if self.early else self.failed
        self.unit.line("if errors:")
        self.unit.line(f"    raise {self.use(support.check)}(errors, {body}, {early}, {self.plan_name}, ex)")

    def invoke(self, step: Invoke) -> None:
        assign = "" if self.plan.kind == "websocket" else f"{step.slot} = "
        self.unit.line(f"{assign}{self.call(step.callee)}", step.origin)

    def dump(self, value: str) -> None:
        renderer = next(step.renderer for step in self.plan.steps if isinstance(step, Render))
        dump = self.unit.bind(support.body_maker(renderer, self.plan), "dump_result")
        response = self.unit.bind(Response, "Response")
        self.unit.line(f"{self.data} = None if {self.use(isinstance)}({value}, {response}) else {dump}({value}, ex)")

    def replan(self, step: Replan) -> None:
        """The rest by a plan made anew, if overrides were written; a function in a worker thread leaves that to the handler."""
        self.unit.line(f"if {self.unit.bind(step.written, 'overrides_written')}:")
        name = self.unit.bind(step, "REPLAN")
        if self.in_hop:
            self.unit.line(f"    return {self.use(Replanned)}({name}, {self.use(locals)}())")
        else:
            self.answer_rest(name, f"{self.use(locals)}()")

    def answer_rest(self, step: str, values: str) -> None:
        early = f", {self.early_name}" if self.early else ""
        self.unit.line(f"    return await {self.use(answer_rest)}({self.plan_name}, {step}, ex, {values}{early})")

    # -- the response ------------------------------------------------------------------------------------------------------------

    def leave_function(self) -> None:
        if self.function_scoped:
            self.unit.line("await scope.leave_function()")

    def render(self, step: Render) -> None:
        unit, renderer = self.unit, step.renderer
        injected, background = step.response or "None", step.background or "None"
        if renderer.stream is not None:
            name = unit.bind(renderer, "RENDERER")
            unit.line(f"{self.response} = {self.use(stream_response)}({name}, {step.value}, {injected}, {background})")
            self.leave_function()
            unit.line(f"await {self.use(support.respond_with)}(ex, {self.response})")
            return
        if not renderer.is_json:
            make = unit.bind(support.response_maker(renderer, self.plan), "make_response")
            hop = f"{self.use(support.in_thread)}({make}, " if renderer.in_thread and renderer.field is not None else f"{make}("
            wait = "await " if "in_thread" in hop else ""
            unit.line(f"{self.response} = {wait}{hop}{step.value}, ex, {injected}, {background})")
            self.leave_function()
            unit.line(f"await {self.use(support.respond_with)}(ex, {self.response})")
            return
        unit.line(f"if {self.use(isinstance)}({step.value}, {unit.bind(Response, 'Response')}):")
        unit.indent += 1
        if step.background:
            unit.line(f"if {step.value}.background is None:")
            unit.line(f"    {step.value}.background = {background}")
        self.leave_function()
        unit.line(f"await {self.use(support.respond_with)}(ex, {step.value})")
        unit.indent -= 1
        unit.line("else:")
        unit.indent += 1
        if renderer.field is None:
            unit.line(f"{self.data} = {self.use(json_bytes)}({step.value})")
        elif not self.dumps_in_hop:
            dump = unit.bind(support.body_maker(renderer, self.plan), "dump_result")
            unit.line(f"{self.data} = {dump}({step.value}, ex)")
        self.leave_function()
        if step.response is None and step.background is None and renderer.has_body:
            answer = f"({unit.bind(renderer.head, 'HEAD')}, {self.data})"
            unit.line(f"if not ex.respond_at_once{answer}:")
            unit.line(f"    await ex.respond{answer}")
        else:
            name = unit.bind(renderer, "RENDERER")
            unit.line(f"await {self.use(support.send_json)}(ex, {name}, {self.data}, {injected}, {background})")
        unit.indent -= 1


def _in_thread(step: Step) -> bool:
    """Whether a step calls something of the user's in a worker thread and nothing else."""
    return isinstance(step, Resolve | Invoke) and step.callee.style == "thread" and step.callee.limit is None


def _passes_anywhere(step: Step) -> bool:
    """Whether it makes no difference if a step happens in a worker thread."""
    in_place = isinstance(step, Resolve) and step.callee.style == "call" and step.callee.limit is None
    return in_place or isinstance(step, Take | Inject | Check | Replan)


def runs(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """The steps in order, those that may share one hop to a worker thread together, every other by itself."""
    index = 0
    while index < len(steps):
        end = index + 1
        if _in_thread(steps[index]):
            ahead = end
            while ahead < len(steps) and (_in_thread(steps[ahead]) or _passes_anywhere(steps[ahead])):
                ahead += 1
                if _in_thread(steps[ahead - 1]):
                    end = ahead
        yield steps[index:end]
        index = end


def emit(plan: Plan) -> SourceUnit:
    """The source of a plan's handler, not yet loaded."""
    return _Emitter(plan).write()


def compile_plan(plan: Plan) -> Handler:
    """The handler of a plan as a compiled function."""
    return emit(plan).load()
