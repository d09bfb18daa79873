"""`tercel dropin install | status | uninstall`: the shim distribution, from the command line.

What is done is in `tercel.dropin_shim`; here it is only said. Read `tercel.cli.commands` for where these commands are added.
"""

from __future__ import annotations

import importlib.metadata

import typer

from tercel.cli.errors import CommandError, ExitCode
from tercel.dropin_shim import Found, ShimError, find, site_packages
from tercel.dropin_shim import install as install_shim
from tercel.dropin_shim import uninstall as uninstall_shim

__all__ = ["cli"]

cli = typer.Typer(
    name="dropin",
    help="A distribution named fastapi in this environment that gives programs Tercel.",
    no_args_is_help=True,
    add_completion=False,
)


@cli.command("install")
def install() -> None:
    """Put Tercel in FastAPI's place in this environment, for every program in it."""
    before = find()
    try:
        found = install_shim()
    except ShimError as error:
        raise _shown(error) from None
    if before is not None and before.tercel is None:
        typer.echo(f"{found.folder}: FastAPI {before.version} is replaced by {found.version}")
    else:
        typer.echo(f"{found.folder}: fastapi is {found.version} now")
    typer.echo("Undo it with: tercel dropin uninstall")


@cli.command("status")
def status() -> None:
    """Say what this environment has under the name fastapi."""
    found = find()
    typer.echo(f"{site_packages()}: nothing is installed under the name fastapi" if found is None else describe(found))


@cli.command("uninstall")
def uninstall() -> None:
    """Take the shim out of this environment."""
    try:
        found = uninstall_shim()
    except ShimError as error:
        raise _shown(error) from None
    typer.echo(f"{found.folder}: {found.version} is removed")
    if found.replaced:
        typer.echo(f"Get the original back with: pip install fastapi=={found.replaced}")


def describe(found: Found) -> str:
    """One line about a distribution named fastapi, and a second where something is to be done."""
    if found.tercel is None:
        return f"{found.folder}: FastAPI {found.version}, the original"
    line = f"{found.folder}: {found.version}, which gives programs Tercel {found.tercel}"
    if found.replaced:
        line += f" in place of FastAPI {found.replaced}"
    current = importlib.metadata.version("tercel")
    if found.tercel != current:
        line += f"\nTercel is {current} now; bring it up to date with: tercel dropin install"
    return line


def _shown(error: ShimError) -> CommandError:
    message, *advice = error.args
    return CommandError(message, *advice, exit_code=ExitCode.FAILURE)
