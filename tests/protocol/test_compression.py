"""permessage-deflate (RFC 7692) and the limits of messages, fragments and queues."""

from __future__ import annotations

import asyncio
import os
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tercel.server.deflate import Inflating, InflationError, choose_offer, deflate
from tests.protocol.peer import connected, until
from tests.protocol.sockets import client, closed_with, echo_with, frame, opened, read_frame, request, served

pytestmark = pytest.mark.anyio

PLAIN = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def compressed(data: bytes, *, bits: int = 15) -> bytes:
    made = zlib.compressobj(wbits=-bits)
    return (made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


BIG = compressed(b"\0" * 120_000)


# -- the handshake -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offers", "response"),
    [
        ("permessage-deflate", PLAIN),
        ("Permessage-Deflate", PLAIN),
        ("permessage-deflate; client_max_window_bits", PLAIN),
        ("permessage-deflate; client_max_window_bits=8", PLAIN),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", PLAIN),
        ("permessage-deflate; server_max_window_bits=10", PLAIN + b"; server_max_window_bits=10"),
        ('permessage-deflate; server_max_window_bits="9"', PLAIN + b"; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", PLAIN),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; faster", None),
        ("permessage-deflate; =", None),
        ("x-webkit-deflate-frame, permessage-deflate", PLAIN),
        ("x-webkit-deflate-frame", None),
        ("", None),
    ],
)
def test_the_first_offer_that_can_be_taken_is(offers: str, response: bytes | None) -> None:
    taken = choose_offer(offers)
    assert (None if taken is None else taken.response) == response


@given(st.text('permessage-deflate; =",clientserver_max_window_bits0123456789', max_size=100))
def test_no_offer_raises(offers: str) -> None:
    choose_offer(offers)


@pytest.mark.parametrize("options", [{}, {"ws_compression": True}])
async def test_compression_is_negotiated_only_when_it_is_on_and_offered(options: dict[str, Any]) -> None:
    async with served(echo_with([]), **options) as server:
        async with connected(server) as peer:
            await peer.send(request(Sec_WebSocket_Extensions="permessage-deflate"))
            response = await peer.head_of_response()
            assert ("sec-websocket-extensions" in response) == bool(options)
        async with connected(server) as peer:
            await peer.send(request())
            assert "sec-websocket-extensions" not in await peer.head_of_response()


# -- messages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [None, 9, 15])
async def test_messages_go_both_ways_with_the_websockets_client(bits: int | None) -> None:
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits)
    async with served(echo_with([]), ws_compression=True) as server, client(server, extensions=[factory], max_size=None) as socket:
        assert socket.protocol.extensions
        for message in ("", "a", "grüße " * 10_000, b"", b"x" * 1_000_000, os.urandom(100_000), "short"):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["frag", "men", "ted " * 1000])
        assert await socket.recv() == "fragmented " + "ted " * 999


async def test_long_messages_are_sent_compressed_and_short_ones_are_not() -> None:
    async with served(echo_with([]), ws_compression=True) as server, connected(server) as peer:
        await opened(peer, Sec_WebSocket_Extensions="permessage-deflate")
        await peer.send(frame(1, b"x" * 10_000))
        first, payload = await read_compressed(peer)
        assert first == 0xC1
        assert len(payload) < 100
        assert zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff") == b"x" * 10_000
        await peer.send(frame(1, compressed(b"short"), rsv=4))
        assert await read_frame(peer) == (0x81, b"short")


async def read_compressed(peer: Any) -> tuple[int, bytes]:
    first, length = await peer.reader.readexactly(2)
    assert length < 126
    return first, await peer.reader.readexactly(length)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        pytest.param(1009, frame(2, compressed(b"\0" * 50_000_000), rsv=4), id="a bomb"),
        pytest.param(1009, frame(1, compressed(b"x" * 100_001), rsv=4), id="one byte too many"),
        pytest.param(1009, frame(2, BIG[:50], rsv=4, fin=False) + frame(0, BIG[50:]), id="two parts"),
        pytest.param(1007, frame(2, b"\xff" * 50, rsv=4), id="no deflated data"),
        pytest.param(1007, frame(1, compressed(b"\xff"), rsv=4), id="no text"),
        pytest.param(1007, frame(2, zlib.compress(b"x" * 50)[2:-4] + b"more", rsv=4), id="something behind the end"),
        pytest.param(1002, frame(2, b"", rsv=4, fin=False) + frame(0, b"", rsv=4), id="a continuation with RSV1"),
        pytest.param(1002, frame(9, b"", rsv=4), id="a ping with RSV1"),
        pytest.param(1002, frame(2, b"", rsv=6), id="RSV2"),
    ],
)
async def test_what_is_not_compressed_well_closes_with_the_right_code(code: int, data: bytes) -> None:
    async with served(echo_with([]), ws_compression=True, ws_max_message_bytes=100_000) as server, connected(server) as peer:
        await opened(peer, Sec_WebSocket_Extensions="permessage-deflate")
        await peer.send(data)
        assert await closed_with(peer) == code


