"""The names of FastAPI's telemetry, for programs that import them. Nothing is traced or recorded yet (docs/differences.md)."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.websockets import WebSocket

__all__ = [
    "TelemetryConfig",
    "TelemetryData",
    "get_telemetry_data",
]


class TelemetryConfig(TypedDict, total=False):
    """What `FastAPI(telemetry={...})` may be given. It is kept as `app.telemetry`, and has no effect.

    Attributes:
        tracer_provider, meter_provider, logger_provider: OpenTelemetry's.
        tracing, metrics, logs, operation_spans, auto_configure: what is on.
        exclude: takes an ASGI scope and says whether it is left out.
    """

    tracer_provider: Any
    meter_provider: Any
    logger_provider: Any
    tracing: bool
    metrics: bool
    logs: bool
    operation_spans: bool
    auto_configure: bool
    exclude: Callable[[MutableMapping[str, Any]], bool] | None


@dataclass(kw_only=True)
class TelemetryData:
    """What FastAPI's telemetry knows of the request that is being answered; there is none on Tercel."""

    request: Request | None = None
    websocket: WebSocket | None = None
    body: Any = None
    values: dict[str, Any] | None = None
    errors: Sequence[Any] | None = None


def get_telemetry_data(context: Any = None) -> TelemetryData | None:
    """None, as on FastAPI where nothing is recorded for a context.

    Args:
        context: OpenTelemetry's; not looked at.
    """
    return None
