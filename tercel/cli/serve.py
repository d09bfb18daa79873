"""Serving what the command line named: in this process, or in others that import it for themselves.

Knows neither how the words of the command line were read nor how a server works. Read `tercel.cli.served` and
`tercel.server.supervisor` next.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tercel.cli.served import IMPORT_STRING, Served
from tercel.cli.settings import build_config
from tercel.cli.target import resolve_target

__all__ = ["serve"]


def serve(
    given: str | None,
    factory: bool,
    app_dir: Path | None,
    dropin: bool,
    settings: Mapping[str, Any],
    *,
    dev: bool = False,
    debug: bool = False,
) -> int:
    """Serves an application until it is told to stop; the exit code.

    Args:
        given: what was typed as APP.
        settings: fields of `ServerConfig`, those that were said.
        dev: whether a person watches.
        debug: whether the application shows tracebacks.

    Raises:
        CommandError: there is no such application, or a setting cannot be.
        UserCodeError: the user's code raised while it was loaded.
    """
    from tercel.server.process import end_process
    from tercel.server.supervisor import run as run_server  # uvloop and httptools are not needed to print help

    target = resolve_target(given, folder=Path.cwd(), app_dir=app_dir)
    config = build_config(settings)
    request = Served(target, factory, dropin, debug, announce=dev)
    if config.reload or config.workers > 1:
        # Each process imports the application for itself: a restarted one must see the changed files.
        request.to_environment()
        return run_server(IMPORT_STRING, config)
    app = request.load().app
    threads = set(threading.enumerate())
    return end_process(run_server(app, config), threads)