async def test_just_the_limit_passes_and_a_stream_may_end_by_itself() -> None:
    seen: list[Any] = []
    async with served(echo_with(seen), ws_compression=True, ws_max_message_bytes=100_000) as server, connected(server) as peer:
        await opened(peer, Sec_WebSocket_Extensions="permessage-deflate")
        await peer.send(frame(2, compressed(b"x" * 100_000), rsv=4))
        # RFC 7692 §7.2.3.4: a block with BFINAL set.
        await peer.send(frame(2, zlib.compress(b"y" * 50, wbits=-15), rsv=4))
        await peer.send(frame(2, compressed(b""), rsv=4))
        await until(lambda: len(seen) == 3)
        assert [message["bytes"] for message in seen] == [b"x" * 100_000, b"y" * 50, b""]


@given(st.binary(max_size=2000), st.integers(9, 15), st.integers(0, 2000))
def test_what_is_deflated_inflates_and_never_beyond_its_room(data: bytes, bits: int, room: int) -> None:
    packed = deflate(data * 3, bits)
    if packed is None:
        return
    assert len(packed) < 3 * len(data)
    assert outcome([packed], room) == (data * 3 if room >= 3 * len(data) else 1009)


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_no_bytes_raise_anything_else(pieces: list[bytes]) -> None:
    found = outcome(pieces, 1000)
    assert found in (1007, 1009) or (isinstance(found, bytes) and len(found) <= 5000)


def outcome(pieces: list[bytes], room: int) -> bytes | int:
    inflating = Inflating()
    try:
        return b"".join(inflating.feed(piece, room, last=number == len(pieces)) for number, piece in enumerate(pieces, start=1))
    except InflationError as error:
        return error.code


# -- fragments and queues ----------------------------------------------------------------------------------------------------


async def test_a_message_of_too_many_fragments_is_refused() -> None:
    async with served(echo_with([]), ws_max_fragments=10) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(2, b"a", fin=False) + frame(0, b"b", fin=False) * 8 + frame(0, b"c"))
        assert await read_frame(peer) == (0x82, b"abbbbbbbbc")
        await peer.send(frame(2, fin=False) + frame(0, fin=False) * 10)
        assert await closed_with(peer) == 1008


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(1000)


@pytest.mark.parametrize("size", [0, 1000])
async def test_a_sender_nobody_reads_from_is_closed_if_that_is_the_policy(size: int) -> None:
    options: dict[str, Any] = {"ws_queue_bytes": 10_000, "ws_queue_messages": 50, "graceful_timeout_s": 0.1}
    async with served(deaf, ws_queue_policy="close", **options) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(2, b"x" * size) * 100)
        assert await closed_with(peer) == 1008


async def test_a_reader_that_does_not_read_is_dropped_if_that_is_the_policy() -> None:
    ended: list[type[BaseException]] = []
    sent = 0

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 10_000})
                sent += 1
                await asyncio.sleep(0)
        except OSError as error:
            ended.append(type(error))
        assert (await receive())["code"] == 1006

    async with served(flood, ws_queue_policy="close") as server, connected(server, limit=1000) as peer:
        await opened(peer)
        await until(lambda: bool(ended) and not server.connections)
        assert sent < 10_000


async def test_a_client_that_leaves_while_it_is_held_back_is_noticed() -> None:
    options: dict[str, Any] = {"ws_queue_bytes": 1000, "ws_ping_interval_s": 0.05, "graceful_timeout_s": 0.1}
    async with served(deaf, **options) as server, connected(server) as peer:
        await opened(peer)
        await peer.send(frame(2, b"x" * 1000) * 10)
        await until(lambda: all(connection._reading_paused for connection in server.connections))  # type: ignore[attr-defined]
        peer.reset()
        await until(lambda: not server.connections)
