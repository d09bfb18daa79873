"""The errors of the framework: those that become responses, those a wrong declaration raises, and deprecation warnings.

Which response each becomes is decided in `tercel.http.handlers`, read it next. This module must not know requests, routes or plans:
a place in the user's code is anything with a `file` and a `line`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypedDict

from pydantic import BaseModel, create_model
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.exceptions import WebSocketException as StarletteWebSocketException

__all__ = [
    "DeclarationAssertion",
    "DeclarationError",
    "DependencyScopeError",
    "EndpointContext",
    "FastAPIDeprecationWarning",
    "FastAPIError",
    "HTTPException",
    "Place",
    "PydanticV1NotSupportedError",
    "RequestErrorModel",
    "RequestValidationError",
    "ResponseValidationError",
    "ValidationException",
    "WebSocketErrorModel",
    "WebSocketException",
    "WebSocketRequestValidationError",
]


# -- raised by user code to answer a request -----------------------------------------------------------------------------------


class HTTPException(StarletteHTTPException):
    """Raise it in an endpoint or a dependency to answer with an error status and `{"detail": …}` as the body.

    Args:
        status_code: any status; those that forbid a body (1xx, 204, 205, 304) are sent without one.
        detail: anything that JSON can say. Left out, it is the status's reason phrase (RFC 9110 §15).
        headers: extra header fields of the response, such as `WWW-Authenticate` with a 401 (RFC 9110 §15.5.2 requires it).
    """

    def __init__(self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code=status_code, detail=detail, headers=headers)


class WebSocketException(StarletteWebSocketException):
    """Raise it in a WebSocket endpoint or its dependencies to close the connection.

    Before `accept` the client sees HTTP 403, since there is no WebSocket yet that could carry a close frame.

    Args:
        code: a close code of RFC 6455 §7.4.1 or one of the application's own, 4000 to 4999 (§7.4.2).
        reason: text for the close frame, at most 123 bytes of UTF-8 (RFC 6455 §5.5: a control frame carries 125, the code takes 2).
    """

    def __init__(self, code: int, reason: str | None = None) -> None:
        super().__init__(code=code, reason=reason)


# -- data that does not fit its declaration ------------------------------------------------------------------------------------


class EndpointContext(TypedDict, total=False):
    """Where the endpoint is whose data failed; every key may be missing."""

    function: str
    path: str
    file: str
    line: int


class ValidationException(Exception):
    """Data did not fit its declaration. Prints every error and the endpoint's place in the code.

    Args:
        errors: one entry per failure, as pydantic's `ValidationError.errors()` gives them.
        endpoint_ctx: where the endpoint is, when known.
    """

    def __init__(self, errors: Sequence[Any], *, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors)
        place: EndpointContext = endpoint_ctx or {}
        self._errors = errors
        self.endpoint_ctx = endpoint_ctx
        self.endpoint_function = place.get("function")
        self.endpoint_path = place.get("path")
        self.endpoint_file = place.get("file")
        self.endpoint_line = place.get("line")

    def errors(self) -> Sequence[Any]:
        """The failures in the order they were found; the 422 body shows this list."""
        return self._errors

    def _format_endpoint_context(self) -> str:
        if self.endpoint_file and self.endpoint_line and self.endpoint_function:
            lines = ["", f'  File "{self.endpoint_file}", line {self.endpoint_line}, in {self.endpoint_function}']
            if self.endpoint_path:
                lines.append(f"    {self.endpoint_path}")
            return "\n".join(lines)
        return f"\n  Endpoint: {self.endpoint_path}" if self.endpoint_path else ""

    def __str__(self) -> str:
        count = len(self._errors)
        lines = [f"{count} validation error{'' if count == 1 else 's'}:", *(f"  {error}" for error in self._errors)]
        return ("\n".join(lines) + "\n" + self._format_endpoint_context()).rstrip()


class RequestValidationError(ValidationException):
    """What the client sent does not fit the declaration. Answered with 422.

    Args:
        errors: as for `ValidationException`.
        body: the body as it was received and decoded, for handlers that want to log or echo it.
        endpoint_ctx: as for `ValidationException`.
    """

    def __init__(self, errors: Sequence[Any], *, body: Any = None, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors, endpoint_ctx=endpoint_ctx)
        self.body = body


class WebSocketRequestValidationError(ValidationException):
    """A WebSocket handshake does not fit the endpoint's declaration. Closes with 1008 (RFC 6455 §7.4.1), 403 before `accept`."""


class ResponseValidationError(ValidationException):
    """What the endpoint returned does not fit its response model: the server's fault, answered with 500 and re-raised.

    Args:
        errors: as for `ValidationException`.
        body: what the endpoint returned.
        endpoint_ctx: as for `ValidationException`.
    """

    def __init__(self, errors: Sequence[Any], *, body: Any = None, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors, endpoint_ctx=endpoint_ctx)
        self.body = body


RequestErrorModel: type[BaseModel] = create_model("Request")
WebSocketErrorModel: type[BaseModel] = create_model("WebSocket")


# -- wrong declarations --------------------------------------------------------------------------------------------------------


class FastAPIError(RuntimeError):
    """The framework was used in a way it does not support."""


class DependencyScopeError(FastAPIError):
    """A dependency that lives as long as the request depends on one that ends before the response is sent."""


class PydanticV1NotSupportedError(FastAPIError):
    """A `pydantic.v1` model where only pydantic 2 models work."""


class Place(Protocol):
    """A place in the user's code; `tercel.plan.Origin` is one."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


def _shown(place: Place | str) -> str:
    if isinstance(place, str):
        return place
    file = place.file
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}:{place.line}"


class DeclarationError(FastAPIError):
    """A declaration that cannot work: what is wrong, the lines of user code that lead to it, and what to write instead.

    Args:
        what: the first line, a sentence that stands on its own. Where FastAPI raises an error too, FastAPI's exact text.
        where: pairs of a place and the code or remark to show beside it, outermost first. A place may be given as text.
        advice: what to write instead; several lines are allowed.
    """

    def __init__(self, what: str, where: Iterable[tuple[Place | str, str]] = (), advice: str | None = None) -> None:
        self.what = what
        self.where = tuple(where)
        self.advice = advice
        places = [(_shown(place), text) for place, text in self.where]
        width = max((len(place) for place, _ in places), default=0)
        lines = [what, *(f"  {place:<{width}}  {text}".rstrip() for place, text in places)]
        if advice:
            lines.extend(f"  {line}" for line in advice.splitlines())
        super().__init__("\n".join(lines))


class DeclarationAssertion(DeclarationError, AssertionError):
    """A declaration mistake that FastAPI reports with `assert`; code that catches `AssertionError` keeps working."""


# -- warnings ------------------------------------------------------------------------------------------------------------------


class FastAPIDeprecationWarning(UserWarning):
    """Something will be removed. A `UserWarning`, since Python hides `DeprecationWarning` outside `__main__` by default."""
