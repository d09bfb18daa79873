"""Where the command line begins and ends: it runs a command and says what went wrong, as one message and an exit code.

0 is done, 1 failed, 2 wrong usage, 3 the application failed to start. `tercel run` with the words that process managers use goes
straight to the server (`tercel.cli.usual`); everything else goes through Typer (`tercel.cli.commands`), which takes longer to
import than the server does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tercel.cli.errors import CommandError, ExitCode, UserCodeError, show_error
from tercel.cli.serve import serve
from tercel.cli.usual import read_usual

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; what went wrong has been printed to standard error.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        usual = read_usual(words, os.environ)
        if usual is not None:
            return serve(usual.app, usual.factory, usual.app_dir, usual.dropin, usual.settings)
        from tercel.cli.commands import cli

        cli(args=words, prog_name="tercel")
    except SystemExit as stop:  # how Typer ends, also when all is well
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (CommandError, UserCodeError) as error:
        show_error(error)
        return error.exit_code
    except Exception as error:
        if os.environ.get("TERCEL_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        show_error(CommandError(f"a mistake in Tercel: {what}", "TERCEL_TRACEBACK=1 shows where; please report it."))
        return ExitCode.FAILURE
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
