"""What applications do wrong, and clients that leave: one response or a visible end, one line in the log, no corrupt stream."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from tercel.http.exchange import Exchange, Head
from tercel.server import serving
from tercel.server.handle import ConnectionHandle
from tercel.server.handling import EAGER
from tests.protocol.peer import TEXT, App, DirectApp, Handler, config, connected, direct_app, exchange_with, until

pytestmark = pytest.mark.anyio
AppOf = Callable[[Handler], App]
Records = list[logging.LogRecord]


async def test_an_exception_is_logged_and_answered_with_500(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        if ex.path == "/fail":
            await asyncio.sleep(0)
        raise LookupError("nothing here")

    async with exchange_with(app_of(handler)) as peer:
        for path in ("/fail", "/fail-at-once"):
            response = await peer.get(path)
            assert (response.status, response.body) == (500, b"Internal Server Error")
            assert response["content-type"] == "text/plain; charset=utf-8"
    assert [record.getMessage() for record in errors] == [
        "Exception in the application for GET /fail",
        "Exception in the application for GET /fail-at-once",
    ]
    assert all(record.exc_info is not None and isinstance(record.exc_info[1], LookupError) for record in errors)


@pytest.mark.skipif(not EAGER, reason="no task starts in place: SystemExit leaves the loop")
async def test_an_application_that_exits_before_it_waits_for_anything_is_answered_for(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        if ex.path == "/started":
            await ex.start(TEXT)
            await ex.write(b"one")
        sys.exit(5)

    # asyncio says so too, since the task is lost before anybody can ask for its exception.
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    async with exchange_with(app_of(handler)) as peer:
        for _ in range(2):
            response = await peer.get("/exits")
            assert (response.status, response.body) == (500, b"Internal Server Error")
        await peer.send(b"GET /started HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.rest()).endswith(b"\r\n\r\n3\r\none\r\n")
    assert [record.getMessage() for record in errors] == [
        *["Exception in the application for GET /exits"] * 2,
        "Exception in the application for GET /started",
    ]
    assert {context["message"] for context in lost} == {"Task exception was never retrieved"}


async def test_an_application_that_cancels_itself_is_answered_for(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        if ex.path == "/later":
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    async with exchange_with(app_of(handler)) as peer:
        assert (await peer.get("/")).status == 500
        assert (await peer.get("/later")).status == 500
    assert len(errors) == 2


async def test_an_application_that_does_not_answer_is_answered_for(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        pass

    async with exchange_with(app_of(handler)) as peer:
        assert (await peer.get("/x")).status == 500
        assert (await peer.get("/y")).status == 500
    assert [record.getMessage() for record in errors] == [
        "The application ended without a response to GET /x",
        "The application ended without a response to GET /y",
    ]


async def test_an_exception_after_the_start_sends_what_was_written_and_closes(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await ex.write(b"one")
        await ex.write(b"two")
        raise LookupError("no three")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert body == b"6\r\nonetwo\r\n"
    assert [record.getMessage() for record in errors] == ["Exception in the application for GET /"]


async def test_a_stream_that_is_not_finished_ends_visibly(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await ex.write(b"one")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.rest()).endswith(b"\r\n\r\n3\r\none\r\n")
    assert [record.getMessage() for record in errors] == ["The application ended without completing its response to GET /"]


async def test_a_broken_stream_to_http_1_0_is_reset(app_of: AppOf, errors: Records) -> None:
    release = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await ex.write(b"one")
        await release.wait()
        raise LookupError

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        await peer.head_of_response()
        assert await peer.reader.readexactly(3) == b"one"
        release.set()
        # A close would look like the end of the body.
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(peer.reader.read(), 5)
    assert len(errors) == 1


async def test_a_whole_response_that_contradicts_its_length_is_not_sent(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(200, [(b"content-length", ex.query_string)]), b"hello")

    async with exchange_with(app_of(handler)) as peer:
        for length in ("4", "6"):
            assert (await peer.get(f"/?{length}")).status == 500
        assert (await peer.get("/?5")).body == b"hello"
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == [
        "the response body has 5 bytes, its content-length says 4",
        "the response body has 5 bytes, its content-length says 6",
    ]


async def test_a_stream_longer_than_its_length_is_cut_at_it(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(Head(200, [(b"content-length", b"5")]))
        await ex.write(b"hel")
        await ex.write(b"lo and more")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
        assert (await peer.rest()).endswith(b"\r\n\r\nhel")
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == [
        "the response body is longer than its content-length"
    ]


async def test_a_stream_shorter_than_its_length_closes_the_connection(app_of: AppOf, errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(Head(200, [(b"content-length", b"5")]))
        await ex.write(b"hel")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
        assert (await peer.rest()).endswith(b"\r\n\r\nhel")
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == [
        "the response body is 2 bytes shorter than its content-length"
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"x-evil", b"a\r\nset-cookie: b", "response header x-evil has a control character in its value"),
        (b"x-evil", b"a\nb", "response header x-evil has a control character in its value"),
        (b"x-evil", b"a\0b", "response header x-evil has a control character in its value"),
        (b"x-evil\r\nset-cookie", b"b", "response header name b'x-evil\\r\\nset-cookie' has characters"),
        (b"x evil", b"b", "response header name b'x evil' has characters"),
        (b"", b"b", "response header name b'' has characters"),
        (b"content-length", b"5, 5", "response header content-length must be a number"),
        (b"content-length", b"-1", "response header content-length must be a number"),
        ("x-text", b"b", "response header name 'x-text' must be bytes"),
        (b"x-text", "b", "response header x-text has the value 'b', which must be bytes"),
    ],
)
@pytest.mark.parametrize("how", ["respond", "start"])
async def test_a_field_that_would_split_the_response_is_refused_by_name(
    app_of: AppOf, errors: Records, how: str, name: Any, value: Any, message: str
) -> None:
    async def handler(ex: Exchange) -> None:
        if how == "respond":
            await ex.respond(Head(200, [(name, value)]), b"hello")
        else:
            await ex.start(Head(200, [(name, value)]))
            await ex.write(b"hello")
            await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        for _ in range(2):
            response = await peer.get()
            assert response.status == 500
            assert "set-cookie" not in response
    assert all(record.exc_info is not None and str(record.exc_info[1]).startswith(message) for record in errors)
    assert len(errors) == 2


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 1000, "200", None, True])
async def test_a_status_that_is_none_is_refused(errors: Records, status: Any) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(status, []), b"hello")

    async with exchange_with(direct_app(handler)) as peer:
        assert (await peer.get()).status == 500
    assert "response status must be an integer from 200 to 999" in str(errors[0].exc_info and errors[0].exc_info[1])


async def test_a_status_without_a_phrase_is_sent(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(299, []), b"hello")

    async with exchange_with(app_of(handler)) as peer:
        response = await peer.get()
        assert (response.status, response.reason, response.body) == (299, "", b"hello")


async def test_a_second_response_is_refused_and_the_first_stands(errors: Records) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(TEXT, b"first")
        await ex.respond(TEXT, b"second")

    async with exchange_with(direct_app(handler)) as peer:
        assert (await peer.get()).body == b"first"
        assert (await peer.get()).body == b"first"
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == ["the response was started already"] * 2


async def test_what_runs_on_after_the_response_does_not_hold_the_connection(app_of: AppOf) -> None:
    release = asyncio.Event()
    ended: list[str] = []

    async def handler(ex: Exchange) -> None:
        await ex.respond(TEXT, ex.path.encode())
        if ex.path == "/background":
            await release.wait()
        ended.append(ex.path)

    async with exchange_with(app_of(handler)) as peer:
        assert (await peer.get("/background")).body == b"/background"
        assert (await peer.get("/other")).body == b"/other"
        assert ended == ["/other"]
        release.set()
        await until(lambda: len(ended) == 2)


async def test_a_task_after_the_response_ends_before_the_server_does(app_of: AppOf) -> None:
    ended: list[str] = []

    async def handler(ex: Exchange) -> None:
        stopping = asyncio.Event()
        ex.scope["extensions"]["tercel"].on_drain(stopping.set)
        await ex.respond(TEXT, b"")
        await stopping.wait()
        ended.append("task")

    async with exchange_with(app_of(handler)) as peer:
        await peer.get()
    assert ended == ["task"]


# -- clients that leave --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset", "end_sending"])
async def test_a_handler_learns_that_the_client_is_gone(how: str, errors: Records) -> None:
    seen: list[bool] = []
    waiting = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        assert not ex.disconnected
        await ex.receive()
        waiting.set()
        message = await ex.receive()
        seen.append(ex.disconnected and message["type"] == "http.disconnect")

    async with exchange_with(direct_app(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await waiting.wait()
        if how == "close":
            await peer.close()
        elif how == "reset":
            peer.reset()
        else:
            peer.end_sending()
        await until(lambda: bool(seen))
    assert seen == [True]
    assert errors == []


async def test_writing_to_a_client_that_is_gone_raises_oserror_and_logs_nothing(app_of: AppOf, errors: Records) -> None:
    raised: list[BaseException] = []
    started = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        started.set()
        try:
            while True:
                await ex.write(b"x" * 1000)
                await asyncio.sleep(0)
        except BaseException as error:
            raised.append(error)
            raise

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await started.wait()
        peer.reset()
        await until(lambda: bool(raised))
    assert isinstance(raised[0], OSError)
    assert errors == []


async def test_an_upload_that_is_broken_off_raises_client_disconnect_and_logs_nothing(app_of: AppOf, errors: Records) -> None:
    raised: list[BaseException] = []
    started = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        started.set()
        try:
            await ex.body()
        except BaseException as error:
            raised.append(error)
            raise

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        await started.wait()
        peer.reset()
        await until(lambda: bool(raised))
    assert isinstance(raised[0], ClientDisconnect)
    assert errors == []


@pytest.mark.parametrize("framing", ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"])
async def test_a_client_that_closes_its_side_within_a_body_is_answered_with_400(
    app_of: AppOf, errors: Records, framing: str
) -> None:
    """It may still read; that its request is incomplete is its fault (RFC 9112 §8), whatever the application makes of that."""
    raised = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        try:
            await ex.body()
        except ClientDisconnect:
            raised.set()
            await ex.respond(Head(500, []), b"")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(f"POST / HTTP/1.1\r\nHost: test\r\n{framing}".encode())
        peer.end_sending()
        answer = await peer.response()
        assert (answer.status, answer["connection"], answer.body) == (400, "close", b"the request body is incomplete\n")
        await peer.ended()
        await until(raised.is_set)
    assert errors == []


async def test_an_answer_that_was_begun_is_finished_for_a_client_that_closes_its_side_within_a_body(app_of: AppOf) -> None:
    half_closed = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await ex.write(b"begun ")
        await half_closed.wait()
        await ex.write(b"and done")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        head = await peer.head_of_response()
        peer.end_sending()
        half_closed.set()
        assert head["transfer-encoding"] == "chunked"
        assert await peer.rest() == b"6\r\nbegun \r\n8\r\nand done\r\n0\r\n\r\n"


async def test_a_handler_can_be_cancelled_when_the_client_leaves(errors: Records) -> None:
    outcome: list[BaseException | str] = []
    started = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        try:
            with ex.cancelled_on_disconnect():
                try:
                    started.set()
                    await asyncio.sleep(100)
                finally:
                    outcome.append("finally")
        except ClientDisconnect as error:
            outcome.append(error)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

    async with exchange_with(direct_app(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await started.wait()
        await peer.close()
        await until(lambda: len(outcome) == 2)
    assert outcome[0] == "finally"
    assert errors == []


async def test_a_handler_whose_client_stays_is_not_cancelled() -> None:
    async def handler(ex: Exchange) -> None:
        with ex.cancelled_on_disconnect():
            await asyncio.sleep(0)
        await ex.respond(TEXT, b"done")

    async with exchange_with(direct_app(handler)) as peer:
        assert (await peer.get()).body == b"done"
        assert (await peer.get()).body == b"done"


async def test_the_handle_tells_and_controls_the_connection() -> None:
    handles: list[ConnectionHandle] = []
    raised: list[OSError] = []

    async def handler(ex: Exchange) -> None:
        handles.append(ex.scope["extensions"]["tercel"])
        await ex.start(TEXT)
        try:
            while True:
                await ex.write(b"x" * 1_000_000)
        except OSError as error:
            raised.append(error)

    async with serving(direct_app(handler), config()) as server, connected(server, limit=1000) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await until(lambda: bool(handles) and handles[0].bytes_buffered > 0)
        assert not handles[0].draining
        handles[0].abort()
        await until(lambda: bool(raised) and not server.connections)
        assert handles[0].bytes_buffered == 0


# -- nothing is left behind ----------------------------------------------------------------------------------------------------


async def test_nothing_grows_with_requests_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps log records, and with them whatever their tracebacks refer to.
    monkeypatch.setattr(logging.getLogger("tercel.error"), "disabled", True)

    async def handler(ex: Exchange) -> None:
        if ex.path == "/fail":
            raise LookupError
        if ex.path == "/stream":
            await ex.start(TEXT)
            await ex.write(b"x" * 100)
            await asyncio.sleep(0)
            await ex.finish()
        else:
            await ex.respond(TEXT, await ex.body())

    async def echo_socket(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async with serving(DirectApp(handler, echo_socket), config()) as server:
        requests = (
            b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            b"GET /fail HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            b"GET /stream HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nbroken off",
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbroken",
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )

        async def round_of_all() -> None:
            for request in requests:
                async with connected(server) as peer:
                    await peer.send(request)
                    if b"broken" in request:
                        await asyncio.sleep(0)
                        peer.reset()
                    else:
                        assert await peer.rest()
            await until(lambda: not server.connections and not server._tasks)

        def objects() -> Counter[str]:
            gc.collect()
            kinds = (f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.get_objects())
            return Counter(kind for kind in kinds if kind.startswith(("tercel.", "_asyncio.", "uvloop.", "picows.")))

        for _ in range(3):
            await round_of_all()
        before = objects()
        for _ in range(10):
            await round_of_all()
        assert objects() - before == Counter()
