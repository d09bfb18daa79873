"""The servers that are compared, from the benchmark's environments. Knows how they are started, not what they are asked."""

from __future__ import annotations

from typing import Final

from bench.contenders import Contender

__all__ = ["OTHERS", "OWN"]

OWN: Final = "Tercel"
_APP: Final = "bench.apps.echo_app:app"
_UVICORN: Final = ("uvicorn", "uvloop", "httptools", "websockets")
_QUIET: Final = ("--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--log-level", "critical")


def _uvicorn(http: str) -> Contender:
    return Contender(
        f"uvicorn-{http}",
        f"uvicorn ({http})",
        (*_UVICORN, "pydantic", "typing-extensions"),
        ("-m", "uvicorn", _APP, *_QUIET, "--http", http),
        shown=("uvicorn", http),
        home="asgi",
    )


OTHERS: Final = (
    _uvicorn("h11"),
    _uvicorn("httptools"),
    Contender(
        "granian",
        "granian",
        ("granian==2.8.7", "uvloop", "pydantic"),
        ("-m", "granian", "--interface", "asgi", "--http", "1", "--host", "127.0.0.1", "--port", "{port}", "--no-log", _APP),
        shown=("granian",),
        home="asgi-granian",
        locked=True,
    ),
    Contender(
        "hypercorn",
        "hypercorn",
        ("hypercorn==0.18.0", "uvloop"),
        ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--worker-class", "uvloop", "--log-level", "CRITICAL", _APP),
        shown=("hypercorn", "h11"),
        locked=True,
    ),
)
