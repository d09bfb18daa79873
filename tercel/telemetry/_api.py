"""What programs see of telemetry: settings, and the data of the request that is being answered. Without OpenTelemetry itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.websockets import WebSocket
from typing_extensions import TypedDict

from tercel.http.observed import observing

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Settings", "TelemetryConfig", "TelemetryData", "complete", "get_telemetry_data"]


class TelemetryConfig(TypedDict, total=False):
    """What `FastAPI(telemetry={...})` may be given; what is left out has its default.

    Attributes:
        tracer_provider, meter_provider, logger_provider: of OpenTelemetry, in place of the global ones. They are never shut down.
        tracing: a span for each request and each WebSocket connection (True).
        metrics: duration and number of requests (True).
        logs: a record for each refused request and each exception that nobody handled, with its traceback (True).
        operation_spans: spans for dependencies, endpoint, serialization and background tasks as well (True).
        auto_configure: add OTLP exporters as the environment says. By default whether FASTAPI_OTEL_AUTO_CONFIGURE is `true`.
        exclude: takes an ASGI scope; True leaves the request or connection out.
    """

    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None
    logger_provider: LoggerProvider | None
    tracing: bool
    metrics: bool
    logs: bool
    operation_spans: bool
    auto_configure: bool
    exclude: Callable[[MutableMapping[str, Any]], bool] | None


@dataclass(kw_only=True)
class TelemetryData:
    """What is known of the request or connection that is being answered, for processors of spans and log records.

    It stays in the process: nothing of it is exported unless a processor does that. To be read, not to be changed.

    Attributes:
        request: from when the route's handler starts.
        websocket: the same for a connection.
        body: as it was read, before validation; None for none.
        values: the arguments of the endpoint, once the dependencies are solved.
        errors: of validation, with the input they are about.
    """

    request: Request | None = None
    websocket: WebSocket | None = None
    body: Any = None
    values: dict[str, Any] | None = None
    errors: Sequence[Any] | None = None


def get_telemetry_data(context: Context | None = None) -> TelemetryData | None:
    """The data of the request that is being answered, or None outside of one, after its end, and for one that is left out.

    Args:
        context: OpenTelemetry's, by default the current one. A log processor passes `record.context`.
    """
    if observing.find is None:  # nothing has been recorded yet, so nothing can be in any context
        return None
    from tercel.telemetry._request import request_telemetry

    found = request_telemetry(context)
    return None if found is None else found.data


Settings: TypeAlias = Mapping[str, Any]
"""A `TelemetryConfig` in which nothing is left out."""


def complete(given: Mapping[str, Any] | None) -> Settings:
    """The settings of an application with every default in place."""
    return {
        "tracer_provider": None,
        "meter_provider": None,
        "logger_provider": None,
        "tracing": True,
        "metrics": True,
        "logs": True,
        "operation_spans": True,
        "auto_configure": os.environ.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true",
        "exclude": None,
        **(given or {}),
    }
