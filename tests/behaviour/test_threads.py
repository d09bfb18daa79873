"""Synchronous endpoints and dependencies: several at a time, in threads that know the event loop, with the limits of anyio."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tercel import BackgroundTasks, Depends
from tercel.responses import JSONResponse
from tests.behaviour.threads import two_threads

WAIT_S = 10.0


def at_once(client, paths):
    """Asks for all paths at the same time; the answers in their order."""
    with ThreadPoolExecutor(len(paths)) as pool:
        return [response.json() for response in pool.map(client.get, paths)]


def test_forty_endpoints_that_wait_for_each_other_run_at_the_same_time(make_app, client):
    app = make_app()
    together = threading.Barrier(40)

    @app.get("/")
    def endpoint():
        together.wait(WAIT_S)
        return "ok"

    assert at_once(client(app), ["/"] * 40) == ["ok"] * 40


def test_slow_calls_delay_no_quick_ones(make_app, client):
    app = make_app()
    gate = threading.Event()
    inside = threading.Semaphore(0)

    @app.get("/slow")
    def slow():
        inside.release()
        return gate.wait(WAIT_S)

    @app.get("/quick")
    def quick():
        return threading.current_thread() and "quick"

    connected = client(app)
    for _ in range(50):
        assert connected.get("/quick").json() == "quick"
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(connected.get, "/slow") for _ in range(10)]
        for _ in waiting:
            assert inside.acquire(timeout=WAIT_S)
        for _ in range(50):
            assert connected.get("/quick").json() == "quick"
        assert not any(request.done() for request in waiting)
        gate.set()
        assert [request.result().json() for request in waiting] == [True] * 10


def test_endpoint_and_dependency_of_one_request_share_neither_context_nor_order_with_others(make_app, client):
    app = make_app()
    variable = contextvars.ContextVar("variable", default="unset")

    def dependency(n: int):
        variable.set(n)
        return n

    @app.get("/")
    def endpoint(n: Annotated[int, Depends(dependency)], fn: str = "fn", func: str = "func", self: str = "self"):
        return [n, variable.get(), fn, func, self]

    answers = at_once(client(app), [f"/?n={n}" for n in range(30)])
    assert answers == [[n, "unset", "fn", "func", "self"] for n in range(30)]


def test_an_endpoint_may_have_parameters_with_the_names_of_those_that_call_it(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint(fn: str, func: str, self: str, args: str, arguments: str):
        return [fn, func, self, args, arguments]

    assert client(app).get("/?fn=1&func=2&self=3&args=4&arguments=5").json() == ["1", "2", "3", "4", "5"]


def test_endpoints_may_use_the_event_loop_from_their_thread(make_app, client):
    app = make_app()
    loop_threads = set()

    async def on_the_loop(value):
        loop_threads.add(threading.get_ident())
        with anyio.CancelScope():
            await anyio.lowlevel.checkpoint()
        return value

    def dependency():
        yield anyio.from_thread.run(on_the_loop, 1)
        anyio.from_thread.run(on_the_loop, 3)

    @app.get("/")
    def endpoint(value: Annotated[int, Depends(dependency)]):
        anyio.from_thread.check_cancelled()
        assert threading.get_ident() != anyio.from_thread.run_sync(threading.get_ident)
        return [value, anyio.from_thread.run(on_the_loop, 2)]

    assert client(app).get("/").json() == [1, 2]
    assert len(loop_threads) == 1


def test_the_limit_of_threads_may_be_changed_and_is_borrowed_from(make_app, client):
    app = make_app(lifespan=two_threads)
    lock = threading.Lock()
    inside = peak = 0

    def borrowed():
        return anyio.to_thread.current_default_thread_limiter().borrowed_tokens

    @app.get("/")
    def endpoint():
        nonlocal inside, peak
        with lock:
            inside += 1
            peak = max(peak, inside)
        seen = anyio.from_thread.run_sync(borrowed)
        with lock:
            inside -= 1
        return seen

    @app.get("/borrowed")
    async def endpoint_on_the_loop():
        return borrowed()

    connected = client(app)
    assert set(at_once(connected, ["/"] * 30)) <= {1, 2}
    assert peak <= 2
    assert connected.get("/borrowed").json() == 0


@pytest.mark.parametrize("error", [ValueError, StopIteration])
def test_an_error_of_an_endpoint_fails_its_request_and_no_thread_is_lost(make_app, client, error):
    app = make_app()

    @app.get("/error")
    def failing():
        raise error

    @app.get("/")
    def endpoint():
        return "ok"

    @app.exception_handler(ValueError)
    def handle(request, exc):
        return JSONResponse(threading.current_thread() is not threading.main_thread(), 418)

    connected = client(app, raise_errors=False)
    for _ in range(45):
        assert connected.get("/error").status_code == (418 if error is ValueError else 500)
    assert at_once(connected, ["/"] * 5) == ["ok"] * 5


def test_background_tasks_and_generators_leave_in_threads(make_app, client):
    app = make_app()
    done = []
    left = threading.Event()

    def dependency():
        yield threading.get_ident()
        done.append(threading.get_ident())
        left.set()

    def task():
        done.append(threading.get_ident())

    @app.get("/")
    def endpoint(tasks: BackgroundTasks, value: Annotated[int, Depends(dependency)]):
        tasks.add_task(task)
        done.append(value)

    @app.get("/loop")
    async def on_the_loop():
        return threading.get_ident()

    connected = client(app)
    loop_thread = connected.get("/loop").json()
    assert connected.get("/").status_code == 200
    assert left.wait(WAIT_S)
    assert len(done) == 3
    assert loop_thread not in done
