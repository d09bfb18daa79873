"""The chat room: what members see of each other, and that a stuck, dead or noisy one does not harm the others."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.demo.conftest import Serve
from tests.demo.serving import Served

DEADLINE_S = 30.0


async def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        message: dict[str, Any] = json.loads(await client.recv())
        if message["type"] == kind:
            return message


@asynccontextmanager
async def member(server: Served, name: str) -> AsyncIterator[ClientConnection]:
    """Somebody who has joined and has seen the notice of it."""
    async with connect(f"{server.ws_url}/ws/chat/{quote(name, safe='')}", max_size=None, compression=None) as client:
        assert (await receive(client, "joined"))["from"] == name
        yield client


def join_and_never_read(server: Served, name: str) -> socket.socket:
    """A client with a small window whose program has stopped: the connection is there, and nothing is taken from it."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting, or the window is larger
    stuck.connect(("127.0.0.1", server.port))
    stuck.sendall(
        f"GET /ws/chat/{name} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return stuck


def test_members_see_who_comes_who_says_what_and_who_goes(server: Served) -> None:
    async def scenario() -> None:
        async with member(server, "ada") as ada:
            async with member(server, "bob") as bob:
                joined = await receive(ada, "joined")
                assert (joined["from"], joined["here"], joined["text"]) == ("bob", ["ada", "bob"], "bob joined the room")
                await bob.send("hello, 隼 🦅")
                for who in (ada, bob):
                    message = await receive(who, "message")
                    assert (message["from"], message["text"]) == ("bob", "hello, 隼 🦅")
                    assert message["at"]
            left = await receive(ada, "left")
            assert (left["from"], left["here"]) == ("bob", ["ada"])

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_two_tabs_of_one_person_are_two_members(server: Served) -> None:
    async def scenario() -> None:
        async with member(server, "twin") as one, member(server, "twin") as other:
            await one.send("it is me")
            assert (await receive(other, "message"))["text"] == "it is me"
            assert (await receive(one, "message"))["text"] == "it is me"

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


@pytest.mark.parametrize("name", ["x y", "<b>", "a" * 33, "\x00", "é", ".hidden"])
def test_a_name_that_is_no_name_is_refused_before_the_connection_opens(server: Served, name: str) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{server.ws_url}/ws/chat/{quote(name, safe='')}"):
                pass
        assert refused.value.response.status_code == 403

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_bytes_and_endless_texts_are_answered_with_an_error_that_only_the_sender_sees(server: Served) -> None:
    async def scenario() -> None:
        async with member(server, "clumsy") as clumsy, member(server, "calm") as calm:
            await clumsy.send(b"\x00\x01")
            assert (await receive(clumsy, "error"))["error"]["code"] == "TEXT_ONLY"
            await clumsy.send("x" * 70_000)
            assert (await receive(clumsy, "error"))["error"]["code"] == "TOO_LONG"
            await clumsy.send("sorry")
            message = json.loads(await calm.recv())
            assert (message["type"], message["text"]) == ("message", "sorry")

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_a_stuck_client_neither_delays_nor_drops_the_others(server: Served) -> None:
    messages = 600
    filler = "x" * 20_000  # 12 MB in all: more than the queue and the buffers of two kernels hold

    async def read_all(client: ClientConnection) -> tuple[list[float], list[str]]:
        """Receives every message in order: the seconds that each was under way, and who left meanwhile."""
        delays: list[float] = []
        left = []
        while len(delays) < messages:
            message = json.loads(await client.recv())
            if message["type"] == "message":
                sent_at, number, _ = message["text"].split(" ", 2)
                assert int(number) == len(delays)
                delays.append(time.monotonic() - float(sent_at))
            elif message["type"] == "left":
                left.append(message["from"])
        return delays, left

    async def scenario() -> None:
        dropped = server.metrics()["chat"]["dropped"]
        async with member(server, "talker") as talker:
            stuck = join_and_never_read(server, "stuck")
            assert (await receive(talker, "joined"))["from"] == "stuck"
            listeners = [connect(f"{server.ws_url}/ws/chat/listener-{n}", max_size=None, compression=None) for n in range(4)]
            clients = [await one for one in listeners]
            readers = [asyncio.create_task(read_all(one)) for one in clients]
            echoes = asyncio.create_task(read_all(talker))
            for number in range(messages):
                await talker.send(f"{time.monotonic()} {number} {filler}")
            for delays, left in await asyncio.gather(*readers, echoes):
                assert max(delays) < 10, "nobody waits for the one who is stuck"
                assert left == ["stuck"], "and nobody else is dropped"
            assert server.metrics()["chat"]["dropped"] == dropped + 1
            for one in clients:
                await one.close()
            stuck.close()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S * 1.5))


def test_a_flood_from_one_member_reaches_all_who_read(server: Served) -> None:
    messages = 4000

    async def count(client: ClientConnection) -> int:
        return len([await receive(client, "message") for _ in range(messages)])

    async def scenario() -> None:
        async with member(server, "noisy") as noisy, member(server, "one") as one, member(server, "two") as two:
            readers = [asyncio.create_task(count(client)) for client in (noisy, one, two)]
            for number in range(messages):
                await noisy.send(str(number))
            assert await asyncio.gather(*readers) == [messages] * 3

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_a_client_that_dies_without_a_word_leaves_the_room(server: Served) -> None:
    async def scenario() -> None:
        async with member(server, "widow") as widow:
            dying = join_and_never_read(server, "dying")
            assert (await receive(widow, "joined"))["from"] == "dying"
            # Closing with no time to linger sends a reset instead of a farewell.
            dying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            dying.close()
            assert (await receive(widow, "left"))["from"] == "dying"

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_the_echo_repeats_text_as_text_and_bytes_as_bytes(server: Served) -> None:
    async def scenario() -> None:
        async with connect(f"{server.ws_url}/ws") as client:
            for message in ("", "hello", "隼 🦅", b"", b"\x00\xff", "x" * 100_000):
                await client.send(message)
                assert await client.recv() == message

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_text_that_is_not_utf8_closes_the_connection_and_nothing_else(serve: Serve) -> None:
    server = serve()  # one of its own, because uvicorn logs this with a traceback

    async def scenario() -> None:
        async with member(server, "witness") as witness:
            async with member(server, "broken") as broken:
                await receive(witness, "joined")
                await broken.send(b"\xff\xfe", text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(broken, "message")
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1007  # RFC 6455 §8.1
            assert (await receive(witness, "left"))["from"] == "broken"

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))
