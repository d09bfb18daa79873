"""The observer of one request or connection: its spans below the server's, its log records, and the data for processors.

It is in the ASGI scope, and in OpenTelemetry's context for code that has no scope. This module must not know how a request begins
and ends. Read `tercel.telemetry._asgi` for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, Tracer
from starlette.exceptions import HTTPException, WebSocketException
from starlette.websockets import WebSocketDisconnect

from tercel.http.errors import RequestValidationError, WebSocketRequestValidationError
from tercel.http.observed import observing
from tercel.telemetry._api import TelemetryData

__all__ = ["CONTEXT_KEY", "RequestTelemetry", "error_type", "is_usual_disconnect", "request_telemetry"]

CONTEXT_KEY: Final = contexts.create_key("fastapi.request")
"""Where the observer is in OpenTelemetry's context; None there for a request that is left out."""

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()

_ANSWERS: Final = (HTTPException, RequestValidationError, WebSocketException, WebSocketRequestValidationError)
"""Exceptions that are answers, not failures."""

_USUAL_CODES: Final = (1000, 1001)
"""Close codes of a WebSocket whose client has finished or gone away (RFC 6455 §7.4.1)."""


def request_telemetry(context: Context | None = None) -> RequestTelemetry | None:
    """The observer in a context, by default the current one."""
    found = contexts.get_value(CONTEXT_KEY, context)
    return found if isinstance(found, RequestTelemetry) else None


observing.find = request_telemetry


def error_type(exc: BaseException) -> str:
    """An exception as the attribute `error.type` names it: with its module, unless that is `builtins`."""
    cls = type(exc)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def is_usual_disconnect(exc: BaseException | None) -> bool:
    """Whether an exception only says that the client of a WebSocket has closed it."""
    return isinstance(exc, WebSocketDisconnect) and exc.code in _USUAL_CODES


def _name_of(function: Callable[..., Any]) -> str:
    """A callable as the attribute `code.function.name` has it; an object that can be called goes by its class."""
    cls = type(function)
    module = getattr(function, "__module__", cls.__module__)
    return f"{module}.{getattr(function, '__qualname__', cls.__qualname__)}"


@dataclass(kw_only=True, eq=False)
class RequestTelemetry:
    """The observer of one request or connection.

    Args:
        span: the server's; None where nothing is traced.
        method: with which the name of that span begins.
        tracer: for the spans below; None for none.
        logger: for records; None for none.
        prefix: of the route: what the application is mounted below.
        is_websocket: a connection, not a request.

    Attributes:
        route: the path of the route with parameters in braces, mounts included, once it is known.
        status: of the response, once it has begun.
        failures: exceptions that no route has answered, in order.
    """

    span: Span | None
    method: str
    tracer: Tracer | None
    logger: Logger | None
    prefix: str
    is_websocket: bool
    route: str | None = None
    status: int | None = None
    data: TelemetryData | None = field(default_factory=TelemetryData)
    failures: list[BaseException] = field(default_factory=list, repr=False)

    def operation(self, name: str, function: Callable[..., Any] | None) -> AbstractContextManager[None]:
        return _NOTHING if self.tracer is None else _operation(self.tracer, name, function)

    def route_selected(self, path: str | None, mount: bool) -> None:
        if path is None:
            return
        if mount:  # what follows belongs to what is mounted, which says it when it knows
            self.prefix += path.removesuffix("/{path}")
            self.route = f"{self.prefix}/{{path}}"
        else:
            self.route = self.prefix + path
        if self.span is not None:
            self.span.set_attribute("http.route", self.route)
            self.span.update_name(f"{self.method} {self.route}")

    def validation_failed(self, exc: Exception) -> None:
        assert isinstance(exc, RequestValidationError | WebSocketRequestValidationError)
        errors = exc.errors()
        if self.data is not None:
            if isinstance(exc, RequestValidationError):
                self.data.body = exc.body
            self.data.errors = errors
        attributes: dict[str, Any] = {"fastapi.validation.error_count": len(errors)}
        if self.route is not None:
            attributes["http.route"] = self.route
        if self.logger is not None:
            self.logger.emit(
                event_name="fastapi.validation.failed",
                timestamp=time_ns(),
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                body="Request validation failed",
                attributes=attributes,
            )

    def failed(self, exc: BaseException) -> None:
        """An exception that nothing inside has answered; the same one may be reported by every layer that it passes."""
        if self.is_websocket and is_usual_disconnect(exc):
            return
        if any(exc is known for known in self.failures):
            return
        self.failures.append(exc)
        if self.logger is None or not isinstance(exc, Exception):
            return
        self.logger.emit(
            exception=exc,
            event_name="fastapi.websocket.exception" if self.is_websocket else "http.server.request.exception",
            timestamp=time_ns(),
            severity_number=SeverityNumber.ERROR,
            severity_text="ERROR",
            body=f"Unhandled exception in FastAPI {'WebSocket connection' if self.is_websocket else 'request'}",
            attributes={"http.route": self.route} if self.route else None,
        )


@contextmanager
def _operation(tracer: Tracer, name: str, function: Callable[..., Any] | None) -> Iterator[None]:
    attributes = {} if function is None else {"code.function.name": _name_of(function)}
    with tracer.start_as_current_span(
        f"fastapi.{name}", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as exc:
            # A background task has nobody to answer to: whatever leaves it is a failure.
            if name == "background_task" or not (isinstance(exc, _ANSWERS) or is_usual_disconnect(exc)):
                span.set_attribute("error.type", error_type(exc))
                span.set_status(StatusCode.ERROR)
            raise
