"""Dependency trees -> plans: which steps, in which order, with which slots."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tercel import APIRouter, BackgroundTasks, Body, Cookie, Depends, Form, Header, Query, Request, Response, Security, WebSocket
from tercel.analyse.planner import InForce, plan_http, plan_tree
from tercel.analyse.signature import get_dependant
from tercel.http.errors import FastAPIError
from tercel.plan import Check, Inject, Invoke, Mark, Plan, ReadBody, Render, Repeat, Replan, Resolve, Take, TakeBody, describe
from tercel.routing.operation import renderer_of
from tercel.security import HTTPBearer, SecurityScopes


class Item(BaseModel):
    name: str


class Filter(BaseModel):
    limit: int = 10


def route_of(endpoint: Callable[..., Any], path: str = "/", **options: Any) -> Any:
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=["POST"], **options)
    return router.routes[0]


def plan_of(endpoint: Callable[..., Any], path: str = "/", overrides: Any = None, **options: Any) -> Plan:
    route = route_of(endpoint, path, **options)
    return plan_http(
        route,
        title=f"POST {path}",
        in_force=InForce({0: overrides or {}}),
        renderer=renderer_of(route),
        form_limits=options.get("form_limits"),
    )


def shown(plan: Plan) -> list[str]:
    """The steps as `tercel plan` shows them, without origins."""
    return [describe(step).rpartition(" # ")[0].strip() for step in plan.steps]


def of_type(plan: Plan, kind: Any) -> list[Any]:
    return [step for step in plan.steps if isinstance(step, kind)]


async def user(x_token: Annotated[str, Header()]) -> str:
    return x_token


async def settings() -> str:
    return "settings"


# -- order -------------------------------------------------------------------------------------------------------------------------


def test_an_endpoint_without_inputs_is_called_and_answered() -> None:
    async def endpoint() -> None: ...

    assert shown(plan_of(endpoint)) == [
        "stop with 422 if anything failed",
        "result = await endpoint()",
        "respond with result as JSONResponse",
    ]


def test_the_order_of_steps_is_fastapis() -> None:
    """The body is read first; then dependencies with their own inputs; then path, query, header, cookie, body."""

    async def endpoint(
        item: Item,
        session: Annotated[str, Cookie()],
        x_a: Annotated[str, Header()],
        q: int,
        item_id: int,
        response: Response,
        user: Annotated[str, Depends(user)],
    ) -> None: ...

    assert shown(plan_of(endpoint, "/{item_id}")) == [
        "body = read json body (validated early)",
        "x_token = take header x-token: str",
        "user = await user(x_token=x_token) unless x_token failed",
        "item_id = take path item_id: int",
        "q = take query q: int",
        "x_a = take header x-a: str",
        "session = take cookie session: str",
        "item = take item from body",
        "response = response",
        "stop with 422 if anything failed",
        "result = await endpoint(user=user, item_id=item_id, q=q, x_a=x_a, session=session, item=item, response=response)",
        "respond with result as JSONResponse",
    ]


def test_dependencies_of_the_route_come_before_those_of_the_endpoint() -> None:
    async def first() -> None: ...

    async def second() -> None: ...

    async def endpoint(settings: Annotated[str, Depends(settings)]) -> None: ...

    plan = plan_of(endpoint, dependencies=[Depends(first), Depends(second)])
    assert [step.callee.name for step in of_type(plan, Resolve)] == ["first", "second", "settings"]
    assert [name for name, _ in of_type(plan, Invoke)[0].callee.args] == ["settings"]


# -- sharing -----------------------------------------------------------------------------------------------------------------------


def test_a_dependency_is_called_once_and_its_slot_is_shared() -> None:
    async def admin(user: Annotated[str, Depends(user)]) -> str:
        return user

    async def endpoint(a: Annotated[str, Depends(admin)], b: Annotated[str, Depends(user)]) -> None: ...

    plan = plan_of(endpoint)
    assert [step.callee.name for step in of_type(plan, Resolve)] == ["user", "admin"]
    assert of_type(plan, Invoke)[0].callee.args == (("a", "a"), ("b", "user"))


def test_without_cache_a_dependency_is_called_for_each_use_and_the_first_value_is_kept() -> None:
    async def endpoint(
        a: Annotated[str, Depends(settings, use_cache=False)],
        b: Annotated[str, Depends(settings, use_cache=False)],
        c: Annotated[str, Depends(settings)],
    ) -> None: ...

    plan = plan_of(endpoint)
    assert len(of_type(plan, Resolve)) == 2
    assert of_type(plan, Invoke)[0].callee.args == (("a", "a"), ("b", "b"), ("c", "a"))


def test_what_is_uncached_below_a_shared_dependency_is_called_again() -> None:
    async def outer(inner: Annotated[str, Depends(settings, use_cache=False)]) -> str:
        return inner

    async def endpoint(a: Annotated[str, Depends(outer)], b: Annotated[str, Depends(outer)]) -> None: ...

    plan = plan_of(endpoint)
    assert [step.callee.name for step in of_type(plan, Resolve)] == ["settings", "outer", "settings"]
    assert of_type(plan, Invoke)[0].callee.args == (("a", "a"), ("b", "a"))


def test_the_same_function_with_other_scopes_is_another_dependency_only_where_scopes_matter() -> None:
    async def wants(scopes: SecurityScopes) -> None: ...

    async def endpoint(
        a: Annotated[None, Security(wants, scopes=["x"])],
        b: Annotated[None, Security(wants, scopes=["y"])],
        c: Annotated[None, Security(wants, scopes=["x"])],
        d: Annotated[str, Depends(settings)],
    ) -> None: ...

    plan = plan_of(endpoint)
    assert [step.callee.name for step in of_type(plan, Resolve)] == ["wants", "wants", "settings"]
    assert [step.value().scopes for step in of_type(plan, Inject)] == [["x"], ["y"]]
    assert dict(of_type(plan, Invoke)[0].callee.args)["c"] == "a"


def test_the_same_generator_with_another_scope_is_another_dependency() -> None:
    async def opened() -> AsyncGenerator[int, None]:
        yield 1

    async def endpoint(a: Annotated[int, Depends(opened)], b: Annotated[int, Depends(opened, scope="function")]) -> None: ...

    plan = plan_of(endpoint)
    assert [(step.callee.style, step.until) for step in of_type(plan, Resolve)] == [("aenter", "request"), ("aenter", "function")]
    assert plan.yields


# -- failures ----------------------------------------------------------------------------------------------------------------------


def test_what_depends_on_something_fallible_is_fallible_and_the_rest_is_not() -> None:
    async def admin(user: Annotated[str, Depends(user)], settings: Annotated[str, Depends(settings)]) -> str:
        return user

    async def endpoint(admin: Annotated[str, Depends(admin)]) -> None: ...

    steps = {step.callee.name: step for step in of_type(plan_of(endpoint), Resolve)}
    assert steps["user"].fallible == ("x_token",)
    assert steps["settings"].fallible == ()
    assert steps["admin"].fallible == ("user",)
    assert {name: step.may_fail for name, step in steps.items()} == {"user": True, "settings": False, "admin": True}


def test_errors_are_marked_only_where_they_are_repeated() -> None:
    async def again(user: Annotated[str, Depends(user)]) -> str:
        return user

    async def once(user: Annotated[str, Depends(user)]) -> None: ...

    async def twice(user: Annotated[str, Depends(user)], again: Annotated[str, Depends(again)]) -> None: ...

    async def infallible(a: Annotated[str, Depends(settings)], b: Annotated[str, Depends(settings)]) -> None: ...

    kinds = [type(step) for step in plan_of(twice).steps]
    assert kinds == [Mark, Take, Resolve, Repeat, Resolve, Check, Invoke, Render]
    assert [step.marks for step in of_type(plan_of(twice), Resolve)] == [True, False]
    for endpoint in (once, infallible):
        assert not of_type(plan_of(endpoint), Mark)
        assert not of_type(plan_of(endpoint), Repeat)


# -- how callables are run ---------------------------------------------------------------------------------------------------------


def function() -> int:
    return int.from_bytes()


def momentary() -> int:
    return 1


async def coroutine() -> int:
    return 1


def generator() -> Generator[int, None, None]:
    yield 1


async def async_generator() -> AsyncGenerator[int, None]:
    yield 1


class Asynchronous:
    async def __call__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("call", "style"),
    [
        (function, "thread"),
        (momentary, "call"),
        (coroutine, "await"),
        (generator, "enter"),
        (async_generator, "aenter"),
        (functools.partial(coroutine), "await"),
        (Asynchronous(), "await"),
        (Item, "thread"),
    ],
)
def test_the_style_of_a_call_is_decided_here(call: Any, style: str) -> None:
    plan = plan_tree(get_dependant(path="/", call=lambda: None), "", InForce({0: {}}))
    assert not of_type(plan, Resolve)

    async def endpoint(value: Annotated[Any, Depends(call)]) -> None: ...

    assert [step.callee.style for step in of_type(plan_of(endpoint), Resolve)] == [style]


def test_a_generator_endpoint_is_called_and_not_stepped() -> None:
    async def endpoint() -> AsyncIterator[Item]:
        yield Item(name="n")

    plan = plan_of(endpoint)
    assert of_type(plan, Invoke)[0].callee.style == "call"
    assert of_type(plan, Render)[0].renderer.stream == "jsonl"
    assert not plan.yields


def test_a_limit_goes_with_the_call() -> None:
    limited = Depends(coroutine, max_concurrency=2)

    async def endpoint(a: Annotated[int, limited]) -> None: ...

    (step,) = of_type(plan_of(endpoint), Resolve)
    assert step.callee.limit.max_concurrency == 2


# -- bodies ------------------------------------------------------------------------------------------------------------------------


def test_one_body_is_validated_early_where_nobody_can_tell() -> None:
    async def one(item: Item) -> None: ...

    async def listed(items: list[Item]) -> None: ...

    async def embedded(item: Annotated[Item, Body(embed=True)]) -> None: ...

    async def two(item: Item, other: Item) -> None: ...

    assert of_type(plan_of(one), ReadBody)[0].early is not None
    for endpoint in (listed, embedded, two):
        assert of_type(plan_of(endpoint), ReadBody)[0].early is None
    assert of_type(plan_of(one, overrides={user: settings}), ReadBody)[0].early is None


def test_several_body_parameters_are_taken_together_and_spread() -> None:
    async def endpoint(item: Item, count: Annotated[int, Body()]) -> None: ...

    plan = plan_of(endpoint)
    (step,) = of_type(plan, TakeBody)
    assert (step.slot, step.single, step.source) == ("fields", None, "body")
    assert of_type(plan, Invoke)[0].callee.args == (("**", "fields"),)


def test_body_parameters_of_a_dependency_are_taken_from_the_same_body() -> None:
    async def dependency(item: Item) -> Item:
        return item

    async def endpoint(other: Item, dependency: Annotated[Item, Depends(dependency)]) -> None: ...

    plan = plan_of(endpoint)
    assert len(of_type(plan, ReadBody)) == 1
    assert [(step.single, step.source) for step in of_type(plan, TakeBody)] == [("item", "body"), ("other", "body")]


def test_a_form_is_read_as_such_within_its_limits() -> None:
    async def endpoint(name: Annotated[str, Form()]) -> None: ...

    (step,) = of_type(plan_of(endpoint, form_limits={"max_fields": 3}), ReadBody)
    assert (step.form, step.form_limits, step.early) == ("form", {"max_fields": 3}, None)


def test_without_body_parameters_no_body_is_read() -> None:
    async def endpoint(q: int) -> None: ...

    assert not of_type(plan_of(endpoint), ReadBody)
    assert of_type(plan_of(endpoint), Check)[0].body is None


def test_the_strictness_of_the_content_type_is_that_of_the_route() -> None:
    async def endpoint(item: Item) -> None: ...

    assert of_type(plan_of(endpoint), ReadBody)[0].strict_content_type is True
    router = APIRouter(strict_content_type=False)
    router.post("/")(endpoint)
    assert of_type(router.routes[0].operation.plan(), ReadBody)[0].strict_content_type is False  # type: ignore[attr-defined]


# -- slots -------------------------------------------------------------------------------------------------------------------------


def test_every_slot_is_written_once() -> None:
    async def other(q: int, x: Annotated[int, Depends(coroutine, use_cache=False)]) -> int:
        return q

    async def endpoint(
        q: int, x: int, errors: int, body: Item, result: int, other: Annotated[int, Depends(other)], ex: int = 1
    ) -> None: ...

    slots = [step.slot for step in plan_of(endpoint).steps if hasattr(step, "slot")]
    assert len(slots) == len(set(slots))
    assert {"errors", "ex", "scope"}.isdisjoint(slots)


def test_every_slot_is_an_identifier_whatever_things_are_called() -> None:
    def named() -> None: ...

    named.__name__ = "for x in y: ²"

    async def endpoint(__hidden: int = 1) -> None: ...

    plan = plan_of(endpoint, dependencies=[Depends(lambda: 1), Depends(named), Depends(functools.partial(function))])
    slots = [step.slot for step in plan.steps if hasattr(step, "slot")]
    assert len(slots) == 5
    assert all(slot.isidentifier() for slot in slots)
    assert not [slot for slot in slots if slot.startswith("__")]


def test_a_read_comes_after_its_write() -> None:
    async def endpoint(
        item: Item, user: Annotated[str, Depends(user)], q: Annotated[Filter, Query()], response: Response
    ) -> None: ...

    written: set[str] = set()
    for step in plan_of(endpoint).steps:
        read: set[str] = set()
        if isinstance(step, Resolve | Invoke):
            read = {slot for _, slot in step.callee.args}
        elif isinstance(step, TakeBody | Check):
            read = {getattr(step, "source", None) or getattr(step, "body", None) or "body"}
        elif isinstance(step, Render):
            read = {step.value, *filter(None, (step.response, step.background))}
        assert read <= written
        written.add(getattr(step, "slot", ""))


def test_what_is_injected_is_made_once_for_the_whole_tree() -> None:
    async def dependency(response: Response, tasks: BackgroundTasks, request: Request) -> None: ...

    async def endpoint(answer: Response, background: BackgroundTasks, dependency: Annotated[None, Depends(dependency)]) -> None: ...

    plan = plan_of(endpoint)
    assert sorted(step.what for step in of_type(plan, Inject)) == ["background", "request", "response"]
    assert dict(of_type(plan, Invoke)[0].callee.args)["answer"] == "response"
    (render,) = of_type(plan, Render)
    assert (render.response, render.background) == ("response", "tasks")


def test_queries_are_plain_unless_one_of_them_has_several_values() -> None:
    async def plain(a: int, b: str = "") -> None: ...

    async def listed(a: Annotated[list[int], Query()]) -> None: ...

    async def model(a: Annotated[Filter, Query()]) -> None: ...

    assert [plan_of(endpoint).queries_are_plain for endpoint in (plain, listed, model)] == [True, False, False]


# -- overrides ---------------------------------------------------------------------------------------------------------------------


def test_an_override_is_analysed_in_place_of_the_original() -> None:
    async def replacement(q: int) -> str:
        return str(q)

    async def admin(user: Annotated[str, Depends(user)]) -> str:
        return user

    async def endpoint(admin: Annotated[str, Depends(admin)]) -> None: ...

    plan = plan_of(endpoint, overrides={user: replacement})
    assert [step.callee.name for step in of_type(plan, Resolve)] == ["replacement", "admin"]
    assert [step.place for step in of_type(plan, Take)] == ["query"]


def test_an_override_keeps_scopes_limit_and_life_of_what_it_replaces() -> None:
    async def wants(scopes: SecurityScopes) -> None: ...

    async def opened() -> AsyncGenerator[int, None]:
        yield 1

    limited = Depends(coroutine, max_concurrency=3, scope="function")

    async def endpoint(a: Annotated[None, Security(user, scopes=["s"])], b: Annotated[int, limited]) -> None: ...

    plan = plan_of(endpoint, overrides={user: wants, coroutine: opened})
    assert of_type(plan, Inject)[0].value().scopes == ["s"]
    (_, step) = of_type(plan, Resolve)
    assert (step.callee.style, step.callee.limit.max_concurrency, step.until) == ("aenter", 3, "function")


def test_an_override_that_cannot_be_resolved_is_an_error_of_the_declaration() -> None:
    class Session:
        pass

    async def replacement(session: Session) -> None: ...

    async def endpoint(user: Annotated[str, Depends(user)]) -> None: ...

    with pytest.raises(FastAPIError, match="Session"):
        plan_of(endpoint, overrides={user: replacement})


# -- WebSockets and trees ----------------------------------------------------------------------------------------------------------


def socket_plan(endpoint: Callable[..., Any]) -> Plan:
    router = APIRouter()
    router.add_api_websocket_route("/{room}", endpoint)
    return router.routes[0].operation.plan()  # type: ignore[attr-defined,no-any-return]


def test_a_websocket_has_no_body_and_no_response() -> None:
    async def endpoint(websocket: WebSocket, room: str, user: Annotated[str, Depends(user)]) -> None: ...

    plan = socket_plan(endpoint)
    assert plan.kind == "websocket"
    assert [type(step) for step in plan.steps] == [Take, Resolve, Take, Inject, Check, Invoke]
    assert of_type(plan, Inject)[0].what == "websocket"


def test_a_body_parameter_of_a_websocket_is_taken_from_nothing() -> None:
    async def endpoint(websocket: WebSocket, item: Item | None = None) -> None: ...

    assert [step.source for step in of_type(socket_plan(endpoint), TakeBody)] == [None]


def test_a_tree_alone_ends_with_the_check() -> None:
    async def root(user: Annotated[str, Depends(user)]) -> None: ...

    plan = plan_tree(get_dependant(path="/", call=root), "GET /app", InForce({0: {}}))
    assert [type(step) for step in plan.steps] == [Take, Resolve, Check]


# -- overrides written on the way ------------------------------------------------------------------------------------------------


def test_a_plan_looks_for_new_overrides_where_dependencies_follow_what_the_user_wrote() -> None:
    async def above(value: Annotated[str, Depends(settings)]) -> str:
        return value

    async def endpoint(
        token: Annotated[Any, Depends(HTTPBearer())],
        above: Annotated[str, Depends(above)],
        known: Annotated[str, Depends(settings)],
        user: Annotated[str, Depends(user)],
    ) -> None: ...

    written: list[int] = []
    made: list[int] = []

    def make(at: dict[int, Any]) -> Plan:
        def again(number: int) -> Plan:
            made.append(number)
            return make({**at, number: {user: settings}})

        return plan_http(route, title="", in_force=InForce(at, written, again), renderer=renderer_of(route), form_limits=None)

    route = route_of(endpoint)
    plan = make({0: {}})
    # Nothing of the user's has run before `above`, nor between it and its own; `known` is resolved already.
    assert [getattr(step, "slot", "replan") for step in of_type(plan, Resolve | Replan)] == [
        "token",
        "value",
        "above",
        "replan",
        "user",
    ]
    (step,) = of_type(plan, Replan)
    renewed = step.again(step.number)
    assert made == [1]
    position = plan.steps.index(step)
    assert renewed.steps[:position] == plan.steps[:position]
    assert [type(step) for step in plan.steps[position:-3]] == [Replan, Take, Resolve]
    assert [type(step) for step in renewed.steps[position:-3]] == [Replan, Resolve]
    assert renewed.steps[position + 1].callee.fn is settings


# -- origins -----------------------------------------------------------------------------------------------------------------------


def test_every_step_says_where_its_code_is() -> None:
    async def endpoint(item: Item, user: Annotated[str, Depends(user)], q: int = 0) -> None: ...

    plan = plan_of(endpoint)
    assert all(step.origin.file == __file__ for step in plan.steps)
    (resolve,) = of_type(plan, Resolve)
    assert (resolve.origin.line, resolve.origin.what) == (user.__code__.co_firstlineno, "Depends(user)")
    assert of_type(plan, Invoke)[0].origin.line == endpoint.__code__.co_firstlineno
    assert str(resolve.origin) == f"Depends(user)  (test_planner.py:{user.__code__.co_firstlineno})"


def test_a_plan_prints_one_numbered_line_for_each_step() -> None:
    async def endpoint(q: int = 0) -> None: ...

    title, *lines = str(plan_of(endpoint)).splitlines()
    assert title == "POST /"
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert all("(test_planner.py:" in line for line in lines)


# -- what is known of values -------------------------------------------------------------------------------------------------------


def pages(skip: int = 0) -> dict[str, int]:
    return {"skip": skip}


async def changes(pages: Annotated[Any, Depends(pages)]) -> None:
    pages["more"] = object()


def keeps(pages: Annotated[Any, Depends(pages)]) -> Any:
    return {"pages": pages}


def style_of_endpoint(endpoint: Any) -> str:
    (step,) = of_type(plan_of(endpoint), Invoke)
    return str(step.callee.style)


def test_a_container_is_known_until_somebody_else_has_had_it() -> None:
    def alone(pages: Annotated[Any, Depends(pages)]) -> dict[str, int]:
        return pages  # type: ignore[no-any-return]

    def after(changed: Annotated[Any, Depends(changes)], pages: Annotated[Any, Depends(pages)]) -> dict[str, int]:
        return pages  # type: ignore[no-any-return]

    def kept(kept: Annotated[Any, Depends(keeps)], pages: Annotated[Any, Depends(pages)]) -> dict[str, int]:
        return pages  # type: ignore[no-any-return]

    assert [style_of_endpoint(endpoint) for endpoint in (alone, after, kept)] == ["call", "thread", "thread"]
