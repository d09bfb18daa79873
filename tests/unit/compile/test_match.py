"""Cases for the route table that a reader can check by eye; `tests/property/test_match.py` compares it with Starlette at large."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any, NoReturn

import pytest
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor, StringConvertor, register_url_convertor
from starlette.routing import Host, Match, Mount, compile_path
from starlette.types import Scope

from tercel.compile.match import MISS, Entry, Hit, Miss, Partial, Probe, RouteTable

Result = Hit | Partial | Miss


def route(path: str, *methods: str, name: str | None = None) -> Entry:
    regex, _, convertors = compile_path(path)
    return Entry(path, regex, convertors, frozenset(methods) or None, "http", name or path)


def websocket(path: str) -> Entry:
    regex, _, convertors = compile_path(path)
    return Entry(path, regex, convertors, None, "websocket", path)


def scan(name: str, probe: Probe, prefix: str | None = None) -> Entry:
    return Entry(prefix or "", None, {}, None, "scan", name, prefix=prefix, probe=probe)


def no_scope() -> NoReturn:
    pytest.fail("the scope was built although nothing had to be probed")


def get(entries: Iterable[Entry], path: str, method: str = "GET") -> Result:
    return RouteTable(entries).match_http(method, path, no_scope)


def winner(result: Result) -> tuple[str, Any, dict[str, Any] | None] | None:
    return None if isinstance(result, Miss) else (type(result).__name__, result.entry.payload, result.params)


class Slug(Convertor[str]):
    regex = "[a-z0-9-]+"

    def convert(self, value: str) -> str:
        return value.replace("-", " ")

    def to_string(self, value: str) -> str:
        return value.replace(" ", "-")


class Even(StringConvertor):
    """Conversion fails for half of what its expression admits."""

    regex = "[0-9]+"

    def convert(self, value: str) -> Any:
        if int(value) % 2:
            raise ValueError(value)
        return int(value)


class Pair(Convertor[tuple[str, str]]):
    """Spans two segments."""

    regex = "[a-z]+/[a-z]+"

    def convert(self, value: str) -> tuple[str, str]:
        first, second = value.split("/")
        return first, second

    def to_string(self, value: tuple[str, str]) -> str:
        return "/".join(value)


class Maybe(StringConvertor):
    """Matches the empty text too."""

    regex = "[a-z]*"


@pytest.fixture(autouse=True)
def _own_convertors(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("slug", "even", "pair", "maybe"):
        monkeypatch.setitem(CONVERTOR_TYPES, key, {"slug": Slug, "even": Even, "pair": Pair, "maybe": Maybe}[key]())


# -- which entry wins -------------------------------------------------------------------------------------------------------


def test_the_first_full_match_in_declaration_order_wins_over_a_more_specific_later_one() -> None:
    entries = [route("/users/{name}", "GET"), route("/users/me", "GET")]
    assert winner(get(entries, "/users/me")) == ("Hit", "/users/{name}", {"name": "me"})
    assert winner(get(entries[::-1], "/users/me")) == ("Hit", "/users/me", None)
    assert winner(get(entries[::-1], "/users/you")) == ("Hit", "/users/{name}", {"name": "you"})


def test_a_later_full_match_wins_over_an_earlier_partial_one() -> None:
    entries = [route("/x", "GET"), route("/{name}", "POST")]
    assert winner(get(entries, "/x", "POST")) == ("Hit", "/{name}", {"name": "x"})


def test_without_a_full_match_the_first_partial_one_is_reported() -> None:
    entries = [route("/{name}", "PUT", name="first"), route("/x", "GET", name="second")]
    assert winner(get(entries, "/x", "DELETE")) == ("Partial", "first", {"name": "x"})
    result = get(entries[::-1], "/x", "DELETE")
    assert isinstance(result, Partial)
    assert result.entry.methods == frozenset({"GET"})


def test_the_same_path_under_several_methods() -> None:
    entries = [route("/x", "GET", name="read"), route("/x", "POST", "PUT", name="write"), route("/x", "PUT", name="never")]
    assert winner(get(entries, "/x", "PUT")) == ("Hit", "write", None)
    assert winner(get(entries, "/x", "HEAD")) == ("Partial", "read", None)


@pytest.mark.parametrize("methods", [None, frozenset[str]()])
def test_an_entry_without_methods_answers_every_method(methods: frozenset[str] | None) -> None:
    regex, _, convertors = compile_path("/x")
    entries = [route("/x", "GET", name="get"), Entry("/x", regex, convertors, methods, "http", "any"), route("/x", "PUT")]
    assert winner(get(entries, "/x", "GET")) == ("Hit", "get", None)
    assert winner(get(entries, "/x", "PUT")) == ("Hit", "any", None)
    assert winner(get(entries, "/x", "BREW")) == ("Hit", "any", None)


def test_methods_are_case_sensitive() -> None:
    assert winner(get([route("/x", "GET")], "/x", "get")) == ("Partial", "/x", None)


def test_of_equal_patterns_with_other_parameter_names_the_first_wins() -> None:
    entries = [route("/{a}/{b}", "GET"), route("/{c}/{d}", "GET")]
    assert winner(get(entries, "/1/2")) == ("Hit", "/{a}/{b}", {"a": "1", "b": "2"})


def test_an_empty_table_and_an_unknown_path_are_a_miss() -> None:
    assert get([], "/") is MISS
    assert get([route("/x")], "/y") is MISS
    assert get([route("/x")], "/x/") is MISS
    assert get([route("/x/")], "/x") is MISS
    assert repr(MISS) == "MISS"


def test_every_order_of_competing_patterns_is_kept() -> None:
    """Literal and parameter branches that part and meet again: the walk must come back for the other one."""
    specific = route("/a/{x}/c/{y}", "GET")
    crossed = route("/{x}/b/{y}/d", "GET")
    both = route("/{a}/{b}/{c}/{d}", "GET")
    assert winner(get([specific, crossed, both], "/a/b/c/d")) == ("Hit", "/a/{x}/c/{y}", {"x": "b", "y": "d"})
    assert winner(get([crossed, specific, both], "/a/b/c/d")) == ("Hit", "/{x}/b/{y}/d", {"x": "a", "y": "c"})
    assert winner(get([both, crossed, specific], "/a/b/c/d")) == (
        "Hit",
        "/{a}/{b}/{c}/{d}",
        {"a": "a", "b": "b", "c": "c", "d": "d"},
    )
    assert winner(get([specific, crossed], "/a/b/z/d")) == ("Hit", "/{x}/b/{y}/d", {"x": "a", "y": "z"})


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        # What is found first on one way must not end the search on another that holds an earlier entry.
        (["/a/x", "/{v}/b", "/a/{p:path}", "/a/b"], "/a/b", "/{v}/b"),
        # A way that is walked because of an early entry further on must not overwrite what was found before.
        (["/{v}/z", "/a/b/c", "/{v}/b", "/a/b"], "/a/b", "/{v}/b"),
        # A last segment that is a parameter competes with expressions at its node, before it and at other nodes.
        (["/u/{a}.{b}", "/u/{name}"], "/u/x.y", "/u/{a}.{b}"),
        (["/u/{name}", "/u/{a}.{b}"], "/u/x.y", "/u/{name}"),
        (["/{p:path}", "/u/{name}"], "/u/x", "/{p:path}"),
        (["/{v}/x", "/u/{name}"], "/u/x", "/{v}/x"),
        (["/u/{n:int}", "/u/{name}", "/u/5"], "/u/5", "/u/{n:int}"),
        (["/u/{n:even}", "/u/5", "/u/{name}"], "/u/5", "/u/5"),
        (["/u/{n:even}", "/u/{name}", "/u/5"], "/u/5", "/u/{name}"),
    ],
)
def test_the_earliest_of_competing_ways_is_found(patterns: list[str], path: str, expected: str) -> None:
    result = get([route(pattern, "GET") for pattern in patterns], path)
    assert isinstance(result, Hit)
    assert result.entry.path == expected


# -- parameters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/{v}", "/x", {"v": "x"}),
        ("/{v}", "/ä€😀 %2F", {"v": "ä€😀 %2F"}),
        ("/{v:int}", "/042", {"v": 42}),
        ("/{v:float}", "/1.50", {"v": 1.5}),
        ("/{v:float}", "/2", {"v": 2.0}),
        ("/{v:uuid}", f"/{uuid.UUID(int=5)}", {"v": uuid.UUID(int=5)}),
        ("/{v:path}", "/", {"v": ""}),
        ("/{v:path}", "/a//b/", {"v": "a//b/"}),
        ("/a/{v:path}/b", "/a/x/y/b", {"v": "x/y"}),
        ("/a/{v:path}/b", "/a//b", {"v": ""}),
        ("/a/{v:path}/b/{w}", "/a/b/b/b/c", {"v": "b/b", "w": "c"}),
        ("/files/{name}.{ext}", "/files/a.tar.gz", {"name": "a.tar", "ext": "gz"}),
        ("/v{n:int}.json", "/v12.json", {"n": 12}),
        ("/{id}:publish", "/7:publish", {"id": "7"}),
        ("/{v}/tail/{w:int}", "/x/tail/3", {"v": "x", "w": 3}),
        ("/{v:slug}", "/a-b", {"v": "a b"}),
        ("/{v:pair}/x", "/a/b/x", {"v": ("a", "b")}),
        ("/m/{v:maybe}", "/m/", {"v": ""}),
        ("/m{v:maybe}", "/m", {"v": ""}),
    ],
)
def test_parameters_are_taken_and_converted(pattern: str, path: str, params: dict[str, Any]) -> None:
    assert winner(get([route(pattern, "GET")], path)) == ("Hit", pattern, params)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/{v}", "/"),
        ("/{v}", "//"),
        ("/{v}", "/x/"),
        ("/a/{v}/b", "/a//b"),
        ("/{v:int}", "/-1"),
        ("/{v:int}", "/1x"),
        ("/{v:int}", "/٣"),
        ("/{v:int}", "/²"),
        ("/{v:float}", "/.5"),
        ("/{v:float}", "/1."),
        ("/{v:uuid}", "/00000000-0000-0000-0000-00000000000g"),
        ("/a/{v:path}", "/a"),
        ("/a/{v:path}/b", "/a/b"),
        ("/{v:path}", "/a\nb"),
        ("/files/{name}.{ext}", "/files/a."),
        ("/{v:slug}", "/A"),
        ("/{v:slug}", "/"),
        ("/{v:pair}", "/a"),
        ("/x", "x"),
        ("/x", ""),
        ("/", ""),
        ("/{v}", "x/y"),
    ],
)
def test_paths_that_do_not_fit_are_a_miss(pattern: str, path: str) -> None:
    assert compile_path(pattern)[0].match(path) is None
    assert get([route(pattern, "GET")], path) is MISS


def test_a_conversion_that_fails_with_value_error_is_no_match() -> None:
    entries = [route("/{n:even}", "GET"), route("/{name}", "GET")]
    assert winner(get(entries, "/4")) == ("Hit", "/{n:even}", {"n": 4})
    assert winner(get(entries, "/5")) == ("Hit", "/{name}", {"name": "5"})
    assert get([route("/{n:int}"), route("/x/{p:path}/{n:int}")], "/" + "9" * 5000) is MISS
    assert get([route("/{n:int}"), route("/x/{p:path}/{n:int}")], "/x/y/" + "9" * 5000) is MISS


def test_another_error_of_a_convertor_reaches_the_caller() -> None:
    class Broken(StringConvertor):
        def convert(self, value: str) -> str:
            raise LookupError(value)

    register_url_convertor("broken", Broken())
    try:
        table = RouteTable([route("/{v:broken}", "GET"), route("/x", "GET")])
    finally:
        del CONVERTOR_TYPES["broken"]
    with pytest.raises(LookupError):
        table.match_http("GET", "/x", no_scope)


def test_parameters_belong_to_one_request() -> None:
    table = RouteTable([route("/{v}", "GET")])
    first, second = table.match_http("GET", "/x", no_scope), table.match_http("GET", "/x", no_scope)
    assert isinstance(first, Hit)
    assert isinstance(second, Hit)
    assert first.params == second.params
    assert first.params is not second.params


# -- the regex is the truth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/items", "/items\n", None),
        ("/items/", "/items/\n", None),
        ("/{v}", "/x\n", {"v": "x\n"}),
        ("/{v}", "/\n", {"v": "\n"}),
        ("/{v:int}", "/1\n", {"v": 1}),
        ("/{v:path}", "/a/b\n", {"v": "a/b"}),
        ("/{v:path}/x", "/a/x\n", {"v": "a"}),
        ("/{v}.json", "/a.json\n", {"v": "a"}),
        ("/a\n", "/a\n\n", None),
    ],
)
def test_a_final_newline_is_treated_as_the_regex_does(pattern: str, path: str, params: dict[str, Any] | None) -> None:
    found = compile_path(pattern)[0].match(path)
    assert found is not None
    assert winner(get([route(pattern, "GET")], path)) == ("Hit", pattern, params)


def test_a_route_with_an_expression_of_its_own_is_decided_by_it() -> None:
    own = Entry("/x", re.compile("^/[xy]$"), {}, frozenset({"GET"}), "http", "own")
    folded = Entry("/x", re.compile("^/x$", re.IGNORECASE), {}, frozenset({"GET"}), "http", "folded")
    assert winner(get([own], "/y")) == ("Hit", "own", None)
    assert winner(get([folded], "/X")) == ("Hit", "folded", None)
    assert winner(get([route("/{v}", "GET"), own], "/y")) == ("Hit", "/{v}", {"v": "y"})
    assert winner(get([own, route("/{v}", "GET")], "/y")) == ("Hit", "own", None)


def test_a_convertor_whose_expression_breaks_out_of_its_group_is_left_to_the_regex() -> None:
    class Escaping(StringConvertor):
        regex = "x)|(?:y"

    register_url_convertor("escaping", Escaping())
    try:
        entry = route("/{v:escaping}/tail", "GET")
    finally:
        del CONVERTOR_TYPES["escaping"]
    assert winner(get([entry], "/x and no tail")) == ("Hit", "/{v:escaping}/tail", {"v": "x"})


@pytest.mark.parametrize(
    "expression", ["[.-0]+", "[^a]+", ".+", "[a-z]*", "[a-z]?", "a|b/c", "[a-z]+/?", r"\S+", "(?:a|/)+", "[!-9]+"]
)
def test_expressions_that_could_span_segments_or_be_empty_are_never_taken_for_one_segment(expression: str) -> None:
    class Odd(StringConvertor):
        regex = expression

    register_url_convertor("odd", Odd())
    try:
        entry = route("/p/{v:odd}", "GET")
    finally:
        del CONVERTOR_TYPES["odd"]
    assert entry.regex is not None
    for path in ("/p/", "/p/a", "/p/a/b", "/p/b/c", "/p//", "/p/./0", "/p/a/"):
        expected = entry.regex.match(path)
        assert winner(get([entry], path)) == (None if expected is None else ("Hit", entry.path, expected.groupdict())), path


# -- protocols and scan entries ------------------------------------------------------------------------------------------------


def test_http_and_websocket_entries_do_not_see_each_other() -> None:
    table = RouteTable([websocket("/x"), route("/y", "GET"), websocket("/rooms/{room:int}")])
    assert table.match_http("GET", "/x", no_scope) is MISS
    assert table.match_websocket("/y", no_scope) is MISS
    assert winner(table.match_websocket("/x", no_scope)) == ("Hit", "/x", None)
    assert winner(table.match_websocket("/rooms/3", no_scope)) == ("Hit", "/rooms/{room:int}", {"room": 3})


class Probes:
    """Records who was probed, and how often the scope was built."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.scopes = 0

    def scope(self) -> Scope:
        self.scopes += 1
        return {"type": "http"}

    def entry(self, name: str, verdict: Match, prefix: str | None = None) -> Entry:
        def probe(scope: Scope) -> tuple[Match, Scope]:
            self.asked.append(name)
            return verdict, {} if verdict is Match.NONE else {"endpoint": name}

        return scan(name, probe, prefix)


