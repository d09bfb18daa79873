"""Which route answers a request: `RouteTable`, built once at freeze from entries in declaration order, read-only afterwards.

The table returns what a scan over all entries would return (Starlette's rule: the first entry that matches fully, else the first
that matches except for its method, else nothing) while it looks only at the few entries that can match the path. Three ideas do it:

* one tree of path segments per HTTP method, and one over all methods that is asked only when the first has no answer (405 or 404);
* a path without parameters whose answer does not depend on the request is found in a dict before any tree is walked, and so is
  the way to a last segment that is the only parameter;
* entries that decide for themselves (mounts, hosts, routes with their own `matches`) are probed in their place in the order, and
  only if their literal prefix allows it.

An entry's own regular expression is the truth. The index preselects; a shortcut replaces the expression only where both are equal
by construction (`tercel.compile.pattern`, which also says how). Starlette's `$` also
matches before a final newline; such a path takes `_Tree.find_by_regex`, which asks the expressions themselves.

Two differences from a scan with Starlette's classes, both deliberate: a `ValueError` from a convertor means "does not match"
(there, 4,301 digits in an `{id:int}` are a server error), and the convertors of entries for other methods are not called when an
entry for the request's method matches.

This module must not know plans, exchanges or responses, and does no I/O. Read `tercel.serve.dispatch` next: it acts on the result.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

from starlette.convertors import Convertor
from starlette.routing import Match
from starlette.types import Scope

from tercel.compile.pattern import (
    Bind,
    PathRegex,
    Piece,
    Reader,
    find_way,
    is_pure,
    literal_text,
    make_regex_reader,
    make_segment_reader,
)

__all__ = ["MISS", "Entry", "Hit", "Miss", "Partial", "Probe", "RouteTable"]

Probe = Callable[[Scope], tuple[Match, Scope]]
"""Decides for one scope, like `starlette.routing.BaseRoute.matches`."""

_NEVER: Final = sys.maxsize
_NO_CHILDREN: Final[dict[str, _Node]] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One route as the table sees it.

    Args:
        path: the path pattern with all prefixes, in Starlette's syntax: `/items/{item_id:int}`.
        regex: what `read_path(path)` returned for it, or the route's own expression; None for "scan".
        convertors: parameter name to convertor, from the same call.
        methods: what the entry answers, upper case; None or empty for every method. Not read for "websocket" and "scan".
        kind: the table that decides it, or "scan" for an entry that must be asked through `probe`, for both protocols.
        payload: opaque, for the caller.
        prefix: for "scan": every path that can match starts with this text, `/static` for `Mount("/static")`. None: always probed.
        probe: for "scan": called with the scope when no earlier entry matches fully.
    """

    path: str
    regex: PathRegex | re.Pattern[str] | None
    convertors: Mapping[str, Convertor[Any]]
    methods: frozenset[str] | None
    kind: Literal["http", "websocket", "scan"]
    payload: Any
    prefix: str | None = None
    probe: Probe | None = None

    def __post_init__(self) -> None:
        if self.kind == "scan" and self.probe is None:
            raise ValueError(f"scan entry {self.path!r} needs a probe")
        if self.kind != "scan" and self.regex is None:
            raise ValueError(f"{self.kind} entry {self.path!r} needs a regex")


@dataclass(slots=True)
class Hit:
    """The entry that answers. Do not change it: for a path without parameters every request gets the same object.

    Args:
        entry: the first that matches path and method.
        params: converted path parameters, a dict of its own for each request; None when the path has none or for a "scan" entry.
        child_scope: what `probe` returned beside its verdict; None when the table decided.
    """

    entry: Entry
    params: dict[str, Any] | None
    child_scope: Scope | None


@dataclass(slots=True)
class Partial:
    """Nothing answers, but this entry matches except for its method: 405 with its methods as Allow (RFC 9110 §15.5.6).

    Args:
        entry: the first such entry.
        params: as in `Hit`.
        child_scope: as in `Hit`.
    """

    entry: Entry
    params: dict[str, Any] | None
    child_scope: Scope | None


class Miss(Enum):
    """The type of `MISS`, so that type checkers narrow `result is MISS`."""

    MISS = "miss"

    def __repr__(self) -> str:
        return "MISS"


