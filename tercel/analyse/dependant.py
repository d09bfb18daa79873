"""A callable with what it wants: the tree that signatures are analysed into, and how each callable in it is run.

`Dependant` keeps FastAPI's attribute names, since integrations read and extend the tree (`route.dependant.dependencies`). It is the
declaration-time form; `tercel.analyse.planner` turns it into a plan. This module knows nothing of requests. Read
`tercel.analyse.signature` next, which builds the tree.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Literal

from tercel.analyse.fields import ModelField
from tercel.declare.scopes import SecurityBase
from tercel.plan import Style

__all__ = [
    "STYLE_CACHE_ENTRIES",
    "CacheKey",
    "CallIdentity",
    "Dependant",
    "cache_key",
    "computed_scope",
    "is_security_scheme",
    "oauth_scopes",
    "security_scheme",
    "shape",
    "style_of",
]

CacheKey = tuple[Callable[..., Any] | None, tuple[str, ...], str]

STYLE_CACHE_ENTRIES = 4096
"""Callables whose style is remembered: more than a large application has, and bounded for programs that make callables for ever."""


@dataclass(slots=True)
class Dependant:
    """One callable of a dependency tree, or the endpoint at its root.

    Attributes:
        path_params, query_params, header_params, cookie_params, body_params: the fields taken from the request.
        dependencies: what is resolved before it, in order.
        name: the parameter of the parent that receives the value; None for `dependencies=[...]`.
        own_oauth_scopes: scopes of the `Security(...)` that declared it.
        parent_oauth_scopes: scopes in force above it.
        scope: `function` or `request`, as written; see `computed_scope`.
        concurrency: the limiter of `Depends(max_concurrency=)`.
    """

    path_params: list[ModelField] = field(default_factory=list)
    query_params: list[ModelField] = field(default_factory=list)
    header_params: list[ModelField] = field(default_factory=list)
    cookie_params: list[ModelField] = field(default_factory=list)
    body_params: list[ModelField] = field(default_factory=list)
    dependencies: list[Dependant] = field(default_factory=list)
    name: str | None = None
    call: Callable[..., Any] | None = None
    request_param_name: str | None = None
    websocket_param_name: str | None = None
    http_connection_param_name: str | None = None
    response_param_name: str | None = None
    background_tasks_param_name: str | None = None
    security_scopes_param_name: str | None = None
    own_oauth_scopes: list[str] | None = None
    parent_oauth_scopes: list[str] | None = None
    use_cache: bool = True
    path: str | None = None
    scope: Literal["function", "request"] | None = None
    concurrency: Any = None
    _known: Any = field(default=None, repr=False, compare=False)
    """What `tercel.analyse.known` keeps for as long as the callable is in a tree."""


def shape(dependant: Dependant) -> Any:
    """A value that changes when a tree is changed: integrations add to trees and wrap their callables."""
    fields = (
        dependant.path_params,
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    )
    return (
        id(dependant.call),
        dependant.name,
        dependant.use_cache,
        dependant.scope,
        dependant.request_param_name,
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
        *[tuple(map(id, group)) for group in fields],
        *map(shape, dependant.dependencies),
    )


# -- how a callable is run -----------------------------------------------------------------------------------------------------


def bare(call: Any) -> Any:
    """The callable inside any number of `functools.partial`."""
    while isinstance(call, partial):
        call = call.func
    return call


def unwrapped(call: Any) -> Any:
    """The callable inside partials and `functools.wraps` decorators."""
    return None if call is None else inspect.unwrap(bare(call))


def _faces(call: Any) -> Iterator[tuple[Any, bool]]:
    """Every function that may stand for a callable, with True for those reached through `__call__` of an instance."""
    inner = unwrapped(call)
    yield bare(call), False
    yield inner, False
    if inspect.isclass(inner):
        return
    for owner in (bare(call), inner):
        method = getattr(owner, "__call__", None)  # noqa: B004 - the method itself is wanted, not whether there is one
        if method is not None:
            yield bare(method), True
            yield unwrapped(method), True


def _is_coroutine_function(call: Any) -> bool:
    if inspect.iscoroutinefunction(call):
        return True
    # Before 3.12 asyncio had a marker of its own, which mocks and some decorators set.
    return sys.version_info < (3, 13) and type(getattr(call, "_is_coroutine", None)).__name__ == "object"


class CallIdentity:
    """A key of caches that compares callables by identity, since they need not be hashable."""

    __slots__ = ("call",)

    def __init__(self, call: Any) -> None:
        self.call = call

    def __hash__(self) -> int:
        return id(self.call)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallIdentity) and other.call is self.call


@lru_cache(maxsize=STYLE_CACHE_ENTRIES)
def _style_of(identity: CallIdentity) -> Style:
    call = identity.call
    if type(call) is FunctionType and not call.__dict__:
        # A plain function: nothing is wrapped or marked, so its code alone says it, without asking fifteen times.
        flags = call.__code__.co_flags
        if flags & inspect.CO_ASYNC_GENERATOR:
            return "aenter"
        if flags & inspect.CO_GENERATOR:
            return "enter"
        return "await" if flags & inspect.CO_COROUTINE else "thread"
    faces = list(_faces(call))
    if any(inspect.isasyncgenfunction(face) for face, _ in faces):
        return "aenter"
    if any(inspect.isgeneratorfunction(face) for face, _ in faces):
        return "enter"
    if any(_is_coroutine_function(face) and (through_call or inspect.isroutine(face)) for face, through_call in faces):
        return "await"
    return "thread"


def style_of(call: Callable[..., Any] | None) -> Style:
    """How a callable is run; generators of either kind count as such even behind partials, wrappers and `__call__`."""
    return "call" if call is None else _style_of(CallIdentity(call))


def is_generator(call: Callable[..., Any] | None) -> bool:
    return style_of(call) in ("enter", "aenter")


# -- scopes and identity ---------------------------------------------------------------------------------------------------------


def oauth_scopes(dependant: Dependant) -> list[str]:
    """The OAuth2 scopes in force for a dependency: those from above, then its own, each once."""
    return list(dict.fromkeys([*(dependant.parent_oauth_scopes or []), *(dependant.own_oauth_scopes or [])]))


def is_security_scheme(dependant: Dependant) -> bool:
    return dependant.call is not None and isinstance(unwrapped(dependant.call), SecurityBase)


def security_scheme(dependant: Dependant) -> SecurityBase:
    scheme = unwrapped(dependant.call)
    assert isinstance(scheme, SecurityBase)
    return scheme


def uses_scopes(dependant: Dependant, known: dict[int, bool] | None = None) -> bool:
    """Whether the value of a dependency may depend on the OAuth2 scopes around it."""
    known = {} if known is None else known
    result = known.get(id(dependant))
    if result is None:
        result = known[id(dependant)] = (
            bool(dependant.own_oauth_scopes)
            or dependant.security_scopes_param_name is not None
            or is_security_scheme(dependant)
            or any(uses_scopes(sub, known) for sub in dependant.dependencies)
        )
    return result


def computed_scope(dependant: Dependant) -> str | None:
    """`function` or `request` as written; `request` for a generator that says nothing."""
    return dependant.scope or ("request" if is_generator(dependant.call) else None)


def cache_key(dependant: Dependant, known: dict[int, bool] | None = None) -> CacheKey:
    """Two dependencies with equal keys share one value within a request."""
    scopes = tuple(sorted(set(oauth_scopes(dependant)))) if uses_scopes(dependant, known) else ()
    return (dependant.call, scopes, computed_scope(dependant) or "")
