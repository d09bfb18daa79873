"""`WS /ws/feed?token=…`: a feed with channels, for signed-in users, that notices when the other side is no longer there.

The client sends JSON commands and receives JSON frames:

    -> {"type": "subscribe", "channel": "prices"}      <- {"type": "subscribed", "channel": "prices"}
                                                       <- {"type": "event", "channel": "prices", "data": {…}}
    -> {"type": "unsubscribe", "channel": "prices"}    <- {"type": "unsubscribed", "channel": "prices"}
    -> anything else                                   <- {"type": "error", "error": {"code": …, "message": …}}
    <- {"type": "ping"}                                -> {"type": "pong"}, in time

Why pings of our own when WebSocket has ping frames? Those are answered by the browser's network stack, also for a page that hangs.
This one is answered by the program on the other side. Any message counts as an answer.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from demo.database import DatabaseDep
from demo.delivery import HangUp, Outgoing, connection, incoming
from demo.errors import AppError
from demo.settings import Settings, SettingsDep
from demo.tables import User
from demo.tokens import Claims, TokensDep
from tercel import APIRouter, Depends, Query, WebSocket
from tercel.requests import HTTPConnection

__all__ = ["Channel", "Hub", "HubDep", "publish_prices", "router"]

Channel = Literal["prices", "signups", "chat"]

LIMIT_CHARACTERS = 1024  # of a command; ours have about fifty
PRICE_INTERVAL_S = 1.0

router = APIRouter()


# -- who listens to what -------------------------------------------------------------------------------------------------------


class Hub:
    """Knows the subscribers of each channel. Anything in the application may publish; it never waits for who listens."""

    def __init__(self) -> None:
        self._subscribers: defaultdict[Channel, set[Outgoing]] = defaultdict(set)
        self.connections = 0

    def publish(self, channel: Channel, data: object) -> None:
        """Put an event into the queue of every subscriber of the channel."""
        if subscribers := self._subscribers[channel]:
            text = _frame("event", channel=channel, data=data)
            for outgoing in subscribers:
                outgoing.put(text)

    def subscribe(self, channel: Channel, outgoing: Outgoing) -> None:
        """From now on. Twice is the same as once."""
        self._subscribers[channel].add(outgoing)

    def unsubscribe(self, channel: Channel, outgoing: Outgoing) -> None:
        """From now on; without effect for who was not subscribed."""
        self._subscribers[channel].discard(outgoing)

    @contextmanager
    def connected(self, outgoing: Outgoing) -> Iterator[None]:
        """Afterwards no channel knows the client, however the block ends."""
        self.connections += 1
        try:
            yield
        finally:
            self.connections -= 1
            for subscribers in self._subscribers.values():
                subscribers.discard(outgoing)


async def get_hub(connection: HTTPConnection) -> Hub:
    """The application's one hub."""
    hub: Hub = connection.state.hub
    return hub


HubDep = Annotated[Hub, Depends(get_hub)]


async def publish_prices(hub: Hub) -> None:
    """Let the price of a falcon walk up and down, for ever. The lifespan runs it; any source of events would look like it."""
    dice = random.Random()
    cents = 250_000
    while True:
        cents = max(1_00, cents + dice.randint(-2_000, 2_000))
        hub.publish("prices", {"item": "tercel", "price": cents / 100})
        await asyncio.sleep(PRICE_INTERVAL_S)


# -- what clients send ---------------------------------------------------------------------------------------------------------


class Subscribe(BaseModel):
    """Wish to hear a channel."""

    type: Literal["subscribe"]
    channel: Channel


class Unsubscribe(BaseModel):
    """Wish no longer to hear it."""

    type: Literal["unsubscribe"]
    channel: Channel


class Pong(BaseModel):
    """The answer to a ping."""

    type: Literal["pong"]


Command: TypeAdapter[Subscribe | Unsubscribe | Pong] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe | Pong, Field(discriminator="type")]
)


class Listener:
    """One client of the feed: what it may hear, and whether it is still there."""

    def __init__(self, hub: Hub, outgoing: Outgoing, claims: Claims, settings: Settings) -> None:
        self._hub = hub
        self._outgoing = outgoing
        self._claims = claims
        self._settings = settings
        self._heard_from = asyncio.Event()

    def receive(self, text: str | bytes) -> None:
        """Carry out one command; a bad one is answered with an error frame and costs the client nothing else."""
        self._heard_from.set()
        if len(text) > LIMIT_CHARACTERS:
            self._reply_error("TOO_LONG", f"A command has at most {LIMIT_CHARACTERS} characters.")
            return
        try:
            command = Command.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            self._reply_error("INVALID_MESSAGE", first["msg"])
            return
        match command:
            case Subscribe():
                self._hub.subscribe(command.channel, self._outgoing)
                self._outgoing.put(_frame("subscribed", channel=command.channel))
            case Unsubscribe():
                self._hub.unsubscribe(command.channel, self._outgoing)
                self._outgoing.put(_frame("unsubscribed", channel=command.channel))
            case Pong():
                pass

    async def heartbeat(self) -> None:
        """Ask now and then whether the client is still there.

        Raises:
            HangUp: 1008, no answer in time, or the token has expired meanwhile: what it allowed must not outlive it.
        """
        while True:
            await asyncio.sleep(self._settings.feed_ping_interval_s)
            if time.time() >= self._claims.expires_at:
                raise HangUp(1008, "the token has expired")
            self._heard_from.clear()
            self._outgoing.put(_frame("ping"))
            try:
                async with asyncio.timeout(self._settings.feed_pong_timeout_s):
                    await self._heard_from.wait()
            except TimeoutError:
                raise HangUp(1008, "no answer to a ping") from None

    def _reply_error(self, code: str, message: str) -> None:
        self._outgoing.put(_frame("error", error={"code": code, "message": message}))


def _frame(kind: str, **content: object) -> str:
    return json.dumps({"type": kind, **content})


# -- the endpoint --------------------------------------------------------------------------------------------------------------


async def admit(
    tokens: TokensDep,
    database: DatabaseDep,
    token: Annotated[str | None, Query(description="from POST /token; a browser cannot send headers with a WebSocket")] = None,
) -> Claims:
    """The claims of a valid token. Runs before `accept`, so that a refusal is HTTP: 401, and there never was a WebSocket."""
    if token is None:
        raise AppError(401, "UNAUTHORIZED", "Say who you are: /ws/feed?token=…", {"WWW-Authenticate": "Bearer"})
    claims = tokens.read(token)
    async with database.session() as session:  # closed at once: the connection may last for hours, a session must not
        if await session.get(User, claims.user_id) is None:
            raise AppError(401, "INVALID_TOKEN", "The token's user is gone.", {"WWW-Authenticate": "Bearer"})
    return claims


@router.websocket("/ws/feed")
async def feed(websocket: WebSocket, claims: Annotated[Claims, Depends(admit)], hub: HubDep, settings: SettingsDep) -> None:
    """Serve one client until it leaves, falls silent or falls behind."""
    await websocket.accept()
    async with connection(websocket) as client:
        listener = Listener(hub, client.outgoing, claims, settings)
        with hub.connected(client.outgoing):
            client.start(listener.heartbeat())
            client.outgoing.put(_frame("welcome", channels=get_args(Channel)))
            async for text in incoming(websocket):
                listener.receive(text)
                await asyncio.sleep(0)  # a client that floods us must leave the event loop to the others