MISS: Final = Miss.MISS
"""No entry matches the path."""


# -- the tree ----------------------------------------------------------------------------------------------------------------


class _Leaf:
    """One entry with its place in the declaration order, ready to be put into trees."""

    __slots__ = ("_read_by_regex", "entry", "order", "pure", "read", "way")

    def __init__(self, order: int, entry: Entry) -> None:
        assert entry.regex is not None
        self.order = order
        self.entry = entry
        self.pure = all(map(is_pure, entry.convertors.values()))
        self.way = find_way(entry.path, entry.regex, entry.convertors)
        self._read_by_regex: Reader | None = None
        self.read = make_segment_reader(self.way.binds) if self.way is not None and not self.way.rest else self.read_by_regex

    @property
    def read_by_regex(self) -> Reader:
        """A reader that asks the expression, which is compiled now if it was not."""
        if self._read_by_regex is None:
            regex = self.entry.regex
            assert regex is not None
            compiled = regex.compile() if isinstance(regex, PathRegex) else regex
            self._read_by_regex = make_regex_reader(compiled, self.entry.convertors)
        return self._read_by_regex

    @property
    def is_static(self) -> bool:
        return self.way is not None and not self.way.rest and not self.way.binds

    @property
    def rest(self) -> list[list[Piece]]:
        return [] if self.way is None else self.way.rest


def _by_order(leaf: _Leaf) -> int:
    return leaf.order


class _Loose:
    """Entries at one node that only their regex can decide, found by a literal text that the rest of the path must contain.

    That is a whole segment where the pattern has one (`b` in `/a/{p:path}/b`), the rarest among those here; otherwise the texts
    before its first and after its last parameter (`v` and `.json` in `/v{number}.json`).
    """

    __slots__ = ("by_ends", "by_segment", "lengths")

    def __init__(self, leaves: Iterable[_Leaf]) -> None:
        self.by_segment: dict[str, list[_Leaf]] = {}
        self.by_ends: dict[tuple[str, str], list[_Leaf]] = {}
        whole = [(leaf, {text for segment in leaf.rest if (text := literal_text(segment)) is not None}) for leaf in leaves]
        seen = Counter(text for _, texts in whole for text in texts)
        for leaf, texts in whole:
            if texts:
                rarest = min(texts, key=lambda text: (seen[text], -len(text), text))
                self.by_segment.setdefault(rarest, []).append(leaf)
            else:
                head, tail = leaf.rest[0][0], leaf.rest[-1][-1]
                ends = (head if isinstance(head, str) else "", tail if isinstance(tail, str) else "")
                self.by_ends.setdefault(ends, []).append(leaf)
        self.lengths = tuple({(len(head), len(tail)) for head, tail in self.by_ends})

    def candidates(self, segments: list[str], number: int) -> list[_Leaf]:
        """Those that may match, in declaration order; `number` is the first segment after this node."""
        found: list[_Leaf] = []
        if self.by_segment:
            for text in set(segments[number:]):
                found += self.by_segment.get(text, ())
        first, last = segments[number], segments[-1]
        for head, tail in self.lengths:
            found += self.by_ends.get((first[:head], last[len(last) - tail :]), ())
        if len(found) > 1:
            found.sort(key=_by_order)
        return found


class _Node:
    """A place in the tree: what can follow one way through the segments. `first` is the lowest order found here or below."""

    __slots__ = ("first", "leaves", "literals", "loose", "param")

    def __init__(self, first: int) -> None:
        self.first = first
        self.literals = _NO_CHILDREN
        self.param: _Node | None = None
        self.leaves: tuple[_Leaf, ...] = ()
        self.loose: _Loose | None = None

    def child(self, step: str | None, order: int) -> _Node:
        """The node one segment on, made if missing; None for a parameter."""
        if step is None:
            if self.param is None:
                self.param = _Node(order)
            return self.param
        if self.literals is _NO_CHILDREN:
            self.literals = {}
        node = self.literals.get(step)
        if node is None:
            node = self.literals[step] = _Node(order)
        return node


