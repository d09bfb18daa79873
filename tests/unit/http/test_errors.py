"""What errors print, and which exceptions catch them."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.exceptions import WebSocketException as StarletteWebSocketException

from tercel.http.errors import (
    DeclarationAssertion,
    DeclarationError,
    DependencyScopeError,
    FastAPIDeprecationWarning,
    FastAPIError,
    HTTPException,
    RequestErrorModel,
    RequestValidationError,
    ResponseValidationError,
    ValidationException,
    WebSocketErrorModel,
    WebSocketException,
    WebSocketRequestValidationError,
)


@dataclass(frozen=True)
class Line:
    file: str
    line: int


def test_http_errors_are_starlettes_with_any_detail() -> None:
    error = HTTPException(418, {"why": "teapot"}, {"x-a": "b"})
    assert isinstance(error, StarletteHTTPException)
    assert (error.status_code, error.detail, error.headers) == (418, {"why": "teapot"}, {"x-a": "b"})
    assert HTTPException(404).detail == "Not Found"
    closing = WebSocketException(1008, "no")
    assert isinstance(closing, StarletteWebSocketException)
    assert (closing.code, closing.reason) == (1008, "no")


@pytest.mark.parametrize(
    ("errors", "context", "text"),
    [
        ([], None, "0 validation errors:"),
        ([{"a": 1}], {}, "1 validation error:\n  {'a': 1}"),
        ([1, 2], {"path": "GET /x"}, "2 validation errors:\n  1\n  2\n\n  Endpoint: GET /x"),
        ([1], {"function": "f", "file": "a.py", "line": 3}, '1 validation error:\n  1\n\n  File "a.py", line 3, in f'),
        (
            [1],
            {"function": "f", "file": "a.py", "line": 3, "path": "GET /x"},
            '1 validation error:\n  1\n\n  File "a.py", line 3, in f\n    GET /x',
        ),
        ([1], {"function": "f"}, "1 validation error:\n  1"),
    ],
)
def test_a_validation_failure_prints_its_errors_and_the_endpoint(errors: list[Any], context: Any, text: str) -> None:
    for kind in (ValidationException, RequestValidationError, WebSocketRequestValidationError, ResponseValidationError):
        error = kind(errors, endpoint_ctx=context)
        assert str(error) == text
        assert error.errors() is errors
        assert error.args == (errors,)


def test_failures_of_requests_and_responses_carry_the_body() -> None:
    assert RequestValidationError([], body={"a": 1}).body == {"a": 1}
    assert ResponseValidationError([], body=5).body == 5


def test_a_declaration_error_says_what_where_and_what_to_write_instead() -> None:
    here = os.path.join(os.getcwd(), "pkg", "deps.py")
    error = DeclarationError(
        "`db` in get_user() cannot be resolved",
        [(Line("app.py", 41), "@app.get(...)"), (Line(here, 9), "db: Session"), ("somewhere", "")],
        "Write `db: Annotated[Session, Depends(get_db)]`,\nor add a default.",
    )
    assert str(error).splitlines() == [
        "`db` in get_user() cannot be resolved",
        "  app.py:41      @app.get(...)",
        f"  {os.path.join('pkg', 'deps.py')}:9  db: Session",
        "  somewhere",
        "  Write `db: Annotated[Session, Depends(get_db)]`,",
        "  or add a default.",
    ]
    assert error.what == "`db` in get_user() cannot be resolved"


def test_a_declaration_error_may_be_the_first_line_only() -> None:
    assert str(DeclarationError("just this")) == "just this"


def test_a_declaration_error_survives_pickling() -> None:
    error = DeclarationError("what", [("app.py:1", "code")], "advice")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_declaration_errors_are_caught_as_fastapi_raises_them() -> None:
    assert issubclass(DeclarationError, FastAPIError)
    assert issubclass(FastAPIError, RuntimeError)
    assert issubclass(DependencyScopeError, FastAPIError)
    with pytest.raises(AssertionError, match=r"^exactly this"):
        raise DeclarationAssertion("exactly this", advice="write that")
    assert issubclass(DeclarationAssertion, DeclarationError)


def test_deprecations_are_shown_by_default() -> None:
    assert issubclass(FastAPIDeprecationWarning, UserWarning)


def test_the_models_of_native_errors_have_the_names_pydantic_shows() -> None:
    assert (RequestErrorModel.__name__, WebSocketErrorModel.__name__) == ("Request", "WebSocket")
