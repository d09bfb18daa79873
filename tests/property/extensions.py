"""What the suites of the compiled writer and the compiled reader share: that they run wherever these were built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

__all__ = ["is_built", "there"]


def is_built(module: str) -> bool:
    """Whether an extension was built, or has to be."""
    return find_spec(module) is not None or os.environ.get("TERCEL_EXTENSION") == "required"


@contextmanager
def there(agreeing: Any) -> Iterator[None]:
    """The extensions are there, also where the other tests run without them.

    Args:
        agreeing: the cached function that compares them with pydantic.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TERCEL_PURE", raising=False)
        agreeing.cache_clear()
        yield
    agreeing.cache_clear()
