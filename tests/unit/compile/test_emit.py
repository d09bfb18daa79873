"""The text that the emitter writes, where its shape matters; `tests/generated` has whole handlers."""

import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tercel import APIRouter, BackgroundTasks, Depends, FastAPI, Header, Response
from tercel.compile.emit import emit, runs
from tercel.plan import Check, Invoke, Plan, Render, Resolve, Take
from tercel.testclient import TestClient


class Item(BaseModel):
    name: str


def plan_of(endpoint: Callable[..., Any], path: str = "/", method: str = "GET", **options: Any) -> Plan:
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=[method], **options)
    return router.routes[0].operation.plan()  # type: ignore[attr-defined,no-any-return]


def text_of(endpoint: Callable[..., Any], **options: Any) -> str:
    return emit(plan_of(endpoint, **options)).text


def answers(endpoint: Callable[..., Any], url: str = "/", method: str = "GET", **request: Any) -> list[Any]:
    """What both engines answer."""
    found = []
    for engine in ("compiled", "interpreted"):
        app = FastAPI(engine=engine)  # type: ignore[arg-type]
        app.add_api_route("/", endpoint, methods=[method])
        found.append(TestClient(app).request(method, url, **request).json())
    return found


# -- names -------------------------------------------------------------------------------------------------------------------------


def test_parameters_may_have_the_names_of_the_variables_of_a_handler() -> None:
    async def endpoint(
        item: Item,
        early: str,
        header_map: Annotated[list[str], Header()],
        data: str = "data",
        response: str = "response",
        errors: str = "errors",
        ex: str = "ex",
        scope: str = "scope",
        body: str = "body",
        result: str = "result",
        FAILED: str = "FAILED",
        PLAN: str = "PLAN",
    ) -> list[Any]:
        return [item, early, header_map, data, response, errors, ex, scope, body, result, FAILED, PLAN]

    names = ["data", "response", "errors", "ex", "scope", "body", "result", "FAILED", "PLAN"]
    request = {"json": {"name": "n"}, "headers": {"header-map": "h"}}
    assert answers(endpoint, "/?early=1", "POST", **request) == [[{"name": "n"}, "1", ["h"], *names]] * 2


def test_parameters_may_have_the_names_of_functions_that_a_handler_calls() -> None:
    def dependency(isinstance: str = "isinstance", len: str = "len") -> Iterator[str]:
        yield isinstance + len

    async def endpoint(
        one: Annotated[str, Depends(dependency)],
        dict: str = "dict",
        Response: str = "Response",
        in_thread: str = "run",
        call_endpoint: str = "call",
        hop: str = "hop",
    ) -> list[str]:
        return [one, dict, Response, in_thread, call_endpoint, hop]

    assert answers(endpoint) == [["isinstancelen", "dict", "Response", "run", "call", "hop"]] * 2


def test_marks_of_errors_may_have_the_names_of_parameters() -> None:
    async def wanted(q: int) -> int:
        return q

    async def also(wanted: Annotated[int, Depends(wanted)]) -> int:
        return wanted

    async def endpoint(
        a: Annotated[int, Depends(wanted)], b: Annotated[int, Depends(also)], mark_a: str = "m", end_a: str = "e"
    ) -> list[str]:
        return [mark_a, end_a]

    assert answers(endpoint, "/?q=1") == [["m", "e"]] * 2
    compiled, interpreted = answers(endpoint)
    assert compiled == interpreted
    assert len(compiled["detail"]) == 2


def named(name: str) -> Callable[[], str]:
    def function() -> str:
        return name

    function.__name__ = name
    return function


class Instance:
    def __call__(self) -> str:
        return "instance"


@pytest.mark.parametrize(
    "dependency",
    [
        pytest.param(lambda: "lambda", id="lambda"),
        pytest.param(functools.partial(named("partial")), id="partial"),
        pytest.param(Instance(), id="instance"),
        pytest.param(named("class"), id="keyword"),
        pytest.param(named("a b\nimport os  # é²"), id="text"),
        pytest.param(named("²"), id="digit"),
        pytest.param(named(""), id="empty"),
        pytest.param(named("ex"), id="variable"),
    ],
)
def test_a_dependency_may_be_called_anything(dependency: Any) -> None:
    async def endpoint(value: Annotated[str, Depends(dependency)]) -> str:
        return value

    app = FastAPI(engine="compiled")
    app.add_api_route("/", endpoint, dependencies=[Depends(dependency, use_cache=False), Depends(lambda: None)])
    assert TestClient(app).get("/").json() == dependency()


def test_names_outside_of_ascii_stay_and_comments_are_ascii() -> None:
    async def endpoint(größe: int = 3) -> int:
        return größe

    text = text_of(endpoint)
    assert "call_endpoint(größe=größe)" in text
    assert all(line.partition("  # ")[2].isascii() for line in text.splitlines())
    assert answers(endpoint) == [3, 3]


def test_a_path_cannot_reach_the_code() -> None:
    async def endpoint() -> str:
        return "ok"

    path = '/a"""\r\nimport os\n#\x00'
    source = emit(plan_of(endpoint, path=path))
    assert source.name.isidentifier()
    assert not any(line.lstrip().startswith("import") for line in source.text.splitlines())
    assert callable(source.load())


# -- what is left out --------------------------------------------------------------------------------------------------------------


