"""WebSocket (RFC 6455): the handshake and its refusals, messages and fragments. How they end is in `test_websocket_closing.py`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import struct
from typing import Any

import pytest
import websockets

from tests.protocol.peer import connected, until
from tests.protocol.sockets import KEY, client, closed_with, echo_with, frame, opened, read_frame, request, served, sink_of

pytestmark = pytest.mark.anyio
Records = list[logging.LogRecord]


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