def test_scan_entries_are_probed_in_their_place_in_the_order() -> None:
    probes = Probes()
    before, late = probes.entry("before", Match.NONE), probes.entry("late", Match.FULL)
    table = RouteTable([before, route("/x", "GET"), route("/y/{v}", "GET"), late])
    assert winner(table.match_http("GET", "/x", probes.scope)) == ("Hit", "/x", None)
    assert winner(table.match_http("GET", "/y/1", probes.scope)) == ("Hit", "/y/{v}", {"v": "1"})
    assert probes.asked == ["before", "before"]
    result = table.match_http("GET", "/other", probes.scope)
    assert result == Hit(late, None, {"endpoint": "late"})
    assert probes.asked == ["before"] * 3 + ["late"]
    assert probes.scopes == 3
    assert winner(table.match_websocket("/other", probes.scope)) == ("Hit", "late", None)


def test_the_scope_is_not_built_when_no_scan_entry_can_come_first() -> None:
    probes = Probes()
    table = RouteTable([route("/x", "GET"), probes.entry("all", Match.FULL), probes.entry("static", Match.FULL, "/static")])
    assert winner(table.match_http("GET", "/x", no_scope)) == ("Hit", "/x", None)
    prefixed = RouteTable([probes.entry("static", Match.FULL, "/static"), route("/{v}", "GET"), route("/static/x", "GET")])
    assert winner(prefixed.match_http("GET", "/stati", no_scope)) == ("Hit", "/{v}", {"v": "stati"})
    assert winner(prefixed.match_http("GET", "/static/x", probes.scope)) == ("Hit", "static", None)


