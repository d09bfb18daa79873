"""What generated code calls: sources of parameters, bodies, errors, objects for user code, answers."""

from __future__ import annotations

from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.datastructures import FormData, Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tercel.analyse.early import early_validator
from tercel.analyse.fields import ModelField
from tercel.analyse.results import Renderer
from tercel.compile import support
from tercel.compile.support import Undefined
from tercel.declare.markers import Body
from tercel.http.asgi import ASGIExchange
from tercel.http.defaults import Default
from tercel.http.errors import RequestValidationError, ResponseValidationError, WebSocketRequestValidationError
from tercel.http.exchange import BodyTooLarge
from tercel.plan import FAILED, Plan
from tests.unit.compile.exchanges import NativeExchange, asgi_exchange

pytestmark = pytest.mark.anyio

PLAN = Plan("POST /items", "http", (), {"function": "create", "file": "app.py", "line": 3}, False, path="/items")
SOCKET_PLAN = Plan("WS /items", "websocket", (), {}, False)
JSON = {"content-type": "application/json"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Item(BaseModel):
    name: str


# -- sources of parameters ---------------------------------------------------------------------------------------------------------


@given(st.one_of(st.text(alphabet="ab=&+%2;\xe9 ", max_size=30).map(lambda text: text.encode("latin-1")), st.binary(max_size=20)))
def test_the_last_value_of_every_name_is_that_of_starlettes_multi_dict(query: bytes) -> None:
    assert support.last_values(query) == dict(QueryParams(query))


def test_last_values_of_an_ordinary_query() -> None:
    assert support.last_values(b"a=1&b=&a=2&c") == {"a": "2", "b": "", "c": ""}
    assert support.last_values(b"q=a%20b+c&q=%C3%BC") == {"q": "ü"}
    assert support.last_values(b"") == {}


def test_the_first_header_field_of_a_name_is_found_as_text() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-a", b"1"), (b"x-b", b"\xe9"), (b"x-a", b"2")]}
    nobody: Any = None
    ex = ASGIExchange(scope, nobody, nobody)
    assert (ex.text_of(b"x-a"), ex.text_of(b"x-b"), ex.text_of(b"x-c")) == ("1", "é", None)


def test_cookies_of_several_header_fields_are_merged() -> None:
    ex = SimpleNamespace(headers=[(b"cookie", b"a=1; b=2"), (b"x", b"y"), (b"cookie", b'b="3"')])
    assert support.parse_cookies(ex) == {"a": "1", "b": "3"}


def test_general_sources_are_starlettes_multi_dicts() -> None:
    ex, _ = asgi_exchange(query="a=1&a=2", headers={"x-a": "1"})
    ex.path_params = {"id": 3}
    assert support.general_source(ex, "path") == {"id": 3}
    assert support.general_source(ex, "query") == QueryParams("a=1&a=2")
    assert support.general_source(ex, "header") == Headers({"x-a": "1"})
    assert support.general_source(ex, "cookie") == {}


async def test_functions_that_share_a_thread_have_contexts_of_their_own() -> None:
    seen: ContextVar[str] = ContextVar("seen", default="nothing")

    def change(value: str) -> str:
        before = seen.get()
        seen.set(value)
        return before

    assert [support.apart(change, value="a"), support.apart(change, value="b"), seen.get()] == ["nothing"] * 3


# -- JSON bodies -------------------------------------------------------------------------------------------------------------------


async def read(*parts: bytes, strict: bool = True, headers: dict[str, str] | None = None) -> Any:
    ex, _ = asgi_exchange(*parts, method="POST", headers=headers or {})
    return await support.read_json(ex, strict, PLAN)


async def test_a_json_body_is_parsed() -> None:
    assert await read(b'{"a":', b" 1}", headers=JSON) == {"a": 1}
    assert await read(b"null", headers=JSON) is None
    assert await read(b"[1]", headers={"content-type": "application/vnd.api+json; charset=utf-8"}) == [1]


async def test_no_body_is_undefined_whatever_its_type() -> None:
    assert await read(headers=JSON) is Undefined
    assert await read() is Undefined


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/jsonx", "json"])
async def test_a_body_of_another_type_stays_bytes(content_type: str) -> None:
    assert await read(b"{}", headers={"content-type": content_type}) == b"{}"


async def test_a_body_without_a_type_is_json_only_where_that_is_allowed() -> None:
    assert await read(b"{}") == b"{}"
    assert await read(b"{}", strict=False) == {}


async def test_a_syntax_error_is_a_422_with_its_place() -> None:
    with pytest.raises(RequestValidationError) as caught:
        await read(b'{"a": }', headers=JSON)
    error = caught.value
    assert error.errors() == [
        {"type": "json_invalid", "loc": ("body", 6), "msg": "JSON decode error", "input": {}, "ctx": {"error": "Expecting value"}}
    ]
    assert error.body == '{"a": }'
    assert error.endpoint_ctx == {"function": "create", "file": "app.py", "line": 3, "path": "POST /items"}


async def read_failing(error: Exception) -> BaseException:
    ex, _ = asgi_exchange(method="POST", headers=JSON)

    async def body() -> bytes:
        raise error

    failing: Any = SimpleNamespace(body=body, view=None, native=True, headers=ex.headers, scope=ex.scope)
    with pytest.raises(HTTPException) as caught:
        await support.read_json(failing, True, PLAN)
    return caught.value


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (BodyTooLarge(10), 413, "Content Too Large"),
        (HTTPException(418, "teapot"), 418, "teapot"),
        (ClientDisconnect(), 400, "There was an error parsing the body"),
        (OSError(), 400, "There was an error parsing the body"),
    ],
)
async def test_a_body_that_cannot_be_received(error: Exception, status: int, detail: str) -> None:
    answered: Any = await read_failing(error)
    assert (answered.status_code, answered.detail) == (status, detail)


