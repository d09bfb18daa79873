"""What exceptions become: which handler is found, what is answered, what is raised on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from tercel import HTTPException as OwnHTTPException
from tercel.http.exchange import BodyTooLarge, Head
from tercel.http.handlers import http_exception_handler
from tercel.serve.failures import Handlers, answer_exception, answer_server_error, find_in_scope, handle_by
from tests.unit.compile.exchanges import asgi_exchange

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Base(Exception):
    pass


class Derived(Base):
    pass


async def one(request: Any, exc: Any) -> Response:
    return PlainTextResponse(f"one {type(exc).__name__}", 400)


async def two(request: Any, exc: Any) -> Response:
    return PlainTextResponse(f"two {type(exc).__name__}", 402)


# -- finding ---------------------------------------------------------------------------------------------------------------------


def test_the_handler_of_a_status_comes_before_that_of_the_class() -> None:
    handlers = Handlers({418: one, HTTPException: two}, False)
    assert handlers.find(HTTPException(418)) is one
    assert handlers.find(HTTPException(404)) is two
    assert handlers.find(OwnHTTPException(404)) is two  # the nearest class


def test_the_handler_of_the_nearest_class_is_found() -> None:
    handlers = Handlers({Base: one, Derived: two}, False)
    assert [handlers.find(error) for error in (Base(), Derived(), KeyError())] == [one, two, None]
    assert Handlers({Base: one}, False).find(Derived()) is one


@pytest.mark.parametrize("key", [500, Exception])
def test_the_handler_of_server_errors_is_no_ordinary_one(key: Any) -> None:
    handlers = Handlers({key: one}, False)
    assert handlers.server_error is one
    assert handlers.find(Base()) is None
    assert handlers.find(HTTPException(500)) is None


def test_handlers_are_found_where_starlettes_middleware_puts_them() -> None:
    find = find_in_scope({"starlette.exception_handlers": ({Base: one, HTTPException: None}, {418: two})})
    assert [find(Derived()), find(HTTPException(418)), find(HTTPException(404)), find(KeyError())] == [one, two, None, None]
    assert find_in_scope({})(Base()) is None


# -- handling --------------------------------------------------------------------------------------------------------------------


async def handled(handler: Any, exc: Exception, started: bool = False) -> Any:
    ex, server = asgi_exchange()
    ex.started = started
    await handle_by(lambda error: handler, ex, exc)
    return server


async def test_what_the_handler_returns_is_sent() -> None:
    server = await handled(one, Base())
    assert (server.status, server.body) == (400, b"one Base")


async def test_a_synchronous_handler_runs_in_a_worker_thread() -> None:
    threads = []

    def handler(request: Any, exc: Any) -> Response:
        threads.append(threading.get_ident())
        return PlainTextResponse("sync")

    assert (await handled(handler, Base())).body == b"sync"
    assert threads != [threading.get_ident()]


async def test_a_handler_that_returns_nothing_has_answered_itself_or_not_at_all() -> None:
    async def silent(request: Any, exc: Any) -> None: ...

    assert (await handled(silent, Base())).sent == []


async def test_without_a_handler_the_exception_is_raised() -> None:
    error = Base()
    with pytest.raises(Base) as caught:
        await handled(None, error)
    assert caught.value is error


async def test_a_handler_cannot_answer_what_was_answered_already() -> None:
    error = Base()
    with pytest.raises(RuntimeError, match="Caught handled exception, but response already started") as caught:
        await handled(one, error, started=True)
    assert caught.value.__cause__ is error


async def test_a_body_beyond_the_limit_is_a_413() -> None:
    server = await handled(http_exception_handler, BodyTooLarge(10))
    assert (server.status, server.body) == (413, b'{"detail":"Content Too Large"}')


async def test_an_instance_that_is_raised_again_and_again_does_not_collect_tracebacks() -> None:
    error = Base()
    for _ in range(2):
        try:
            raise error
        except Base:
            await handled(one, error)
        assert error.__traceback__ is None


# -- answering ---------------------------------------------------------------------------------------------------------------------


async def answered(declared: dict[Any, Any], exc: Exception, debug: bool = False) -> tuple[Any, BaseException | None]:
    """What was sent, and what was raised to the server."""
    ex, server = asgi_exchange(headers={"accept": "text/plain"})
    raised: BaseException | None = None
    try:
        await answer_exception(Handlers(declared, debug), ex, exc)
    except Exception as error:
        raised = error
    return server, raised


async def test_what_is_handled_is_not_raised() -> None:
    server, raised = await answered({Base: one}, Derived())
    assert (server.body, raised) == (b"one Derived", None)


async def test_what_a_handler_raises_is_handled_once_more() -> None:
    """As by the middleware around the router, after that around the route."""

    async def again(request: Any, exc: Any) -> Response:
        raise KeyError from exc

    server, raised = await answered({Base: again, KeyError: two}, Base())
    assert (server.body, raised) == (b"two KeyError", None)

    async def for_ever(request: Any, exc: Any) -> Response:
        raise Base

    first = Base()
    server, raised = await answered({Base: for_ever}, first)
    assert server.status == 500
    assert isinstance(raised, Base)
    assert raised is not first


async def test_what_no_handler_takes_is_answered_with_500_and_raised() -> None:
    error = Base()
    server, raised = await answered({}, error)
    assert (server.status, server.body, raised) == (500, b"Internal Server Error", error)


@pytest.mark.parametrize("key", [500, Exception])
async def test_the_handler_of_server_errors_answers_and_the_exception_is_raised_all_the_same(key: Any) -> None:
    error = Base()
    server, raised = await answered({key: two}, error)
    assert (server.status, server.body, raised) == (402, b"two Base", error)


async def test_in_debug_mode_the_client_sees_the_traceback() -> None:
    def failing() -> None:
        raise Base("details")

    try:
        failing()
    except Base as error:
        server, _ = await answered({500: two}, error, debug=True)
    assert server.status == 500
    assert b"in failing" in server.body
    assert b"details" in server.body


async def test_an_error_after_the_response_began_is_raised_and_nothing_more_is_sent() -> None:
    ex, server = asgi_exchange()
    await ex.start(Head(200, []))
    error = Base()
    with pytest.raises(Base) as caught:
        await answer_exception(Handlers({}, False), ex, error)
    assert caught.value is error
    await answer_server_error(Handlers({}, False), ex, error)
    assert len(server.sent) == 1


async def test_a_handler_too_late_is_a_server_error_with_its_cause() -> None:
    ex, server = asgi_exchange()
    await ex.start(Head(200, []))
    with pytest.raises(RuntimeError, match="response already started"):
        await answer_exception(Handlers({Base: one}, False), ex, Base())
    assert len(server.sent) == 1