def test_a_static_path_is_not_shadowed_by_a_later_parameter_when_a_scan_entry_stands_before_it() -> None:
    probes = Probes()
    entries = [route("/u/{n:int}", "GET"), probes.entry("no", Match.NONE), route("/u/me", "GET"), route("/u/{name}", "GET")]
    table = RouteTable(entries)
    assert winner(table.match_http("GET", "/u/me", probes.scope)) == ("Hit", "/u/me", None)
    assert winner(table.match_http("GET", "/u/you", probes.scope)) == ("Hit", "/u/{name}", {"name": "you"})


def test_the_first_partial_match_counts_scan_entries_too() -> None:
    probes = Probes()
    partial, indexed = probes.entry("scan", Match.PARTIAL), route("/x", "PUT")
    assert RouteTable([partial, indexed]).match_http("GET", "/x", probes.scope) == Partial(partial, None, {"endpoint": "scan"})
    assert RouteTable([indexed, partial]).match_http("GET", "/x", probes.scope) == Partial(indexed, None, None)
    assert RouteTable([partial, route("/x", "GET")]).match_http("GET", "/x", probes.scope) != MISS
    assert winner(RouteTable([partial, route("/x", "GET")]).match_http("GET", "/x", probes.scope)) == ("Hit", "/x", None)