async def test_a_request_class_of_the_users_reads_the_body() -> None:
    class Upper(Request):
        async def body(self) -> bytes:
            return (await super().body()).upper()

    class Own(Request):
        async def json(self) -> Any:
            return {"own": len(await self.body())}

    for kind, expected in ((Upper, {"A": 1}), (Own, {"own": 7})):
        ex, server = asgi_exchange(b'{"a":1}', method="POST", headers=JSON)
        view = kind(ex.scope, server.receive, server.send)
        wrapped = ASGIExchange(ex.scope, server.receive, server.send, view)
        assert await support.read_json(wrapped, True, PLAN) == expected


async def test_reading_twice_gives_the_same() -> None:
    ex, _ = asgi_exchange(b"[1]", method="POST", headers=JSON)
    assert await support.read_json(ex, True, PLAN) == await support.read_json(ex, True, PLAN) == [1]
    assert await support.request_of(ex).body() == b"[1]"


# -- early validation --------------------------------------------------------------------------------------------------------------

validate = early_validator(ModelField(field_info=Body(annotation=Item), name="item"))


async def read_item(body: bytes, headers: dict[str, str] = JSON) -> tuple[Any, Any]:
    assert validate is not None
    ex, _ = asgi_exchange(body, method="POST", headers=headers)
    return await support.read_model(ex, True, validate, PLAN)


async def test_a_valid_body_is_validated_as_it_is_read() -> None:
    assert await read_item(b'{"name": "n"}') == (b'{"name": "n"}', Item(name="n"))


@pytest.mark.parametrize(
    ("body", "headers", "read"),
    [(b'{"name": 3}', JSON, {"name": 3}), (b'{"name": "n"}', {}, b'{"name": "n"}'), (b"", JSON, Undefined), (b"null", JSON, None)],
)
async def test_any_other_body_is_read_for_later(body: bytes, headers: dict[str, str], read: Any) -> None:
    assert await read_item(body, headers) == (read, FAILED)


async def test_a_broken_body_is_refused_before_anything_else_happens() -> None:
    with pytest.raises(RequestValidationError):
        await read_item(b'{"name": ')


async def test_a_request_that_somebody_made_before_is_read_through() -> None:
    assert validate is not None
    ex, _ = asgi_exchange(b'{"name": "n"}', method="POST", headers=JSON)
    support.request_of(ex)
    assert await support.read_model(ex, True, validate, PLAN) == ({"name": "n"}, FAILED)


