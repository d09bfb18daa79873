"""The application of the soak with a leak of each kind in it: what the soak must find."""

from __future__ import annotations

import asyncio
import linecache
import os
import threading
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from tercel.http.exchange import Head
from tools.soak.service import app, resource_of

__all__ = ["LEAKS", "app"]

LEAKS = {"files", "threads", "tasks", "lines", "objects of tercel.http.exchange.Head", "objects", "blocks", "resident memory"}
"""What `tools.soak.census.growth` has to name."""

_kept: list[Any] = []
_numbers = count()


async def leak() -> AsyncIterator[str]:
    """Instead of the dependency that is given back."""
    _kept.append(({"a": 1}, os.dup(0), asyncio.get_running_loop().create_task(asyncio.sleep(3600))))
    _kept.append((Head(200, []), b"x" * 65_536))
    linecache.cache[f"<leaked {next(_numbers)}>"] = (1, None, ["x"], "x")
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    yield "resource"


app.dependency_overrides[resource_of] = leak
