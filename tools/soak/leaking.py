"""The application of the soak with a leak of each kind in it: what the soak must find."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from tools.soak.service import app, resource_of

__all__ = ["app"]

_kept: list[Any] = []


async def leak() -> AsyncIterator[str]:
    """Instead of the dependency that is given back."""
    _kept.append(({"a": 1}, os.dup(0), asyncio.get_running_loop().create_task(asyncio.sleep(3600))))
    yield "resource"


app.dependency_overrides[resource_of] = leak
