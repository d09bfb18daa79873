"""The compiled writer of JSON where it was built; else there is none, and pydantic writes everything.

`TERCEL_PURE=1` in the environment forces the latter. Read `tercel.analyse.writers` for how writers are made from schemas, and
`docs/design/0013-written-json.md` for the reasons.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tercel.http import _writer

__all__ = ["writer_class"]


def writer_class() -> type[_writer.Writer] | None:
    """The class of writers, or None where it was not built for this interpreter, or shall not be used."""
    if os.environ.get("TERCEL_PURE", "0") not in ("", "0"):
        return None
    try:
        from tercel.http import _writer
    except ImportError:
        return None
    return _writer.Writer
