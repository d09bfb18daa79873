"""The generated sources, reviewed like code: each route of `routes.py` against its file in `golden/`.

`make golden` writes the files anew (TERCEL_GOLDEN=write); the difference belongs into the same commit as its cause.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tercel.routing import iter_route_contexts
from tests.generated.routes import app

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("TERCEL_GOLDEN") == "write"


def declared() -> Iterator[tuple[str, str, str]]:
    """Name of the endpoint, method and path of every route that is compiled."""
    for context in iter_route_contexts(app.routes):
        if getattr(context, "operation", None) is not None:
            endpoint: Any = context.endpoint
            yield endpoint.__name__, next(iter(context.methods or ["WS"])), str(context.path)


ROUTES = {name: (method, path) for name, method, path in declared()}


@pytest.mark.parametrize("name", ROUTES)
def test_the_generated_source_is_the_golden_one(name: str) -> None:
    source = app.source_for(*ROUTES[name])
    path = GOLDEN / f"{name}.py"
    if WRITE:
        path.write_text(source, encoding="utf-8")
    assert source == path.read_text(encoding="utf-8"), f"run `make golden` and review {path.name}"


def test_there_is_one_golden_file_for_each_route() -> None:
    if WRITE:
        for path in GOLDEN.glob("*.py"):
            if path.stem not in ROUTES:
                path.unlink()
    assert len(ROUTES) >= 20
    assert {path.stem for path in GOLDEN.glob("*.py")} == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_every_line_that_reaches_code_of_the_user_says_where_that_is(name: str) -> None:
    method, path = ROUTES[name]
    plan = app.plan_for(method, path)
    called = [step.callee for step in plan.steps if hasattr(step, "callee")]
    lines = app.source_for(method, path).splitlines()
    for callee in called:
        reached = [line for line in lines if f"call_{callee.name}" in line]
        assert reached
        assert all(".py:" in line.rpartition("  # ")[2] for line in reached)


@pytest.mark.parametrize("name", ROUTES)
def test_the_generated_source_is_one_function_of_straight_lines(name: str) -> None:
    (function,) = ast.parse(app.source_for(*ROUTES[name])).body
    assert isinstance(function, ast.AsyncFunctionDef)
    loops_and_handlers = (ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Lambda, ast.Import, ast.ImportFrom)
    found = [node for node in ast.walk(function) if isinstance(node, loops_and_handlers)]
    # What generators need around everything else, and nothing besides.
    assert found == [node for node in function.body[-1:] if isinstance(node, ast.Try)]


def test_the_source_is_the_same_in_both_engines_and_every_time() -> None:
    method, path = ROUTES["shared_dependencies"]
    first = app.source_for(method, path)
    app.engine = "interpreted"
    try:
        assert app.source_for(method, path) == first
    finally:
        app.engine = "compiled"
