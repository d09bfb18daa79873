"""Generated code goes away with the application that it was made for."""

from __future__ import annotations

import gc
import linecache
import weakref

import pytest

from tercel import FastAPI
from tercel.testing import AsyncTestClient

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make_app() -> FastAPI:
    app = FastAPI(engine="compiled", openapi_url=None)

    @app.get("/")
    async def endpoint(q: int = 0) -> int:
        return q

    return app


def registered() -> set[str]:
    return {name for name in linecache.cache if name.startswith("<tercel ")}


def since(before: set[str]) -> set[str]:
    """What was registered after `before`. Applications of earlier tests may end at any time, and take theirs with them."""
    return registered() - before


async def test_sources_are_registered_while_the_application_lives_and_gone_after_it() -> None:
    gc.collect()
    before = registered()
    app = make_app()
    assert not since(before)  # a handler is made when its first request comes
    client = AsyncTestClient(app)
    assert (await client.get("/", params={"q": 3})).json() == 3
    (name,) = since(before)
    assert name.startswith("<tercel GET / #")
    gone = weakref.ref(app)
    del app, client
    gc.collect()
    assert gone() is None
    assert not since(before)


async def test_linecache_does_not_grow_over_a_thousand_freezes() -> None:
    gc.collect()
    before = registered()
    for number in range(1000):
        assert (await AsyncTestClient(make_app()).get("/")).status_code == 200
        if number % 100 == 99:
            gc.collect()
    gc.collect()
    assert not since(before)


async def test_a_handler_that_is_made_anew_replaces_its_source() -> None:
    gc.collect()
    before = registered()
    app = make_app()
    client = AsyncTestClient(app)
    for number in range(20):
        app.dependency_overrides[make_app] = registered if number % 2 else make_app
        assert (await client.get("/")).status_code == 200
    gc.collect()
    assert len(since(before)) == 1