def test_real_mounts_and_hosts_answer_through_their_probe() -> None:
    mount, host = Mount("/static", Starlette()), Host("api.example.org", Starlette())
    table = RouteTable([route("/static/x", "PUT"), scan("mount", mount.matches, "/static"), scan("host", host.matches)])
    scope: Scope = {"type": "http", "path": "/static/x", "method": "GET", "headers": [(b"host", b"api.example.org")]}
    result = table.match_http("GET", "/static/x", lambda: scope)
    assert isinstance(result, Hit)
    assert result.child_scope is not None
    assert (result.entry.payload, result.child_scope["root_path"]) == ("mount", "/static")
    scope["path"] = "/elsewhere"
    assert winner(table.match_http("GET", "/elsewhere", lambda: scope)) == ("Hit", "host", None)
    scope["headers"] = []
    assert table.match_http("GET", "/elsewhere", lambda: scope) is MISS


@pytest.mark.parametrize("kind", ["http", "websocket", "scan"])
def test_an_entry_that_nothing_could_decide_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="needs a"):
        Entry("/x", None, {}, None, kind, "x")


def test_user_convertors_are_not_called_before_there_is_a_request() -> None:
    calls: list[str] = []

    class Counting(StringConvertor):
        def convert(self, value: str) -> str:
            calls.append(value)
            return value

    register_url_convertor("counting", Counting())
    try:
        table = RouteTable([route("/{v:counting}", "GET"), route("/x", "GET")])
    finally:
        del CONVERTOR_TYPES["counting"]
    assert calls == []
    assert winner(table.match_http("GET", "/x", no_scope)) == ("Hit", "/{v:counting}", {"v": "x"})
    assert calls == ["x"]


