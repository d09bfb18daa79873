"""Fixtures of the protocol tests: both event loops, both ways to the handler, and what the server has logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.protocol.peer import App, Handler, asgi_app, direct_app


@pytest.fixture(params=[pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"), pytest.param(("asyncio", {}), id="asyncio")])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loop a test runs on."""
    return request.param


@pytest.fixture(params=["direct", "asgi"])
def app_of(request: pytest.FixtureRequest) -> Callable[[Handler], App]:
    """Makes an application of a handler."""
    return direct_app if request.param == "direct" else asgi_app


@pytest.fixture
def errors() -> Iterator[list[logging.LogRecord]]:
    """What the server has logged as a warning or worse."""
    records: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("tercel.error")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
