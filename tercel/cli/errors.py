"""How the command line says that something went wrong: one message, what to do about it, and an exit code.

Everything below `main` raises these two exceptions, and only `main` prints them. An error inside the user's own module is shown as
the user's traceback, without the frames of this package or of the import system. This module must not know commands, applications
or servers. Read `tercel.cli.target` next.
"""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tercel.http.errors import DeclarationError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CommandError", "ExitCode", "UserCodeError", "error_console", "show_error", "show_warning"]

# Where frames come from that say nothing about the user's mistake.
_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class ExitCode(IntEnum):
    """What the process answers. 3 is uvicorn's code for a failed start, which process managers already know."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    STARTUP = 3


class CommandError(Exception):
    """Something the person at the terminal can mend.

    Args:
        message: what is wrong, in one sentence.
        advice: what to write or do instead, one line each.
        exit_code: `USAGE` when the command line was wrong, `FAILURE` when the world was (a port in use, a file not writable).
    """

    def __init__(self, message: str, *advice: str, exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.exit_code = exit_code


class UserCodeError(Exception):
    """Code of the user's raised while it was imported or called; `__cause__` is what it raised.

    Args:
        doing: what was being done, as the start of a sentence: "importing `main`".
        advice: a guess at the reason, where there is a good one.
    """

    exit_code = ExitCode.FAILURE

    def __init__(self, doing: str, *advice: str) -> None:
        super().__init__(doing)
        self.doing = doing
        self.advice = advice


def error_console() -> Console:
    """Standard error, in colour on a terminal, and never wrapped. Rich is imported here: a server that starts well says nothing."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def show_error(error: CommandError | UserCodeError) -> None:
    """Writes the error to standard error; in colour on a terminal, and never wrapped, so that paths can be copied."""
    from rich.text import Text

    console = error_console()
    if isinstance(error, UserCodeError):
        cause = error.__cause__
        if cause is not None:
            console.print(Text(user_traceback(cause).rstrip()))
        message = f"{error.doing} failed"
    else:
        message = error.message
    console.print(Text.assemble(("error: ", "bold red"), message))
    for line in error.advice:
        console.print(Text.assemble(("  hint: ", "cyan"), line))


def show_warning(message: str) -> None:
    """Writes one line to standard error that does not stop anything."""
    from rich.text import Text

    console = error_console()
    console.print(Text.assemble(("warning: ", "bold yellow"), message))


def user_traceback(error: BaseException) -> str:
    """The traceback from the first frame of user code on; only the message where the message itself says the place.

    A `DeclarationError` names the files and lines of the declaration, which the traceback of the analysis would only bury.
    """
    if isinstance(error, DeclarationError):
        return str(error) if str(error).startswith("DeclarationError") else f"{type(error).__name__}: {error}"
    shown = traceback.TracebackException(type(error), error, _without_own_frames(error.__traceback__))
    return "".join(shown.format())


def _without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The same traceback without frames of the command line and the import system."""
    kept = [step for step in _steps(trace) if not is_machinery(step.tb_frame.f_code.co_filename)]
    rest: TracebackType | None = None
    for step in reversed(kept):
        rest = TracebackType(rest, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return rest


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def is_machinery(filename: str) -> bool:
    """Whether a frame's file belongs to the command line or to the import system rather than to the user."""
    return filename.startswith((_OWN_FOLDER, "<frozen importlib", "<frozen runpy")) or filename == _IMPORTLIB


def has_user_frames(trace: TracebackType | None) -> bool:
    """Whether any code outside the command line and the import system was running."""
    return any(not is_machinery(step.tb_frame.f_code.co_filename) for step in _steps(trace))


_IMPORTLIB = str(Path(importlib.__file__))