def test_without_parameters_there_are_no_errors_and_without_generators_no_scope() -> None:
    async def endpoint() -> None: ...

    text = text_of(endpoint)
    assert "errors" not in text
    assert "RequestScope" not in text


def test_the_sources_of_parameters_are_made_once_and_only_those_that_are_used() -> None:
    async def endpoint(a: int, b: int, x_one: Annotated[str, Header()], x_two: Annotated[str, Header()]) -> None: ...

    text = text_of(endpoint)
    assert text.count("last_values(") == 1
    assert text.count("ex.text_of(b'x-one')") == text.count("ex.text_of(b'x-two')") == 1
    assert "cookies" not in text
    assert "path" not in text


def test_functions_are_left_only_where_something_lives_that_long() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def shorter(a: Annotated[int, Depends(generator, scope="function")]) -> int:
        return a

    async def longer(a: Annotated[int, Depends(generator)]) -> int:
        return a

    assert "await scope.leave_function()" in text_of(shorter)
    assert "leave_function" not in text_of(longer)


def test_what_an_injected_response_says_is_asked_only_where_there_is_one() -> None:
    async def endpoint(response: Response) -> None: ...

    async def with_tasks(tasks: BackgroundTasks) -> None: ...

    async def plain() -> None: ...

    assert "send_json(ex, RENDERER, data, response, None)" in text_of(endpoint)
    assert "send_json(ex, RENDERER, data, None, tasks)" in text_of(with_tasks)
    assert "ex.respond(HEAD, data)" in text_of(plain)


# -- hops to worker threads --------------------------------------------------------------------------------------------------------


def first() -> int:
    return int.from_bytes()


def second(q: int) -> int:
    return int.from_bytes()


def momentary(q: int) -> int:
    return q


async def third() -> int:
    return 3


def kinds(plan: Plan) -> list[list[str]]:
    return [[type(step).__name__ for step in run] for run in runs(plan.steps)]


def test_synchronous_calls_in_a_row_share_a_run_with_what_lies_between() -> None:
    def endpoint(a: Annotated[int, Depends(first)], b: Annotated[int, Depends(second)]) -> None:
        first()

    assert kinds(plan_of(endpoint)) == [["Resolve", "Take", "Resolve", "Check", "Invoke"], ["Render"]]


def test_a_momentary_call_between_others_goes_with_them() -> None:
    def endpoint(
        a: Annotated[int, Depends(momentary)],
        b: Annotated[int, Depends(first)],
        c: Annotated[int, Depends(momentary, use_cache=False)],
    ) -> None:
        first()

    assert kinds(plan_of(endpoint)) == [["Take"], ["Resolve"], ["Resolve", "Take", "Resolve", "Check", "Invoke"], ["Render"]]


def test_an_asynchronous_call_ends_a_run() -> None:
    async def endpoint(
        a: Annotated[int, Depends(first)], b: Annotated[int, Depends(third)], c: Annotated[int, Depends(second)]
    ) -> None: ...

    assert kinds(plan_of(endpoint)) == [["Resolve"], ["Resolve"], ["Take"], ["Resolve"], ["Check"], ["Invoke"], ["Render"]]


def test_what_follows_the_last_synchronous_call_is_not_part_of_the_run() -> None:
    async def endpoint(a: Annotated[int, Depends(first)], b: Annotated[int, Depends(second)], c: int = 1) -> None: ...

    assert kinds(plan_of(endpoint)) == [["Resolve", "Take", "Resolve"], ["Take"], ["Check"], ["Invoke"], ["Render"]]


def test_calls_with_a_limit_and_generators_go_alone() -> None:
    def generator() -> Iterator[int]:
        yield 1

    def endpoint(
        a: Annotated[int, Depends(first)],
        b: Annotated[int, Depends(named("limited"), max_concurrency=1)],
        c: Annotated[int, Depends(generator)],
    ) -> None: ...

    assert all(len(run) == 1 for run in runs(plan_of(endpoint).steps))


def test_runs_keep_every_step_in_order() -> None:
    def endpoint(a: Annotated[int, Depends(first)], b: Annotated[int, Depends(second)], c: int = 1) -> None: ...

    plan = plan_of(endpoint)
    assert [step for run in runs(plan.steps) for step in run] == list(plan.steps)
    assert {type(step) for step in plan.steps} == {Resolve, Take, Check, Invoke, Render}


def test_errors_that_are_repeated_after_a_hop_are_counted_in_it() -> None:
    def wanted(q: int) -> int:
        return q

    def two(a: Annotated[int, Depends(wanted, use_cache=False)], b: Annotated[int, Depends(wanted)]) -> int:
        return a

    def endpoint(a: Annotated[int, Depends(wanted, use_cache=False)], b: Annotated[int, Depends(two)]) -> int:
        return a

    compiled, interpreted = answers(endpoint)
    assert compiled == interpreted
    assert [error["loc"] for error in compiled["detail"]] == [["query", "q"]] * 3


def test_a_result_is_validated_in_the_thread_that_made_it() -> None:
    def endpoint() -> Item:
        return Item(name="n")

    text = text_of(endpoint)
    assert text.index("def hop():") < text.index("dump_result(result, ex)") < text.index("return result, data")
    assert answers(endpoint) == [{"name": "n"}] * 2
