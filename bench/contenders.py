"""Who is measured: each contender is a name, the packages of its environment, and the command that serves its application.

To add one: write `bench/apps/<name>_app.py` with the workloads' paths and add a line here. Knows nothing of how it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BASELINE", "CONTENDERS", "Contender", "choose_contenders"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A framework on a server.

    Args:
        name: as in `--only`.
        title: for the table.
        packages: what pip installs; versions that requirements/dev.txt locks are the same in every environment.
        command: arguments of the interpreter; `{port}` is replaced. Started in a folder from which only `bench` can be imported.
        variables: environment variables.
        with_tercel: whether this repository is installed too, editable.
        shown: packages whose versions stand in the report.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    with_tercel: bool = False
    shown: tuple[str, ...] = ()


_UVICORN: Final = ("uvicorn", "uvloop", "httptools", "websockets")
_PYDANTIC: Final = ("pydantic", "starlette", "typing-extensions")
_LISTEN: Final = ("--host", "127.0.0.1", "--port", "{port}", "--no-access-log")


def _on_uvicorn(module: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", f"{module}:app", *_LISTEN, "--loop", "uvloop", "--http", "httptools", "--log-level", "warning")


BASELINE: Final = "fastapi"
"""Ratios are to this contender."""

CONTENDERS: Final[tuple[Contender, ...]] = (
    Contender(
        "fastapi",
        "FastAPI on uvicorn",
        ("fastapi==0.165.0", *_UVICORN, *_PYDANTIC),
        _on_uvicorn("bench.apps.fastapi_app"),
        {"BENCH_PACKAGE": "fastapi"},
        shown=("fastapi", "starlette", "uvicorn", "pydantic", "uvloop", "httptools", "websockets"),
    ),
    Contender(
        "tercel",
        "Tercel",
        (),
        ("-m", "tercel", "run", "bench.apps.fastapi_app:app", *_LISTEN),
        {"BENCH_PACKAGE": "tercel"},
        with_tercel=True,
        shown=("tercel", "starlette", "pydantic", "uvloop", "httptools", "picows"),
    ),
    Contender(
        "tercel-uvicorn",
        "Tercel on uvicorn",
        _UVICORN,
        _on_uvicorn("bench.apps.fastapi_app"),
        {"BENCH_PACKAGE": "tercel"},
        with_tercel=True,
        shown=("tercel", "uvicorn"),
    ),
    Contender(
        "starlette",
        "Starlette on uvicorn, validation by hand",
        (*_UVICORN, *_PYDANTIC),
        _on_uvicorn("bench.apps.starlette_app"),
        shown=("starlette", "uvicorn"),
    ),
    Contender(
        "asgi",
        "raw ASGI on uvicorn (control)",
        (*_UVICORN, "pydantic", "typing-extensions"),
        _on_uvicorn("bench.apps.asgi_app"),
        shown=("uvicorn",),
    ),
)


def choose_contenders(names: Sequence[str]) -> list[Contender]:
    """The named contenders in the order of the table, all of them for no name; the baseline is always among them.

    Raises:
        ValueError: there is no contender of that name.
    """
    if unknown := set(names) - {contender.name for contender in CONTENDERS}:
        raise ValueError(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CONTENDERS)}")
    return [contender for contender in CONTENDERS if not names or contender.name in names or contender.name == BASELINE]
