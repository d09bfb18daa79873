"""What is opened when the application starts, and closed in the opposite order when it stops.

Everything that is opened is handed to the requests in the lifespan's state, from where the features' dependencies take it
(`connection.state.database` and so on). If something fails to open, what was opened before is closed and the server does not start.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

import httpx

from demo.assistant import Backend, make_backend
from demo.chat_room import ChatRoom
from demo.database import Database, open_database
from demo.external import open_http_client
from demo.feed import Hub, publish_prices
from demo.internal_api import internal_api
from demo.mail import Mailer, open_mailer
from demo.passwords import Passwords
from demo.public_api import public_api
from demo.seed import prepare
from demo.settings import Settings
from demo.tokens import Tokens
from tercel import FastAPI

__all__ = ["State", "lifespan"]


class State(TypedDict):
    """What requests and WebSockets find in `connection.state`."""

    settings: Settings
    database: Database
    http: httpx.AsyncClient
    mailer: Mailer
    passwords: Passwords
    tokens: Tokens
    hub: Hub
    room: ChatRoom
    backend: Backend


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Open everything, serve, close everything."""
    settings = Settings.from_environment()
    passwords = Passwords()
    hub = Hub()
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(open_database(settings.database_url))
        await prepare(database, passwords)
        client = await opened.enter_async_context(open_http_client(app))
        mailer = await opened.enter_async_context(open_mailer(settings.smtp_url, app.state.metrics))
        await opened.enter_async_context(_in_background(hub))

        # Servers run the lifespan of the application they serve. Those of mounted applications are ours to run, and they are opened
        # last, because they use what is open already.
        public_api.state.database = database
        internal_api.state.metrics = app.state.metrics
        for mounted in (public_api, internal_api):
            await opened.enter_async_context(mounted.router.lifespan_context(mounted))

        yield {
            "settings": settings,
            "database": database,
            "http": client,
            "mailer": mailer,
            "passwords": passwords,
            "tokens": Tokens(settings.jwt_secret, settings.jwt_lifetime_s),
            "hub": hub,
            "room": ChatRoom(hub),
            "backend": make_backend(settings, client),
        }


@asynccontextmanager
async def _in_background(hub: Hub) -> AsyncIterator[None]:
    prices = asyncio.create_task(publish_prices(hub))
    try:
        yield
    finally:
        prices.cancel()
        await asyncio.wait([prices])
