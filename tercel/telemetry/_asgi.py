"""One request or connection from beginning to end, seen from outside of an ASGI application: the server's span and the metrics.

The span ends with the last message of the response, before background tasks, or when the application is left without one. What
happens inside is told to the observer, `tercel.telemetry._request`. Names and attributes are those of OpenTelemetry's semantic
conventions for HTTP servers, version 1.44.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, MeterProvider, UpDownCounter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from starlette.datastructures import Headers
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tercel.http.log import logger
from tercel.http.observed import SCOPE_KEY
from tercel.telemetry._api import Settings
from tercel.telemetry._request import CONTEXT_KEY, RequestTelemetry, error_type, is_usual_disconnect
from tercel.telemetry._switch import LOGS, METRICS, TRACES, provider_of

__all__ = ["ExceptionTelemetryMiddleware", "NativeTelemetry", "is_instrumented", "observe_exceptions"]

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
_LIBRARY: Final = "fastapi", "0.165.0"
"""By whom spans, metrics and records are said to be made: dashboards and processors look for FastAPI's name."""

_METHODS: Final = frozenset(["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"])
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SECRETS: Final = frozenset({"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature"})
"""Query parameters whose values the semantic conventions want left out: they are keys to other people's storage."""


# -- the context of the client ---------------------------------------------------------------------------------------------------


class _HeaderGetter(Getter[Headers]):
    """Headers as propagators read them."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        values = carrier.getlist(key)
        if len(values) > 1 and key.lower() == "baggage":
            return [",".join(values)]  # one list in several fields; the propagator looks at the first only
        return values or None

    def keys(self, carrier: Headers) -> list[str]:
        return carrier.keys()


_HEADERS: Final = _HeaderGetter()


def _context_of(scope: Scope) -> Context:
    """The context that the client sent: its span as the parent, its baggage."""
    try:
        from opentelemetry import propagate
    except Exception:  # OTEL_PROPAGATORS names one that cannot be loaded
        logger.exception("OpenTelemetry's propagators cannot be loaded; traces begin with the request")
        return contexts.get_current()
    return propagate.extract(Headers(scope=scope), getter=_HEADERS)


# -- attributes --------------------------------------------------------------------------------------------------------------------


def _server_of(scope: Scope) -> dict[str, Any]:
    """`server.address` and `server.port` as the client named them, else where the server listens; nothing for a Host that is
    not one."""
    host = Headers(scope=scope).get("host")
    if host is None:
        address, port = scope.get("server") or (None, None)
    else:
        try:
            parts = urlsplit(f"//{host}")
            address, port = parts.hostname, parts.port
        except ValueError:
            return {}
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return {}
        if port is None:
            port = _PORTS.get(scope.get("scheme", "http"))
    if address is None:
        return {}
    return {"server.address": address} if port is None else {"server.address": address, "server.port": port}


def _query_of(scope: Scope) -> str:
    """The query, with secrets of signed URLs replaced."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, "REDACTED" if name in _SECRETS else value) for name, value in pairs])


# -- exceptions ------------------------------------------------------------------------------------------------------------------


class ExceptionTelemetryMiddleware:
    """Reports exceptions on their way to the middleware that answers them with 500, while the server's span is still open."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as exc:
            observer = scope.get(SCOPE_KEY)
            if isinstance(observer, RequestTelemetry):
                observer.failed(exc)
            raise


def _stacked(stack: Any) -> list[Any]:
    """The applications of a middleware stack, outermost first."""
    found: list[Any] = []
    while stack is not None and not any(stack is known for known in found):
        found.append(stack)
        stack = getattr(stack, "app", None)
    return found


def observe_exceptions(stack: Any) -> None:
    """Has the exceptions reported that leave what is inside of a stack's outermost `ServerErrorMiddleware`; once per stack."""
    for app in _stacked(stack):
        if isinstance(app, ServerErrorMiddleware):
            if not isinstance(app.app, ExceptionTelemetryMiddleware):
                app.app = ExceptionTelemetryMiddleware(app.app)
            return


