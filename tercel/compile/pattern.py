"""What one path pattern says: the way it takes through the segments of a path, and how its parameters are read.

`find_way` takes a pattern apart where its regular expression is provably the one that Starlette compiles from it; only then may
segments be compared instead of running the expression. Readers return the parameters of a path, or None where it does not match.
This module must not know methods, entries or their order. Read `tercel.compile.match` next: it builds the table from these parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import UUID

from starlette.convertors import (
    CONVERTOR_TYPES,
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import PARAM_REGEX, compile_path

__all__ = [
    "Bind",
    "Param",
    "PathRegex",
    "Piece",
    "Reader",
    "Way",
    "find_way",
    "is_pure",
    "literal_text",
    "make_regex_reader",
    "make_segment_reader",
    "read_path",
]

Reader = Callable[[str, list[str]], dict[str, Any] | None]
"""Takes a path, whole and split at its slashes; returns its parameters, or None if it does not match."""

Bind = tuple[str, int, Callable[[str], Any] | None, Callable[[str], Any] | None]
"""Name, segment number, test, conversion. No test: any segment will do. No conversion: the text itself."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter inside a pattern."""

    name: str
    convertor: Convertor[Any]


Piece = str | Param


@dataclass(slots=True)
class Way:
    """A pattern as steps from segment to segment.

    Args:
        shape: equal for two patterns that match the same paths and convert to the same values under whatever names.
        steps: a literal segment each, or None for a parameter that is exactly one segment.
        binds: the parameters among the steps; segment 0 is the text before the first slash.
        rest: what follows the steps and only the regular expression can decide, segment by segment; empty if nothing does.
    """

    shape: tuple[str | int, ...]
    steps: list[str | None] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)
    rest: list[list[Piece]] = field(default_factory=list)


# Expressions that match neither "/" nor the empty string, so that such a parameter is exactly one segment of the path. Ranges run
# between letters and digits only: "/" lies outside of all of them. Anything that this does not recognise is left to the regex.
_ATOM: Final = r"(?:\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_.]|\\[dw])+-?\]|\\[dw]|[A-Za-z0-9_-])"
_TIMES: Final = r"(?:\+|\{[1-9][0-9]*(?:,[0-9]*)?\})?"
_ONE_SEGMENT: Final = re.compile(f"(?:{_ATOM}{_TIMES})+")
_DIGITS: Final = "[0-9]+"
_ANY_SEGMENT: Final = "[^/]+"
_KNOWN_SEGMENTS: Final = frozenset(
    (
        _ANY_SEGMENT,
        _DIGITS,
        r"[0-9]+(\.[0-9]+)?",
        "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
    )
)


def _is_one_segment(convertor: Convertor[Any]) -> bool:
    return convertor.regex in _KNOWN_SEGMENTS or _ONE_SEGMENT.fullmatch(convertor.regex) is not None


_PLAIN_EXPRESSIONS: Final = frozenset(convertor.regex for convertor in CONVERTOR_TYPES.values())
"""Of Starlette's own convertors: known to compile."""


class PathRegex:
    """The expression of a path, written and compiled when somebody asks for it: the tree answers for nearly all paths, and
    compiling takes longer than everything else that is done with a path.

    Args:
        path: with parameters in braces.
        expressions: what each parameter matches, in their order.
    """

    __slots__ = ("_compiled", "expressions", "path")
    flags = re.UNICODE

    def __init__(self, path: str, expressions: tuple[str, ...] = ()) -> None:
        self.path = path
        self.expressions = expressions
        self._compiled: re.Pattern[str] | None = None

    @property
    def pattern(self) -> str:
        """As Starlette makes it."""
        pattern, end = "^", 0
        for found, expression in zip(PARAM_REGEX.finditer(self.path), self.expressions, strict=True):
            pattern += f"{re.escape(self.path[end : found.start()])}(?P<{found[1]}>{expression})"
            end = found.end()
        return f"{pattern}{re.escape(self.path[end:])}$"

    def compile(self) -> re.Pattern[str]:
        """The expression itself."""
        if self._compiled is None:
            self._compiled = re.compile(self.pattern)
        return self._compiled

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def read_path(path: str) -> tuple[PathRegex | re.Pattern[str], str, dict[str, Convertor[Any]]]:
    """What `starlette.routing.compile_path` returns for a path; the expression not compiled yet where nothing can be wrong with it.

    Raises:
        AssertionError: a convertor that does not exist.
        ValueError: the same name twice.
        re.error: a convertor whose expression is none.
    """
    if not path.startswith("/"):
        return compile_path(path)
    if "{" not in path:
        return PathRegex(path), path, {}
    convertors: dict[str, Convertor[Any]] = {}
    form, end = "", 0
    for found in PARAM_REGEX.finditer(path):
        name, kind = found[1], (found[2] or ":str")[1:]
        convertor = CONVERTOR_TYPES.get(kind)
        if convertor is None or name in convertors or convertor.regex not in _PLAIN_EXPRESSIONS:
            return compile_path(path)  # which says what is wrong, if anything is
        convertors[name] = convertor
        form += f"{path[end : found.start()]}{{{name}}}"
        end = found.end()
    return PathRegex(path, tuple([convertor.regex for convertor in convertors.values()])), form + path[end:], convertors


