"""Reading a Cookie field, in time that grows with its length only.

The rules are Starlette's, whose parser leaves escapes to `http.cookies`; there they take quadratic time before Python 3.11.10 and
3.12.6 (CVE-2024-7592). Knows nothing of requests. Read `tercel.compile.support` for who asks.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import cookie_parser

__all__ = ["parse_cookie_field"]

_ESCAPE: Final = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def parse_cookie_field(field: str) -> dict[str, str]:
    """Names and values of one Cookie field; of a name that is there twice, the last value."""
    if "\\" not in field:
        return cookie_parser(field)
    found: dict[str, str] = {}
    for pair in field.split(";"):
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
