"""What `routes`, `plan`, `source` and `openapi` print. Text only: it asks the application and formats what it answers.

Plain when standard output is not a terminal, so that `tercel source GET / > handler.py` and `tercel routes | grep` work. This
module must not know how applications are found. Read `tercel.plan` for what a plan's lines mean.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text
from starlette.routing import Host, Mount, WebSocketRoute

from tercel.cli.errors import CommandError, ExitCode, UserCodeError
from tercel.cli.load import Loaded
from tercel.cli.target import close_to
from tercel.routing import RouteContext, iter_route_contexts

__all__ = ["RouteLine", "route_lines", "show_plan", "show_routes", "show_source", "write_openapi"]


@dataclass(frozen=True, slots=True)
class RouteLine:
    """One line of `tercel routes`.

    Attributes:
        methods: "GET", "GET,POST", or what it is instead: "WEBSOCKET", "MOUNT", "HOST".
        path: with every prefix, as written.
        name: of the endpoint, or of the class of what is mounted.
        place: file and line of the endpoint, relative to the working directory; empty when there is none.
    """

    methods: str
    path: str
    name: str
    place: str


def show_routes(loaded: Loaded) -> None:
    """Prints one line per route in the order in which they are tried; those of mounted applications with their prefix."""
    lines = list(route_lines(loaded.app))
    if not lines:
        raise CommandError(f"`{loaded.target.import_string}` has no routes", exit_code=ExitCode.FAILURE)
    widths = [
        max(len(value) for value in column) for column in zip(*((one.methods, one.path, one.name) for one in lines), strict=True)
    ]
    console = _stdout()
    for one in lines:
        text = Text()
        for value, width, style in zip((one.methods, one.path, one.name), widths, ("green", "bold", ""), strict=True):
            text.append(value.ljust(width + 2), style)
        text.append(one.place, "dim")
        text.rstrip()
        console.print(text)


def route_lines(app: Any, prefix: str = "") -> Iterator[RouteLine]:
    """The routes of a Tercel or Starlette application, and of what is mounted in it.

    Raises:
        CommandError: the application has no list of routes.
    """
    routes = getattr(app, "routes", None)
    if not isinstance(routes, list | tuple):
        raise CommandError(f"the application is {_article(app)}, and only FastAPI and Starlette applications have a list of routes")
    for route in iter_route_contexts(routes):
        original = route.original_route
        path = prefix + (route.path or "")
        if isinstance(original, Mount | Host):
            is_mount = isinstance(original, Mount)
            shown = path or "/" if is_mount else original.host  # type: ignore[union-attr]
            inner = original.app
            yield RouteLine("MOUNT" if is_mount else "HOST", shown, type(inner).__name__, "")
            if isinstance(getattr(inner, "routes", None), list):
                yield from route_lines(inner, path if is_mount else prefix)
        elif isinstance(original, WebSocketRoute):
            yield RouteLine("WEBSOCKET", path, route.name or "", _place(route.endpoint))
        else:
            methods = set(route.methods or ())
            if "GET" in methods:
                methods.discard("HEAD")  # Starlette adds it to GET by itself
            yield RouteLine(",".join(sorted(methods)) or "ANY", path, route.name or type(original).__name__, _place(route.endpoint))


def _place(endpoint: Any) -> str:
    try:
        code = inspect.unwrap(endpoint).__code__
    except (AttributeError, TypeError, ValueError):
        return ""
    file = Path(code.co_filename)
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return f"{file}:{code.co_firstlineno}"


def show_plan(loaded: Loaded, method: str, path: str) -> None:
    """Prints the numbered steps of the route that answers `method path`."""
    typer.echo(str(_asked(loaded, "plan_for", method, path)))


def show_source(loaded: Loaded, method: str, path: str) -> None:
    """Prints the Python that was generated for the route that answers `method path`."""
    source = str(_asked(loaded, "source_for", method, path)).rstrip("\n")
    console = _stdout()
    if console.is_terminal:
        console.print(Syntax(source, "python", background_color="default", word_wrap=False))
    else:
        typer.echo(source)


def _asked(loaded: Loaded, question: str, method: str, path: str) -> Any:
    """What the application answers about one route.

    Raises:
        CommandError: it is not an application of Tercel's, or has no such route.
        UserCodeError: its declarations do not hold.
    """
    if not hasattr(loaded.app, question):
        raise CommandError(f"`{loaded.target.import_string}` is {_article(loaded.app)}, and only `tercel.FastAPI` has plans")
    if not path.startswith("/"):
        raise CommandError(f"the path `{path}` must start with a slash", f"Write `/{path}`.")
    method = "WS" if method.upper() in ("WS", "WEBSOCKET") else method.upper()
    try:
        owner, declared = _owner(loaded.app, method, path)
        if not hasattr(owner, question):
            raise CommandError(
                f"{path} is served by {_article(owner)}, which is mounted and has no plans", exit_code=ExitCode.FAILURE
            )
        return getattr(owner, question)(method, declared)
    except LookupError:
        raise CommandError(f"no path operation answers {method} {path}", *_near(loaded.app, path)) from None
    except CommandError:
        raise
    except Exception as error:
        raise UserCodeError(f"analysing `{method} {path}`") from error


def _owner(app: Any, method: str, path: str) -> tuple[Any, str]:
    """The application that answers a path, which may be mounted, and the path as it was declared there.

    Raises:
        LookupError: none does.
    """
    routes = list(iter_route_contexts(app.routes))
    for route in routes:  # as declared, before as requested: "/items/{item_id}" also matches itself
        if path in (route.path, route.path_format) and _answers(route, method):
            return app, path
    for route in routes:
        original = route.original_route
        if isinstance(original, Mount):
            prefix = route.path or ""
            if path.startswith(f"{prefix}/"):
                inner = original.app
                return _owner(inner, method, path.removeprefix(prefix)) if hasattr(inner, "routes") else (inner, path)
        regex = getattr(route, "path_regex", None)
        if regex is not None and regex.match(path) and _answers(route, method):
            return app, str(route.path)
    raise LookupError(path)


def _answers(route: RouteContext, method: str) -> bool:
    return not route.methods if method == "WS" else method in (route.methods or ())


def _near(app: Any, path: str) -> list[str]:
    lines = list(route_lines(app))
    same = sorted({one.methods for one in lines if one.path == path})
    if same:
        return [f"{path} is there for {', '.join(same)}."]
    guess = close_to(path, [one.path for one in lines])
    return [guess or "`tercel routes` lists them."]


def write_openapi(loaded: Loaded, output: Path | None) -> None:
    """Writes the OpenAPI document as JSON, indented by two, to `output` or standard output.

    Raises:
        CommandError: the application makes none, or the file cannot be written.
        UserCodeError: making it raised.
    """
    make = getattr(loaded.app, "openapi", None)
    if not callable(make):
        raise CommandError(f"`{loaded.target.import_string}` is {_article(loaded.app)}, and has no OpenAPI document")
    try:
        text = json.dumps(make(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except Exception as error:
        raise UserCodeError("making the OpenAPI document") from error
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}", exit_code=ExitCode.FAILURE) from None


def _article(value: Any) -> str:
    name = type(value).__name__
    return f"an object of {type(value).__module__}.{name}" if name[:1].isalpha() else "an object without a class name"


def _stdout() -> Console:
    return Console(highlight=False, soft_wrap=True)
