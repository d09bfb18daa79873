"""Types of public signatures."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType as UnionType
from typing import Any, TypeVar

from pydantic.main import IncEx as IncEx

from tercel.analyse.dependant import CacheKey as DependencyCacheKey
from tercel.analyse.fields import ModelNameMap as ModelNameMap

__all__ = ["DecoratedCallable", "DependencyCacheKey", "IncEx", "ModelNameMap", "UnionType"]

DecoratedCallable = TypeVar("DecoratedCallable", bound=Callable[..., Any])
