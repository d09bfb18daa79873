"""FastAPI's `cli`: the command line of the distribution `fastapi-cli`, which serves with uvicorn.

Programs replace and call both names, so they are here together. Tercel's own command line is `tercel.cli`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

__all__ = ["cli_main", "main"]


def _installed() -> Callable[[], None] | None:
    try:
        from fastapi_cli.cli import main  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return cast("Callable[[], None]", main)


cli_main = _installed()
"""Runs the command line; None where `fastapi-cli` is not installed."""


def main() -> None:
    """Runs the command line of `fastapi-cli`.

    Raises:
        RuntimeError: it is not installed.
    """
    if cli_main is None:
        raise RuntimeError(
            'To use the fastapi command, please install "fastapi-cli[standard]", or serve with `tercel dev` and `tercel run`.'
        )
    cli_main()