def is_instrumented(stack: Any) -> bool:
    """Whether OpenTelemetry's own instrumentation is in a stack: it records the same requests, and comes first."""
    wanted = "opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware"
    return any((type(app).__module__, type(app).__name__) == wanted for app in _stacked(stack))


# -- one application -------------------------------------------------------------------------------------------------------------


class NativeTelemetry:
    """Records the requests and connections of one application.

    Args:
        config: complete.
    """

    def __init__(self, config: Settings) -> None:
        self.config = config
        named = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
        self._methods = frozenset(method.strip() for method in named.split(",") if method.strip()) or _METHODS
        self._meters: tuple[MeterProvider, Histogram, UpDownCounter] | None = None
        self._tracer: tuple[TracerProvider, Tracer] | None = None

    async def __call__(self, *, app: ASGIApp, scope: Scope, receive: Receive, send: Send, legacy_otel: bool = False) -> None:
        """Calls an ASGI application and records what it does.

        Args:
            legacy_otel: OpenTelemetry's own instrumentation is in the application; nothing is recorded twice.
        """
        exclude = self.config["exclude"]
        if exclude is not None and exclude(scope):
            await _leave_out(app, scope, receive, send)
            return
        config, is_websocket = self.config, scope["type"] == "websocket"
        traces = meters = logs = None
        if not legacy_otel:
            traces, logs = provider_of(TRACES, config), provider_of(LOGS, config)
            meters = None if is_websocket else provider_of(METRICS, config)
        if traces is None and meters is None and logs is None:
            await app(scope, receive, send)
            return
        method = self._method(scope)
        instruments = None if meters is None else self._instruments(meters)
        watched = _Watched(scope, receive, send, method, instruments)
        inherited = None if traces is None else contexts.attach(_context_of(scope))
        span = tracer = None
        if traces is not None:
            tracer = self._tracer_of(traces)
            attributes = watched.span_attributes(scope)
            span = tracer.start_span(watched.span_method, kind=SpanKind.SERVER, attributes=attributes)
        watched.observer = RequestTelemetry(
            span=span,
            method=watched.span_method,
            tracer=tracer if config["operation_spans"] else None,
            logger=None if logs is None else logs.get_logger(*_LIBRARY, schema_url=_SCHEMA),
            prefix=scope.get("app_root_path", scope.get("root_path", "")).rstrip("/"),
            is_websocket=is_websocket,
        )
        try:
            await watched.run(app)
        finally:
            if inherited is not None:
                contexts.detach(inherited)

    def _method(self, scope: Scope) -> str:
        method: str = scope.get("method", "")
        return method if method in self._methods else "_OTHER"

    def _tracer_of(self, provider: TracerProvider) -> Tracer:
        known = self._tracer
        if known is None or known[0] is not provider:
            known = self._tracer = provider, provider.get_tracer(*_LIBRARY, schema_url=_SCHEMA)
        return known[1]

    def _instruments(self, provider: MeterProvider) -> tuple[Histogram, UpDownCounter]:
        known = self._meters
        if known is None or known[0] is not provider:
            meter = provider.get_meter(*_LIBRARY, schema_url=_SCHEMA)
            duration = meter.create_histogram(
                "http.server.request.duration",
                unit="s",
                description="Duration of HTTP server requests.",
                explicit_bucket_boundaries_advisory=_BUCKETS_S,
            )
            active = meter.create_up_down_counter(
                "http.server.active_requests", unit="{request}", description="Number of active HTTP server requests."
            )
            known = self._meters = provider, duration, active
        return known[1], known[2]