def _split(path: str, regex: PathRegex | re.Pattern[str], convertors: Mapping[str, Convertor[Any]]) -> list[Piece] | None:
    """The pattern as literal texts and parameters, or None when its expression is not provably the one made from these pieces."""
    if not path.startswith("/") or "\n" in path:
        return None
    pieces: list[Piece] = []
    expressions: list[str] = []
    end = 0
    for found in PARAM_REGEX.finditer(path):
        name = found.group(1)
        convertor = convertors.get(name)
        if convertor is None:
            return None
        try:  # An expression that is not one by itself ("a)|(b") would change the meaning of what stands beside it.
            if convertor.regex not in _PLAIN_EXPRESSIONS:
                re.compile(convertor.regex)
        except re.error:
            return None
        pieces += (path[end : found.start()], Param(name, convertor))
        expressions.append(convertor.regex)
        end = found.end()
    pieces.append(path[end:])
    expected = PathRegex(path, tuple(expressions))
    if isinstance(regex, PathRegex) and regex.path == path:
        return pieces if regex.expressions == expected.expressions else None
    return pieces if regex.pattern == expected.pattern and regex.flags == re.UNICODE else None


def _group_by_slash(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces grouped by the slashes that stand in the pattern's literal text, without the empty segment before the first slash."""
    segments: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, Param):
            segments[-1].append(piece)
            continue
        first, *others = piece.split("/")
        if first:
            segments[-1].append(first)
        for text in others:
            segments.append([text] if text else [])
    return segments[1:]


def literal_text(segment: Sequence[Piece]) -> str | None:
    """The text of a segment without parameters, else None."""
    if not segment:
        return ""
    only = segment[0]
    return only if len(segment) == 1 and isinstance(only, str) else None


def find_way(path: str, regex: PathRegex | re.Pattern[str], convertors: Mapping[str, Convertor[Any]]) -> Way | None:
    """The way of a pattern, or None if nothing can be said about it except by its regular expression.

    Args:
        path: the pattern.
        regex: the expression that decides.
        convertors: parameter name to convertor.
    """
    if isinstance(regex, PathRegex) and "{" not in path and regex.path == path and "\n" not in path:
        return Way((path,), [*path.split("/")[1:]])  # literal from end to end
    pieces = _split(path, regex, convertors)
    if pieces is None:
        return None
    way = Way(tuple(piece if isinstance(piece, str) else id(piece.convertor) for piece in pieces))
    segments = _group_by_slash(pieces)
    for number, segment in enumerate(segments):
        literal = literal_text(segment)
        if literal is not None:
            way.steps.append(literal)
            continue
        only = segment[0]
        if len(segment) > 1 or isinstance(only, str) or not _is_one_segment(only.convertor):
            way.rest = segments[number:]
            break
        way.steps.append(None)
        way.binds.append((only.name, number + 1, _test(only.convertor), _conversion(only.convertor)))
    return way


# What Starlette's own convertors do, without the method around it. They have no state, so they may be called at freeze.
_KNOWN_CONVERSIONS: Final[dict[object, Callable[[str], Any] | None]] = {
    StringConvertor.convert: None,
    PathConvertor.convert: None,
    IntegerConvertor.convert: int,
    FloatConvertor.convert: float,
    UUIDConvertor.convert: UUID,
}


def is_pure(convertor: Convertor[Any]) -> bool:
    """Whether it is known to return the same for the same text and to do nothing else."""
    return getattr(convertor.convert, "__func__", None) in _KNOWN_CONVERSIONS


def _conversion(convertor: Convertor[Any]) -> Callable[[str], Any] | None:
    convert = convertor.convert
    return _KNOWN_CONVERSIONS.get(getattr(convert, "__func__", None), convert)


def _is_digits(text: str) -> bool:
    """The same as a full match of `[0-9]+` on text that is not empty."""
    return text.isascii() and text.isdigit()


def _test(convertor: Convertor[Any]) -> Callable[[str], Any] | None:
    if convertor.regex == _ANY_SEGMENT:
        return None
    return _is_digits if convertor.regex == _DIGITS else re.compile(convertor.regex).fullmatch


_NO_PARAMS: Final[dict[str, Any]] = {}


def _read_nothing(_path: str, _segments: list[str]) -> dict[str, Any]:
    return _NO_PARAMS


def make_segment_reader(binds: Sequence[Bind]) -> Reader:
    """A reader for paths whose literal segments have been compared and whose segments for parameters are not empty."""
    if not binds:
        return _read_nothing
    if len(binds) == 1 and binds[0][2] is None and binds[0][3] is None:
        name, number = binds[0][:2]
        return lambda _path, segments: {name: segments[number]}

    def read(_path: str, segments: list[str]) -> dict[str, Any] | None:
        params: dict[str, Any] = {}
        for name, number, test, convert in binds:
            text = segments[number]
            if test is not None and not test(text):
                return None
            if convert is None:
                params[name] = text
                continue
            try:
                params[name] = convert(text)
            except ValueError:
                return None
        return params

    return read


def make_regex_reader(regex: re.Pattern[str], convertors: Mapping[str, Convertor[Any]]) -> Reader:
    """A reader that asks the regular expression; it does not look at the segments."""
    conversions = [(name, convert) for name, convertor in convertors.items() if (convert := _conversion(convertor)) is not None]
    match = regex.match

    def read(path: str, _segments: list[str]) -> dict[str, Any] | None:
        found = match(path)
        if found is None:
            return None
        params: dict[str, Any] = found.groupdict()
        try:
            for name, convert in conversions:
                params[name] = convert(params[name])
        except ValueError:
            return None
        return params

    return read
