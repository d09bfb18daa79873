"""The interpreter: what each step does, and the ways to run a plan that is wrapped by somebody else."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.websockets import WebSocket

from tercel import APIRouter, BackgroundTasks, Body, Depends, Form, Header, Response, Security, UploadFile
from tercel.analyse.planner import InForce, plan_tree
from tercel.analyse.signature import get_dependant
from tercel.compile.emit import compile_plan
from tercel.compile.interpret import interpreted_handler, interpreted_socket, response_to, run_plan
from tercel.compile.scopes import RequestScope
from tercel.http.asgi import WebSocketExchange
from tercel.http.errors import RequestValidationError, ResponseValidationError, WebSocketRequestValidationError
from tercel.plan import Plan
from tercel.security import SecurityScopes
from tests.unit.compile.exchanges import Recorded, asgi_exchange, http_scope

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[interpreted_handler, compile_plan], ids=["interpreted", "compiled"])
def make_handler(request: pytest.FixtureRequest) -> Callable[[Plan], Any]:
    """The specification, and the compiler that must agree with it."""
    return request.param  # type: ignore[no-any-return]


def plan_of(endpoint: Callable[..., Any], path: str = "/", method: str = "POST", **options: Any) -> Plan:
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=[method], **options)
    return router.routes[0].operation.plan()  # type: ignore[attr-defined,no-any-return]


class Item(BaseModel):
    name: str


# -- steps -------------------------------------------------------------------------------------------------------------------------


async def test_every_step_of_a_request(make_handler: Callable[[Plan], Any]) -> None:
    log: list[str] = []

    async def opened(x_a: Annotated[str, Header()]) -> AsyncGenerator[str, None]:
        log.append(f"+{x_a}")
        yield x_a
        log.append(f"-{x_a}")

    def shorter() -> Generator[str, None, None]:
        yield "short"
        log.append("-short")

    async def background() -> None:
        log.append("background")

    async def endpoint(
        item_id: int,
        item: Item,
        opened: Annotated[str, Depends(opened)],
        shorter: Annotated[str, Depends(shorter, scope="function")],
        response: Response,
        tasks: BackgroundTasks,
        request: Request,
        q: str = "q",
    ) -> list[Any]:
        log.append("endpoint")
        response.headers["x-b"] = opened
        tasks.add_task(background)
        return [item_id, item, opened, shorter, q, request.method]

    handler = make_handler(plan_of(endpoint, "/{item_id}", status_code=202))
    ex, server = asgi_exchange(b'{"name": "n"}', method="POST", query="q=1", headers={**JSON, "x-a": "a"})
    ex.path_params = {"item_id": "7"}
    await handler(ex)
    assert (server.status, server.headers["x-b"], server.body) == (202, "a", b'[7,{"name":"n"},"a","short","1","POST"]')
    assert log == ["+a", "endpoint", "-short", "background", "-a"]


async def test_errors_of_the_whole_tree_are_collected_and_nothing_that_needs_them_is_called(
    make_handler: Callable[[Plan], Any],
) -> None:
    called: list[str] = []

    async def bad(x_a: Annotated[int, Header()]) -> int:
        called.append("bad")
        return x_a

    async def needs(bad: Annotated[int, Depends(bad)]) -> int:
        called.append("needs")
        return bad

    async def good() -> int:
        called.append("good")
        return 1

    async def endpoint(
        needs: Annotated[int, Depends(needs)], again: Annotated[int, Depends(bad)], good: Annotated[int, Depends(good)], q: int
    ) -> None:
        called.append("endpoint")

    ex, _ = asgi_exchange(method="POST", headers={"x-a": "no"})
    with pytest.raises(RequestValidationError) as caught:
        await make_handler(plan_of(endpoint))(ex)
    assert [error["loc"] for error in caught.value.errors()] == [("header", "x-a"), ("header", "x-a"), ("query", "q")]
    assert called == ["good"]


async def test_a_broken_body_stops_before_any_dependency(make_handler: Callable[[Plan], Any]) -> None:
    async def dependency() -> None:
        raise AssertionError("not reached")

    async def endpoint(item: Item, dependency: Annotated[None, Depends(dependency)]) -> None: ...

    ex, _ = asgi_exchange(b"{", method="POST", headers=JSON)
    with pytest.raises(RequestValidationError) as caught:
        await make_handler(plan_of(endpoint))(ex)
    assert caught.value.errors()[0]["type"] == "json_invalid"


async def test_scopes_are_those_of_the_place_where_a_dependency_is_used(make_handler: Callable[[Plan], Any]) -> None:
    async def scopes(scopes: SecurityScopes) -> list[str]:
        return scopes.scopes

    async def inner(scopes: Annotated[list[str], Security(scopes, scopes=["c"])]) -> list[str]:
        return scopes

    async def endpoint(
        a: Annotated[list[str], Security(inner, scopes=["a", "b"])], plain: Annotated[list[str], Depends(scopes)]
    ) -> list[list[str]]:
        return [a, plain]

    ex, server = asgi_exchange(method="POST")
    await make_handler(plan_of(endpoint))(ex)
    assert server.body == b'[["a","b","c"],[]]'


async def test_files_of_a_form_are_closed_after_the_response(make_handler: Callable[[Plan], Any]) -> None:
    files: list[UploadFile] = []

    async def endpoint(file: UploadFile, name: Annotated[str, Form()]) -> str:
        files.append(file)
        return f"{name}: {(await file.read()).decode()}"

    body = (
        b'--x\r\ncontent-disposition: form-data; name="name"\r\n\r\nn\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\ntext\r\n--x--\r\n'
    )
    ex, server = asgi_exchange(body, method="POST", headers={"content-type": "multipart/form-data; boundary=x"})
    await make_handler(plan_of(endpoint))(ex)
    assert server.body == b'"n: text"'
    assert files[0].file.closed


async def test_calls_of_a_limited_dependency_wait_for_one_another(make_handler: Callable[[Plan], Any]) -> None:
    running: list[int] = []

    async def dependency() -> int:
        running.append(1)
        await asyncio.sleep(0)
        together = len(running)
        running.pop()
        return together

    async def endpoint(together: Annotated[int, Depends(dependency, max_concurrency=1)]) -> int:
        return together

    handler = make_handler(plan_of(endpoint))
    asked = [asgi_exchange(method="POST") for _ in range(3)]
    await asyncio.gather(*(handler(ex) for ex, _ in asked))
    assert [server.body for _, server in asked] == [b"1"] * 3


async def test_a_result_that_breaks_its_promise_is_an_error_of_the_server(make_handler: Callable[[Plan], Any]) -> None:
    async def endpoint() -> Any:
        return {"name": 3}

    ex, server = asgi_exchange(method="POST")
    with pytest.raises(ResponseValidationError) as caught:
        await make_handler(plan_of(endpoint, response_model=Item))(ex)
    assert caught.value.endpoint_function == "endpoint"
    assert server.sent == []


async def test_a_body_of_several_parameters_is_spread(make_handler: Callable[[Plan], Any]) -> None:
    async def endpoint(item: Item, count: Annotated[int, Body()]) -> list[Any]:
        return [item, count]

    ex, server = asgi_exchange(b'{"item": {"name": "n"}, "count": 2}', method="POST", headers=JSON)
    await make_handler(plan_of(endpoint))(ex)
    assert server.body == b'[{"name":"n"},2]'


# -- WebSockets --------------------------------------------------------------------------------------------------------------------


def socket_plan(endpoint: Callable[..., Any]) -> Plan:
    router = APIRouter()
    router.add_api_websocket_route("/{room}", endpoint)
    return router.routes[0].operation.plan()  # type: ignore[attr-defined,no-any-return]


def connection() -> tuple[WebSocketExchange, Recorded]:
    server = Recorded()
    scope = {**http_scope("/lobby", query="n=3"), "type": "websocket", "subprotocols": [], "path_params": {"room": "lobby"}}

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    return WebSocketExchange(WebSocket(scope, receive, server.send)), server


@pytest.fixture(params=[interpreted_socket, compile_plan], ids=["interpreted", "compiled"])
def make_socket(request: pytest.FixtureRequest) -> Callable[[Plan], Any]:
    return request.param  # type: ignore[no-any-return]


async def test_an_endpoint_of_a_websocket_gets_its_parameters(make_socket: Callable[[Plan], Any]) -> None:
    log: list[str] = []

    async def opened() -> AsyncGenerator[str, None]:
        yield "opened"
        log.append("closed")

    async def endpoint(websocket: WebSocket, room: str, n: int, opened: Annotated[str, Depends(opened)]) -> None:
        log.append(f"{room} {n} {opened}")
        await websocket.accept()

    ex, server = connection()
    await make_socket(socket_plan(endpoint))(ex)
    assert log == ["lobby 3 opened", "closed"]
    assert server.sent[0]["type"] == "websocket.accept"


async def test_errors_of_a_websocket_are_raised_before_it_is_accepted(make_socket: Callable[[Plan], Any]) -> None:
    async def endpoint(websocket: WebSocket, room: int) -> None:
        raise AssertionError("not reached")

    ex, server = connection()
    with pytest.raises(WebSocketRequestValidationError) as caught:
        await make_socket(socket_plan(endpoint))(ex)
    assert caught.value.errors()[0]["loc"] == ("path", "room")
    assert server.sent == []


# -- wrapped by somebody else ------------------------------------------------------------------------------------------------------


async def test_a_response_can_be_had_unsent_with_generators_on_the_stacks_in_the_scope() -> None:
    log: list[str] = []

    async def longer() -> AsyncGenerator[str, None]:
        yield "longer"
        log.append("request")

    def shorter() -> Generator[str, None, None]:
        yield "shorter"
        log.append("function")

    async def endpoint(
        a: Annotated[str, Depends(longer)], b: Annotated[str, Depends(shorter, scope="function", max_concurrency=1)]
    ) -> list[str]:
        return [a, b]

    server = Recorded()
    scope = http_scope(method="POST")
    async with AsyncExitStack() as form, AsyncExitStack() as request, AsyncExitStack() as function:
        scope.update(fastapi_middleware_astack=form, fastapi_inner_astack=request, fastapi_function_astack=function)
        response = await response_to(plan_of(endpoint), Request(scope, server.receive, server.send))
        assert response.body == b'["longer","shorter"]'
        assert log == []
    assert (log, server.sent) == (["function", "request"], [])


@pytest.mark.parametrize("missing", ["fastapi_inner_astack", "fastapi_function_astack", "fastapi_middleware_astack"])
async def test_without_the_stacks_there_is_no_response(missing: str) -> None:
    async def endpoint() -> None: ...

    stacks = {name: AsyncExitStack() for name in ("fastapi_inner_astack", "fastapi_function_astack", "fastapi_middleware_astack")}
    del stacks[missing]
    with pytest.raises(AssertionError, match=missing):
        await response_to(plan_of(endpoint), Request(http_scope(**stacks)))


async def test_dependencies_alone_can_be_run_and_say_what_they_inject() -> None:
    async def dependency(response: Response, tasks: BackgroundTasks, q: int) -> None:
        response.headers["x-q"] = str(q)

    plan = plan_tree(get_dependant(path="/", call=dependency), "GET /app", InForce({0: {}}))
    ex, _ = asgi_exchange(query="q=3")
    async with RequestScope(ex) as scope:
        response, tasks = await run_plan(plan, ex, scope)
    assert response is not None
    assert isinstance(tasks, BackgroundTasks)
