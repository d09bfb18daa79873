"""The queue between a room and a client, with a client that takes what it is given only when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from demo import delivery
from demo.chat_room import ChatRoom, Member
from demo.delivery import LIMIT_CHARACTERS, LIMIT_MESSAGES, HangUp, Outgoing, connection
from demo.feed import Hub
from tercel import WebSocket

DEADLINE_S = 10.0


class Client:
    """Stands in for a WebSocket: `reads` says whether it takes what is sent."""

    def __init__(self, reads: bool = True) -> None:
        self.taken: list[str] = []
        self.closed: int | None = None
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.taken.append(text)

    async def close(self, code: int, reason: str) -> None:
        await self.reads.wait()
        self.closed = code

    def outgoing(self) -> Outgoing:
        return Outgoing(self.as_websocket())

    def as_websocket(self) -> WebSocket:
        return cast(WebSocket, self)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, DEADLINE_S))


def test_a_reading_client_gets_everything_in_order() -> None:
    async def scenario() -> None:
        client = Client()
        async with connection(client.as_websocket()) as current:
            for number in range(500):
                current.outgoing.put(str(number))
            while len(client.taken) < 500:
                await asyncio.sleep(0)
        assert client.taken == [str(number) for number in range(500)]
        assert client.closed is None

    run(scenario())


@pytest.mark.parametrize(("messages", "length"), [(LIMIT_MESSAGES + 2, 1), (80, LIMIT_CHARACTERS // 70)], ids=["many", "long"])
def test_a_client_that_does_not_read_is_hung_up_on_when_its_queue_is_full(
    monkeypatch: pytest.MonkeyPatch, messages: int, length: int
) -> None:
    monkeypatch.setattr(delivery, "CLOSE_TIMEOUT_S", 0.01)

    async def scenario() -> None:
        client = Client(reads=False)
        cancelled = False
        async with connection(client.as_websocket()) as current:
            try:
                for _ in range(messages):
                    current.outgoing.put("x" * length)
                    await asyncio.sleep(0)
                await asyncio.Event().wait()  # whatever the endpoint is doing, it is interrupted
            except asyncio.CancelledError:
                cancelled = True
                raise
        assert cancelled
        assert current.outgoing.too_slow
        assert current.outgoing.fullness == 0, "what it will never read is not kept"
        assert client.taken == []

    run(scenario())


def test_a_client_that_takes_nothing_for_long_is_hung_up_on_although_its_queue_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SEND_TIMEOUT_S", 0.01)

    async def scenario() -> None:
        outgoing = Client(reads=False).outgoing()
        outgoing.put("hello")
        with pytest.raises(HangUp) as hung_up:
            await outgoing.deliver()
        assert hung_up.value.code == 1013

    run(scenario())


def test_a_talker_waits_for_the_quickest_and_never_for_those_who_are_stuck() -> None:
    async def scenario() -> None:
        room = ChatRoom(Hub())
        stuck = Member("stuck", Client(reads=False).outgoing())
        quick = Member("quick", Client().outgoing())
        with room.joined(stuck), room.joined(quick):
            sender = asyncio.create_task(quick.outgoing.deliver())
            for number in range(LIMIT_MESSAGES // 2):
                room.say(quick, str(number))
                async with asyncio.timeout(0.5):  # far less than the patience with a room in which nobody keeps up
                    await room.pace_the_talker()
            assert stuck.outgoing.fullness > 0.4
            assert quick.outgoing.fullness < 0.1
            sender.cancel()

    run(scenario())


def test_a_talker_in_a_room_that_does_not_keep_up_is_held_back_until_it_does() -> None:
    async def scenario() -> None:
        room = ChatRoom(Hub())
        client = Client(reads=False)
        slow = Member("slow", client.outgoing())
        with room.joined(slow):
            sender = asyncio.create_task(slow.outgoing.deliver())
            for number in range(LIMIT_MESSAGES // 5):
                room.say(slow, str(number))
            pacing = asyncio.create_task(room.pace_the_talker())
            done, _ = await asyncio.wait([pacing], timeout=0.05)
            assert not done
            client.reads.set()
            await pacing
            assert slow.outgoing.fullness <= 0.1
            sender.cancel()

    run(scenario())


def test_nobody_waits_for_a_client_that_has_just_overflowed() -> None:
    async def scenario() -> None:
        room = ChatRoom(Hub())
        stuck = Member("stuck", Client(reads=False).outgoing())
        with room.joined(stuck):
            for number in range(LIMIT_MESSAGES + 1):
                room.say(stuck, str(number))
            assert stuck.outgoing.too_slow
            async with asyncio.timeout(0.5):
                await room.pace_the_talker()
        assert room.dropped == 1

    run(scenario())
