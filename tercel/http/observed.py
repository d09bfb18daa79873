"""The seam to telemetry: whom to tell where a request is, if anybody wants to know.

An observer is in the ASGI scope of a request that is traced, measured or logged, and nowhere else; code that has no scope asks for
the one of the running context. This module knows nothing of OpenTelemetry. Read `tercel.telemetry._request` for the observer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol

from tercel.http.errors import RequestValidationError, WebSocketRequestValidationError

__all__ = ["SCOPE_KEY", "Observer", "observer_of", "observing", "operation", "refusals"]

SCOPE_KEY: Final = "fastapi.telemetry"
"""Where the observer of a request is in its scope. None there says that the request is left out, in mounted applications too."""

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Data(Protocol):
    """What an observer holds for processors to read."""

    request: Any
    websocket: Any
    body: Any
    values: dict[str, Any] | None
    errors: Sequence[Any] | None


class Observer(Protocol):
    """Whoever wants to know how a request goes on."""

    @property
    def data(self) -> Data | None:
        """None once the request is over."""

    def operation(self, name: str, function: Callable[..., Any] | None) -> AbstractContextManager[None]:
        """Surrounds a part of the work: `dependencies`, `endpoint`, `serialization`, `background_task`."""
        ...

    def route_selected(self, path: str | None, mount: bool) -> None:
        """A route was found; its path with parameters in braces, None where it has none. Called again below a mount."""

    def validation_failed(self, exc: Exception) -> None:
        """A request was refused with 422, or a WebSocket with close code 1008."""


class _Observing:
    """How to find the observer of the running context.

    Attributes:
        find: None until telemetry is on for the first time, so that nothing has to be looked up before.
    """

    find: Callable[[], Observer | None] | None = None


observing: Final = _Observing()


def observer_of(scope: Mapping[str, Any]) -> Observer | None:
    """The observer of a request, by its ASGI scope."""
    return scope.get(SCOPE_KEY)


@contextmanager
def refusals(observer: Observer | None) -> Iterator[None]:
    """Tells an observer, if there is one, of a refusal that leaves the block."""
    try:
        yield
    except (RequestValidationError, WebSocketRequestValidationError) as error:
        if observer is not None:
            observer.validation_failed(error)
        raise


def operation(name: str, function: Callable[..., Any] | None) -> AbstractContextManager[None]:
    """`Observer.operation` of the running context's observer; nothing where there is none."""
    find = observing.find
    observer = None if find is None else find()
    return _NOTHING if observer is None else observer.operation(name, function)
