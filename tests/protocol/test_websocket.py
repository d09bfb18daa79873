"""WebSocket (RFC 6455): handshake and its refusals, messages and fragments, closing codes, pings, limits, draining."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import websockets
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from tercel.http.exchange import Exchange
from tercel.server import Server, serving
from tests.protocol.peer import TEXT, App, DirectApp, Peer, config, connected, until

pytestmark = pytest.mark.anyio
Records = list[logging.LogRecord]
Socket = Callable[[Any, Any, Any], Awaitable[None]]

KEY = base64.b64encode(b"0123456789abcdef").decode()


async def hello(ex: Exchange) -> None:
    await ex.respond(TEXT, b"hello")


@contextlib.asynccontextmanager
async def served(socket: Socket, **options: Any) -> AsyncIterator[Server]:
    async with serving(DirectApp(hello, socket), config(**options)) as server:
        yield server


def echo_with(seen: list[Any]) -> Socket:
    """Accepts, sends back what it gets, and keeps what ended it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive()) == {"type": "websocket.connect"}
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
            await send({**message, "type": "websocket.send"})
        seen.append(message)
        assert await receive() == message

    return app


def sink_of(seen: list[Any]) -> Socket:
    """Accepts, and keeps what it gets."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
        seen.append(message)

    return app


def websocket_url(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/chat?room=1"


def client(server: Server, **options: Any) -> Any:
    return connect(websocket_url(server), **{"compression": None, "ping_interval": None, **options})


def request(*, method: str = "GET", version: str = "HTTP/1.1", leave_out: str = "", **changes: str) -> bytes:
    fields = {
        "Host": "test",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = [f"{method} /chat {version}", *(f"{name}: {value}" for name, value in fields.items() if name != leave_out)]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    first = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = first + bytes([masked | len(payload)])
    elif len(payload) < 65_536:
        head = first + bytes([masked | 126]) + struct.pack("!H", len(payload))
    else:
        head = first + bytes([masked | 127]) + struct.pack("!Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


async def read_frame(peer: Peer) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        first, length = await peer.reader.readexactly(2)
        assert first & 0x70 == 0, "reserved bits"
        assert length & 0x80 == 0, "a server does not mask"
        if length == 126:
            (length,) = struct.unpack("!H", await peer.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await peer.reader.readexactly(8))
        return first, await peer.reader.readexactly(length)


async def opened(peer: Peer, **changes: str) -> None:
    await peer.send(request(**changes))
    assert (await peer.head_of_response()).status == 101


async def closed_with(peer: Peer) -> int:
    """The code of the CLOSE that comes next; asserts that the connection ends behind it."""
    first, payload = await read_frame(peer)
    assert first == 0x88
    assert len(payload) <= 125
    payload[2:].decode()
    await peer.ended()
    return int.from_bytes(payload[:2], "big") if payload else 1005


# -- the handshake -------------------------------------------------------------------------------------------------------------


async def test_the_handshake_is_answered_as_the_rfc_says() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-extra", b"1"), (b"connection", b"close")]})
        await send({"type": "websocket.close"})

    async with served(app, root_path="/api") as server, connected(server) as peer:
        await peer.send(request(Sec_WebSocket_Protocol="a, b", Origin="http://elsewhere"))
        response = await peer.head_of_response()
        assert (response.status, response.reason) == (101, "Switching Protocols")
        expected = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert response["sec-websocket-accept"] == expected
        assert response["upgrade"].lower() == "websocket"
        assert response["connection"].lower() == "upgrade"
        assert response["sec-websocket-protocol"] == "b"
        assert response["x-extra"] == "1"
        assert "date" in response
        assert "content-length" not in response
        assert "sec-websocket-extensions" not in response
        scope = scopes[0]
        assert scope["extensions"].pop("tercel").bytes_buffered >= 0
        port = peer.writer.get_extra_info("sockname")[1]
        headers = scope.pop("headers")
        assert (b"sec-websocket-key", KEY.encode()) in headers
        assert scope == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": ("127.0.0.1", server.port),
            "client": ("127.0.0.1", port),
            "root_path": "/api",
            "path": "/api/chat",
            "raw_path": b"/api/chat",
            "query_string": b"",
            "subprotocols": ["a", "b"],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,foo"])
async def test_the_connection_field_may_have_other_options(connection: str) -> None:
    async with served(echo_with([])) as server, connected(server) as peer:
        await opened(peer, Connection=connection, Upgrade="WebSocket")
        await peer.send(frame(1, b"hello"))
        assert await read_frame(peer) == (0x81, b"hello")


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (426, {"Sec_WebSocket_Version": "8"}),
        (426, {"leave_out": "Sec-WebSocket-Version"}),
        (400, {"Sec_WebSocket_Key": "short"}),
        (400, {"Sec_WebSocket_Key": base64.b64encode(b"0123456789").decode()}),
        (400, {"leave_out": "Sec-WebSocket-Key"}),
        (400, {"Content_Length": "5"}),
        (400, {"leave_out": "Host"}),
    ],
)
async def test_a_handshake_that_is_none_is_refused(status: int, changes: dict[str, str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application was called")

    async with served(app) as server, connected(server) as peer:
        await peer.send(request(**changes))
        response = await peer.response()
        assert (response.status, response["connection"]) == (status, "close")
        if status == 426:
            assert response["sec-websocket-version"] == "13"
        await peer.ended()


@pytest.mark.parametrize("changes", [{"method": "POST"}, {"version": "HTTP/1.0"}, {"Connection": "keep-alive"}, {"Upgrade": "h2c"}])
async def test_what_does_not_ask_for_a_websocket_is_an_ordinary_request(changes: dict[str, str]) -> None:
    async with served(echo_with([])) as server, connected(server) as peer:
        await peer.send(request(**changes))
        assert (await peer.response()).body == b"hello"


async def test_allowed_origins_are_compared_when_they_are_set() -> None:
    async with served(echo_with([]), ws_allowed_origins=("https://good.example",)) as server:
        for origin, status in (("https://good.example", 101), ("https://evil.example", 403), ("null", 403)):
            async with connected(server) as peer:
                await peer.send(request(Origin=origin))
                assert (await peer.head_of_response()).status == status
        async with connected(server) as peer:
            await opened(peer)


async def test_sockets_count_as_connections_of_their_address() -> None:
    options: dict[str, Any] = {"max_connections_per_address": 1, "forwarded_allow_ips": ()}
    async with served(echo_with([]), **options) as server:
        async with connected(server) as peer:
            await opened(peer)
            async with connected(server) as other:
                await other.ended()
        await until(lambda: not server.connections)
        async with connected(server) as peer:
            await opened(peer)


async def test_closing_before_accepting_is_403() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "no"})

    async with served(app) as server, connected(server) as peer:
        await peer.send(request())
        response = await peer.response()
        assert (response.status, response["connection"]) == (403, "close")
        await peer.ended()


@pytest.mark.parametrize("pieces", [1, 3])
async def test_the_application_may_deny_with_a_response_of_its_own(pieces: int, errors: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
        for number in range(pieces):
            await send({"type": "websocket.http.response.body", "body": b"no", "more_body": number < pieces - 1})
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.accept"})

    async with served(app) as server, connected(server) as peer:
        await peer.send(request())
        response = await peer.response()
        assert (response.status, response.body, response["connection"]) == (401, b"no" * pieces, "close")
        assert response["www-authenticate"] == "Bearer"
        await peer.ended()
    assert errors == []


@pytest.mark.parametrize("how", ["raises", "returns", "denies half"])
async def test_an_application_that_does_not_answer_the_handshake_is_answered_for(how: str, errors: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if how == "raises":
            raise LookupError
        if how == "denies half":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})

    async with served(app) as server, connected(server) as peer:
        await peer.send(request())
        if how == "denies half":
            assert (await peer.rest()).endswith(b"\r\n\r\n2\r\nno\r\n")
        else:
            assert (await peer.response()).status == 500
            await peer.ended()
    assert len(errors) == (0 if how == "denies half" else 1)


async def test_fields_of_the_handshake_that_would_split_it_are_refused(errors: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"x-evil", b"a\r\nb: c")]})

    async with served(app) as server, connected(server) as peer:
        await peer.send(request())
        assert (await peer.response()).status == 500
    assert len(errors) == 1


async def test_a_client_that_leaves_during_the_handshake_is_a_disconnect(errors: Records) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append(await receive())
        with pytest.raises(OSError, match="closed the connection"):
            await send({"type": "websocket.accept"})
        seen.append("end")

    async with served(app) as server, connected(server) as peer:
        await peer.send(request())
        await until(lambda: bool(server._tasks) or bool(seen))
        peer.reset()
        await until(lambda: len(seen) == 2)
    assert seen[0] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert errors == []


# -- messages ------------------------------------------------------------------------------------------------------------------


async def test_messages_go_both_ways_with_the_websockets_client() -> None:
    seen: list[Any] = []
    async with served(echo_with(seen)) as server, client(server) as socket:
        for message in (
            "text",
            "ünïcödé ☃",
            "",
            b"bytes",
            b"",
            "x" * 125,
            "x" * 126,
            b"y" * 65_535,
            b"y" * 65_536,
            "z" * 1_000_000,
        ):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.close(4001, "bye")
        await until(lambda: seen[-1]["type"] == "websocket.disconnect")
    assert seen[0] == {"type": "websocket.receive", "text": "text"}
    assert seen[3] == {"type": "websocket.receive", "bytes": b"bytes"}
    assert seen[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "bye"}


async def test_frames_behind_the_request_are_not_lost() -> None:
    async with served(echo_with([])) as server, connected(server) as peer:
        await peer.send(request() + frame(1, b"first") + frame(2, b"second" * 1000))
        assert (await peer.head_of_response()).status == 101
        assert await read_frame(peer) == (0x81, b"first")
        assert await read_frame(peer) == (0x82, b"second" * 1000)


async def test_frames_may_arrive_byte_by_byte() -> None:
    async with served(echo_with([])) as server, connected(server) as peer:
        await opened(peer)
        for byte in frame(1, b"hello" * 30) + frame(9, b"ping"):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert {await read_frame(peer), await read_frame(peer)} == {(0x81, b"hello" * 30), (0x8A, b"ping")}


async def test_fragments_are_joined_and_control_frames_may_come_between() -> None:
    async with served(echo_with([])) as server, connected(server) as peer:
        await opened(peer)
        snowman = "☃".encode()
        await peer.send(frame(1, b"a" + snowman[:1], fin=False) + frame(9, b"between") + frame(0, b"", fin=False))
        assert await read_frame(peer) == (0x8A, b"between")
        await peer.send(frame(0, snowman[1:]))
        assert await read_frame(peer) == (0x81, b"a" + snowman)
        await peer.send(frame(2, b"a", fin=False) + frame(0, b"\xff", fin=False) + frame(0, b"c"))
        assert await read_frame(peer) == (0x82, b"a\xffc")


@pytest.mark.parametrize(
    ("code", "data"),
    [
        pytest.param(1002, frame(1, b"x", mask=False), id="not masked"),
        pytest.param(1002, frame(1, b"x", rsv=4), id="RSV1"),
        pytest.param(1002, frame(1, b"x", rsv=2), id="RSV2"),
        pytest.param(1002, frame(9, b"x", rsv=1), id="RSV3 in a ping"),
        pytest.param(1002, frame(3, b"x"), id="reserved data opcode"),
        pytest.param(1002, frame(11, b"x"), id="reserved control opcode"),
        pytest.param(1002, frame(9, b"x", fin=False), id="fragmented ping"),
        pytest.param(1002, frame(9, b"x" * 126), id="long ping"),
        pytest.param(1002, frame(8, b"x" * 126), id="long close"),
        pytest.param(1002, frame(0, b"x"), id="continuation of nothing"),
        pytest.param(1002, frame(1, b"x", fin=False) + frame(1, b"y"), id="message within a message"),
        pytest.param(1002, frame(8, b"\x03"), id="half a code"),
        *(
            pytest.param(1002, frame(8, struct.pack("!H", code)), id=f"code {code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016)
        ),
        *(pytest.param(1002, frame(8, struct.pack("!H", code)), id=f"code {code}") for code in (1100, 2000, 2999, 5000, 65535)),
        pytest.param(1007, frame(8, b"\x03\xe8\xff"), id="reason that is not UTF-8"),
        pytest.param(1007, frame(1, b"\xff"), id="text that is not UTF-8"),
        pytest.param(1007, frame(1, b"\xed\xa0\x80"), id="surrogate"),
        pytest.param(1007, frame(1, b"a", fin=False) + frame(0, b"\xff"), id="fragment that is not UTF-8"),
        pytest.param(1007, frame(1, b"a", fin=False) + frame(0, b"\xe2\x98"), id="text that ends within a character"),
        pytest.param(1007, frame(1, b"\xff", fin=False), id="first fragment that is not UTF-8"),
        pytest.param(1009, frame(2, b"x" * 1001), id="too big"),
        pytest.param(1009, frame(2, b"x" * 600, fin=False) + frame(0, b"x" * 600), id="too big together"),
        pytest.param(1009, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", id="2**63 - 1 bytes announced"),
        pytest.param(1002, b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", id="2**64 - 1 bytes announced"),
        pytest.param(1002, b"\x82\xfe\x00\x05", id="length not in its shortest form"),
    ],
)
@pytest.mark.parametrize("pieces", ["whole", "bytes"])
async def test_a_violation_closes_with_the_right_code(code: int, data: bytes, pieces: str, errors: Records) -> None:
    seen: list[Any] = []
    async with served(echo_with(seen), ws_max_message_bytes=1000) as server, connected(server) as peer:
        await opened(peer)
        if pieces == "whole":
            await peer.send(data + frame(1, b"not looked at") * 10)
        else:
            for byte in data:
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)
        assert await closed_with(peer) == code
        await until(lambda: bool(seen))
    assert (seen[0]["type"], seen[0]["code"]) == ("websocket.disconnect", code)
    assert len(seen) == 1
    assert errors == []


@pytest.mark.parametrize("opening_too", [False, True], ids=["open", "with the handshake"])
async def test_a_message_in_front_of_a_violation_arrives_in_the_same_segment_too(opening_too: bool, errors: Records) -> None:
    seen: list[Any] = []
    async with served(sink_of(seen), ws_max_message_bytes=1000) as server, connected(server) as peer:
        data = frame(1, b"first") + frame(1, b"last") + frame(3, b"reserved opcode") + frame(1, b"x" * 5000) + frame(1, b"behind")
        if opening_too:
            await peer.send(request() + data)
            assert (await peer.head_of_response()).status == 101
        else:
            await opened(peer)
            await peer.send(data)
        assert await closed_with(peer) == 1002
        await until(lambda: seen[-1:] != [] and seen[-1]["type"] == "websocket.disconnect")
    assert [message.get("text", message.get("code")) for message in seen] == ["first", "last", 1002]
    assert errors == []


async def test_a_message_of_just_the_limit_passes() -> None:
    async with served(echo_with([]), ws_max_message_bytes=1000) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(2, b"x" * 1000))
        assert (await read_frame(peer))[1] == b"x" * 1000
        await peer.send(frame(2, b"x" * 500, fin=False) + frame(0, b"x" * 500))
        assert (await read_frame(peer))[1] == b"x" * 1000


async def test_what_is_no_message_is_refused(errors: Records) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(RuntimeError, match="not accepted"):
            await send({"type": "websocket.send", "text": "too early"})
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError, match="open"):
            await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError, match="'text' or 'bytes'"):
            await send({"type": "websocket.send"})
        with pytest.raises(UnicodeEncodeError):
            await send({"type": "websocket.send", "text": "\ud800"})
        await send({"type": "websocket.send", "bytes": None, "text": "text"})
        await send({"type": "websocket.send", "bytes": bytearray(b"bytes"), "text": None})
        await send({"type": "websocket.close", "code": 4000})
        with pytest.raises(RuntimeError, match="closing"):
            await send({"type": "websocket.send", "text": "too late"})
        seen.append("end")

    async with served(app) as server, client(server) as socket:
        assert await socket.recv() == "text"
        assert await socket.recv() == b"bytes"
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
        await until(lambda: bool(seen))
    assert errors == []


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
    async with served(echo_with(seen), ws_ping_interval_s=0.05, ws_pong_timeout_s=0.1) as server:
        async with client(server) as socket:
            await asyncio.sleep(0.5)
            await socket.send("still here")
            assert await socket.recv() == "still here"
        seen.clear()
        async with connected(server) as peer:
            await opened(peer)
            assert await read_frame(peer) == (0x89, b"")
            assert await closed_with(peer) == 1011
            await until(lambda: bool(seen))
    assert (seen[-1]["type"], seen[-1]["code"]) == ("websocket.disconnect", 1006)


async def test_a_long_message_that_is_still_arriving_is_a_sign_of_life() -> None:
    async with served(echo_with([]), ws_ping_interval_s=0.05, ws_pong_timeout_s=0.1) as server, connected(server) as peer:
        await opened(peer)
        data = frame(2, b"x" * 40)
        for byte in data:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.02)
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


async def test_two_hundred_sockets_are_told_and_gone_within_the_grace_period(errors: Records) -> None:
    async with served(echo_with([])) as server:
        sockets: list[ClientConnection] = await asyncio.gather(*(client(server).__aenter__() for _ in range(200)))
        async with asyncio.timeout(2):
            await server.stop()
        for socket in sockets:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert errors == []
