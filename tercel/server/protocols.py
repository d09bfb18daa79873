"""Which of the two HTTP/1.1 protocols a server speaks: the compiled one where it was built, else the pure one.

Both behave the same; what differs is the time a request takes. `TERCEL_PURE=1` in the environment forces the pure one. Read
`tercel.server.http1` for the rules and `docs/design/0012-compiled-protocol.md` for the reasons.
"""

from __future__ import annotations

import os
from typing import Literal

from tercel.server.http1 import HttpConnection

__all__ = ["compiled_connection", "connection_class"]


def compiled_connection() -> type[HttpConnection] | None:
    """The compiled protocol, or None where it was not built for this interpreter and these sources."""
    try:
        from tercel.server.compiled import CompiledConnection
    except ImportError:
        return None
    return CompiledConnection


def connection_class(protocol: Literal["auto", "pure", "compiled"] = "auto") -> type[HttpConnection]:
    """The class of a server's connections.

    Args:
        protocol: "auto" is the compiled one where there is one, unless TERCEL_PURE is set to anything but nothing or 0.

    Raises:
        RuntimeError: "compiled" was asked for and is not there.
    """
    if protocol == "pure" or (protocol == "auto" and os.environ.get("TERCEL_PURE", "0") not in ("", "0")):
        return HttpConnection
    compiled = compiled_connection()
    if compiled is not None:
        return compiled
    if protocol == "compiled":
        raise RuntimeError("the compiled protocol was not built: pip install tercel needs a C compiler for it")
    return HttpConnection
