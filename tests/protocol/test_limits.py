"""Limits of size and time: each is a setting, and passing it has one well-defined end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from tercel.http.exchange import Exchange
from tercel.server import Server, serving
from tests.protocol.peer import TEXT, App, Handler, Peer, config, connected, exchange_with, time_passes, until

pytestmark = pytest.mark.anyio
AppOf = Callable[[Handler], App]

OFTEN: dict[str, Any] = {"ws_close_timeout_s": 0.1}
"""The server looks at its connections four times within the shortest of its limits, at most once a second."""


async def hello(ex: Exchange) -> None:
    await ex.respond(TEXT, b"hello")


async def echo(ex: Exchange) -> None:
    await ex.respond(TEXT, await ex.body())


# -- size ----------------------------------------------------------------------------------------------------------------------


async def test_a_head_within_the_limits_is_served_and_one_beyond_is_not(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), max_head_bytes=1000) as peer:
        frame = b"GET / HTTP/1.1\r\nHost: test\r\nX: \r\n\r\n"
        fits = frame.replace(b"X: ", b"X: " + b"x" * (1000 - len(frame)))
        assert len(fits) == 1000
        await peer.send(fits)
        assert (await peer.response()).status == 200
        await peer.send(fits.replace(b"xx", b"xxx", 1))
        assert (await peer.response()).status == 431
        await peer.ended()


async def test_an_endless_head_is_refused_before_it_ends(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), max_head_bytes=1000) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X: y\r\n" * 300)
        assert (await peer.response()).status == 431
        await peer.ended()


async def test_too_many_fields_are_refused(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), max_headers=5) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X: y\r\n" * 4 + b"\r\n")
        assert (await peer.response()).status == 200
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X: y\r\n" * 5 + b"\r\n")
        assert (await peer.response()).status == 431
        await peer.ended()


@pytest.mark.parametrize("ending", [b" HTTP/1.1\r\nHost: test\r\n\r\n", b""])
async def test_a_target_that_is_too_long_is_refused(app_of: AppOf, ending: bytes) -> None:
    async with exchange_with(app_of(hello), max_target_bytes=100, max_head_bytes=200) as peer:
        await peer.send(b"GET /" + b"x" * 99 + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response()).status == 200
        await peer.send(b"GET /" + b"x" * (100 if ending else 1000) + ending)
        assert (await peer.response()).status == 414
        await peer.ended()


async def test_empty_lines_in_front_of_a_request_are_ignored_up_to_the_length_of_a_head(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), max_head_bytes=200) as peer:
        for _ in range(2):  # They are counted for each request.
            for _ in range(15):
                await peer.send(b"\r\n" * 5)
            assert (await peer.get()).status == 200
        await peer.send(b"\r\n" * 101)
        answer = await peer.response()
        assert (answer.status, answer.body) == (400, b"there are too many empty lines\n")
        await peer.ended()


async def test_a_body_that_announces_too_much_is_refused_before_the_application_is_asked(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        raise AssertionError("the application was called")

    async with exchange_with(app_of(handler), max_body_bytes=10) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        response = await peer.response()
        assert (response.status, response["connection"]) == (413, "close")
        await peer.ended()


@pytest.mark.parametrize("length", [10, 11, 1_000_000])
async def test_a_chunked_body_is_refused_when_it_passes_the_limit(app_of: AppOf, length: int, errors: list[object]) -> None:
    async with exchange_with(app_of(echo), max_body_bytes=10) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for start in range(0, length, 1000):
                await peer.send(b"1\r\nx\r\n" * min(1000, length - start))
            await peer.send(b"0\r\n\r\n")
        except ConnectionError:
            assert length == 1_000_000
        response = await peer.response()
        assert (response.status, response.body) == ((200, b"x" * 10) if length == 10 else (413, b"Content Too Large"))
        if length > 10:
            await peer.ended()
    assert errors == []


async def test_a_body_without_a_limit_is_not_limited(app_of: AppOf) -> None:
    async with exchange_with(app_of(echo)) as peer:
        sending = asyncio.ensure_future(
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        )
        assert len((await peer.response()).body) == 3_000_000
        await sending


async def test_accepting_pauses_at_the_limit_of_connections(app_of: AppOf) -> None:
    async with serving(app_of(hello), config(max_connections=2)) as server, connected(server) as first, connected(server) as second:
        assert (await first.get()).status == 200
        assert (await second.get()).status == 200
        async with connected(server) as third:
            await third.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(third.reader.read(1), 0.1)
            await first.close()
            assert (await third.response()).status == 200


async def test_connections_from_one_address_are_limited_when_that_is_set(app_of: AppOf) -> None:
    options: dict[str, Any] = {"max_connections_per_address": 2, "forwarded_allow_ips": ()}
    async with serving(app_of(hello), config(**options)) as server, connected(server) as first:
        async with connected(server) as second:
            assert (await first.get()).status == 200
            assert (await second.get()).status == 200
            async with connected(server) as third:
                assert await third.rest() == b""
            async with connected(server, local_addr=("127.0.0.2", 0)) as elsewhere:
                assert (await elsewhere.get()).status == 200
        await until(lambda: len(server.connections) == 1)
        async with connected(server) as third:
            assert (await third.get()).status == 200
        assert (await first.get()).status == 200


async def test_trusted_proxies_are_not_counted(app_of: AppOf) -> None:
    async with (
        serving(app_of(hello), config(max_connections_per_address=1)) as server,
        connected(server),
        connected(server) as peer,
    ):
        assert (await peer.get()).status == 200


async def test_a_body_the_application_does_not_read_holds_the_client_back(app_of: AppOf) -> None:
    release = asyncio.Event()
    buffered: list[int] = []

    async def handler(ex: Exchange) -> None:
        await release.wait()
        total = 0
        async for chunk in ex.chunks():
            buffered.append(len(chunk))
            total += len(chunk)
        await ex.respond(TEXT, b"%d" % total)

    size = 40_000_000
    async with exchange_with(app_of(handler), body_buffer_bytes=100_000) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size)
        peer.writer.write(b"x" * size)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.writer.drain(), 0.5)
        release.set()
        assert (await peer.response()).body == b"%d" % size
    # The limit and one read of the transport.
    assert max(buffered) < 600_000


async def test_a_client_that_does_not_read_holds_the_application_back(app_of: AppOf) -> None:
    written = 0

    async def handler(ex: Exchange) -> None:
        nonlocal written
        await ex.start(TEXT)
        while written < 100_000_000:
            await ex.write(b"x" * 10_000)
            written += 10_000
        await ex.finish()

    async with serving(app_of(handler), config()) as server, connected(server, limit=10_000) as peer:
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        before = -1
        while before != written:
            before = written
            await time_passes(0.1)
        assert 0 < written < 50_000_000
        peer.reset()


@pytest.mark.parametrize("high_water_bytes", [5_000, 500_000])
async def test_what_waits_for_a_client_is_bounded_by_the_setting(app_of: AppOf, high_water_bytes: int) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        while True:
            await ex.write(b"x" * 1_000)

    settings = config(write_high_water_bytes=high_water_bytes, write_low_water_bytes=1_000, gather_bytes=1_000)
    async with serving(app_of(handler), settings) as server, connected(server, limit=10_000) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        connection: Any
        (connection,) = server.connections
        await until(lambda: connection.write_paused)
        assert high_water_bytes < connection.transport.get_write_buffer_size() < high_water_bytes + 3_000
        peer.reset()


# -- time ----------------------------------------------------------------------------------------------------------------------


async def test_a_connection_that_sends_nothing_is_closed(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), head_timeout_s=0.05) as peer:
        await peer.ended()


async def test_a_head_that_does_not_end_is_answered_with_408(app_of: AppOf) -> None:
    async with serving(app_of(hello), config(head_timeout_s=1000, **OFTEN)) as server, connected(server) as peer:
        assert (await peer.get()).status == 200
        await peer.send(b"GET / HTTP/1.1\r\nHost")
        connection = await only_connection(server)
        await until(lambda: connection.deadline > server.loop.time() + 900)
        sending = asyncio.ensure_future(trickle(peer))
        connection.deadline = server.loop.time() + 0.1
        response = await peer.response()
        assert (response.status, response["connection"]) == (408, "close")
        await peer.ended()
        sending.cancel()


@pytest.mark.parametrize("before", [True, False])
async def test_a_head_that_does_not_end_holds_the_end_up_for_the_time_to_linger_only(app_of: AppOf, before: bool) -> None:
    settings = config(head_timeout_s=1000, graceful_timeout_s=1000, keep_alive_timeout_s=500, linger_timeout_s=30, **OFTEN)
    async with serving(app_of(hello), settings) as server, connected(server) as peer:
        connection = await only_connection(server)
        begun = b"GET / HTTP/1.1\r\nHost"
        if before:
            assert (await peer.get()).status == 200
            await peer.send(begun)
            await until(lambda: connection.deadline > server.loop.time() + 900)
        stopping = asyncio.ensure_future(server.stop())
        await until(lambda: connection.deadline <= server.loop.time() + 30)
        if not before:
            await peer.send(begun)
            await until(lambda: connection._reader.begun)
        sending = asyncio.ensure_future(trickle(peer))
        connection.deadline = server.loop.time() + 0.1
        assert (await peer.response()).status == 408
        await peer.ended()
        connection.deadline = server.loop.time()  # it has lingered
        await stopping
        sending.cancel()


async def only_connection(server: Server) -> Any:
    """The server's side of the one connection. Its `deadline` is moved, or its `tick` given a later time, where a limit has to be
    met or kept: real time would do that too while this machine stands still."""
    await until(lambda: bool(server.connections))
    (connection,) = server.connections
    return connection


async def trickle(peer: Peer) -> None:
    while True:
        await peer.send(b"x")
        await time_passes(0.01)


async def test_an_idle_connection_is_closed_without_an_answer(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), keep_alive_timeout_s=0.05) as peer:
        assert (await peer.get()).status == 200
        await peer.ended()


async def test_a_connection_in_use_outlives_the_idle_time(app_of: AppOf) -> None:
    async with serving(app_of(hello), config(keep_alive_timeout_s=1000)) as server, connected(server) as peer:
        for _ in range(3):
            assert (await peer.get()).status == 200
            connection = await only_connection(server)
            connection.deadline -= 600
            connection.tick(server.loop.time())


async def test_a_handler_may_take_longer_than_every_limit(app_of: AppOf) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(ex: Exchange) -> None:
        body = await ex.body()
        begun.set()
        await release.wait()
        await ex.respond(TEXT, body)

    async with serving(app_of(handler), config()) as server, connected(server) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        await begun.wait()
        (await only_connection(server)).tick(server.loop.time() + 1_000_000)
        release.set()
        assert (await peer.response()).body == b"abc"


async def test_a_body_that_stops_is_answered_with_408(app_of: AppOf, errors: list[object]) -> None:
    raised: list[BaseException] = []

    async def handler(ex: Exchange) -> None:
        try:
            await ex.body()
        except BaseException as error:
            raised.append(error)
            raise

    async with exchange_with(app_of(handler), body_timeout_s=0.05) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nab")
        response = await peer.response()
        assert (response.status, response["connection"]) == (408, "close")
        await peer.ended()
        await until(lambda: bool(raised))
    assert isinstance(raised[0], ClientDisconnect)
    assert errors == []


async def test_a_body_that_comes_slowly_is_waited_for(app_of: AppOf) -> None:
    async with serving(app_of(echo), config(body_timeout_s=1000)) as server, connected(server) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
        connection = await only_connection(server)
        for byte in b"012345678":
            await until(lambda: connection.deadline > server.loop.time() + 900)
            connection.deadline -= 600
            await peer.send(bytes([byte]))
        await peer.send(b"9")
        assert (await peer.response()).body == b"0123456789"


async def test_the_time_in_which_the_application_does_not_read_is_not_the_clients(app_of: AppOf) -> None:
    release = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await release.wait()
        await ex.respond(TEXT, b"%d" % len(await ex.body()))

    settings = config(body_timeout_s=1000, body_buffer_bytes=1000)
    async with serving(app_of(handler), settings) as server, connected(server) as peer:
        sending = asyncio.ensure_future(
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000)
        )
        connection = await only_connection(server)
        await until(lambda: bool(connection._reading_paused))
        for later_s in (1001, 2002):
            connection.tick(server.loop.time() + later_s)
        release.set()
        assert (await peer.response()).body == b"9000000"
        await sending


async def test_a_client_that_stops_reading_is_dropped(app_of: AppOf, errors: list[object]) -> None:
    raised: list[BaseException] = []

    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        try:
            while True:
                await ex.write(b"x" * 100_000)
        except OSError as error:
            raised.append(error)
            raise

    async with serving(app_of(handler), config(write_timeout_s=0.1)) as server, connected(server, limit=1000) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await until(lambda: bool(raised))
        await until(lambda: not server.connections)
    assert errors == []


async def test_a_client_that_takes_a_finished_response_slowly_gets_all_of_it(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(TEXT, b"x" * 20_000_000)

    limits = {"write_timeout_s": 1000, "keep_alive_timeout_s": 0.05, "linger_timeout_s": 0.05}
    async with serving(app_of(handler), config(**limits)) as server, connected(server, limit=100_000) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        head = await peer.head_of_response()
        connection = await only_connection(server)
        received = steps = 0
        while piece := await peer.reader.read(500_000):
            received += len(piece)
            if connection.write_paused and connection.bytes_buffered() != connection._stall_left_bytes:
                steps += 1
                connection._stall_since_s -= 2000
                connection.tick(server.loop.time())
        assert received == int(head["content-length"])
        assert steps > 1, "it was not slow"


async def test_a_client_that_leaves_the_end_of_a_response_is_dropped(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(TEXT, b"x" * 20_000_000)

    async with (
        serving(app_of(handler), config(write_timeout_s=0.1, keep_alive_timeout_s=0.05)) as server,
        connected(server, limit=1000) as peer,
    ):
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await until(lambda: bool(server.connections))
        await until(lambda: not server.connections)