# -- forms -------------------------------------------------------------------------------------------------------------------------


async def test_a_form_is_parsed_within_the_limits_of_the_route_over_those_around() -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    ex, _ = asgi_exchange(b"a=1&b=2", method="POST", headers=form)
    parsed = await support.read_form(ex, None, PLAN)
    assert parsed == FormData([("a", "1"), ("b", "2")])
    ex, _ = asgi_exchange(b"a=1&b=2", method="POST", headers=form, fastapi={"form_limits": {"max_fields": 1}})
    with pytest.raises(HTTPException) as caught:
        await support.read_form(ex, None, PLAN)
    assert caught.value.status_code == 400
    ex, _ = asgi_exchange(b"a=1&b=2", method="POST", headers=form, fastapi={"form_limits": {"max_fields": 1}})
    assert len(await support.read_form(ex, {"max_fields": 2}, PLAN)) == 2


async def test_a_form_of_another_type_is_empty() -> None:
    ex, _ = asgi_exchange(b"a=1", method="POST", headers=JSON)
    assert await support.read_form(ex, None, PLAN) == FormData()


async def test_a_malformed_form_is_a_400() -> None:
    ex, _ = asgi_exchange(b"nonsense", method="POST", headers={"content-type": "multipart/form-data; boundary=x"})
    with pytest.raises(HTTPException) as caught:
        await support.read_form(ex, None, PLAN)
    assert caught.value.status_code == 400


# -- taking and checking -----------------------------------------------------------------------------------------------------------


class Taker:
    def __init__(self, result: Any) -> None:
        self.result = result

    async def take(self, body: Any, errors: list[Any]) -> Any:
        return self.result


async def test_a_single_body_parameter_is_its_value_and_several_are_a_mapping() -> None:
    assert await support.take_read(Taker({"item": 1}), None, "item", []) == 1
    assert await support.take_read(Taker({"a": 1, "b": 2}), None, None, []) == {"a": 1, "b": 2}
    assert await support.take_read(Taker(FAILED), None, "item", []) is FAILED


def checked(body: Any, early: Any, plan: Plan = PLAN) -> Any:
    ex, _ = asgi_exchange(method="POST")
    return support.check([{"type": "missing"}], body, early, plan, ex)


def test_the_error_of_a_request_shows_the_body_as_it_was_decoded() -> None:
    assert checked({"a": 1}, FAILED).body == {"a": 1}
    assert checked(Undefined, FAILED).body is None
    assert checked(b"text", FAILED).body == b"text"
    assert checked(b'{"a": 1}', Item(name="validated early")).body == {"a": 1}
    assert checked(Undefined, FAILED).errors() == [{"type": "missing"}]


def test_the_path_in_an_error_has_the_prefix_of_the_mount() -> None:
    ex, _ = asgi_exchange(method="POST", root_path="/api/")
    ex.root_path = "/api/"
    assert support.context_of(PLAN, ex)["path"] == "POST /api/items"
    assert "path" not in support.context_of(SOCKET_PLAN, ex)


def test_the_error_of_a_websocket_is_another() -> None:
    assert isinstance(checked(Undefined, FAILED, SOCKET_PLAN), WebSocketRequestValidationError)


# -- objects for user code ---------------------------------------------------------------------------------------------------------


def test_there_is_one_request_for_an_exchange_and_the_match_is_described_in_it() -> None:
    ex, _ = asgi_exchange()

    class Entry:
        def describe(self, scope: Any, params: Any) -> None:
            scope["path_params"] = params

    ex.entry, ex.path_params = Entry(), {"id": 1}
    request = support.request_of(ex)
    assert request is support.request_of(ex)
    assert request.path_params == {"id": 1}


async def test_a_request_made_after_the_body_was_read_has_it() -> None:
    ex, _ = asgi_exchange(b"data", method="POST")
    assert await ex.body() == b"data"
    assert await support.request_of(ex).body() == b"data"


def test_an_injected_response_says_nothing_of_its_own() -> None:
    response = support.injected_response()
    assert (response.status_code, response.raw_headers) == (None, [])
    response.headers["x-a"] = "1"
    response.set_cookie("a", "b")
    assert [name for name, _ in response.raw_headers] == [b"x-a", b"set-cookie"]


