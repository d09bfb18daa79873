"""Synchronous callables that cannot block: they need no worker thread, and answer as they would in one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

import anyio.to_thread
from pydantic import AfterValidator

from tercel import Depends, Header, HTTPException
from tests.behaviour.threads import two_threads

WAIT_S = 10.0


def pages(skip: int = 0, limit: int = 10):
    return {"skip": skip, "limit": limit}


@dataclass
class Filters:
    q: str | None = None
    limit: int = 10


def token(authorization: Annotated[str | None, Header()] = None):
    if authorization is None or not authorization.startswith("Bearer "):
        raise HTTPException(status_code=401, detail="no token", headers={"WWW-Authenticate": "Bearer"})
    return authorization.removeprefix("Bearer ").strip()


def routes(app):
    @app.get("/pages")
    def read_pages(pages: Annotated[dict, Depends(pages)], q: str = "none") -> dict[str, object]:
        return {"pages": pages, "q": q.upper()}

    @app.get("/filters")
    async def read_filters(filters: Annotated[Filters, Depends()]):
        return [filters.q, filters.limit]

    @app.get("/token")
    def read_token(token: Annotated[str, Depends(token)]) -> dict[str, str]:
        return {"token": token}


def test_they_answer_although_every_worker_thread_is_busy(make_app, client):
    app = make_app(lifespan=two_threads)
    routes(app)
    gate = threading.Event()
    inside = threading.Semaphore(0)

    @app.get("/busy")
    def busy():
        inside.release()
        return gate.wait(WAIT_S)

    connected = client(app)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(connected.get, "/busy") for _ in range(2)]
        for _ in waiting:
            assert inside.acquire(timeout=WAIT_S)
        assert connected.get("/pages?skip=3&q=a").json() == {"pages": {"skip": 3, "limit": 10}, "q": "A"}
        assert connected.get("/filters?q=a").json() == ["a", 10]
        assert connected.get("/token", headers={"Authorization": "Bearer abc"}).json() == {"token": "abc"}
        assert not any(request.done() for request in waiting)
        gate.set()
        assert [request.result().json() for request in waiting] == [True] * 2


def test_errors_are_those_of_any_other(make_app, client):
    app = make_app()
    routes(app)
    connected = client(app)
    assert connected.get("/pages?skip=x").status_code == 422
    refused = connected.get("/token")
    assert (refused.status_code, refused.json(), refused.headers["www-authenticate"]) == (401, {"detail": "no token"}, "Bearer")


def test_an_override_that_may_block_gets_a_thread(make_app, client):
    app = make_app()
    routes(app)
    connected = client(app)
    assert connected.get("/filters").json() == [None, 10]
    names = []

    def override(limit: int = 5):
        names.append(threading.current_thread().name)
        return Filters("other", limit)

    app.dependency_overrides[Filters] = override
    assert connected.get("/filters").json() == ["other", 5]
    assert names[0] != threading.current_thread().name
    assert "worker thread" in names[0]


def test_what_somebody_put_in_place_of_worker_threads_is_called(make_app, client, monkeypatch):
    app = make_app()
    routes(app)
    called = []
    original = anyio.to_thread.run_sync

    async def run_sync(function, *args, **options):
        called.append(function)
        return await original(function, *args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    assert client(app).get("/pages").json() == {"pages": {"skip": 0, "limit": 10}, "q": "NONE"}
    assert called


def test_a_response_model_with_code_of_the_users_is_applied_in_a_thread(make_app, client):
    app = make_app()
    names = []

    def note(value):
        names.append(threading.current_thread().name)
        return value

    @app.get("/")
    def endpoint(q: str = "a") -> Annotated[str, AfterValidator(note)]:
        return q

    assert client(app).get("/").json() == "a"
    assert "worker thread" in names[0]


def test_a_parameter_of_a_type_that_nobody_knows_is_left_at_its_default(make_app, client):
    app = make_app()

    def dependency(payload: "Unknown" = None):  # noqa: F821
        return payload

    @app.get("/")
    def endpoint(payload: Annotated[object, Depends(dependency)], other: "Unknown" = None):  # noqa: F821
        return [payload, other]

    answer = client(app).get("/")
    assert (answer.status_code, answer.json()) == (200, [None, None])


def test_what_is_between_momentary_calls_keeps_its_order(make_app, client):
    app = make_app()
    order = []

    def blocking(n: int = 0):
        order.append("blocking")
        return n

    async def asynchronous(pages: Annotated[dict, Depends(pages)]):
        order.append("asynchronous")
        return pages

    @app.get("/")
    def endpoint(
        first: Annotated[dict, Depends(pages)],
        second: Annotated[int, Depends(blocking)],
        third: Annotated[dict, Depends(pages, use_cache=False)],
        fourth: Annotated[dict, Depends(asynchronous)],
    ):
        order.append("endpoint")
        return [first, second, third, fourth]

    page = {"skip": 0, "limit": 1}
    assert client(app).get("/?n=2&limit=1").json() == [page, 2, page, page]
    assert order == ["blocking", "asynchronous", "endpoint"]
