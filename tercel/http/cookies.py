"""Reading a Cookie field, in time that grows with its length only.

The rules are Starlette's, whose parser leaves escapes to `http.cookies`; there they take quadratic time before Python 3.11.10 and
3.12.6 (CVE-2024-7592). On these, importing this module gives Starlette this parser in place of its own, so that `request.cookies`,
API keys in cookies and sessions are safe too while `Request` stays Starlette's class. Knows nothing of requests. Read
`tercel.compile.support` for who asks.
"""

from __future__ import annotations

import re
import sys
from typing import Final

import starlette.requests

__all__ = ["QUADRATIC", "parse_cookie_field"]

QUADRATIC: Final = sys.version_info < (3, 11, 10) or (3, 12) <= sys.version_info < (3, 12, 6)
"""Escapes take `http.cookies` quadratic time."""

_ESCAPE: Final = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")
_starlettes_parser: Final = starlette.requests.cookie_parser


def parse_cookie_field(cookie_string: str) -> dict[str, str]:
    """Names and values of one Cookie field; of a name that is there twice, the last value."""
    if "\\" not in cookie_string:
        return _starlettes_parser(cookie_string)
    found: dict[str, str] = {}
    for pair in cookie_string.split(";"):
        name, separator, value = pair.partition("=")
        if not separator:
            name, value = "", pair  # a cookie without a name
        name, value = name.strip(), value.strip()
        if name or value:
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], value[1:-1])


if QUADRATIC:
    starlette.requests.cookie_parser = parse_cookie_field
