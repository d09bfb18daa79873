"""Noticing that a program replaced one of FastAPI's inner functions, so that requests take a path that calls the replacement.

Sentry, Logfire and others assign to names of `fastapi.routing` at run time. A watched module tells when that happens, so that
nothing has to be looked up per request: a replacement counts as a change of routes, and what was frozen is frozen again. This
module must not know what the functions do. Read `tercel.routing.patched` next: it has them, and the path that calls replacements.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tercel.compile import streams
from tercel.routing.changes import changes

__all__ = ["REPLACEABLE", "Replacements", "replacements", "watch"]

REPLACEABLE = frozenset(
    {
        "get_request_handler",
        "get_websocket_app",
        "request_response",
        "run_endpoint_function",
        "serialize_response",
        "solve_dependencies",
    }
)
"""Functions that are called through a replacement when there is one."""

_MAKERS = {"get_request_handler", "request_response"}


class Replacements:
    """What is in place of the original functions.

    Attributes:
        version: grows with every replacement.
        parts: whether one of the functions is replaced that a handler calls, and not only one that makes handlers.
    """

    def __init__(self) -> None:
        self.version = 0
        self.parts = False
        self._originals: dict[str, Any] = {}
        self._current: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._current)

    def __contains__(self, name: str) -> bool:
        return name in self._current

    def get(self, name: str, original: Any) -> Any:
        """The function to call under a name: the replacement, or the original."""
        return self._current.get(name, original)

    def learn(self, name: str, original: Any) -> None:
        """Remembers an original, so that putting it back is recognised."""
        self._originals[name] = original

    def note(self, name: str, value: Any) -> None:
        """Notes that a name has a new value; what was frozen is frozen again when the next request comes."""
        if value is self._originals[name]:
            self._current.pop(name, None)
        else:
            self._current[name] = value
        self.parts = not self._current.keys() <= _MAKERS
        self.version += 1
        changes.count += 1


replacements = Replacements()


class _Watched(ModuleType):
    """A module that tells when one of its replaceable names is assigned."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in REPLACEABLE:
            replacements.note(name, value)


def watch(module: ModuleType) -> None:
    """Notices from now on what is assigned to a module that has the replaceable functions.

    Its `_PING_INTERVAL` becomes the number of seconds after which a silent event stream sends a comment, read once per stream.
    """
    for name in REPLACEABLE:
        replacements.learn(name, vars(module)[name])
    module.__class__ = _Watched
    streams.settings.ping_interval_s = lambda: module._PING_INTERVAL
