"""Fixtures of the black-box suites: an application for each engine, and one client that speaks to it over each protocol.

`make_app` makes the application with the engine in force; `client` opens a client for it, either Starlette's TestClient over
ASGI, or httpx and websockets over a socket of Tercel's own server. Tests see one interface, so that they run in all four
combinations. This file must not know how the framework works inside: it imports public names only, and late, so that suites that
need none of this can run alone. `TERCEL_REFERENCE=1` runs the same suites against another package that is called `tercel` and has
no engines (the framework whose behaviour is kept): there, tests marked `differs` must fail. Read `tests/clients.py` for the
clients and `tests/behaviour` next.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.clients import WAIT_S, AsgiClient, Client, DirectClient, DirectServers

REFERENCE = os.environ.get("TERCEL_REFERENCE") == "1"
ENGINES = ["reference"] if REFERENCE else ["interpreted", "compiled"]
PROTOCOLS = ["asgi", "direct"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "differs(what, only=None, hangs=False, always=True): wanted behaviour that FastAPI 0.165 does not have; must fail on the "
        "reference, over the protocol `only` if given, in all cases if `always`, and is not run there if it `hangs`",
    )
    config.addinivalue_line("markers", "tercel_only(why): uses something that the reference does not have")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not REFERENCE:
        return
    for item in items:
        for mark in item.iter_markers("differs"):
            callspec = getattr(item, "callspec", None)
            protocol = callspec.params.get("protocol") if callspec else None
            if mark.kwargs.get("only") in (None, protocol):
                run = not mark.kwargs.get("hangs", False)
                strict = run and mark.kwargs.get("always", True)
                item.add_marker(pytest.mark.xfail(reason=f"differs: {mark.args[0]}", run=run, strict=strict))
        if mark := item.get_closest_marker("tercel_only"):
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))


# -- what happened, in which order ---------------------------------------------------------------------------------------------


class Journal:
    """What happened, in order, written by code under test in any thread; a test can wait for an entry to appear."""

    def __init__(self) -> None:
        self._entries: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, entry: Any) -> None:
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"Journal({self.entries!r})"

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def entries(self) -> list[Any]:
        """All entries so far."""
        with self._changed:
            return list(self._entries)

    def until(self, *entries: Any) -> list[Any]:
        """All entries so far, once each of `entries` is among them.

        Raises:
            AssertionError: one is still missing after `WAIT_S` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: all(entry in self._entries for entry in entries), WAIT_S):
                raise AssertionError(f"{entries!r} did not happen, only {self._entries!r}")
            return list(self._entries)

    def clear(self) -> None:
        """Forget all entries."""
        with self._changed:
            self._entries.clear()


@pytest.fixture
def journal() -> Journal:
    """An empty `Journal`."""
    return Journal()


# -- fixtures ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine in force: interpreted or compiled."""
    return str(request.param)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """The protocol in force: asgi (TestClient) or direct (Tercel's server over a socket)."""
    return str(request.param)


@pytest.fixture
def make_app(engine: str) -> Callable[..., Any]:
    """Makes a `FastAPI` with the engine in force."""
    from tercel import FastAPI

    def make(**options: Any) -> Any:
        return FastAPI(**options) if REFERENCE else FastAPI(engine=engine, **options)

    return make


@pytest.fixture(scope="session")
def direct_servers() -> Generator[DirectServers]:
    """The thread in which servers run, for the whole session."""
    servers = DirectServers()
    yield servers
    servers.close()


@pytest.fixture
def open_client(protocol: str, request: pytest.FixtureRequest) -> Callable[..., contextlib.AbstractContextManager[Client]]:
    """Like `client`, as a context manager: for tests that look at start and stop.

    `server` holds settings of the server (`ServerConfig`), which count over a socket only.
    """

    @contextlib.contextmanager
    def opened(
        app: Any, *, raise_errors: bool = True, root_path: str = "", server: dict[str, Any] | None = None
    ) -> Generator[Client]:
        connected: Client
        if protocol == "asgi":
            connected = AsgiClient(app, raise_errors=raise_errors, root_path=root_path)
        else:
            servers = request.getfixturevalue("direct_servers")
            connected = DirectClient(app, servers, raise_errors=raise_errors, options={"root_path": root_path, **(server or {})})
        try:
            yield connected
        finally:
            connected.close()

    return opened


@pytest.fixture
def client(open_client: Callable[..., contextlib.AbstractContextManager[Client]]) -> Generator[Callable[..., Client]]:
    """Opens a `Client` for an application, with its lifespan, until the test ends.

    With `raise_errors=False` what the application raises to its server is ignored and only the answer counts; such a client is
    closed when the next one is opened, so that its errors are not taken for those of the other.
    """
    with contextlib.ExitStack() as stack:
        tolerant: list[Client] = []

        def connect(app: Any, *, raise_errors: bool = True, **options: Any) -> Client:
            while tolerant:
                tolerant.pop().close()
            connected = stack.enter_context(open_client(app, raise_errors=raise_errors, **options))
            if not raise_errors:
                tolerant.append(connected)
            return connected

        yield connect


@pytest.fixture
def serve(make_app: Callable[..., Any], client: Callable[..., Client]) -> Callable[..., Client]:
    """Serves one endpoint as the only route of an application and returns a `Client` for it."""

    def serve_one(endpoint: Callable[..., Any], path: str = "/", method: str = "GET", **options: Any) -> Client:
        app = make_app()
        app.api_route(path, methods=[method], **options)(endpoint)
        return client(app)

    return serve_one
