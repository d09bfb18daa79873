"""The feed: who may listen, what they hear, and what becomes of those who fall silent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.demo.serving import Served, served
from tests.demo.test_features import eventually

DEADLINE_S = 20.0


async def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(await client.recv())
        if frame["type"] == kind:
            return frame


async def tell(client: ClientConnection, **command: str) -> None:
    await client.send(json.dumps(command))


def listen(server: Served, user: str = "viewer") -> connect:
    return connect(f"{server.ws_url}/ws/feed?token={server.token(user)}")


@pytest.mark.parametrize("query", ["", "?token=", "?token=nonsense", "?token=%ff%00", "?token=" + "x" * 3000])
def test_without_a_valid_token_the_answer_is_401_and_no_socket(server: Served, query: str) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{server.ws_url}/ws/feed{query}"):
                pass
        response = refused.value.response
        assert response.status_code == 401
        error = json.loads(response.body)["error"]
        assert error["path"] == "/ws/feed"
        assert error["code"] in ("UNAUTHORIZED", "INVALID_TOKEN")

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(scope="module")
def impatient(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that asks often whether somebody is there, and whose tokens a test can make."""
    settings = {"FEED_PING_INTERVAL_S": "0.2", "FEED_PONG_TIMEOUT_S": "3", "JWT_SECRET": SECRET}
    with served(server_name, tmp_path_factory.mktemp("impatient"), settings) as running:
        yield running


def listen_for(server: Served, seconds: float) -> connect:
    """Connect with a token that is good for so long."""
    token = jwt.encode({"sub": "1", "exp": time.time() + seconds}, SECRET, algorithm="HS256")
    return connect(f"{server.ws_url}/ws/feed?token={token}")


def test_an_expired_token_is_refused(impatient: Served) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with listen_for(impatient, seconds=-1):
                pass
        assert refused.value.response.status_code == 401

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_subscribers_hear_their_channels_until_they_unsubscribe(server: Served) -> None:
    async def scenario() -> None:
        async with listen(server) as client, httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            assert (await receive(client, "welcome"))["channels"] == ["prices", "signups", "chat"]
            await tell(client, type="subscribe", channel="prices")
            assert (await receive(client, "subscribed"))["channel"] == "prices"
            price = await receive(client, "event")
            assert price["channel"] == "prices"
            assert price["data"]["price"] > 0
            await tell(client, type="unsubscribe", channel="prices")
            await receive(client, "unsubscribed")
            await tell(client, type="subscribe", channel="signups")
            await receive(client, "subscribed")
            name = f"listened-{server.name}"
            await http.post("/signup/", json={"username": name, "email": f"{name}@example.com", "password": "long enough"})
            # The very next event is the sign-up: no price came in between.
            assert await receive(client, "event") == {"type": "event", "channel": "signups", "data": {"username": name}}

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "{",
        "null",
        "[]",
        '{"type": "fly"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "channel": "secrets"}',
        '{"type": "subscribe", "channel": ["prices"]}',
        '{"type": "subscribe", "channel": "\\ud800"}',
        '{"\\ud800": NaN}',
        "[" * 500,
        "x" * 5000,
        b"\xff\xfe",
        b'{"type": 1e999}',
    ],
    ids=lambda message: repr(message)[:24],
)
def test_a_bad_message_gets_an_error_frame_and_the_feed_goes_on(server: Served, message: str | bytes) -> None:
    async def scenario() -> None:
        async with listen(server) as client:
            await client.send(message)
            error = (await receive(client, "error"))["error"]
            assert error["code"] in ("INVALID_MESSAGE", "TOO_LONG")
            assert error["message"]
            await tell(client, type="subscribe", channel="chat")
            assert (await receive(client, "subscribed"))["channel"] == "chat"

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_a_peer_that_does_not_answer_pings_is_closed_and_one_that_does_is_not(impatient: Served) -> None:
    async def scenario() -> None:
        async with listen_for(impatient, seconds=100) as silent, listen_for(impatient, seconds=100) as alive:

            async def answer_until_the_other_is_closed() -> None:
                while True:
                    await receive(alive, "ping")
                    await tell(alive, type="pong")

            answering = asyncio.create_task(answer_until_the_other_is_closed())
            with pytest.raises(ConnectionClosed) as closed:
                await receive(silent, "event")
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "no answer to a ping")
            assert not answering.done()
            answering.cancel()
            await asyncio.wait([answering])
            await tell(alive, type="subscribe", channel="prices")
            await receive(alive, "event")

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_the_feed_ends_with_the_token_that_opened_it(impatient: Served) -> None:
    async def scenario() -> None:
        async def answer_for_ever(client: ClientConnection) -> None:
            while True:
                await receive(client, "ping")
                await tell(client, type="pong")

        async with listen_for(impatient, seconds=2) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await answer_for_ever(client)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the token has expired")

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_closed_connections_leave_no_subscribers_behind(server: Served) -> None:
    def connections() -> int:
        return server.metrics()["feed"]["connections"]

    async def scenario() -> None:
        async with listen(server) as client:
            await tell(client, type="subscribe", channel="prices")
            await receive(client, "subscribed")
            assert eventually(lambda: connections() == 1)
        assert eventually(lambda: connections() == 0)

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))
