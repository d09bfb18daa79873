"""Values -> JSON bytes, equal to what `json.dumps(jsonable_encoder(value))` gives and much faster for plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from tercel.http.encode import jsonable_encoder
from tercel.http.written import writer_class

__all__ = ["finite", "json_bytes"]

_EXACT = frozenset({str, int, bool, type(None)})
_PLAIN_DEPTH = 8
"""Nesting that the quick check follows. Deeper data is encoded the general way, which has no such limit."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=jsonable_encoder).encode
_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def finite(value: Any) -> Any:
    """JSON data with NaN and infinities as null (RFC 8259 §6 has no notation for them), like pydantic writes typed results."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _is_plain(value: Any, depth: int) -> bool:
    """Only exact str, int, bool, None, list and dict with ordinary keys: every encoder agrees on those."""
    kind = type(value)
    if kind in _EXACT:
        return True
    if depth == 0:
        return False
    if kind is dict:
        for key, item in value.items():
            # The encoder drops keys of SQLAlchemy's bookkeeping, which begin with "_sa".
            if type(key) is not str or key[:3] == "_sa":
                return False
            if type(item) not in _EXACT and not _is_plain(item, depth - 1):
                return False
        return True
    return kind is list and all(type(item) in _EXACT or _is_plain(item, depth - 1) for item in value)


def _quick(value: Any) -> bytes | None:
    """The JSON of plain data, or None where the general way has to decide."""
    if _is_plain(value, _PLAIN_DEPTH):
        try:
            return to_json(value)
        except PydanticSerializationError:  # lone surrogates: let the general way report them
            pass
    return None


def _first(value: Any) -> bytes | None:
    """As `_quick`, or what is better where it was built; made when it is needed, since most programs declare what they answer."""
    global _write_plain
    writer = writer_class()
    _write_plain = _quick if writer is None else writer("plain").write
    return _write_plain(value)


_write_plain: Callable[[Any], bytes | None] = _first


def json_bytes(value: Any) -> bytes:
    """The JSON text of a value, UTF-8.

    Raises:
        ValueError, TypeError, RecursionError: the value has no JSON form, or contains itself.
    """
    data = _write_plain(value)
    if data is not None:
        return data
    try:
        text = _encode(value)
    except (TypeError, ValueError):
        pass  # keys that are not strings, or NaN
    else:
        if '"_sa' not in text:
            return text.encode()
    made = jsonable_encoder(value)
    try:
        return _dump(made).encode()
    except ValueError:
        return _dump(finite(made)).encode()