# -- how much is looked at -----------------------------------------------------------------------------------------------------


def many(count: int) -> list[Entry]:
    """`count` routes of every shape, ten for each resource, as generated code or a large company's monolith would declare them."""
    entries: list[Entry] = []
    for number in range(count // 10):
        base = f"/api/v{number % 7}/resource{number}"
        entries += [
            route(base, "GET"),
            route(base, "POST"),
            route(f"{base}/{{item_id:int}}", "GET"),
            route(f"{base}/{{item_id:int}}/parts/{{part}}", "DELETE"),
            route(f"/tenants/{{tenant}}/resource{number}/{{key:slug}}", "GET"),
            route(f"/files/{{path:path}}/resource{number}", "GET"),
            route(f"/things/{{thing}}:verb{number}", "POST"),
            route(f"/pages/page{number}-{{page:int}}.html", "GET"),
            scan(f"mount{number}", lambda scope: (Match.NONE, {}), f"/mounts/{number}/"),
            websocket(f"/rooms/{number}/{{room}}"),
        ]
    return entries


@pytest.mark.parametrize("count", [10, 100, 1_000, 10_000])
def test_matching_among_many_routes_touches_a_bounded_number_of_entries(count: int) -> None:
    table = RouteTable(many(count))
    last = count // 10 - 1
    base = f"/api/v{last % 7}/resource{last}"
    paths = [
        base,
        f"{base}/5",
        f"{base}/5/parts/x",
        f"/tenants/t/resource{last}/a-b",
        f"/files/a/b/resource{last}",
        f"/things/9:verb{last}",
        f"/pages/page{last}-3.html",
        f"/mounts/{last}/x",
        "/nowhere/at/all",
        "/files/a/b/c/d/e/f/g",
        "/things/9:unknown",
        "/" * 200,
    ]
    touched = {path: len(table.candidates_http(None, path)) for path in paths}
    assert max(touched.values()) <= 2, touched
    assert len(table.candidates_websocket(f"/rooms/{last}/x")) == 1
    assert winner(table.match_http("POST", f"/things/9:verb{last}", dict)) == (
        "Hit",
        f"/things/{{thing}}:verb{last}",
        {"thing": "9"},
    )


@pytest.mark.parametrize("first", [0b1111111111, 0b0000000001, 0b0101010101])
def test_a_deep_lattice_of_competing_patterns_is_not_walked_in_full(first: int) -> None:
    """Every combination of a literal and a parameter in ten places fits the path; the first declared ends the search at once."""
    depth = 10
    reads = 0
    entries = []
    for mask in range(2**depth):
        parts = [f"{{p{place}:even}}" if (mask ^ first) >> place & 1 else "2" for place in range(depth)]
        entries.append(route("/" + "/".join(parts), "GET", name=str(mask)))

    def counting(value: str) -> int:
        nonlocal reads
        reads += 1
        return int(value)

    even = CONVERTOR_TYPES["even"]
    even.convert = counting  # type: ignore[method-assign]
    table = RouteTable(entries)
    result = table.match_http("GET", "/2" * depth, no_scope)
    assert isinstance(result, Hit)
    assert result.entry.payload == "0"
    assert reads == first.bit_count()


def test_candidates_come_in_declaration_order() -> None:
    probes = Probes()
    entries = [
        route("/{v}", "GET"),
        probes.entry("scan", Match.NONE),
        route("/x", "GET"),
        route("/x", "PUT"),
        route("/{p:path}", "GET"),
    ]
    table = RouteTable(entries)
    assert table.candidates_http("GET", "/x") == [entries[0], entries[1], entries[2], entries[4]]
    assert table.candidates_http(None, "/x") == [entries[0], entries[1], entries[2], entries[4]]
    assert table.candidates_http("PUT", "/x") == [entries[1], entries[3]]