# -- results -----------------------------------------------------------------------------------------------------------------------


def renderer(annotation: Any = None, response_class: Any = None, status_code: int | None = None) -> Renderer:
    from pydantic.fields import FieldInfo

    field = (
        None if annotation is None else ModelField(field_info=FieldInfo(annotation=annotation), name="out", mode="serialization")
    )
    return Renderer(
        response_class=response_class or Default(JSONResponse), status_code=status_code, field=field, dump={"by_alias": True}
    )


def test_a_result_is_validated_and_dumped() -> None:
    ex, _ = asgi_exchange()
    dump = support.body_maker(renderer(Item), PLAN)
    assert dump(Item(name="n"), ex) == dump({"name": "n", "secret": 1}, ex) == b'{"name":"n"}'


@pytest.mark.parametrize("make", ["body_maker", "response_maker"])
def test_a_result_that_breaks_the_promise_says_which_endpoint_it_was(make: str) -> None:
    ex, _ = asgi_exchange(method="POST")
    made = getattr(support, make)(renderer(Item), PLAN)
    with pytest.raises(ResponseValidationError) as caught:
        made({"name": 3}, ex, *([None, None] if make == "response_maker" else []))
    assert caught.value.errors()[0]["loc"] == ("response", "name")
    assert caught.value.body == {"name": 3}
    assert "in create\n    POST /items" in str(caught.value)


# -- answers -----------------------------------------------------------------------------------------------------------------------


async def answer(kind: Renderer, body: bytes, injected: Response | None = None, background: Any = None) -> Any:
    ex, server = asgi_exchange()
    await support.send_json(ex, kind, body, injected, background)
    return server


async def test_json_is_sent_with_the_head_of_the_route() -> None:
    server = await answer(renderer(status_code=201), b"{}")
    assert (server.status, server.headers, server.body) == (201, {"content-length": "2", "content-type": "application/json"}, b"{}")


async def test_the_injected_response_adds_headers_and_its_status_wins() -> None:
    injected = support.injected_response()
    injected.headers["x-a"] = "1"
    injected.status_code = 202
    server = await answer(renderer(status_code=201), b"{}", injected)
    assert (server.status, server.headers["x-a"]) == (202, "1")
    again = await answer(renderer(status_code=201), b"{}", support.injected_response())
    assert (again.status, "x-a" in again.headers) == (201, False)  # the head of the route is as it was


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_where_the_status_forbids_a_body_none_is_sent(status: int) -> None:
    for kind, injected in ((renderer(status_code=status), None), (renderer(), support.injected_response())):
        if injected is not None:
            injected.status_code = status
        server = await answer(kind, b'"text"', injected)
        assert (server.status, server.body) == (status, b"")


async def test_background_tasks_run_after_the_response() -> None:
    order: list[Any] = []
    ex, server = asgi_exchange()

    async def task() -> None:
        order.append(server.complete)

    await support.send_json(ex, renderer(), b"{}", None, BackgroundTask(task))
    assert order == [True]


async def test_an_ordinary_response_needs_no_messages_on_the_own_server() -> None:
    ran = []
    ex = NativeExchange()
    response = Response(b"x", headers={"x-a": "1"}, background=BackgroundTask(lambda: ran.append(1)))
    await support.respond_with(ex, response)
    ((what, head, body),) = ex.calls
    assert (what, head.status, body) == ("respond", 200, b"x")
    assert (b"x-a", b"1") in head.headers
    assert ran == [1]


async def test_a_response_of_a_class_with_a_call_of_its_own_is_called() -> None:
    class Own(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": b"own"})

    ex, server = asgi_exchange()
    await support.respond_with(ex, Own())
    assert (server.status, server.body, ex.started) == (299, b"own", True)


async def test_a_streaming_response_is_called_over_asgi() -> None:
    ex, server = asgi_exchange()
    await support.respond_with(ex, StreamingResponse(iter(["a", b"b"])))
    assert (server.body, server.complete) == (b"ab", True)
