"""Generated source as text with the objects it names: the only `exec` in the project.

A unit's text is registered with `linecache` under a file name of its own, so that tracebacks, pdb and `inspect.getsource` show
it; it is removed when the code object is collected. With the environment variable TERCEL_SOURCE_DIR the text is also written to
real files there, for breakpoints and coverage. Read `tercel.compile.emit` next, which writes the lines.
"""

from __future__ import annotations

import itertools
import keyword
import linecache
import os
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tercel.plan import Origin

__all__ = ["SourceUnit", "comment", "identifier"]

_numbers = itertools.count(1)
_COMMENT_COLUMN = 96


def identifier(text: str) -> str:
    """A valid Python name that resembles the text: what users write never reaches generated code in any other form."""
    name = re.sub(r"[^0-9a-zA-Z_]+", "_", text).strip("_") or "it"
    return f"_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def comment(text: str) -> str:
    """A text of the user's as part of a comment: one line of printable ASCII."""
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]", "?", line)


class SourceUnit:
    """One function under construction.

    Args:
        name: of the function.
        title: what it is for, part of the file name that tracebacks show.
    """

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.namespace: dict[str, Any] = {"__name__": f"tercel.generated.{name}"}
        self._names: dict[int, str] = {}
        self._lines: list[str] = []
        self.indent = 0

    def reserve(self, *names: str) -> None:
        """Keeps names of local variables from being bound to objects."""
        for name in names:
            self.namespace.setdefault(name, None)

    def local(self, name: str) -> str:
        """A name for one more local variable: the given one, or with a number where that is taken."""
        free, number = name, 1
        while free in self.namespace:
            number += 1
            free = f"{name}_{number}"
        self.namespace[free] = None
        return free

    def bind(self, value: Any, hint: str) -> str:
        """The name under which the code refers to an object; the same for the same object."""
        known = self._names.get(id(value))
        if known is not None:
            return known
        name = self.local(identifier(hint))
        self.namespace[name] = value
        self._names[id(value)] = name
        return name

    def line(self, text: str, origin: Origin | None = None) -> None:
        """Appends a line at the current indentation; one that reaches user code ends in its origin."""
        code = "    " * self.indent + text
        if origin is not None:
            code = f"{code:<{_COMMENT_COLUMN}}  # {comment(str(origin))}"
        self._lines.append(code)

    @property
    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def load(self) -> Callable[..., Any]:
        """Compiles the text and returns the function, with its source on it as `__tercel_source__`."""
        text = self.text
        file_name = f"<tercel {comment(self.title)} #{next(_numbers)}>"
        directory = os.environ.get("TERCEL_SOURCE_DIR")
        if directory:
            path = Path(directory) / f"{self.name}_{next(_numbers)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            file_name = str(path)
        local: dict[str, Any] = {}
        code = compile(text, file_name, "exec")
        exec(code, self.namespace, local)
        function: Any = local[self.name]
        if not directory:
            linecache.cache[file_name] = (len(text), None, text.splitlines(keepends=True), file_name)
            weakref.finalize(function.__code__, linecache.cache.pop, file_name, None).atexit = False
        function.__tercel_source__ = text
        return function  # type: ignore[no-any-return]
