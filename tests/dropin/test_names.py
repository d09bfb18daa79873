"""Every public name of FastAPI 0.165, and the semi-private ones in use, exists under the drop-in and is called the same way.

`fastapi_names.txt` is written by `tools/facade_names.py` from the real package.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tercel.dropin import _target

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:starlette.middleware.wsgi is deprecated")

LINES = (Path(__file__).parent / "fastapi_names.txt").read_text("utf-8").splitlines()

ABSENT = {
    "fastapi.routing:_EffectiveRouteContext.from_api_route": "how Tercel makes one is its own business",
    "fastapi.routing:_EffectiveRouteContext.from_frontend_route_group": "how Tercel makes one is its own business",
}
"""Names that are not there, with the reason."""

CALLED_OTHERWISE = {
    "fastapi.dependencies.models:_impartial": "called by position everywhere",
    "fastapi.routing:_RouterIncludeContext.combine": "called by position everywhere",
    "fastapi.routing:_extract_endpoint_context": "called by position everywhere",
    "fastapi.routing:_merge_lifespan_context": "called by position everywhere",
}
"""Names that are there with other parameters, with the reason."""


class Name(NamedTuple):
    """One line: where the name is and how it is called."""

    path: str
    parameters: str | None

    @property
    def module(self) -> str:
        return self.path.partition(":")[0]


def parse(line: str) -> Name:
    path, bracket, rest = line.partition("(")
    return Name(path, rest.rstrip(")") if bracket else None)


NAMES = [parse(line) for line in LINES]


def look_up(name: Name) -> Any:
    stand_in = _target(name.module)
    assert stand_in is not None, f"no module {name.module}"
    found: Any = importlib.import_module(stand_in)
    for part in name.path.partition(":")[2].split("."):
        found = getattr(found, part)
    return found


def problem_of_call(expected: str, thing: Any) -> str | None:
    """What is wrong with how a thing is called, or None."""
    actual = dict(inspect.signature(thing).parameters)
    keyword_only = False
    only_position = "/" in expected
    position = 0
    for part in filter(None, expected.split(", ")):
        if part in ("*", "/"):
            keyword_only, only_position = part == "*", False
            continue
        if part.startswith("*"):
            if part.lstrip("*") not in actual:
                return f"{part} is missing"
            continue
        name, optional = part.rstrip("="), part.endswith("=")
        parameter = actual.pop(name, None)
        if parameter is None:
            return f"{name} is missing"
        if optional and parameter.default is parameter.empty:
            return f"{name} is required"
        if not keyword_only:
            if parameter.kind is not (parameter.POSITIONAL_ONLY if only_position else parameter.POSITIONAL_OR_KEYWORD):
                return f"{name} cannot be given by position"
            if list(inspect.signature(thing).parameters).index(name) != position:
                return f"{name} is not parameter number {position}"
            position += 1
    needed = [name for name, left in actual.items() if left.default is left.empty and left.kind not in (2, 4)]
    return f"{needed[0]} is required, and unknown to FastAPI" if needed else None


@pytest.mark.parametrize("module", sorted({name.module for name in NAMES}))
def test_a_module_has_every_name(module: str) -> None:
    missing = []
    for name in NAMES:
        if name.module == module and name.path not in ABSENT:
            try:
                look_up(name)
            except AttributeError:
                missing.append(name.path)
    assert missing == []


@pytest.mark.parametrize("module", sorted({name.module for name in NAMES}))
def test_what_can_be_called_is_called_the_same_way(module: str) -> None:
    problems = {}
    for name in NAMES:
        if name.module == module and name.parameters is not None and name.path not in {**ABSENT, **CALLED_OTHERWISE}:
            problem = problem_of_call(name.parameters, look_up(name))
            if problem is not None:
                problems[name.path] = problem
    assert problems == {}


@pytest.mark.parametrize("path", sorted(ABSENT))
def test_what_is_said_to_be_absent_is(path: str) -> None:
    with pytest.raises(AttributeError):
        look_up(Name(path, None))


def test_facades_hold_no_logic() -> None:
    """A facade is a docstring and imports; `__version__` is the one value that must be FastAPI's, and `__main__` starts `main`."""
    import ast

    import tercel.compat.fastapi

    folder = Path(tercel.compat.fastapi.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body[1:]:
            is_version = isinstance(node, ast.Assign) and ast.unparse(node).startswith("__version__ = ")
            is_start = file.name == "__main__.py" and ast.unparse(node) == "main()"
            assert isinstance(node, ast.ImportFrom) or is_version or is_start, f"{file}: {ast.unparse(node)}"
