"""ASGI as its specification 3.0 (HTTP 2.4) has it: scope, receive, send, lifespan with state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tercel.http.exchange import Exchange, Head
from tercel.server import ServerConfig, serving
from tercel.server.lifespan import LifespanFailed
from tests.protocol.peer import (
    TEXT,
    WAIT_S,
    App,
    DirectApp,
    Handler,
    config,
    connected,
    direct_app,
    exchange_with,
    run_lifespan,
    until,
)

pytestmark = pytest.mark.anyio
Records = list[logging.LogRecord]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def http_only(app: Callable[[Any, Any, Any], Awaitable[None]]) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


async def answer(send: Send, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("kind", ["asgi", "direct"])
async def test_the_scope_has_every_standard_key(kind: str) -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await answer(send)

    async def handler(ex: Exchange) -> None:
        assert ex.scope is ex.scope
        scopes.append(dict(ex.scope))
        await ex.respond(TEXT, b"ok")

    made = http_only(app) if kind == "asgi" else direct_app(handler)
    async with serving(made, config(root_path="/api")) as server, connected(server) as peer:
        await peer.send(
            b"POST /a%20b?c=d&c=e HTTP/1.1\r\nHost: test\r\nX-One: 1 \r\nx-ONE:2\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n"
        )
        await peer.response()
        port = peer.writer.get_extra_info("sockname")[1]
        scope = scopes[0]
        handle = scope.pop("extensions")["tercel"]
        assert handle.bytes_buffered == 0
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", server.port),
            "client": ("127.0.0.1", port),
            "scheme": "http",
            "method": "POST",
            "root_path": "/api",
            "path": "/api/a b",
            "raw_path": b"/api/a%20b",
            "query_string": b"c=d&c=e",
            "headers": [
                (b"host", b"test"),
                (b"x-one", b"1"),
                (b"x-one", b"2"),
                (b"x-empty", b""),
                (b"content-length", b"0"),
            ],
            "state": {},
        }


async def test_receive_delivers_the_body_then_waits_for_the_disconnect() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            seen.append(message)
            if not message.get("more_body"):
                break
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.02)
        await answer(send)
        seen.append(await receive())

    async with exchange_with(http_only(app)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc")
        await until(lambda: len(seen) == 1)
        await peer.send(b"def")
        assert (await peer.response()).body == b"ok"
        assert (await peer.get()).body == b"ok"
    assert seen[:3] == [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.request", "body": b"def", "more_body": False},
        {"type": "http.disconnect"},
    ]
    assert seen[3:] == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


async def test_a_body_read_whole_is_delivered_once_more_to_a_late_receiver() -> None:
    async def handler(ex: Exchange) -> None:
        whole = await ex.body()
        assert ex.known_body == whole
        message = await ex.receive()
        assert message == {"type": "http.request", "body": whole, "more_body": False}
        await ex.respond(TEXT, whole)

    async with exchange_with(direct_app(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        assert (await peer.response()).body == b"abc"


async def test_an_answer_before_the_body_is_read_ends_receive() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await answer(send)
        seen.append(await receive())

    async with exchange_with(http_only(app)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc")
        assert (await peer.response()).body == b"ok"
        await peer.send(b"def")
        assert (await peer.get()).body == b"ok"
    assert seen[0]["type"] in ("http.request", "http.disconnect")


async def test_messages_in_the_wrong_order_are_refused(errors: Records) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match=r"before 'http\.response\.start'"):
            await send({"type": "http.response.body", "body": b"x"})
        with pytest.raises(RuntimeError, match="does not fit an HTTP connection"):
            await send({"type": "websocket.accept"})
        await send({"type": "http.response.start", "status": 200})
        with pytest.raises(RuntimeError, match="was sent twice"):
            await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": memoryview(b"o"), "more_body": True})
        await send({"type": "http.response.body", "body": bytearray(b"k")})
        with pytest.raises(RuntimeError, match="was sent twice"):
            await send({"type": "http.response.start", "status": 200})
        with pytest.raises(RuntimeError, match="complete already"):
            await send({"type": "http.response.body", "body": b"x"})

    async with exchange_with(http_only(app)) as peer:
        assert (await peer.get()).body == b"ok"
    assert errors == []


async def test_a_whole_response_gets_a_length_and_a_streamed_one_is_chunked() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [[b"X-Case", b"kept"]]})
        await send({"type": "http.response.body", "body": b"one", "more_body": scope["path"] == "/stream"})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body"})

    async with exchange_with(http_only(app)) as peer:
        response = await peer.get()
        assert (response["content-length"], response["x-case"]) == ("3", "kept")
        assert (await peer.get("/stream"))["transfer-encoding"] == "chunked"


# -- lifespan ------------------------------------------------------------------------------------------------------------------


async def test_the_state_of_the_lifespan_is_copied_into_each_request() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["pool"] = pool
            await run_lifespan(receive, send)
        else:
            assert scope["state"] == {"pool": pool}
            assert scope["state"]["pool"] is pool
            scope["state"]["mine"] = 1
            await answer(send)

    pool: list[str] = []
    async with serving(app, config()) as server, connected(server) as peer:
        assert (await peer.get()).status == 200
        assert (await peer.get()).status == 200
        assert server.state == {"pool": pool}


async def test_requests_are_served_between_startup_and_shutdown_only() -> None:
    events: list[str] = []
    begun = asyncio.Event()

    class App(DirectApp):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert (await receive())["type"] == "lifespan.startup"
            await asyncio.sleep(0)
            events.append("up")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            events.append("down")
            await send({"type": "lifespan.shutdown.complete"})

    async def handler(ex: Exchange) -> None:
        stopping = asyncio.Event()
        ex.scope["extensions"]["tercel"].on_drain(stopping.set)
        begun.set()
        await stopping.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # the connection is told some turns of the loop later
        events.append("request")
        await ex.respond(TEXT, b"")

    async with serving(App(handler), config(linger_timeout_s=0.1)) as server, connected(server) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await begun.wait()
        stopping = asyncio.ensure_future(server.stop())
        response = await peer.response()
        assert response["connection"] == "close"
        await peer.ended()
        await stopping
    assert events == ["up", "request", "down"]


async def test_an_answer_in_the_very_moment_in_which_it_stops_says_that_it_is_the_last() -> None:
    begun = asyncio.Semaphore(0)

    async def handler(ex: Exchange) -> None:
        stopping = asyncio.Event()
        ex.scope["extensions"]["tercel"].on_drain(stopping.set)
        begun.release()
        await stopping.wait()
        await ex.respond(TEXT, b"")

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(DirectApp(handler), config()))
        peers = [
            await stack.enter_async_context(connected(server)) for _ in range(150)
        ]  # more than are told in one turn of the loop
        for peer in peers:
            await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await begun.acquire()
        stopping = asyncio.ensure_future(server.stop())
        for peer in peers:
            assert (await peer.response())["connection"] == "close"
            await peer.close()
        await stopping


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
async def test_an_application_without_lifespan_is_served_unless_it_is_demanded(mode: Any, errors: Records) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "I know no other"
        await answer(send)

    if mode == "on":
        with pytest.raises(LifespanFailed, match="does not support the lifespan protocol"):
            async with serving(app, config(lifespan=mode)):
                pass
        return
    async with exchange_with(app, lifespan=mode) as peer:
        assert (await peer.get()).status == 200
    assert errors == []


async def test_a_startup_that_fails_is_reported_and_nothing_is_served(errors: Records) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise LookupError("raised afterwards, as Starlette does")

    with pytest.raises(LifespanFailed, match="startup failed"):
        async with serving(app, config()):
            pass
    assert [record.getMessage() for record in errors] == ["no database"]


@pytest.mark.parametrize("how", ["failed", "raises"])
async def test_a_shutdown_that_fails_is_reported(how: str, errors: Records) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if how == "failed":
            await send({"type": "lifespan.shutdown.failed", "message": "no database"})
        raise LookupError("no database")

    async with serving(app, config()):
        pass
    assert any("no database" in record.getMessage() or record.exc_info for record in errors)


async def test_a_shutdown_that_hangs_is_cut_off(errors: Records) -> None:
    cancelled: list[bool] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with serving(app, config(lifespan_shutdown_timeout_s=0.05)):
        pass
    assert cancelled == [True]
    assert len(errors) == 1


async def test_a_lifespan_that_ends_early_is_no_reason_to_stop(errors: Records) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
        else:
            await answer(send)

    async with exchange_with(app) as peer:
        assert (await peer.get()).body == b"ok"
    assert errors == []


# -- the end of a server -------------------------------------------------------------------------------------------------------


async def test_an_idle_connection_does_not_hold_the_server_up() -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(TEXT, b"")

    async with serving(direct_app(handler), config(graceful_timeout_s=1000)) as server, connected(server) as peer:
        await peer.get()
        async with asyncio.timeout(WAIT_S):
            await server.stop()
        await peer.ended()


async def test_whoever_asked_is_told_when_the_server_stops_and_may_end_in_peace() -> None:
    begun = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        draining = asyncio.Event()
        handle = ex.scope["extensions"]["tercel"]
        forget = handle.on_drain(draining.set)
        await ex.start(TEXT)
        await ex.write(b"event ")
        begun.set()
        await draining.wait()
        assert handle.draining
        await ex.write(b"last event")
        await ex.finish()
        forget()

    async with serving(direct_app(handler), config(linger_timeout_s=0.1)) as server, connected(server) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        reading = asyncio.ensure_future(peer.response())
        await begun.wait()
        await server.stop()
        assert (await reading).body == b"event last event"
        await peer.ended()


EVENTS = Head(200, [(b"content-type", b"text/event-stream; charset=utf-8")])


@pytest.mark.parametrize("how", ["waits", "writes", "asks"])
async def test_an_event_stream_ends_cleanly_when_the_server_stops(
    app_of: Callable[[Handler], App], how: str, errors: Records
) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        try:
            await ex.start(EVENTS)
            await ex.write(b"data: one\n\n")
            begun.set()
            if how == "waits":
                await asyncio.sleep(1000)
            while not (how == "asks" and ex.disconnected):
                await asyncio.sleep(0.01)
                await ex.write(b": still here\n\n")
        finally:
            ended.append("finally")

    async with serving(app_of(handler), config(graceful_timeout_s=100, linger_timeout_s=0.1)) as server, connected(server) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await begun.wait()
        async with asyncio.timeout(WAIT_S):
            await server.stop()
        response = await peer.response()
        assert response.body.startswith(b"data: one\n\n")
        await peer.ended()
    assert ended == ["finally"]
    assert not errors


async def test_an_event_stream_that_begins_while_the_server_stops_ends_as_well() -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        begun.set()
        await go_on.wait()
        await ex.start(EVENTS)
        await ex.write(b"data: one\n\n")
        await asyncio.sleep(1000)

    async with (
        serving(direct_app(handler), config(graceful_timeout_s=100, linger_timeout_s=0.1)) as server,
        connected(server) as peer,
    ):
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await begun.wait()
        stopping = asyncio.ensure_future(server.stop())
        await until(lambda: server.draining.begun)
        go_on.set()
        assert (await peer.response()).body == b"data: one\n\n"
        async with asyncio.timeout(WAIT_S):
            await stopping


async def test_what_does_not_end_is_cancelled_after_the_grace_period(errors: Records) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("finally")

    async with serving(direct_app(handler), config(graceful_timeout_s=0.05)) as server, connected(server) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await begun.wait()
        await server.stop()
        assert ended == ["finally"]
        assert await peer.rest() == b""
    assert [record.levelname for record in errors] == ["WARNING"]


async def test_the_access_log_has_one_line_for_each_response(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.body()
        await ex.respond(TEXT, b"hello")

    with caplog.at_level(logging.INFO, "tercel.access"):
        async with serving(direct_app(handler), ServerConfig(port=0)) as server:
            async with connected(server) as peer:
                await peer.get("/a%0D%0Ab?c=d")
                await peer.send(b"nonsense\r\n\r\n")
                await peer.rest()
            async with connected(server) as peer:
                await peer.send(b"PUT /half?e=f HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf")
                peer.end_sending()
                await peer.rest()
    lines = [record.getMessage() for record in caplog.records if record.name == "tercel.access"]
    assert len(lines) == 3
    assert '"GET /a%0D%0Ab?c=d HTTP/1.1" 200 5 ' in lines[0]
    assert lines[0].startswith("127.0.0.1:")
    assert '" 400 ' in lines[1]
    assert '"PUT /half?e=f HTTP/1.1" 400 ' in lines[2]
