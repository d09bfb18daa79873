"""Reads `tercel run` where its words leave no doubt, from the same rows as the full command line and without Typer.

Importing Typer and building the commands takes a sixth of the time in which a server starts. Whatever is not plain (help, an
unknown option, a value that does not fit, a setting in an environment variable) is left to `tercel.cli.commands`, which explains
it; tests hold both to the same reading. This module must not know what is done with the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from tercel.cli.settings import SETTINGS, Setting

__all__ = ["Usual", "read_usual"]

_ENVIRONMENT = ("TERCEL_APP", *(row.envvar for row in SETTINGS if row.envvar is not None))


@dataclass(slots=True)
class Usual:
    """What `tercel run` was told; the attributes are the parameters of `tercel.cli.serve.serve`."""

    app: str | None = None
    factory: bool = False
    app_dir: Path | None = None
    dropin: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def read_usual(words: Sequence[str], environment: Mapping[str, str]) -> Usual | None:
    """What a command line means, or None where it is not `run` or not plain.

    Args:
        words: without the program's name.
        environment: a setting in it is not plain.
    """
    if not words or words[0] != "run" or any(name in environment for name in _ENVIRONMENT):
        return None
    usual, given = Usual(), dict[str, Any]()
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            if usual.app is not None:
                return None
            usual.app = word
            continue
        flag, equals, value = word.partition("=")
        row = _ROWS.get(flag)
        if row is not None and row.kind is bool and not equals:
            given[row.field] = not flag.startswith("--no-")
        elif flag in ("--factory", "--dropin") and not equals:
            setattr(usual, flag.removeprefix("--"), True)
        elif flag == "--app-dir" or (row is not None and row.kind is not bool):
            if not equals:
                value = next(rest, "-")
                if value.startswith("-"):
                    return None
            if row is None:
                usual.app_dir = Path(value)
            elif not _take(row, value, given):
                return None
        else:
            return None
    try:
        usual.settings = {name: _BY_FIELD[name].convert(value) for name, value in given.items()}
    except Exception:  # as the full command line says it
        return None
    return usual


def _take(row: Setting, value: str, given: dict[str, Any]) -> bool:
    """Puts the value of an option where it belongs; False if it does not fit."""
    if row.kind == list[str]:
        given.setdefault(row.field, []).append(value)
    elif get_origin(row.kind) is Literal:
        given[row.field] = value
        return value in get_args(row.kind)
    else:
        try:
            given[row.field] = row.kind(value)
        except ValueError:
            return False
    return True


_ROWS = {flag: row for row in SETTINGS for flag in row.flags.split("/")}
_BY_FIELD = {row.field: row for row in SETTINGS}
