"""Lifespans of routers: whichever form the user wrote, and those of included routers nested inside."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from starlette._utils import is_async_callable
from starlette.types import Lifespan

if TYPE_CHECKING:
    from tercel.routing.router import APIRouter

__all__ = ["DefaultLifespan", "lifespan_context_of", "merged_lifespan"]


class DefaultLifespan:
    """Runs `on_startup` and `on_shutdown` handlers; in force when no `lifespan` is given."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router

    def __call__(self, app: object) -> DefaultLifespan:
        return self

    async def __aenter__(self) -> None:
        await run_handlers(self._router.on_startup)

    async def __aexit__(self, *exc_info: object) -> None:
        await run_handlers(self._router.on_shutdown)


async def run_handlers(handlers: list[Callable[[], Any]]) -> None:
    for handler in handlers:
        if is_async_callable(handler):
            await handler()
        else:
            handler()


class _Lifted(AbstractAsyncContextManager[Any]):
    """A context manager entered from asynchronous code."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> Any:
        return self._manager.__exit__(kind, exc, trace)


def lifespan_context_of(router: APIRouter, lifespan: Any) -> Lifespan[Any]:
    """The lifespan as a function from the application to an asynchronous context manager; generators of either kind are wrapped."""
    if lifespan is None:
        return DefaultLifespan(router)
    if inspect.isasyncgenfunction(lifespan):
        return asynccontextmanager(lifespan)
    if inspect.isgeneratorfunction(lifespan):
        manager = contextlib.contextmanager(lifespan)
        return lambda app: _Lifted(manager(app))
    return lifespan  # type: ignore[no-any-return]


def merged_lifespan(outer: Lifespan[Any], inner: Lifespan[Any]) -> Lifespan[Any]:
    """The inner lifespan inside the outer one. Both may yield state; where both name the same thing, the outer one's stays."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        async with outer(app) as outer_state, inner(app) as inner_state:
            if outer_state is None and inner_state is None:
                yield None
            else:
                yield {**(inner_state or {}), **(outer_state or {})}

    return cast("Lifespan[Any]", lifespan)
