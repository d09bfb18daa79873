"""For any routes and any path, the route table finds what a scan with Starlette's own route classes finds.

The oracle is Starlette: real `Route`, `WebSocketRoute`, `Mount` and custom route objects, asked one after the other in declaration
order. Patterns are made from a few texts, so that they overlap; paths are made from the patterns, so that many match.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, StringConvertor
from starlette.routing import PARAM_REGEX, BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from tercel.compile.match import Entry, Hit, Miss, Partial, RouteTable

METHODS = ["GET", "POST", "PUT"]


class Slug(Convertor[str]):
    regex = "[a-z0-9-]+"

    def convert(self, value: str) -> str:
        return f"slug {value}"

    def to_string(self, value: str) -> str:
        return value


class Picky(StringConvertor):
    """Refuses by ValueError what its expression admits."""

    def convert(self, value: str) -> str:
        if value.startswith("a"):
            raise ValueError(value)
        return value.upper()


class Spanning(StringConvertor):
    """May span segments."""

    regex = "[ab/]+"


class Optional(StringConvertor):
    """May be empty."""

    regex = "[a-z]*"


CONVERTORS = {"slug": Slug(), "picky": Picky(), "spanning": Spanning(), "optional": Optional()}
KINDS = ["", ":int", ":float", ":path", ":uuid", *(f":{name}" for name in CONVERTORS)]


@pytest.fixture(autouse=True, scope="module")
def _convertors() -> Iterator[None]:
    """Known by these names while this module runs."""
    CONVERTOR_TYPES.update(CONVERTORS)
    yield
    for name in CONVERTORS:
        del CONVERTOR_TYPES[name]


class Custom(BaseRoute):
    """A route that decides for itself: by the length of the path and the method."""

    def __init__(self, remainder: int, method: str) -> None:
        self.remainder = remainder
        self.method = method

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if len(scope["path"]) % 5 != self.remainder:
            return Match.NONE, {}
        full = scope.get("method", self.method) == self.method
        return (Match.FULL if full else Match.PARTIAL), {"endpoint": self.remainder}


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("only matched, never called")


class Endpoint:
    """Starlette takes what is not a function for an ASGI application, and then `methods=None` means every method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("only matched, never called")


# -- strategies --------------------------------------------------------------------------------------------------------------

LITERALS = ["a", "b", "ab", "items", "1", "", "-", "ä", "a.b", "{x-y}", ":go", "A", "\n"]
VALUES = [
    "a",
    "b",
    "ba",
    "ab/a",
    "1",
    "42",
    "1.5",
    "",
    "a/b",
    "x\ny",
    "ä",
    "c-d",
    "a.b",
    "00000000-0000-0000-0000-000000000001",
    "²",
    "b:go",
]
FITTING = {
    "": ["a", "1", "a.b", "a\n"],
    ":int": ["1", "42"],
    ":float": ["1", "1.5"],
    ":path": ["", "a", "a/b", "/"],
    ":uuid": ["00000000-0000-0000-0000-000000000001", "0" * 32],
    ":slug": ["a", "1", "c-d"],
    ":picky": ["a", "b", "1"],
    ":spanning": ["a", "a/b", "/"],
    ":optional": ["", "a"],
}


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """A pattern of up to four segments, most of them a literal or a parameter, some mixed."""
    names = iter("pqrstuvwxyz")
    parameters = st.sampled_from(KINDS).map(lambda kind: "{" + next(names) + kind + "}")
    literals = st.sampled_from(LITERALS)
    path = ""
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(st.integers(0, 9))
        if shape < 4:
            path += "/" + draw(literals)
        elif shape < 8:
            path += "/" + draw(parameters)
        else:
            pieces = draw(st.lists(st.one_of(literals, parameters), min_size=2, max_size=3))
            path += "/" + "".join(pieces)
    return path