async def _leave_out(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Calls an application with nothing recorded, neither by those mounted in it nor for a request around this one."""
    scope[SCOPE_KEY] = None
    token = contexts.attach(contexts.set_value(CONTEXT_KEY, None))
    try:
        await app(scope, receive, send)
    finally:
        contexts.detach(token)
        scope.pop(SCOPE_KEY, None)


class _Watched:
    """One request or connection while it is recorded.

    Args:
        method: as it is recorded: `_OTHER` for one that is not known.
        instruments: for duration and number; None where they are not recorded.

    Attributes:
        observer: of what happens inside; set before `run`.
        span_method: with which the span's name begins.
    """

    observer: RequestTelemetry

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, method: str, instruments: tuple[Histogram, UpDownCounter] | None
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._is_websocket = scope["type"] == "websocket"
        self._instruments = instruments
        self._method = method
        self.span_method = "WS" if self._is_websocket else "HTTP" if method == "_OTHER" else method
        self._attributes: dict[str, Any] = {"url.scheme": scope.get("scheme", "ws" if self._is_websocket else "http")}
        if self._is_websocket:
            self._attributes["network.protocol.name"] = "websocket"
        else:
            self._attributes["http.request.method"] = method
        self._counted = dict(self._attributes)
        if not self._is_websocket and scope.get("http_version"):
            self._attributes["network.protocol.version"] = scope["http_version"]
        self._ended = self._trailers = self._disconnected = False
        self._began = 0.0

    def span_attributes(self, scope: Scope) -> dict[str, Any]:
        """What the server's span says from its beginning, for samplers to decide by."""
        attributes = {**self._attributes, **_server_of(scope)}
        if not self._is_websocket:
            attributes["url.path"] = scope["path"]
            if scope.get("query_string"):
                attributes["url.query"] = _query_of(scope)
            if scope.get("method", "") != self._method:
                attributes["http.request.method_original"] = scope.get("method", "")
        return attributes

    async def run(self, app: ASGIApp) -> None:
        """Calls the application, with the span current and the observer in scope and context, and ends what has not ended."""
        scope, observer, span = self._scope, self.observer, self.observer.span
        if self._instruments is not None:
            self._instruments[1].add(1, self._counted)
        self._began = perf_counter()
        scope[SCOPE_KEY] = observer
        token = contexts.attach(contexts.set_value(CONTEXT_KEY, observer))
        receive, send = (self._receive, self._send) if self._is_websocket else (self._receive_watched, self._send_watched)
        try:
            with _current(span):
                try:
                    await app(scope, receive, send)
                except BaseException as exc:
                    observer.failed(exc)
                    self._end(None if self._is_websocket and is_usual_disconnect(exc) else exc)
                    raise
                self._end(self._unfinished())
        finally:
            observer.data = None
            observer.failures.clear()
            contexts.detach(token)
            scope.pop(SCOPE_KEY, None)

    def _unfinished(self) -> Exception | None:
        """Why an application that has returned without the end of a response did so."""
        if self._is_websocket:
            return None
        return ConnectionError("Client disconnected") if self._disconnected else RuntimeError("Incomplete ASGI response")

    async def _receive_watched(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def _send_watched(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.observer.status = message["status"]
            self._trailers = message.get("trailers", False)
        await self._send(message)
        if kind == "http.response.body":
            is_last = not message.get("more_body", False) and not self._trailers
        elif kind == "http.response.trailers":
            is_last = not message.get("more_trailers", False)
        else:
            is_last = kind == "http.response.pathsend"
        if is_last:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """Records how it ended; only the first call counts."""
        if self._ended:
            return
        self._ended = True
        observer, attributes = self.observer, self._attributes
        status, span = observer.status, observer.span
        if observer.route is not None:
            attributes["http.route"] = observer.route
        if status is not None:
            attributes["http.response.status_code"] = status
        failed = error is not None or (not self._is_websocket and (status is None or status >= 500))
        if failed:
            reason = error or (observer.failures[-1] if observer.failures else None)
            attributes["error.type"] = str(status or "incomplete_response") if reason is None else error_type(reason)
        if span is not None:
            span.set_attributes(attributes)
            if failed:
                span.set_status(StatusCode.ERROR)
        if self._instruments is not None:  # while the span is current, which exemplars are taken from
            duration, active = self._instruments
            duration.record(max(0.0, perf_counter() - self._began), attributes)
            active.add(-1, self._counted)
        if span is not None:
            span.end()


def _current(span: Span | None) -> AbstractContextManager[Any]:
    """Has a span be the current one; what is raised is recorded elsewhere."""
    if span is None:
        return nullcontext()
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)
