"""Writes the OpenAPI documents of applications to a file. Runs inside an application's environment, on FastAPI or on Tercel.

    python dump.py RESULT TARGET ...

A target is `module:expression`, whose value is an application, or several in a list or as values of a dict; or a folder, where each
program with a global `app` that has a document is one. The result maps names to documents as text, in the order that the
application gives them, or to `null` where there is an error, which goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def documents(target: str) -> Iterator[tuple[str, Any]]:
    """Names and applications of a target, or the exception in an application's place."""
    module, _, expression = target.partition(":")
    if expression:
        yield from evaluated(target, module, expression)
        return
    for file in sorted(Path(target).rglob("*.py")):
        name = ".".join(file.with_suffix("").parts)
        if "app" in file.read_text("utf-8"):
            yield from imported(name)


def evaluated(target: str, module: str, expression: str) -> Iterator[tuple[str, Any]]:
    """The application or applications that an expression gives in a module."""
    try:
        found = eval(expression, vars(importlib.import_module(module)))
    except Exception as error:
        yield target, error
        return
    if isinstance(found, dict):
        yield from ((f"{target}[{key}]", app) for key, app in found.items())
    elif isinstance(found, list | tuple):
        yield from ((f"{target}[{index}]", app) for index, app in enumerate(found))
    else:
        yield target, found


def imported(name: str) -> Iterator[tuple[str, Any]]:
    """The `app` of a program, if it has one."""
    try:
        app = getattr(importlib.import_module(name), "app", None)
    except (Exception, SystemExit) as error:
        yield name, error
        return
    if callable(getattr(app, "openapi", None)):
        yield name, app


def text_of(name: str, app: Any) -> str | None:
    """The document of an application as JSON, with keys in its own order; None and a traceback where there is an error."""
    try:
        if isinstance(app, BaseException):
            raise app
        return json.dumps(app.openapi(), ensure_ascii=False)
    except Exception:
        print(f"-- {name}", file=sys.stderr)
        traceback.print_exc()
        return None


def main() -> None:
    """Writes the result file."""
    result, *targets = sys.argv[1:]
    sys.path.insert(0, "")
    found = {name: text_of(name, app) for target in targets for name, app in documents(target)}
    Path(result).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
