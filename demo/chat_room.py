"""`WS /ws/chat/{username}`: a chat room in which one stuck or dead client neither delays nor drops the others.

The room itself never sends. It puts each message into the queue of every member; `delivery`, which should be read first, says what
happens then. What is left here is who is in the room and what is said.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from demo.delivery import Outgoing, connection, incoming
from demo.feed import Hub
from demo.inputs import Username
from tercel import APIRouter, Depends, WebSocket
from tercel.requests import HTTPConnection

__all__ = ["ChatRoom", "router"]

LIMIT_CHARACTERS = 65_536  # of one message; several pages of text, and a fraction of what a queue holds
NAMES_SHOWN = 20  # with all of them, the notices of a thousand people who join would be gigabytes
PATIENCE_S = 1.0  # how long a talker is held back when nobody in the room keeps up

router = APIRouter()


@dataclass(eq=False, slots=True)
class Member:
    """Somebody in the room. Two tabs of one person are two members, and so is who came back before the old connection was dead."""

    username: str
    outgoing: Outgoing


class ChatRoom:
    """Who is there, and what is said to all of them.

    Args:
        hub: is told who comes and goes, for the feed's channel `chat`.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._members: list[Member] = []
        self.messages = 0
        self.dropped = 0  # members cut off because they were too slow

    def __len__(self) -> int:
        return len(self._members)

    @contextmanager
    def joined(self, member: Member) -> Iterator[None]:
        """Be in the room as long as the block runs, however it ends."""
        self._members.append(member)
        self._announce("joined", member, f"{member.username} joined the room")
        try:
            yield
        finally:
            self._members.remove(member)
            if member.outgoing.too_slow:
                self.dropped += 1
            self._announce("left", member, f"{member.username} left the room")

    def say(self, member: Member, text: str) -> None:
        """Say something to everybody, the talker included: what comes back is what the others see."""
        self.messages += 1
        self._broadcast({"type": "message", "from": member.username, "text": text})

    async def pace_the_talker(self) -> None:
        """Pace a talker who is faster than everybody else.

        A talker's messages may be in the server's buffer already, a thousand of them, and then reading them never waits: without
        this line no sender would get its turn before all queues are full, and everybody would be "too slow". So each message ends
        in a pause of one turn of the event loop. If even then nobody has kept up, not the quickest member, the talker waits for
        that one. Never for the slowest: that is the one who must not be able to hold up the room.
        """
        await asyncio.sleep(0)
        if self._members:
            quickest = min(self._members, key=lambda member: member.outgoing.fullness)
            await quickest.outgoing.calm(PATIENCE_S)

    def _announce(self, kind: str, member: Member, text: str) -> None:
        count = len(self._members)
        here = sorted(one.username for one in self._members[:NAMES_SHOWN])
        self._broadcast({"type": kind, "from": member.username, "text": text, "here": here, "members": count})
        self._hub.publish("chat", {"event": kind, "username": member.username, "members": count})

    def _broadcast(self, message: dict[str, object]) -> None:
        # Once, however many members there are; not escaped to ASCII, which would make some texts six times as long.
        text = json.dumps({**message, "at": datetime.now(UTC).isoformat()}, ensure_ascii=False)
        for member in self._members:
            member.outgoing.put(text)


async def get_room(connection: HTTPConnection) -> ChatRoom:
    """The application's one room."""
    room: ChatRoom = connection.state.room
    return room


@router.websocket("/ws/chat/{username}")
async def chat(websocket: WebSocket, username: Username, room: Annotated[ChatRoom, Depends(get_room)]) -> None:
    """Join the room. Every text frame is a message; what comes back are JSON objects with `type` joined, message, left or error."""
    await websocket.accept()
    async with connection(websocket) as client:
        member = Member(username, client.outgoing)
        with room.joined(member):
            async for text in incoming(websocket):
                if isinstance(text, bytes):
                    client.outgoing.put(_error("TEXT_ONLY", "Send text frames."))
                elif len(text) > LIMIT_CHARACTERS:
                    client.outgoing.put(_error("TOO_LONG", f"A message has at most {LIMIT_CHARACTERS} characters."))
                else:
                    room.say(member, text)
                await room.pace_the_talker()


def _error(code: str, message: str) -> str:
    return json.dumps({"type": "error", "error": {"code": code, "message": message}})
