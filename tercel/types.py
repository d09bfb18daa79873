"""Types of public signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic.main import IncEx as IncEx

__all__ = ["DecoratedCallable", "IncEx"]

DecoratedCallable = TypeVar("DecoratedCallable", bound=Callable[..., Any])
