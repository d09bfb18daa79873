"""The commands: `dev` and `run` serve an application, `routes`, `plan`, `source` and `openapi` print what Tercel made of it.

Each command finds the application (`tercel.cli.target`), imports it (`tercel.cli.load`) and hands it on, to `tercel.server` or to
`tercel.cli.show`. This module must not know how errors are shown; read `tercel.cli.main` for that.
"""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from tercel.cli.dropin import cli as dropin_cli
from tercel.cli.load import Loaded, load_app
from tercel.cli.serve import serve
from tercel.cli.settings import SETTINGS, with_settings
from tercel.cli.target import DEFAULT_FILES, resolve_target
from tercel.server.http1 import HttpConnection
from tercel.server.protocols import connection_class

__all__ = ["cli"]

_HELP = (
    "`module:object`, a module, a file or a folder. Without it: the entrypoint in pyproject.toml, else the first of "
    f"{', '.join(DEFAULT_FILES)}."
)

App = Annotated[str | None, typer.Argument(metavar="APP", envvar="TERCEL_APP", help=_HELP, show_default=False)]
Factory = Annotated[bool, typer.Option("--factory", help="APP is a function without parameters that makes the application.")]
AppDir = Annotated[
    Path | None, typer.Option("--app-dir", help="Where modules are searched. Default: the working directory", show_default=False)
]
DropIn = Annotated[bool, typer.Option("--dropin", help="`import fastapi` gives Tercel: for applications written for FastAPI.")]
Method = Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, ..., or WEBSOCKET.")]
PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="A path as requested, /items/3, or as declared, /items/{item_id}.")
]

cli = typer.Typer(
    name="tercel",
    help="FastAPI's API on its own engine and its own server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # `main` shows errors
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        protocol = "pure" if connection_class() is HttpConnection else "compiled"
        version = importlib.metadata.version("tercel")
        typer.echo(f"tercel {version} (Python {platform.python_version()}, {protocol} protocol)")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """FastAPI's API on its own engine and its own server."""


# -- serving -------------------------------------------------------------------------------------------------------------------


def dev(
    app: App = None,
    *,
    factory: Factory = False,
    app_dir: AppDir = None,
    dropin: DropIn = False,
    debug: Annotated[bool, typer.Option("--debug/--no-debug", help="Answer an error with its traceback.")] = True,
    settings: dict[str, Any],
) -> None:
    """Serve an application for development: on this machine, with tracebacks, restarted when a file changes."""
    raise typer.Exit(serve(app, factory, app_dir, dropin, settings, dev=True, debug=debug))


def run(
    app: App = None, *, factory: Factory = False, app_dir: AppDir = None, dropin: DropIn = False, settings: dict[str, Any]
) -> None:
    """Serve an application."""
    raise typer.Exit(serve(app, factory, app_dir, dropin, settings))


cli.command("dev")(with_settings(dev, (row for row in SETTINGS if row.in_dev), {"reload": True}))
cli.command("run")(with_settings(run, SETTINGS, {}))


# -- looking -------------------------------------------------------------------------------------------------------------------


@cli.command("routes")
def routes(app: App = None, *, factory: Factory = False, app_dir: AppDir = None, dropin: DropIn = False) -> None:
    """List the routes in the order in which they are tried."""
    from tercel.cli.show import show_routes

    show_routes(_load(app, factory, app_dir, dropin))


@cli.command("plan")
def plan(
    method: Method, path: PathArgument, app: App = None, *, factory: Factory = False, app_dir: AppDir = None, dropin: DropIn = False
) -> None:
    """Print the steps that answer a request, one numbered line each."""
    from tercel.cli.show import show_plan

    show_plan(_load(app, factory, app_dir, dropin), method, path)


@cli.command("source")
def source(
    method: Method, path: PathArgument, app: App = None, *, factory: Factory = False, app_dir: AppDir = None, dropin: DropIn = False
) -> None:
    """Print the Python that was generated to answer a request."""
    from tercel.cli.show import show_source

    show_source(_load(app, factory, app_dir, dropin), method, path)


@cli.command("openapi")
def openapi(
    app: App = None,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.")] = None,
    factory: Factory = False,
    app_dir: AppDir = None,
    dropin: DropIn = False,
) -> None:
    """Write the OpenAPI document as JSON."""
    from tercel.cli.show import write_openapi

    write_openapi(_load(app, factory, app_dir, dropin), output)


def _load(given: str | None, factory: bool, app_dir: Path | None, dropin: bool) -> Loaded:
    return load_app(resolve_target(given, folder=Path.cwd(), app_dir=app_dir), factory=factory, dropin=dropin)


cli.add_typer(dropin_cli)
