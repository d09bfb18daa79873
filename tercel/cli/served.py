"""The application as a server process imports it: `tercel.cli.served:app`, whatever the person named.

A worker or a restarted process has nothing but an import string and its environment, so the command line writes there what it was
asked for, and each process loads the application itself, with the same rules and messages. This module must not know servers. Read
`tercel.server.supervisor` for who imports it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tercel.cli.errors import CommandError, UserCodeError, error_console, show_error
from tercel.cli.load import Loaded, load_app
from tercel.cli.target import Target
from tercel.collecting import FewCollections

__all__ = ["IMPORT_STRING", "Served"]

IMPORT_STRING = "tercel.cli.served:app"
_VARIABLE = "TERCEL_SERVED"


@dataclass(frozen=True, slots=True)
class Served:
    """What to serve, and how it was asked for.

    Attributes:
        target: where the application is.
        factory: whether the object there makes it.
        dropin: whether `import fastapi` gives Tercel.
        debug: whether it shows tracebacks.
        announce: whether to say what was found; of use to a person, not in a log.
    """

    target: Target
    factory: bool
    dropin: bool
    debug: bool
    announce: bool

    def load(self) -> Loaded:
        """The application, ready to be served.

        Raises:
            CommandError: there is no such module or object, or it is not an application.
            UserCodeError: the user's code raised.
        """
        with FewCollections():
            loaded = load_app(self.target, factory=self.factory, dropin=self.dropin)
        if self.debug and hasattr(loaded.app, "debug"):
            loaded.app.debug = True
        if self.announce:
            _announce(loaded)
        return loaded

    def to_environment(self) -> None:
        """Leaves this for processes that are started from now on."""
        target = self.target
        os.environ[_VARIABLE] = json.dumps(
            {
                "module": target.module,
                "attribute": target.attribute,
                "search_path": str(target.search_path),
                "file": None if target.file is None else str(target.file),
                "given": target.given,
                "factory": self.factory,
                "dropin": self.dropin,
                "debug": self.debug,
                "announce": self.announce,
            }
        )

    @classmethod
    def from_environment(cls) -> Served:
        """What `to_environment` left.

        Raises:
            CommandError: this process was not started by the command line.
        """
        text = os.environ.get(_VARIABLE)
        if text is None:
            raise CommandError(f"{IMPORT_STRING} is for processes that `tercel run` starts; {_VARIABLE} is not set")
        values = json.loads(text)
        file = values["file"]
        target = Target(
            values["module"],
            values["attribute"],
            Path(values["search_path"]),
            None if file is None else Path(file),
            values["given"],
        )
        return cls(target, values["factory"], values["dropin"], values["debug"], values["announce"])


def _announce(loaded: Loaded) -> None:
    from rich.text import Text

    parts = [("serving ", ""), (loaded.target.import_string, "bold")]
    if loaded.file is not None:
        file = loaded.file
        parts.append((f" from {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}", ""))
    docs = getattr(loaded.app, "docs_url", None)
    if docs and getattr(loaded.app, "openapi_url", None):
        parts.append((f", documentation at {docs}", ""))
    error_console().print(Text.assemble(*parts))


def __getattr__(name: str) -> Any:
    """`app`, loaded when a server process asks for it and not when the command line imports this module.

    Raises:
        SystemExit: loading failed; the message has been shown. No other exception would leave the import without a traceback.
    """
    if name != "app":
        raise AttributeError(name)
    try:
        return Served.from_environment().load().app
    except (CommandError, UserCodeError) as error:
        show_error(error)
        raise SystemExit(int(error.exit_code)) from None
