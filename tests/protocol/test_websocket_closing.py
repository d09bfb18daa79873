"""How WebSockets end (RFC 6455 §7): closing codes, leaving, pings, pressure, a server that stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from typing import Any

import pytest
import websockets
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from tests.protocol.peer import WAIT_S, App, connected, until
from tests.protocol.sockets import client, closed_with, echo_with, frame, opened, read_frame, served, sink_of

pytestmark = pytest.mark.anyio
Records = list[logging.LogRecord]


# -- closing -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code", "reason", "answer"),
    [
        (b"", 1005, "", b""),
        (b"\x03\xe8", 1000, "", b"\x03\xe8"),
        (b"\x03\xe9going", 1001, "going", b"\x03\xe9"),
        (b"\x0b\xb8", 3000, "", b"\x0b\xb8"),
        (b"\x13\x87" + "ü".encode() * 61, 4999, "ü" * 61, b"\x13\x87"),
    ],
)
async def test_the_clients_close_is_answered_and_delivered(
    payload: bytes, code: int, reason: str, answer: bytes, errors: Records
) -> None:
    seen: list[Any] = []
    async with served(sink_of(seen)) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(1, b"last") + frame(8, payload))
        assert await read_frame(peer) == (0x88, answer)
        await peer.ended()
        await until(lambda: seen[-1]["type"] == "websocket.disconnect")
    assert seen == [{"type": "websocket.receive", "text": "last"}, {"type": "websocket.disconnect", "code": code, "reason": reason}]
    assert errors == []


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(frame(8, b"\x03\xe8"), id="another close"),
        pytest.param(frame(1, b"x"), id="text"),
        pytest.param(frame(3, b"x"), id="reserved opcode"),
        pytest.param(b"nonsense", id="nonsense"),
    ],
)
async def test_what_stands_behind_a_close_means_nothing(behind: bytes, errors: Records) -> None:
    seen: list[Any] = []
    async with served(sink_of(seen)) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(8, b"\x0b\xb8bye") + behind)
        assert await closed_with(peer) == 3000
        await until(lambda: bool(seen))
    assert seen == [{"type": "websocket.disconnect", "code": 3000, "reason": "bye"}]
    assert errors == []


async def test_a_client_that_just_leaves_is_1006_and_logs_nothing(errors: Records) -> None:
    seen: list[Any] = []
    async with served(echo_with(seen)) as server:
        for leave in ("reset", "close"):
            async with connected(server) as peer:
                await opened(peer)
                if leave == "reset":
                    peer.reset()
                await peer.close()
            await until(lambda: len(seen) == 1)
            assert seen.pop() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        await until(lambda: not server.connections)
    assert errors == []


async def test_writing_to_a_client_that_is_gone_raises_oserror_and_logs_nothing(errors: Records) -> None:
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.001)
        except OSError as error:
            ended.append(error)
            await send({"type": "websocket.close"})
            raise

    async with served(app) as server, connected(server) as peer:
        await opened(peer)
        peer.reset()
        await until(lambda: bool(ended))
    assert errors == []


async def test_an_echo_loop_in_starlettes_manner_logs_nothing_when_the_client_leaves(errors: Records) -> None:
    ended: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect as error:
            ended.append(error)
            raise

    async with served(app) as server:
        async with client(server) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        await until(lambda: bool(ended))
    assert errors == []


@pytest.mark.parametrize("reason", ["because", "é" * 200, ""])
async def test_the_applications_close_is_sent_with_a_reason_that_fits(reason: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4002, "reason": reason})

    async with served(app) as server, client(server) as socket:
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4002
        assert closed.value.rcvd.reason == reason.encode()[:122].decode()


def closes_with(code: int) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": code})

    return app


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 70_000, -1])
async def test_a_close_code_that_no_frame_may_carry_is_the_applications_error(code: int, errors: Records) -> None:
    async with served(closes_with(code)) as server, connected(server) as peer:
        await opened(peer)
        assert (await read_frame(peer))[1][:2] == struct.pack("!H", 1011)
    said = f"a WebSocket cannot be closed with code {code} (RFC 6455 §7.4)"
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == [said]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 1014, 3000, 4999, 1005])
async def test_any_other_close_code_is_sent(code: int, errors: Records) -> None:
    """1005 stands for no code at all, which is what a program that passes on another client's end may have."""
    async with served(closes_with(code)) as server, connected(server) as peer:
        await opened(peer)
        assert (await read_frame(peer))[1] == (b"" if code == 1005 else struct.pack("!H", code))
    assert errors == []


