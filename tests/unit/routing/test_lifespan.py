"""Lifespans of routers: every form that a user may write, and those of included routers nested inside."""

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest

from tercel import APIRouter, FastAPI
from tercel.routing.lifespan import DefaultLifespan, lifespan_context_of, merged_lifespan

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Boom(Exception):
    pass


async def run(lifespan: Any, app: Any = "app") -> Any:
    """The state that a lifespan yields."""
    async with lifespan(app) as state:
        return state


# -- forms -------------------------------------------------------------------------------------------------------------------------


def forms(log: list[str]) -> dict[str, Any]:
    async def async_generator(app: Any) -> AsyncIterator[dict[str, Any]]:
        log.append(f"+{app}")
        yield {"app": app}
        log.append(f"-{app}")

    def generator(app: Any) -> Iterator[dict[str, Any]]:
        log.append(f"+{app}")
        yield {"app": app}
        log.append(f"-{app}")

    class Manager(AbstractAsyncContextManager[Any]):
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __aenter__(self) -> dict[str, Any]:
            log.append(f"+{self.app}")
            return {"app": self.app}

        async def __aexit__(self, *exc: object) -> None:
            log.append(f"-{self.app}")

    return {
        "context manager": asynccontextmanager(async_generator),
        "asynchronous generator": async_generator,
        "generator": generator,
        "class": Manager,
    }


@pytest.mark.parametrize("form", forms([]))
async def test_every_form_of_a_lifespan_is_entered_and_left(form: str) -> None:
    log: list[str] = []
    lifespan = lifespan_context_of(APIRouter(), forms(log)[form])
    async with lifespan("app") as state:
        assert (state, log) == ({"app": "app"}, ["+app"])
    assert log == ["+app", "-app"]


async def test_a_synchronous_lifespan_sees_the_exception_and_may_swallow_it() -> None:
    seen: list[str] = []

    def lifespan(app: Any) -> Iterator[None]:
        try:
            yield
        except Boom:
            seen.append("boom")

    async with lifespan_context_of(APIRouter(), lifespan)("app"):
        raise Boom
    assert seen == ["boom"]


async def test_a_manager_that_is_entered_as_it_is_is_not_wrapped_again() -> None:
    manager = contextmanager(lambda app: iter([app]))
    assert lifespan_context_of(APIRouter(), manager) is manager


# -- handlers of events ------------------------------------------------------------------------------------------------------------


async def test_without_a_lifespan_the_handlers_of_events_run_in_order() -> None:
    log: list[str] = []

    async def asynchronous() -> None:
        log.append("asynchronous")

    router = APIRouter(on_startup=[asynchronous, lambda: log.append("synchronous")], on_shutdown=[lambda: log.append("stop")])
    lifespan = lifespan_context_of(router, None)
    assert isinstance(lifespan, DefaultLifespan)
    router.add_event_handler("startup", lambda: log.append("later"))
    async with lifespan("app") as state:
        assert state is None
        assert log == ["asynchronous", "synchronous", "later"]
    assert log[3:] == ["stop"]


async def test_what_a_handler_of_an_event_raises_stops_the_rest() -> None:
    log: list[str] = []

    def failing() -> None:
        raise Boom

    router = APIRouter(on_startup=[failing, lambda: log.append("not reached")])
    with pytest.raises(Boom):
        await run(router.lifespan_context)
    assert log == []


def test_other_events_are_refused() -> None:
    with pytest.raises(AssertionError, match="event_type must be 'startup' or 'shutdown', not 'other'"):
        APIRouter().add_event_handler("other", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register = APIRouter().on_event("other")
    with pytest.raises(AssertionError):
        register(lambda: None)


# -- nested ------------------------------------------------------------------------------------------------------------------------


def recording(log: list[str], name: str, state: Any = None, error: Exception | None = None) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        log.append(f"+{name}")
        try:
            yield state
            if error is not None:
                raise error
        finally:
            log.append(f"-{name}")

    return lifespan


async def test_the_inner_lifespan_runs_inside_the_outer_one() -> None:
    log: list[str] = []
    async with merged_lifespan(recording(log, "outer"), recording(log, "inner"))("app") as state:
        assert (state, log) == (None, ["+outer", "+inner"])
    assert log == ["+outer", "+inner", "-inner", "-outer"]


@pytest.mark.parametrize(
    ("outer", "inner", "merged"),
    [
        (None, None, None),
        ({"a": 1}, None, {"a": 1}),
        (None, {"a": 1}, {"a": 1}),
        ({"a": "outer", "b": 1}, {"a": "inner", "c": 2}, {"a": "outer", "b": 1, "c": 2}),
        ({}, None, {}),
    ],
)
async def test_states_are_merged_and_the_outer_one_wins(outer: Any, inner: Any, merged: Any) -> None:
    log: list[str] = []
    assert await run(merged_lifespan(recording(log, "outer", outer), recording(log, "inner", inner))) == merged


async def test_what_the_inner_lifespan_raises_is_seen_by_the_outer_one() -> None:
    log: list[str] = []
    with pytest.raises(Boom):
        await run(merged_lifespan(recording(log, "outer"), recording(log, "inner", error=Boom())))
    assert log == ["+outer", "+inner", "-inner", "-outer"]


async def test_included_routers_start_after_the_application_and_stop_before_it() -> None:
    log: list[str] = []
    inner = APIRouter(lifespan=recording(log, "inner", {"inner": 1}))
    middle = APIRouter(lifespan=recording(log, "middle", {"middle": 1}))
    middle.include_router(inner)
    app = FastAPI(lifespan=recording(log, "app", {"app": 1}))
    app.include_router(middle)
    assert await run(app.router.lifespan_context) == {"app": 1, "middle": 1, "inner": 1}
    assert log == ["+app", "+middle", "+inner", "-inner", "-middle", "-app"]


async def test_handlers_of_an_included_routers_events_run_for_both_routers_as_in_fastapi() -> None:
    """Including copies them to the outer router, and the inner one's own lifespan runs them too."""
    log: list[str] = []
    inner = APIRouter(on_startup=[lambda: log.append("start")], on_shutdown=[lambda: log.append("stop")])
    app = FastAPI()
    app.include_router(inner)
    await run(app.router.lifespan_context)
    assert log == ["start", "start", "stop", "stop"]
