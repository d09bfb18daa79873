"""Export that the environment asks for: OTLP exporters added to the providers of an application, before its lifespan begins.

Opt-in, by `telemetry={"auto_configure": True}` or FASTAPI_OTEL_AUTO_CONFIGURE=true; then OTEL_EXPORTER_OTLP_ENDPOINT and its like
say where to. What is added here is flushed when a lifespan ends and shut down with the process; providers that a program brought
are left alone. Nothing of OpenTelemetry is imported until there is something to export.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tercel.http.errors import FastAPIError
from tercel.http.log import logger
from tercel.http.threads import run_in_threadpool
from tercel.telemetry._api import Settings
from tercel.telemetry._switch import LOGS, METRICS, TRACES, Signal, is_unconfigured, signals

__all__ = ["lifespan"]

_lock = threading.RLock()
_owned: list[Any] = []
"""Providers and exporters that were made here: to be flushed and shut down."""

_configured: list[tuple[str, Any]] = []
"""The providers that have got an exporter, each with the name of its signal in the environment."""

_NAMES: Final = {TRACES: "TRACES", METRICS: "METRICS", LOGS: "LOGS"}
_OPT_OUT: Final = "pass telemetry={'auto_configure': False} to FastAPI()"
_ENDS: Final = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"})


# -- the end -----------------------------------------------------------------------------------------------------------------------


def _each(components: tuple[Any, ...], do: Callable[[Any], None]) -> None:
    for component in components:
        try:
            do(component)
        except Exception:
            logger.exception("FastAPI telemetry cleanup failed")


def _flush() -> None:
    _each(tuple(_owned), lambda component: component.force_flush())


def _shutdown() -> None:
    with _lock:
        components = tuple(_owned)
        _owned.clear()
    _each(components, lambda component: component.shutdown())


atexit.register(_shutdown)


# -- what the environment says -----------------------------------------------------------------------------------------------------


def _export_endpoint(signal: str) -> str | None:
    """Where a signal is exported to: TRACES, METRICS or LOGS; None for nowhere.

    Raises:
        FastAPIError: an exporter, a protocol or an address that cannot be used.
    """
    exporter = (os.environ.get(f"OTEL_{signal}_EXPORTER") or "otlp").strip().lower()
    endpoint = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not endpoint:
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        endpoint = f"{base.removesuffix('/')}/v1/{signal.lower()}" if base else None
    if endpoint is None or exporter == "none":
        return None
    if exporter != "otlp":
        raise FastAPIError(
            f"OTEL_{signal}_EXPORTER must be otlp or none for automatic telemetry, not {exporter!r}. Configure other exporters "
            f"in the program, and {_OPT_OUT}."
        )
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise FastAPIError(
            f"Automatic telemetry speaks the OTLP http/protobuf protocol only, not {protocol!r}. Configure other transports in "
            f"the program, and {_OPT_OUT}."
        )
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FastAPIError(f"Invalid OTLP {signal.lower()} endpoint: it must be an absolute HTTP or HTTPS URL.")
    return endpoint


# -- exporters ---------------------------------------------------------------------------------------------------------------------


class _Library:
    """The classes of OpenTelemetry's SDK and its OTLP exporter.

    Raises:
        FastAPIError: one of the two is not installed.
    """

    def __init__(self) -> None:
        try:
            self.sdk: dict[Signal, Any] = {
                TRACES: importlib.import_module("opentelemetry.sdk.trace"),
                METRICS: importlib.import_module("opentelemetry.sdk.metrics"),
                LOGS: importlib.import_module("opentelemetry.sdk._logs"),
            }
            self.export: dict[Signal, Any] = {
                signal: importlib.import_module(f"{module.__name__}.export") for signal, module in self.sdk.items()
            }
            otlp = "opentelemetry.exporter.otlp.proto.http"
            self.otlp: dict[Signal, Any] = {
                TRACES: importlib.import_module(f"{otlp}.trace_exporter"),
                METRICS: importlib.import_module(f"{otlp}.metric_exporter"),
                LOGS: importlib.import_module(f"{otlp}._log_exporter"),
            }
        except ImportError as error:
            raise FastAPIError(
                "Automatic OpenTelemetry export needs OpenTelemetry's SDK and OTLP exporter. Install fastapi[opentelemetry] or "
                f"tercel[opentelemetry], or configure providers in the program and {_OPT_OUT}."
            ) from error

    def exporting(self, signal: Signal, endpoint: str) -> Any:
        """What is added to a provider so that its signal is exported, in batches or from time to time."""
        export, otlp = self.export[signal], self.otlp[signal]
        if signal is TRACES:
            return export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=endpoint))
        if signal is METRICS:
            return export.PeriodicExportingMetricReader(otlp.OTLPMetricExporter(endpoint=endpoint))
        return export.BatchLogRecordProcessor(otlp.OTLPLogExporter(endpoint=endpoint))

    def provider(self, signal: Signal, component: Any) -> Any:
        """A new provider with that in it. It is shut down from here, not when the interpreter exits."""
        sdk = self.sdk[signal]
        if signal is METRICS:
            return sdk.MeterProvider(metric_readers=[component], shutdown_on_exit=False)
        provider = (sdk.TracerProvider if signal is TRACES else sdk.LoggerProvider)(shutdown_on_exit=False)
        _adding(signal, provider)(component)
        return provider


_ADD: Final = {TRACES: "add_span_processor", METRICS: "add_metric_reader", LOGS: "add_log_record_processor"}


def _adding(signal: Signal, provider: Any) -> Callable[[Any], None]:
    """The method by which a provider takes what exports; vendors' wrappers have it too."""
    add = getattr(provider, _ADD[signal], None)
    if not callable(add):
        _refuse(signal)
    return add  # type: ignore[no-any-return]


