"""Who is measured: each contender is a name, the packages of its environment, and the command that serves its application.

To add one: write `bench/apps/<name>_app.py` with the workloads' paths and add a line here. Knows nothing of how it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["BASELINE", "CONTENDERS", "Contender", "choose_contenders"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A framework on a server.

    Args:
        name: as in `--only`.
        title: for the table.
        packages: what is installed, with everything that it needs: for peers in the versions of `bench/locks/`, for the others in
            those of requirements/dev.txt.
        command: arguments of the interpreter; `{port}` is replaced. Started in a folder from which only `bench` can be imported.
        variables: environment variables.
        with_tercel: whether this repository is installed too, editable.
        shown: packages whose versions stand in the report.
        home: the name of its environment and lock, for contenders that share one; its own name if empty.
        locked: installed from `bench/locks/`.
        kind: whether it is Tercel, a peer, a control without a framework, or the limit.
        note: what it does in another way than the others, for the report.
        workloads: those that it takes part in; all of them if empty.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    with_tercel: bool = False
    shown: tuple[str, ...] = ()
    home: str = ""
    locked: bool = False
    kind: Literal["own", "peer", "control", "limit"] = "peer"
    note: str = ""
    workloads: tuple[str, ...] = ()

    def takes(self, workload: str) -> bool:
        """Whether it takes part in a workload."""
        return not self.workloads or workload in self.workloads

    @property
    def short(self) -> str:
        """The title without what stands behind it in brackets."""
        return "hand-written (limit)" if self.kind == "limit" else self.title.partition(" (")[0]

    @property
    def must_work(self) -> bool:
        """Whether a run fails with it: Tercel, its limit and the reference, without which the figures say nothing."""
        return self.kind in ("own", "limit") or self.name == BASELINE

    @property
    def environment(self) -> str:
        """The name of its environment and of its lock."""
        return self.home or self.name


_UVICORN: Final = ("uvicorn", "uvloop", "httptools", "websockets")
_PYDANTIC: Final = ("pydantic", "starlette", "typing-extensions")
_LISTEN: Final = ("--host", "127.0.0.1", "--port", "{port}", "--no-access-log")


def _on_uvicorn(module: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", f"{module}:app", *_LISTEN, "--loop", "uvloop", "--http", "httptools", "--log-level", "warning")


def _on_granian(interface: str, module: str) -> tuple[str, ...]:
    listen = ("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop", "--log-level", "warning")
    return ("-m", "granian", "--interface", interface, "--http", "1", *listen, f"{module}:app")


def _program(module: str, *arguments: str) -> tuple[str, ...]:
    return ("-m", module, "{port}", *arguments)


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
        kind="own",
    ),
    Contender(
        "tercel-pure",
        "Tercel in pure Python",
        (),
        ("-m", "tercel", "run", "bench.apps.fastapi_app:app", *_LISTEN),
        {"BENCH_PACKAGE": "tercel", "TERCEL_PURE": "1"},
        with_tercel=True,
        shown=("tercel",),
        home="tercel",
        note="as it is installed where there is no C compiler: without the compiled protocol and the compiled writer of JSON",
        kind="own",
    ),
    Contender(
        "tercel-threads",
        "Tercel in worker threads",
        (),
        ("-m", "tercel", "run", "bench.apps.fastapi_app:app", *_LISTEN),
        {"BENCH_PACKAGE": "tercel", "BENCH_CALLS": "unknown"},
        with_tercel=True,
        shown=("tercel",),
        home="tercel",
        note="the functions of W10 call another one, of which Tercel cannot know that it does not block",
        kind="own",
        workloads=("W10",),
    ),
    Contender(
        "tercel-uvicorn",
        "Tercel on uvicorn",
        _UVICORN,
        _on_uvicorn("bench.apps.fastapi_app"),
        {"BENCH_PACKAGE": "tercel"},
        with_tercel=True,
        shown=("tercel", "uvicorn"),
        kind="own",
    ),
    Contender(
        "limit",
        "hand-written handlers on Tercel's server (limit)",
        (),
        ("-m", "tercel", "run", "bench.apps.limit_app:app", *_LISTEN),
        with_tercel=True,
        shown=("tercel", "pydantic"),
        home="tercel",
        note="no framework: what Tercel's server alone allows",
        kind="limit",
    ),
    Contender(
        "django-bolt",
        "django-bolt",
        ("django-bolt==0.13.0", "pydantic"),
        ("-m", "django", "runbolt", "--host", "127.0.0.1", "--port", "{port}", "--processes", "1", "--no-admin"),
        {"DJANGO_SETTINGS_MODULE": "bench.apps.bolt_app"},
        shown=("django-bolt", "django", "msgspec"),
        locked=True,
        note="msgspec instead of pydantic; no generators as dependencies, so W4 enters one by hand",
    ),
    Contender(
        "weft",
        "raw ASGI on weft (control)",
        ("weft-server==0.1.1", "pydantic"),
        ("-m", "weft", "bench.apps.asgi_app:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
        shown=("weft-server",),
        locked=True,
        kind="control",
    ),
    Contender(
        "asgi-granian",
        "raw ASGI on granian (control)",
        ("granian==2.8.7", "uvloop", "pydantic"),
        _on_granian("asgi", "bench.apps.asgi_app"),
        shown=("granian", "uvloop"),
        locked=True,
        kind="control",
    ),
    Contender(
        "asgi",
        "raw ASGI on uvicorn (control)",
        (*_UVICORN, "pydantic", "typing-extensions"),
        _on_uvicorn("bench.apps.asgi_app"),
        shown=("uvicorn",),
        kind="control",
    ),
    Contender(
        "socketify",
        "socketify",
        ("socketify==0.0.31", "pydantic"),
        _program("bench.apps.socketify_app"),
        shown=("socketify",),
        locked=True,
    ),
    Contender(
        "emmett55",
        "emmett55 on granian",
        ("emmett55[orjson]==1.3.0", "granian==2.8.7", "uvloop", "pydantic"),
        _on_granian("rsgi", "bench.apps.emmett_app"),
        shown=("emmett55", "emmett-core", "granian"),
        locked=True,
    ),
    Contender(
        "blacksheep-granian",
        "BlackSheep on granian",
        (),
        _on_granian("asgi", "bench.apps.blacksheep_app"),
        shown=("blacksheep", "granian"),
        home="blacksheep",
        locked=True,
    ),
    Contender(
        "blacksheep",
        "BlackSheep on uvicorn",
        ("blacksheep==2.6.4", "granian==2.8.7", *_UVICORN, "pydantic"),
        _on_uvicorn("bench.apps.blacksheep_app"),
        shown=("blacksheep", "uvicorn"),
        locked=True,
    ),
    Contender(
        "robyn",
        "Robyn",
        ("robyn==0.88.0", "pydantic"),
        _program("bench.apps.robyn_app", "--log-level", "WARN", "--disable-openapi"),
        shown=("robyn",),
        locked=True,
    ),
    Contender(
        "falcon",
        "Falcon on uvicorn",
        ("falcon==4.4.0", *_UVICORN, "pydantic"),
        _on_uvicorn("bench.apps.falcon_app"),
        shown=("falcon", "uvicorn"),
        locked=True,
    ),
    Contender(
        "sanic",
        "Sanic",
        ("sanic==25.12.1", "pydantic"),
        _program("bench.apps.sanic_app"),
        shown=("sanic", "uvloop", "httptools", "websockets"),
        locked=True,
    ),
    Contender(
        "aiohttp",
        "aiohttp",
        ("aiohttp==3.14.5", "uvloop", "pydantic"),
        _program("bench.apps.aiohttp_app"),
        shown=("aiohttp", "uvloop"),
        locked=True,
    ),
    Contender(
        "starlette",
        "Starlette on uvicorn",
        (*_UVICORN, *_PYDANTIC),
        _on_uvicorn("bench.apps.starlette_app"),
        shown=("starlette", "uvicorn"),
    ),
    Contender(
        "litestar",
        "Litestar on uvicorn",
        ("litestar==2.25.0", *_UVICORN, "pydantic"),
        _on_uvicorn("bench.apps.litestar_app"),
        shown=("litestar", "uvicorn"),
        locked=True,
    ),
)
"""Validation and dependencies are each framework's own where it has them, and `bench/apps/by_hand.py` where it has not."""


def choose_contenders(names: Sequence[str]) -> list[Contender]:
    """The named contenders in the order of the table, all of them for no name; the baseline is always among them.

    Raises:
        ValueError: there is no contender of that name.
    """
    if unknown := set(names) - {contender.name for contender in CONTENDERS}:
        raise ValueError(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CONTENDERS)}")
    return [contender for contender in CONTENDERS if not names or contender.name in names or contender.name == BASELINE]
