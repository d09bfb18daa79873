"""Requests at the same time: what they share, what they do not, and `Depends(max_concurrency=…)`."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest

from tercel import Depends, Request
from tercel.concurrency import run_in_threadpool
from tests.behaviour.threads import two_threads

kinds = pytest.mark.parametrize("kind", ["sync", "async", "generator", "async generator"])


class Gate:
    """Counts who is inside at once and keeps everybody there until it opens."""

    def __init__(self, expected):
        self._lock = threading.Lock()
        self._expected = expected
        self.filled = threading.Event()
        self.opened = threading.Event()
        self.empty = threading.Event()
        self.inside = self.peak = self.total = 0

    def enter(self):
        with self._lock:
            self.inside += 1
            self.empty.clear()
            self.total += 1
            self.peak = max(self.peak, self.inside)
            if self.inside >= self._expected:
                self.filled.set()

    def wait(self):
        assert self.opened.wait(5)

    def leave(self):
        with self._lock:
            self.inside -= 1
            if self.inside == 0:
                self.empty.set()


def guarded(gate, kind):
    """A dependency that is inside the gate while it runs, or while its value is used if it is a generator."""

    def sync():
        gate.enter()
        gate.wait()
        gate.leave()
        return "ok"

    async def awaited():
        gate.enter()
        await run_in_threadpool(gate.wait)
        gate.leave()
        return "ok"

    def generator():
        gate.enter()
        try:
            gate.wait()
            yield "ok"
        finally:
            gate.leave()

    async def async_generator():
        gate.enter()
        try:
            await run_in_threadpool(gate.wait)
            yield "ok"
        finally:
            gate.leave()

    return {"sync": sync, "async": awaited, "generator": generator, "async generator": async_generator}[kind]


def at_once(connected, paths):
    """Requests in threads of their own; returns a function that waits for their bodies."""
    pool = ThreadPoolExecutor(len(paths))
    running = [pool.submit(connected.get, path) for path in paths]

    def finish():
        with pool:
            return [answer.result(10).json() for answer in running]

    return finish


@kinds
def test_a_limit_counts_for_all_routes_that_share_the_declaration(make_app, client, kind):
    app = make_app()
    gate = Gate(expected=2)
    Limited = Annotated[str, Depends(guarded(gate, kind), max_concurrency=2)]

    @app.get("/one")
    async def one(value: Limited):
        return value

    @app.get("/two")
    async def two(value: Limited):
        return value

    finish = at_once(client(app), ["/one", "/two"] * 3)
    assert gate.filled.wait(5)
    gate.opened.set()
    assert finish() == ["ok"] * 6
    assert gate.empty.wait(5)  # generators are left after the response, which the client may see first
    assert (gate.peak, gate.total, gate.inside) == (2, 6, 0)


def test_two_declarations_of_one_dependency_have_limits_of_their_own(make_app, client):
    app = make_app()
    both = threading.Barrier(2)

    def dependency():
        both.wait(5)
        return "ok"

    @app.get("/one")
    async def one(value: Annotated[str, Depends(dependency, max_concurrency=1)]):
        return value

    @app.get("/two")
    async def two(value: Annotated[str, Depends(dependency, max_concurrency=1)]):
        return value

    assert at_once(client(app), ["/one", "/two"])() == ["ok", "ok"]


@pytest.mark.parametrize("where", ["dependency", "endpoint", "exit"])
def test_a_failure_gives_its_place_back(make_app, client, where):
    app = make_app()

    async def dependency(fail: bool = False):
        if fail and where == "dependency":
            raise ValueError
        yield "ok"
        if fail and where == "exit":
            raise ValueError

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(dependency, max_concurrency=1)], fail: bool = False):
        if fail and where == "endpoint":
            raise ValueError
        return value

    connected = client(app, raise_errors=False)
    for _ in range(2):
        connected.get("/?fail=1", headers={"connection": "close"})
        assert connected.get("/").json() == "ok"


def test_a_limited_dependency_is_still_shared_within_a_request(make_app, client):
    app = make_app()
    limited = Depends(lambda: object(), max_concurrency=1)

    @app.get("/")
    async def endpoint(a: Annotated[object, limited], b: Annotated[object, limited]):
        return a is b

    assert client(app).get("/").json() is True


def test_an_override_keeps_the_limit(make_app, client):
    app = make_app()
    gate = Gate(expected=1)

    def original():
        return "original"

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(original, max_concurrency=1)]):
        return value

    app.dependency_overrides[original] = guarded(gate, "sync")
    finish = at_once(client(app), ["/"] * 3)
    assert gate.filled.wait(5)
    gate.opened.set()
    assert finish() == ["ok"] * 3
    assert gate.peak == 1


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "1"])
def test_a_limit_must_be_a_positive_number(limit):
    with pytest.raises(ValueError, match="max_concurrency must be a positive integer or None"):
        Depends(max_concurrency=limit)


def test_an_application_can_be_used_again_on_another_event_loop(make_app, open_client):
    app = make_app()

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(lambda: "ok", max_concurrency=1)]):
        return value

    for _ in range(2):
        with open_client(app) as connected:
            assert at_once(connected, ["/"] * 3)() == ["ok"] * 3


# -- without a limit -------------------------------------------------------------------------------------------------------------


def test_sync_endpoints_run_at_the_same_time(make_app, client):
    app = make_app()
    both = threading.Barrier(2)

    @app.get("/")
    def endpoint():
        both.wait(5)
        return "ok"

    assert at_once(client(app), ["/", "/"])() == ["ok", "ok"]


def test_state_and_values_of_requests_at_the_same_time_do_not_mix(make_app, client):
    app = make_app()
    both = threading.Barrier(2)
    current = contextvars.ContextVar("current", default=None)

    async def dependency(request: Request, n: int):
        request.state.n = n
        current.set(n)
        await run_in_threadpool(both.wait, 5)
        return n

    @app.get("/")
    async def endpoint(request: Request, n: Annotated[int, Depends(dependency)]):
        return [n, request.state.n, current.get()]

    assert at_once(client(app), ["/?n=1", "/?n=2"])() == [[1, 1, 1], [2, 2, 2]]


def test_sync_dependencies_can_end_although_every_worker_thread_waits_for_what_they_hold(make_app, client):
    app = make_app(lifespan=two_threads)
    connection = threading.Lock()

    def dependency():
        assert connection.acquire(timeout=5)
        try:
            yield "connection"
        finally:
            connection.release()

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(dependency)]):
        return value

    assert at_once(client(app), ["/"] * 6)() == ["connection"] * 6