def _refuse(signal: Signal) -> NoReturn:
    kind = signal.option.removesuffix("_provider")
    raise FastAPIError(
        f"The configured OpenTelemetry {kind} provider does not support adding an OTLP exporter. Configure export by that "
        f"provider, and {_OPT_OUT}."
    )


def _registration_provider(provider: Any) -> Any:
    """The provider that takes readers: some versions of Logfire's wrapper have no method of their own for it."""
    cls = type(provider)
    is_logfire = (cls.__module__, cls.__name__) == ("logfire._internal.metrics", "ProxyMeterProvider")
    return provider.provider if is_logfire and not hasattr(provider, "add_metric_reader") else provider


def _configure_from_environment(config: Settings) -> None:
    """Adds an exporter to each provider of an application that the environment names an address for; once per provider.

    Raises:
        FastAPIError: what the environment asks for cannot be done.
    """
    if not config["auto_configure"] or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    with _lock:
        endpoints = {signal: _export_endpoint(_NAMES[signal]) for signal in signals if config[signal.enabled]}
        wanted = {signal: endpoint for signal, endpoint in endpoints.items() if endpoint is not None}
        if not wanted:
            return
        library = _Library()
        for signal, endpoint in wanted.items():
            _configure(library, signal, config[signal.option], endpoint)


def _configure(library: _Library, signal: Signal, given: Any, endpoint: str) -> None:
    """Adds an exporter to the provider of one signal, and makes a global provider where there is none."""
    api: Any = importlib.import_module(signal.api)
    provider = _registration_provider(getattr(api, signal.getter)() if given is None else given)
    if any(name == _NAMES[signal] and known is provider for name, known in _configured):
        return
    if given is None and is_unconfigured(provider):
        made = library.provider(signal, library.exporting(signal, endpoint))
        getattr(api, f"set_{signal.option}")(made)
        current = getattr(api, signal.getter)()
        if current is made:
            _configured.append((_NAMES[signal], made))
            _owned.append(made)
            return
        made.shutdown()  # another thread was first; its provider gets an exporter
        provider = _registration_provider(current)
    add = _adding(signal, provider)
    component = library.exporting(signal, endpoint)
    try:
        add(component)
    except Exception:
        component.shutdown()
        raise
    _configured.append((_NAMES[signal], provider))
    _owned.append(component)


# -- the lifespan ------------------------------------------------------------------------------------------------------------------


async def lifespan(*, config: Settings, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Runs the lifespan of an application; adds exporters before it begins, and flushes them, in a thread, when it has ended.

    What cannot be configured is logged as a warning: it must not keep the application from starting.
    """

    async def receive_first() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                _configure_from_environment(config)
            except Exception as error:
                logger.warning("FastAPI automatic telemetry configuration failed: %s", error)
        return message

    async def send_last(message: Message) -> None:
        if message["type"] in _ENDS and _owned:
            await run_in_threadpool(_flush)
        await send(message)

    await app(scope, receive_first, send_last)
