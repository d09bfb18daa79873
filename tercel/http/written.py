"""The compiled writer and the compiled reader of JSON where they were built; else there are none, and pydantic does all of it.

`TERCEL_PURE=1` in the environment forces the latter. Read `tercel.analyse.writers` and `tercel.analyse.readers` for how they are
made from schemas, `docs/design/0013-written-json.md` and `docs/design/0019-read-json.md` for the reasons.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tercel.http import _writer

__all__ = ["reader_module", "writer_class"]


def _is_pure() -> bool:
    return os.environ.get("TERCEL_PURE", "0") not in ("", "0")


def writer_class() -> type[_writer.Writer] | None:
    """The class of writers, or None where it was not built for this interpreter, or shall not be used."""
    if _is_pure():
        return None
    try:
        from tercel.http import _writer
    except ImportError:
        return None
    return _writer.Writer


def reader_module() -> ModuleType | None:
    """`tercel.http._reader`, or None where it was not built for this interpreter, or shall not be used."""
    if _is_pure():
        return None
    try:
        from tercel.http import _reader
    except ImportError:
        return None
    return _reader
