"""Whether anything of an application's requests is recorded. Without OpenTelemetry itself: it may not even be installed.

Something is recorded when the application was given a provider, or when the program has set a global one, which it may do at any
time. A global provider can only be there if OpenTelemetry was imported, so an application in a process without it is asked
nothing per request. Read `tercel.telemetry._asgi` next for what happens when it is on.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tercel.http.exchange import Exchange
from tercel.telemetry._api import Settings

__all__ = ["Signal", "Switch", "UntilOn", "is_unconfigured", "provider_of", "signals"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One of OpenTelemetry's three kinds of telemetry.

    Args:
        enabled, option: names of its settings in `TelemetryConfig`.
        api: the module with its functions.
        getter: the function there that returns the global provider.
        home, variable: where that provider is kept, to notice with one look that there is another.
        environment: the variable that names a provider to be loaded.
        noop: the class in `api` of a provider that records nothing.
    """

    enabled: str
    option: str
    api: str
    getter: str
    home: str
    variable: str
    environment: str
    noop: str


TRACES: Final = Signal(
    "tracing",
    "tracer_provider",
    "opentelemetry.trace",
    "get_tracer_provider",
    "opentelemetry.trace",
    "_TRACER_PROVIDER",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "NoOpTracerProvider",
)
METRICS: Final = Signal(
    "metrics",
    "meter_provider",
    "opentelemetry.metrics",
    "get_meter_provider",
    "opentelemetry.metrics._internal",
    "_METER_PROVIDER",
    "OTEL_PYTHON_METER_PROVIDER",
    "NoOpMeterProvider",
)
LOGS: Final = Signal(
    "logs",
    "logger_provider",
    "opentelemetry._logs",
    "get_logger_provider",
    "opentelemetry._logs._internal",
    "_LOGGER_PROVIDER",
    "_OTEL_PYTHON_LOGGER_PROVIDER",
    "NoOpLoggerProvider",
)
signals: Final = (TRACES, METRICS, LOGS)

_STANDING_IN: Final = frozenset(
    {
        ("opentelemetry.trace", "ProxyTracerProvider"),
        ("opentelemetry.metrics._internal", "_ProxyMeterProvider"),
        ("opentelemetry._logs._internal", "ProxyLoggerProvider"),
    }
)
"""Classes of what the API returns until somebody has set a provider; there is no public way to ask."""


def is_unconfigured(provider: Any) -> bool:
    """Whether a global provider only stands in for one that nobody has set."""
    return (type(provider).__module__, type(provider).__name__) in _STANDING_IN


def provider_of(signal: Signal, config: Settings) -> Any:
    """The provider that a signal goes to: the application's own, or the global one; None where it would be lost."""
    if not config[signal.enabled]:
        return None
    api: Any = importlib.import_module(signal.api)
    provider = config[signal.option]
    if provider is None:
        provider = getattr(api, signal.getter)()
        if is_unconfigured(provider):
            return None
    return None if isinstance(provider, getattr(api, signal.noop)) else provider


class Switch:
    """Says whether telemetry is on, and notices when a program sets a global provider.

    Args:
        config: the application's settings, complete.
    """

    def __init__(self, config: Settings) -> None:
        wanted = [signal for signal in signals if config[signal.enabled]]
        self._given = any(config[signal.option] is not None for signal in wanted)
        self._wanted = tuple(wanted)
        self._named = any(signal.environment in os.environ for signal in wanted)
        self._seen: tuple[Any, ...] | None = None
        self._on = False

    @property
    def may_come_on(self) -> bool:
        """False when nothing that this process has imported could turn it on."""
        return bool(self._wanted) and (self._given or self._named or "opentelemetry" in sys.modules)

    def is_on(self) -> bool:
        """Whether this request is one to record, unless the application leaves it out."""
        if self._given:
            return True
        if not self.may_come_on:
            return False
        seen = tuple([_mark(signal) for signal in self._wanted])
        if seen != self._seen:
            self._on = any(_is_configured(signal) for signal in self._wanted)
            self._seen = tuple([_mark(signal) for signal in self._wanted])  # after a provider that the environment names was loaded
        return self._on


def _mark(signal: Signal) -> tuple[Any, Any]:
    """What is another as soon as the global provider of a signal is: the function that returns it, and where it is kept."""
    api, home = sys.modules.get(signal.api), sys.modules.get(signal.home)
    # An unknown version of the API may keep it elsewhere; then its function is called each time.
    kept = None if home is None else home.__dict__.get(signal.variable, object)
    return getattr(api, signal.getter, None), object() if kept is object else kept


def _is_configured(signal: Signal) -> bool:
    try:
        api: Any = importlib.import_module(signal.api)
    except ImportError:  # the environment names a provider, but there is no OpenTelemetry
        return False
    return not is_unconfigured(getattr(api, signal.getter)())


class _Answering(Protocol):
    def answer(self, ex: Exchange) -> Coroutine[Any, Any, None]: ...


class UntilOn:
    """Answers exchanges as what is inside does, until telemetry is on.

    Args:
        native: what is frozen of the application.
        switch: asked for each exchange.
        observed: answers in its place once telemetry is on.
    """

    __slots__ = ("_native", "_observed", "_switch")

    def __init__(self, native: _Answering, switch: Switch, observed: Callable[[Exchange], Coroutine[Any, Any, None]]) -> None:
        self._native = native
        self._switch = switch
        self._observed = observed

    def answer(self, ex: Exchange) -> Coroutine[Any, Any, None]:
        """Returns the coroutine of what answers, as `Assembly.answer` does."""
        return self._observed(ex) if self._switch.is_on() else self._native.answer(ex)