class _Tree:
    """Finds the first leaf in declaration order that matches a path; knows no methods.

    Of leaves with equal shape only the first is kept, since the others can never be found.

    Attributes:
        static: the answer for each literal path for which it is known already. Filled by `RouteTable`, which looks here first.
        last: text up to the last slash -> the leaves for any segment after it, where nothing else competes. See `add_shortcuts`.
    """

    __slots__ = ("_opaque", "_root", "last", "static")

    def __init__(self, leaves: Iterable[_Leaf]) -> None:
        self.static: dict[str, Hit] = {}
        self.last: dict[str, list[tuple[_Leaf, Bind]]] = {}
        self._root = _Node(0)
        self._opaque: list[_Leaf] = []
        loose: dict[int, tuple[_Node, list[_Leaf]]] = {}
        shapes: set[tuple[str | int, ...]] = set()
        for leaf in leaves:
            way = leaf.way
            if way is None:
                self._opaque.append(leaf)
                continue
            if way.shape in shapes:
                continue
            shapes.add(way.shape)
            node = self._root
            for step in way.steps:
                node = node.child(step, leaf.order)
            if way.rest:
                loose.setdefault(id(node), (node, []))[1].append(leaf)
            else:
                node.leaves += (leaf,)
        for node, members in loose.values():
            node.loose = _Loose(members)

    def find(self, path: str) -> tuple[_Leaf, dict[str, Any]] | None:
        """The first leaf that matches, with its parameters. `static` must have been asked before."""
        if path[-1:] == "\n":
            return self.find_by_regex(path)
        cut = path.rfind("/") + 1
        if (last := self.last.get(path[:cut])) is not None and (text := path[cut:]):
            for leaf, (name, _, test, convert) in last:
                if test is None or test(text):
                    try:
                        return leaf, {name: text if convert is None else convert(text)}
                    except ValueError:
                        continue
        return self._walk(path)

    def _walk(self, path: str) -> tuple[_Leaf, dict[str, Any]] | None:
        """`find` for every path.

        Of two ways that both fit, the one with the earlier declaration is walked first, and a way that cannot hold anything
        earlier than what is found already is not walked at all.
        """
        best, found = _NEVER, None
        segments = path.split("/")
        for leaf in self._opaque:
            if (params := leaf.read(path, segments)) is not None:
                best, found = leaf.order, (leaf, params)
                break
        count = len(segments)
        number = count if segments[0] else 1
        node: _Node | None = self._root
        others: list[tuple[_Node, int]] = []
        while node is not None:
            following: _Node | None = None
            if number == count:
                for leaf in node.leaves:
                    if leaf.order >= best:
                        break
                    if (params := leaf.read(path, segments)) is not None:
                        best, found = leaf.order, (leaf, params)
                        break
            else:
                if node.loose is not None:
                    for leaf in node.loose.candidates(segments, number):
                        if leaf.order >= best:
                            break
                        if (params := leaf.read(path, segments)) is not None:
                            best, found = leaf.order, (leaf, params)
                            break
                text = segments[number]
                number += 1
                following = node.literals.get(text)
                if text and node.param is not None:
                    if following is None:
                        following = node.param
                    elif following.first < node.param.first:
                        others.append((node.param, number))
                    else:
                        others.append((following, number))
                        following = node.param
            while others and (following is None or following.first >= best):
                following, number = others.pop()
            node = following if following is not None and following.first < best else None
        return found

    def add_shortcuts(self) -> None:
        """Fill `last`, once `static` is complete.

        A node qualifies if only literal segments lead to it and no parameter or regex competes on the way; at the node, each
        literal sibling must either be answered by `static` or come after the parameters.
        """
        ways = [("/", self._root)] if not self._opaque else []
        while ways:
            text, node = ways.pop()
            if node.loose is not None:
                continue
            if node.param is None:
                ways += [(f"{text}{literal}/", child) for literal, child in node.literals.items()]
                continue
            leaves = node.param.leaves
            if not leaves:
                continue
            siblings = [(text + literal, child.leaves[0].order) for literal, child in node.literals.items() if child.leaves]
            if all(path in self.static or order > leaves[-1].order for path, order in siblings):
                self.last[text] = [(leaf, leaf.way.binds[0]) for leaf in leaves if leaf.way is not None]

    def candidates(self, path: str) -> list[_Leaf]:
        """Every leaf that the index cannot rule out for a path, in declaration order."""
        segments = path.split("/")
        count = len(segments)
        found = list(self._opaque)
        ways: list[tuple[_Node, int]] = [(self._root, count if segments[0] else 1)]
        while ways:
            node, number = ways.pop()
            if number == count:
                found += node.leaves
                continue
            if node.loose is not None:
                found += node.loose.candidates(segments, number)
            text = segments[number]
            if text in node.literals:
                ways.append((node.literals[text], number + 1))
            if text and node.param is not None:
                ways.append((node.param, number + 1))
        return sorted(found, key=_by_order)

    def find_by_regex(self, path: str) -> tuple[_Leaf, dict[str, Any]] | None:
        """Like `find`, for a path that ends in a newline: `$` may match before it, so a leaf fits by either of two texts."""
        leaves = {leaf.order: leaf for text in (path, path[:-1]) for leaf in self.candidates(text)}
        for order in sorted(leaves):
            if (params := leaves[order].read_by_regex(path, [])) is not None:
                return leaves[order], params
        return None