@st.composite
def routes(draw: st.DrawFn) -> BaseRoute:
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return Custom(draw(st.integers(0, 4)), draw(st.sampled_from(METHODS)))
    if kind == 1:
        return Mount("/" + draw(st.sampled_from(["a", "b", "a/b", "items", "{mounted}/a", ""])), app=endpoint)
    if kind == 2:
        return WebSocketRoute(draw(patterns()), endpoint)
    methods = draw(st.one_of(st.none(), st.sets(st.sampled_from(METHODS), max_size=3)))
    return Route(draw(patterns()), Endpoint(), methods=methods)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[BaseRoute], str, str]:
    declared = draw(st.lists(routes(), min_size=1, max_size=12))
    if draw(st.booleans()):
        pattern = getattr(draw(st.sampled_from(declared)), "path", "/")
        parts = PARAM_REGEX.split(pattern)  # literal, name, kind, literal, name, kind, literal
        path = parts[0]
        for kind, literal in zip(parts[2::3], parts[3::3], strict=True):
            fitting = draw(st.integers(0, 4)) > 0
            path += draw(st.sampled_from(FITTING[kind or ""] if fitting else VALUES)) + literal
    else:
        path = "/" + "/".join(draw(st.lists(st.sampled_from(LITERALS + VALUES), max_size=5)))
    path += draw(st.sampled_from(["", "", "", "", "", "", "", "", "/", "\n", "/a", "x"]))
    if draw(st.integers(0, 19)) == 0:
        path = path[1:]
    return declared, draw(st.sampled_from([*METHODS, "HEAD", "BREW"])), path


# -- the oracle and the comparison ----------------------------------------------------------------------------------------------


def make_entry(route: BaseRoute) -> Entry:
    if isinstance(route, Route):
        methods = None if route.methods is None else frozenset(route.methods)
        return Entry(route.path, route.path_regex, route.param_convertors, methods, "http", route)
    if isinstance(route, WebSocketRoute):
        return Entry(route.path, route.path_regex, route.param_convertors, None, "websocket", route)
    prefix = route.path.partition("{")[0] if isinstance(route, Mount) else None
    return Entry("", None, {}, None, "scan", route, prefix=prefix, probe=route.matches)


def scan_linearly(declared: Sequence[BaseRoute], scope: Scope) -> tuple[Match, BaseRoute | None, Scope]:
    partial: tuple[Match, BaseRoute | None, Scope] = (Match.NONE, None, {})
    for route in declared:
        try:
            match, child_scope = route.matches(scope)
        except ValueError:
            continue
        if match is Match.FULL:
            return match, route, child_scope
        if match is Match.PARTIAL and partial[0] is Match.NONE:
            partial = match, route, child_scope
    return partial


def check(result: Hit | Partial | Miss, expected: tuple[Match, BaseRoute | None, Scope]) -> None:
    match, route, child_scope = expected
    if isinstance(result, Miss):
        assert match is Match.NONE
        return
    assert match is (Match.FULL if isinstance(result, Hit) else Match.PARTIAL)
    assert result.entry.payload is route
    if result.entry.kind == "scan":
        assert (result.params, result.child_scope) == (None, child_scope)
    else:
        assert result.child_scope is None
        assert result.params != {}
        assert (result.params or {}) == child_scope["path_params"]


@settings(max_examples=int(os.environ.get("TERCEL_EXAMPLES", "300")), deadline=None)
@given(cases())
def test_the_table_finds_what_a_linear_scan_finds(case: tuple[list[BaseRoute], str, str]) -> None:
    declared, method, path = case
    table = RouteTable(map(make_entry, declared))
    built = 0

    def make_scope(scope: dict[str, Any]) -> dict[str, Any]:
        nonlocal built
        built += 1
        return scope

    http: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": []}
    websocket: dict[str, Any] = {"type": "websocket", "path": path, "headers": []}
    expected = scan_linearly(declared, http)
    result = table.match_http(method, path, lambda: make_scope(http))
    check(result, expected)
    assert built <= 1
    if not isinstance(result, Miss) and not path.endswith("\n"):
        assert result.entry in table.candidates_http(method if isinstance(result, Hit) else None, path)
    check(table.match_websocket(path, lambda: make_scope(websocket)), scan_linearly(declared, websocket))


@settings(max_examples=100, deadline=None)
@given(st.lists(patterns(), min_size=1, max_size=8, unique=True), st.data())
def test_every_permutation_of_the_same_routes_keeps_its_own_order(declared: list[str], data: st.DataObject) -> None:
    shuffled = [Route(path, Endpoint(), methods=["GET"]) for path in data.draw(st.permutations(declared))]
    path = "/" + "/".join(data.draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=4)))
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": []}
    check(RouteTable(map(make_entry, shuffled)).match_http("GET", path, lambda: scope), scan_linearly(shuffled, scope))
