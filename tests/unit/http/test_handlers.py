"""The default answers to errors; above all, that a 422 stays a 422 whatever the client sent."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.websockets import WebSocket

from tercel.http.errors import HTTPException, RequestValidationError, WebSocketRequestValidationError
from tercel.http.handlers import (
    close_reason,
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)

REQUEST = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})


def answer_to(error: HTTPException | RequestValidationError) -> tuple[int, Any]:
    async def answer() -> tuple[int, bytes]:
        if isinstance(error, RequestValidationError):
            response = await request_validation_exception_handler(REQUEST, error)
        else:
            response = await http_exception_handler(REQUEST, error)
        return response.status_code, bytes(response.body)

    status, body = anyio.run(answer)
    return status, json.loads(body) if body else None


def shown(value: Any) -> Any:
    status, body = answer_to(RequestValidationError([{"type": "t", "loc": ("body", 0), "msg": "m", "input": value}]))
    assert status == 422
    assert list(body) == ["detail"]
    return body["detail"][0]["input"]


def test_an_http_error_is_answered_with_its_status_headers_and_detail() -> None:
    assert answer_to(HTTPException(404, {"what": [1]})) == (404, {"detail": {"what": [1]}})
    response = anyio.run(http_exception_handler, REQUEST, HTTPException(401, "x", {"www-authenticate": "Bearer"}))
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_http_error_has_no_body_where_the_status_forbids_one(status: int) -> None:
    response = anyio.run(http_exception_handler, REQUEST, HTTPException(status, "ignored", {"x-a": "b"}))
    assert (response.status_code, response.body, response.headers["x-a"]) == (status, b"", "b")


def test_a_detail_that_json_cannot_say_does_not_change_the_status() -> None:
    assert answer_to(HTTPException(404, "no \ud800")) == (404, {"detail": "no \ufffd"})
    assert answer_to(HTTPException(400, {"x": float("inf")})) == (400, {"detail": {"x": "inf"}})


def test_a_detail_of_a_type_that_json_does_not_know_is_the_developers_mistake() -> None:
    with pytest.raises(TypeError):
        answer_to(HTTPException(400, object()))


def test_the_report_of_a_validation_failure_is_shown_unchanged() -> None:
    errors = [{"type": "missing", "loc": ("query", "q"), "msg": "Field required", "input": None, "ctx": {"error": ValueError("x")}}]
    assert answer_to(RequestValidationError(errors)) == (
        422,
        {"detail": [{"type": "missing", "loc": ["query", "q"], "msg": "Field required", "input": None, "ctx": {"error": {}}}]},
    )


def nested(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


class Odd:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        ({"a": [float("-inf"), 1.5]}, {"a": ["-inf", 1.5]}),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ({"\udc00": 1}, {"\ufffd": 1}),
        (b"a\xffb", "a\ufffdb"),
        ([10**5000], ["<integer of 16610 bits>"]),
        ([float("nan"), Odd()], ["nan", "<Odd>"]),
        ([float("nan"), {1, 2}, (3,), None, True], ["nan", [1, 2], [3], None, True]),
        ({float("nan"): 1, (1, 2): 2, None: float("inf")}, {"nan": 1, "…": 2, "null": "inf"}),
    ],
)
def test_input_that_json_cannot_say_is_replaced(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_input_nested_too_deeply_is_cut_off() -> None:
    value = shown(nested(100_000))
    depth = 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    assert (value, 20 < depth < 40) == ("…", True)


def test_input_that_contains_itself_is_cut_off() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert isinstance(shown(endless), list)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])) | st.floats(), inner),
    max_leaves=10,
)


@given(ANYTHING)
def test_a_validation_failure_is_answered_with_422_whatever_the_input(value: Any) -> None:
    status, body = answer_to(RequestValidationError([{"loc": ("body",), "input": value, "ctx": {"limit": value}}]))
    assert status == 422
    json.dumps(body, allow_nan=False).encode()


# -- WebSockets ----------------------------------------------------------------------------------------------------------------


def test_a_websocket_is_closed_with_1008_and_the_failures_as_text() -> None:
    sent: list[Any] = []

    async def close() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        websocket = WebSocket({"type": "websocket", "path": "/", "headers": []}, receive, send)
        error = WebSocketRequestValidationError([{"loc": ("header", "x-token"), "msg": "Field required"}])
        await websocket_request_validation_exception_handler(websocket, error)

    anyio.run(close)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "header.x-token: Field required"}]


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([], ""),
        ([{"loc": ("query", "a"), "msg": "m"}, {"loc": (), "msg": "n"}, "text"], "query.a: m; n; text"),
        ([{"loc": ("query", "a"), "type": "missing"}], "query.a: missing"),
        ([{"loc": ("\ud800",), "msg": "m"}], "\ufffd: m"),
        (["a" * 123], "a" * 123),
        (["a" * 124], "a" * 120 + "…"),
        (["é" * 100], "é" * 60 + "…"),
    ],
)
def test_a_close_reason_fits_into_a_close_frame(errors: list[Any], reason: str) -> None:
    assert close_reason(errors) == reason
    assert len(reason.encode()) <= 123