# -- the table ---------------------------------------------------------------------------------------------------------------


class _Scans:
    """Entries that must be probed, in declaration order, found by their literal prefixes."""

    __slots__ = ("_by_prefix", "_lengths", "first")

    def __init__(self, entries: Iterable[tuple[int, Entry]]) -> None:
        self.first = _NEVER
        self._by_prefix: dict[str, list[tuple[int, Entry]]] = {}
        for order, entry in entries:
            self.first = min(self.first, order)
            self._by_prefix.setdefault(entry.prefix or "", []).append((order, entry))
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})

    def candidates(self, path: str, limit: int) -> list[tuple[int, Entry]]:
        """Those declared before `limit` whose prefix the path starts with, in declaration order."""
        found: list[tuple[int, Entry]] = []
        for length in self._lengths:
            if length > len(path):
                break
            found += [pair for pair in self._by_prefix.get(path[:length], ()) if pair[0] < limit]
        found.sort(key=lambda pair: pair[0])
        return found


class RouteTable:
    """Decides which entry answers a request. Immutable; safe to share between threads.

    `path` is everywhere what `starlette.routing` matches: percent-decoded, without `root_path` (`get_route_path`).

    Args:
        entries: in declaration order, with included routers laid flat.
    """

    __slots__ = ("_any_method", "_by_method", "_every_method", "_scans", "_websocket")

    def __init__(self, entries: Iterable[Entry]) -> None:
        http: list[_Leaf] = []
        websocket: list[_Leaf] = []
        scans: list[tuple[int, Entry]] = []
        for order, entry in enumerate(entries):
            if entry.kind == "scan":
                scans.append((order, entry))
            elif entry.kind == "http":
                http.append(_Leaf(order, entry))
            else:
                websocket.append(_Leaf(order, entry))
        self._scans = _Scans(scans)
        self._every_method = _Tree(http)
        self._any_method = self._answering(leaf for leaf in http if not leaf.entry.methods)
        self._websocket = self._answering(websocket)
        names = sorted({name for leaf in http for name in leaf.entry.methods or ()})
        members: dict[str, list[_Leaf]] = {name: [] for name in names}
        for leaf in http:
            for name in leaf.entry.methods or names:
                members[name].append(leaf)
        self._by_method = {name: self._answering(leaves) for name, leaves in members.items()}
        for leaf in (*http, *websocket):
            leaf.way = None  # half a KB for each route, of use to trees that are being made only

    def _answering(self, leaves: Iterable[_Leaf]) -> _Tree:
        """A tree whose `static` has every literal path that gets the same answer whatever the request."""
        leaves = list(leaves)
        tree = _Tree(leaves)
        for leaf in leaves:
            path = leaf.entry.path
            if not leaf.is_static or path in tree.static or self._scans.candidates(path, leaf.order):
                continue
            for candidate in tree.candidates(path):
                if candidate is leaf:
                    tree.static[path] = Hit(leaf.entry, None, None)
                    break
                # An earlier entry that fits wins; one with a convertor of the user's is not asked before there is a request.
                if not candidate.pure or candidate.read(path, path.split("/")) is not None:
                    break
        tree.add_shortcuts()
        return tree

    def find_at_once(self, method: str, path: str) -> tuple[Any, dict[str, Any]] | None:
        """Payload and path parameters of the full match that `match_http` returns, if no "scan" entry has to be probed for it;
        otherwise None.

        Raises:
            Exception: as `match_http`.
        """
        tree = self._by_method.get(method, self._any_method)
        hit = tree.static.get(path)
        if hit is not None:
            return hit.entry.payload, {}
        found = tree.find(path)
        if found is None:
            return None
        leaf, params = found
        if self._scans.first < leaf.order and self._scans.candidates(path, leaf.order):
            return None
        return leaf.entry.payload, params

    def first_scan(self, path: str) -> Any:
        """The payload of the "scan" entry that is probed first for a path, or None."""
        if self._scans.first == _NEVER:
            return None
        candidates = self._scans.candidates(path, _NEVER)
        return candidates[0][1].payload if candidates else None

    def match_http(self, method: str, path: str, scope: Callable[[], Scope]) -> Hit | Partial | Miss:
        """What answers an HTTP request.

        Args:
            method: case-sensitive, as sent (RFC 9110 §9.1).
            path: see the class.
            scope: makes the connection scope; called at most once, and only when a "scan" entry has to be probed.

        Raises:
            Exception: whatever a convertor or a probe raises, except a convertor's ValueError, which means that it does not match.
        """
        tree = self._by_method.get(method, self._any_method)
        hit = tree.static.get(path)
        if hit is not None:
            return hit
        found = tree.find(path)
        if self._scans.first != _NEVER:
            return self._match_among_scans(found, self._every_method, path, scope)
        if found is not None:
            return Hit(found[0].entry, found[1] or None, None)
        found = self._every_method.find(path)
        return MISS if found is None else Partial(found[0].entry, found[1] or None, None)

    def match_websocket(self, path: str, scope: Callable[[], Scope]) -> Hit | Partial | Miss:
        """What answers a WebSocket handshake. `Partial` comes from a probe only. Arguments and errors as for `match_http`."""
        hit = self._websocket.static.get(path)
        if hit is not None:
            return hit
        found = self._websocket.find(path)
        if self._scans.first != _NEVER:
            return self._match_among_scans(found, None, path, scope)
        return MISS if found is None else Hit(found[0].entry, found[1] or None, None)

    def _match_among_scans(
        self,
        found: tuple[_Leaf, dict[str, Any]] | None,
        every_method: _Tree | None,
        path: str,
        scope: Callable[[], Scope],
    ) -> Hit | Partial | Miss:
        """Probe what was declared before the full match `found`, then settle as the order says."""
        partial: Partial | None = None
        partial_order = _NEVER
        probed: Scope | None = None
        for order, entry in self._scans.candidates(path, _NEVER if found is None else found[0].order):
            assert entry.probe is not None
            if probed is None:
                probed = scope()
            verdict, child_scope = entry.probe(probed)
            if verdict is Match.FULL:
                return Hit(entry, None, child_scope)
            if verdict is Match.PARTIAL and partial is None:
                partial, partial_order = Partial(entry, None, child_scope), order
        if found is not None:
            return Hit(found[0].entry, found[1] or None, None)
        other = None if every_method is None else every_method.find(path)
        if other is not None and other[0].order < partial_order:
            return Partial(other[0].entry, other[1] or None, None)
        return MISS if partial is None else partial

    def candidates_http(self, method: str | None, path: str) -> list[Entry]:
        """The entries that the index cannot rule out, in declaration order: what `match_http` may have to look at.

        Args:
            method: None for every method, which is what decides between 405 and 404.
            path: see the class.
        """
        tree = self._every_method if method is None else self._by_method.get(method, self._any_method)
        return self._candidates(tree, path)

    def candidates_websocket(self, path: str) -> list[Entry]:
        """The same as `candidates_http` for a WebSocket handshake."""
        return self._candidates(self._websocket, path)

    def _candidates(self, tree: _Tree, path: str) -> list[Entry]:
        pairs = [(leaf.order, leaf.entry) for leaf in tree.candidates(path)] + self._scans.candidates(path, _NEVER)
        return [entry for _, entry in sorted(pairs, key=lambda pair: pair[0])]
