"""One shape for every error: `{"error": {"code", "message", "path"}}`, with `details` when the input was at fault.

Code anywhere in the demo raises `AppError` and knows nothing of HTTP beyond a status; `install` registers the handlers that turn
it, and the framework's own errors, into answers. The mounted applications bring handlers of their own (`public_api`,
`internal_api`): a mount does not inherit them.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tercel import FastAPI
from tercel.exceptions import HTTPException, RequestValidationError
from tercel.requests import HTTPConnection, Request
from tercel.responses import JSONResponse, Response

__all__ = ["AppError", "EscapedJSONResponse", "describe_validation", "install"]

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "CONTENT_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


class AppError(Exception):
    """Something that the client is told about.

    Args:
        status: the HTTP status of the answer.
        code: for programs: a constant in capitals that never changes once it is published.
        message: for people: one sentence. It must not contain what the client must not know.
        headers: further header fields, such as `WWW-Authenticate` with a 401 (RFC 9110 §15.5.2 requires it).
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class EscapedJSONResponse(JSONResponse):
    """JSON in ASCII. Error texts repeat pieces of bad input, and a lone surrogate can be escaped but cannot be encoded as UTF-8."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def describe_validation(error: RequestValidationError) -> list[dict[str, Any]]:
    """Where each error is and what is wrong with it, as JSON can say it.

    FastAPI also repeats the `input`. Here it is left out: it may be a password, and what is refused need not be sent back.
    """
    return [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in error.errors()]


def install(app: FastAPI) -> None:
    """Register the handlers with the application.

    A handler for a class also sees its subclasses; a handler for a status sees every HTTP exception of that status, also those that
    the framework raises itself: no such path (404), wrong method (405), a body that is no form (400) or is too long (413).
    """

    @app.exception_handler(AppError)
    async def answer_app_error(connection: HTTPConnection, error: AppError) -> Response:
        return _answer(connection, error.status, error.code, error.message, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def answer_invalid_input(request: Request, error: RequestValidationError) -> Response:
        details = describe_validation(error)
        return _answer(request, 422, "VALIDATION_ERROR", "The request is not valid; see details.", details=details)

    @app.exception_handler(HTTPException)
    @app.exception_handler(400)
    @app.exception_handler(404)
    @app.exception_handler(405)
    @app.exception_handler(413)
    async def answer_http_exception(connection: HTTPConnection, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, f"HTTP_{error.status_code}")
        return _answer(connection, error.status_code, code, str(error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    async def answer_defect(connection: HTTPConnection, error: Exception) -> Response:
        # A defect of ours. The server logs it with its traceback; the client learns nothing of our insides.
        return _answer(connection, 500, "INTERNAL_ERROR", HTTPStatus.INTERNAL_SERVER_ERROR.phrase)


def _answer(
    connection: HTTPConnection,
    status: int,
    code: str,
    message: str,
    *,
    details: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    # The connection may also be a WebSocket that has not been accepted yet: the answer then refuses it.
    error: dict[str, Any] = {"code": code, "message": message, "path": connection.scope["path"]}
    if details is not None:
        error["details"] = details
    return EscapedJSONResponse({"error": error}, status_code=status, headers=dict(headers or {}))