async def test_an_error_after_accepting_closes_with_1011_and_logs_once(errors: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError("nothing here")

    async with served(app) as server, connected(server) as peer:
        await opened(peer)
        assert (await read_frame(peer))[1][:2] == struct.pack("!H", 1011)
        await peer.send(frame(8, struct.pack("!H", 1011)))
        await peer.ended()
    assert [record.getMessage() for record in errors] == ["Exception in the application for WebSocket /chat"]


async def test_returning_after_accepting_closes_with_1000(errors: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async with served(app) as server, client(server) as socket:
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.recv()
    assert errors == []


async def test_a_closing_handshake_that_is_not_completed_is_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    async with served(app, ws_close_timeout_s=0.1) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(1, b"messages are dropped") * 3)
        assert await closed_with(peer) == 1000
        await until(lambda: not server.connections)


# -- time, pressure, the end of the server -------------------------------------------------------------------------------------


async def test_a_peer_that_answers_pings_is_kept_and_one_that_does_not_is_dropped() -> None:
    seen: list[Any] = []
    session: Any
    async with served(echo_with([]), ws_ping_interval_s=0.05, ws_pong_timeout_s=1000) as server, connected(server) as peer:
        await opened(peer)
        (session,) = server.connections
        for _ in range(3):
            assert await read_frame(peer) == (0x89, b"")
            await peer.send(frame(10, b""))
            await until(lambda: not session._awaits_pong)
            session.tick(session.deadline + 1000)
        await peer.send(frame(1, b"still here"))
        while (found := await read_frame(peer)) == (0x89, b""):
            pass
        assert found == (0x81, b"still here")
    async with served(echo_with(seen), ws_ping_interval_s=0.05, ws_pong_timeout_s=0.1) as server, connected(server) as peer:
        await opened(peer)
        assert await read_frame(peer) == (0x89, b"")
        assert await closed_with(peer) == 1011
        await until(lambda: bool(seen))
    assert (seen[-1]["type"], seen[-1]["code"]) == ("websocket.disconnect", 1006)


async def test_a_long_message_that_is_still_arriving_is_a_sign_of_life() -> None:
    session: Any
    async with served(echo_with([]), ws_ping_interval_s=0.05, ws_pong_timeout_s=1000) as server, connected(server) as peer:
        await opened(peer)
        (session,) = server.connections
        await until(lambda: session._awaits_pong)
        for byte in frame(2, b"x" * 40):
            await peer.send(bytes([byte]))
            await until(lambda: session._progress() != session._seen_progress)
            session.tick(session.deadline)  # as if the time for a pong were over
        while (found := await read_frame(peer))[0] != 0x82:
            assert found[0] == 0x89
        assert found[1] == b"x" * 40


async def test_no_pings_are_sent_when_they_are_switched_off() -> None:
    async with served(echo_with([]), ws_ping_interval_s=None, ws_pong_timeout_s=0.05) as server, connected(server) as peer:
        await opened(peer)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.reader.read(1), 0.2)


async def test_an_application_that_does_not_receive_holds_the_client_back() -> None:
    release = asyncio.Event()
    total = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal total
        await receive()
        await send({"type": "websocket.accept"})
        await release.wait()
        while (message := await receive())["type"] == "websocket.receive":
            total += len(message["bytes"])

    async with served(app, ws_queue_bytes=100_000) as server, connected(server) as peer:
        await opened(peer)
        data = frame(2, b"x" * 10_000)
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await peer.send(data)
                sent += 10_000

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await flood()
        assert sent < 40_000_000
        release.set()
        await peer.send(frame(8, b""))
        await until(lambda: total >= sent)


async def test_a_client_that_does_not_read_holds_the_application_back_and_is_dropped_in_the_end(errors: Records) -> None:
    sent = 0
    ended: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 10_000})
                sent += 10_000
        except OSError as error:
            ended.append(error)

    async with served(app, write_timeout_s=0.2) as server, connected(server, limit=1000) as peer:
        await opened(peer)
        await until(lambda: bool(ended))
        await until(lambda: not server.connections)
    assert 0 < sent < 50_000_000
    assert errors == []


async def test_a_flood_of_pings_from_a_client_that_does_not_read_costs_no_memory() -> None:
    handles: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handles.append(scope["extensions"]["tercel"])
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with served(app, write_timeout_s=0.5) as server, connected(server, limit=1000) as peer:
        await opened(peer)
        data = frame(9, b"x" * 125) * 1000
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                await peer.send(data)
                assert handles[0].bytes_buffered < 1_000_000


async def test_sockets_are_closed_with_1012_when_the_server_stops() -> None:
    seen: list[Any] = []
    async with served(echo_with(seen)) as server, client(server) as socket:
        stopping = asyncio.ensure_future(server.stop())
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await stopping
    assert seen[-1] == {"type": "websocket.disconnect", "code": 1012, "reason": "service restart"}


async def test_a_socket_that_asked_to_be_told_says_goodbye_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        draining = asyncio.Event()
        scope["extensions"]["tercel"].on_drain(draining.set)
        await send({"type": "websocket.accept"})
        await draining.wait()
        await send({"type": "websocket.send", "text": "goodbye"})
        await send({"type": "websocket.close", "code": 1001})

    async with served(app) as server, client(server) as socket:
        stopping = asyncio.ensure_future(server.stop())
        assert await socket.recv() == "goodbye"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        await stopping


async def test_two_hundred_sockets_are_told_and_gone_long_before_the_grace_period_ends(errors: Records) -> None:
    async with served(echo_with([]), graceful_timeout_s=1000) as server:
        sockets: list[ClientConnection] = await asyncio.gather(*(client(server).__aenter__() for _ in range(200)))
        async with asyncio.timeout(WAIT_S):
            await server.stop()
        for socket in sockets:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert errors == []
