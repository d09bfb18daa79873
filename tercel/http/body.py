"""Turning request bodies into data, strictly: what JSON or Unicode cannot say is refused as a syntax error of the client.

The standard parser accepts more than JSON (NaN, lone surrogates) and fails in other ways on hostile input (recursion, digit
limits); each would surface later as an error of the server. Knows nothing of requests: bytes in, data out. Read
`tercel.http.handlers` next for how the error is reported.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NoReturn

from pydantic_core import from_json

__all__ = [
    "JSON_DEPTH_LIMIT",
    "STOCK_LOADS",
    "has_only_json_numbers",
    "is_json_content_type",
    "parse_json",
    "says_json",
]

# Arrays and objects inside one another. pydantic takes models 255 deep, each of which may hold a list in a dict; and it is less
# than the standard parser can take under Python's default recursion limit (1,000), wherever in the stack it is called.
JSON_DEPTH_LIMIT = 800

# A body may name any content type, so what is remembered about them is bounded in number and in length.
_REMEMBERED_TYPES = 256
_REMEMBERED_TYPE_BYTES = 100

STOCK_LOADS: Final = json.loads
"""What `json.loads` is unless somebody replaced it, who then means every JSON body."""


def parse_json(raw: bytes) -> Any:
    """The value of a JSON document (RFC 8259) in UTF-8, or in UTF-16 or UTF-32 as `json.loads` detects them.

    Args:
        raw: the whole document.

    Raises:
        json.JSONDecodeError: a syntax error, with the same message and position as `json.loads`; and also, where `json.loads`
            succeeds or fails otherwise: NaN and infinities, numbers beyond a float's range, lone surrogates, bytes that are not
            text, nesting beyond `JSON_DEPTH_LIMIT`, integers beyond `sys.get_int_max_str_digits()`.
    """
    if json.loads is not STOCK_LOADS:  # an application (or a test) replaced the parser; it means every JSON body
        return json.loads(raw)
    try:
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        # The fast parser refuses more than it has to and words its errors differently: the strict one decides and reports.
        return _parse_strictly(raw)
    if _may_overflow(raw):
        return _parse_strictly(raw)
    return value


def has_only_json_numbers(raw: bytes) -> bool:
    """Whether neither NaN nor an infinity is in a document.

    A validator of JSON bytes may then see it in place of `parse_json`, which also looks at what a later key of the same name
    overwrites.
    """
    # `find`, since `in` takes bytes for a number first, and catches the exception.
    return raw.find(b"NaN") < 0 and raw.find(b"Infinity") < 0


# -- numbers that become infinite ----------------------------------------------------------------------------------------------

# The fast parser turns 1e999 into an infinity without a word. To find out cheaply whether a document may contain such a number,
# its bytes are reduced to what matters: digits, exponents, signs, points, and what may stand before a number; plus signs go.
_SHAPE = bytes(
    ord("0") if chr(byte) in "0123456789" else
    ord("e") if chr(byte) in "eE" else
    byte if chr(byte) in "-." else
    ord(",") if chr(byte) in "[,: \t\r\n" else
    ord("x")
    for byte in range(256)
)  # fmt: skip
_BIG_EXPONENT = b"0e000"
_FLOAT_DIGITS = 309  # of the largest float, 1.8e308
_LONG_NUMBER = b"0" * _FLOAT_DIGITS
_LOOKS = 100  # beyond that many candidates, parsing strictly is as fast


def _may_overflow(raw: bytes) -> bool:
    shape = raw.translate(_SHAPE, b"+")
    if shape.find(_LONG_NUMBER) >= 0:
        return True
    at = -1
    for _ in range(_LOOKS):
        at = shape.find(_BIG_EXPONENT, at + 1)
        if at < 0:
            return False
        # A candidate is no number if anything else precedes it in its token: UUIDs and other texts often contain one.
        earliest = max(0, at - _FLOAT_DIGITS)
        start = max(earliest, shape.rfind(b",", earliest, at) + 1)
        if not shape[start:at].strip(b"-.0"):
            return True
    return True


# -- the strict parser ---------------------------------------------------------------------------------------------------------


class _NotANumber(Exception):
    """The standard parser met NaN, an infinity or a number that overflows; it does not say where."""


def _refuse(_token: str) -> NoReturn:
    raise _NotANumber


def _finite(token: str) -> float:
    value = float(token)
    if math.isinf(value):
        raise _NotANumber
    return value


_strict_decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _parse_strictly(raw: bytes) -> Any:
    text = _decode(raw)
    _check_depth(text)
    try:
        value = _strict_decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except _NotANumber:
        raise _first_bad_number(text) from None
    except RecursionError:
        raise json.JSONDecodeError("Too deeply nested", text, 0) from None
    except ValueError:
        raise _first_long_integer(text) from None
    _check_surrogates(text)
    return value


def _decode(raw: bytes) -> str:
    encoding = json.detect_encoding(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        shown = raw.decode(encoding, "replace")
        position = len(raw[: error.start].decode(encoding, "ignore"))
        raise json.JSONDecodeError(f"Invalid {error.encoding.upper()}", shown, position) from None


# One piece of a document that matters below; a string counts as one piece, so that nothing inside it is taken for structure.
_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]|-?(?:NaN|Infinity)|-?[0-9][-+.0-9eE]*', re.DOTALL)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    return ((match[0], match.start()) for match in _TOKEN.finditer(text))


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= JSON_DEPTH_LIMIT:
        return
    depth = 0
    for token, position in _tokens(text):
        if token in "[{":
            depth += 1
            if depth > JSON_DEPTH_LIMIT:
                raise json.JSONDecodeError("Too deeply nested", text, position)
        elif token in "]}":
            depth -= 1


def _first_bad_number(text: str) -> json.JSONDecodeError:
    for token, position in _tokens(text):
        if token.endswith(("NaN", "Infinity")):
            return json.JSONDecodeError("Expecting value", text, position)
        if token[0] in "-0123456789" and not token.lstrip("-").isdigit() and math.isinf(_float_or_zero(token)):
            return json.JSONDecodeError("Number out of range", text, position)
    return json.JSONDecodeError("Number out of range", text, 0)


def _float_or_zero(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return 0.0


def _first_long_integer(text: str) -> json.JSONDecodeError:
    limit = sys.get_int_max_str_digits()
    for token, position in _tokens(text):
        digits = token.removeprefix("-")
        if len(digits) > limit and digits.isdigit():
            return json.JSONDecodeError("Integer too long", text, position)
    return json.JSONDecodeError("Integer too long", text, 0)


# Every escape of a valid document, from left to right: a pair is consumed whole, so the named group is a surrogate left alone.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _check_surrogates(text: str) -> None:
    if "\\u" not in text:
        return
    for match in _ESCAPE.finditer(text):
        if match["lone"]:
            raise json.JSONDecodeError("Unpaired surrogate", text, match.start())


# -- content types -------------------------------------------------------------------------------------------------------------


def says_json(content_type: bytes | None, strict: bool) -> bool:
    """Whether a body is JSON by its Content-Type field; without one, only where that is not required."""
    return is_json_content_type(content_type) if content_type else not strict


def is_json_content_type(value: bytes | str) -> bool:
    """True for `application/json` and `application/*+json` (RFC 6839 §3.1), whatever their parameters and letter case.

    Args:
        value: the Content-Type field. A malformed one is not JSON.
    """
    if len(value) > _REMEMBERED_TYPE_BYTES:
        return _is_json(value)
    return _is_json_remembered(value)


def _is_json(value: bytes | str) -> bool:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    essence = text.partition(";")[0].strip().lower()
    main, _, sub = essence.partition("/")
    return main == "application" and "/" not in sub and (sub == "json" or sub.endswith("+json"))


_is_json_remembered = lru_cache(maxsize=_REMEMBERED_TYPES)(_is_json)
