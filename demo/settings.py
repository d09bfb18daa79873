"""Everything that can be set from outside, read once from the environment when the application starts.

The rest of the demo receives a `Settings` object and never looks at the environment itself, so that this page is the whole list.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from tercel import Depends
from tercel.requests import HTTPConnection

__all__ = ["Settings", "SettingsDep"]

# URLs as people write them, and the asynchronous driver that SQLAlchemy is to use for them.
ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The demo's settings. The environment variable of each is its name in capitals unless a comment says otherwise."""

    data_folder: Path  # DEMO_DATA: where the SQLite file is kept; demo/var beside this module unless set
    database_url: str  # an SQLAlchemy URL; the SQLite file demo.sqlite3 in the data folder unless set
    jwt_secret: str  # signs the tokens; unless set it is made anew at each start, which ends the tokens of the start before
    jwt_lifetime_s: float  # one hour: long enough to try everything, short enough for a token that leaked
    internal_key: str  # opens /internal; a documented default, since this is a demo
    smtp_url: str | None  # smtp://user:password@host:587 or smtps://…; an embedded sink receives the mail unless set
    external_url: str  # what GET /external-data fetches; a file of the demo itself unless set
    external_timeout_s: float  # for the whole exchange with it, not for each read
    openai_base_url: str | None  # an OpenAI-compatible server for POST /chat, for example http://localhost:11434/v1
    openai_api_key: str | None
    openai_model: str
    llm_token_delay_ms: float  # pause between two words of the built-in model, so that one can watch it
    event_interval_s: float  # between two events of GET /events
    feed_ping_interval_s: float  # between two pings of WS /ws/feed
    feed_pong_timeout_s: float  # how long a peer may take to answer one

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The settings in force.

        Raises:
            ValueError: a variable cannot be read; the message names it. The application does not start.
        """

        def text(name: str) -> str | None:
            return environment.get(name) or None  # an empty variable is one that is not set

        def number(name: str, default: float) -> float:
            raw = text(name)
            try:
                value = default if raw is None else float(raw)
            except ValueError:
                value = float("nan")
            if not 0 <= value < float("inf"):  # also false for NaN
                raise ValueError(f"{name}={raw!r}: expected a number from 0 upwards")
            return value

        def address(name: str, *schemes: str) -> str | None:
            raw = text(name)
            if raw is not None and (urlsplit(raw).scheme not in schemes or not urlsplit(raw).hostname):
                raise ValueError(f"{name}={raw!r}: expected an address that begins with {' or '.join(f'{s}://' for s in schemes)}")
            return raw

        data_folder = Path(text("DEMO_DATA") or Path(__file__).with_name("var")).absolute()
        return cls(
            data_folder=data_folder,
            database_url=_with_async_driver(text("DATABASE_URL") or f"sqlite:///{data_folder / 'demo.sqlite3'}"),
            jwt_secret=text("JWT_SECRET") or secrets.token_urlsafe(32),
            jwt_lifetime_s=number("JWT_LIFETIME_S", 3600),
            internal_key=text("INTERNAL_KEY") or "internal-demo-key",
            smtp_url=address("SMTP_URL", "smtp", "smtps"),
            external_url=address("EXTERNAL_URL", "http", "https") or "http://demo/static/falcons.json",
            external_timeout_s=number("EXTERNAL_TIMEOUT_S", 5),
            openai_base_url=address("OPENAI_BASE_URL", "http", "https"),
            openai_api_key=text("OPENAI_API_KEY"),
            openai_model=text("OPENAI_MODEL") or "gpt-4o-mini",
            llm_token_delay_ms=number("LLM_TOKEN_DELAY_MS", 40),
            event_interval_s=number("EVENT_INTERVAL_S", 1),
            feed_ping_interval_s=number("FEED_PING_INTERVAL_S", 10),
            feed_pong_timeout_s=number("FEED_PONG_TIMEOUT_S", 5),
        )


def _with_async_driver(url: str) -> str:
    parsed = make_url(url)
    driver = ASYNC_DRIVERS.get(parsed.drivername, parsed.drivername)
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


async def get_settings(connection: HTTPConnection) -> Settings:
    """The settings that the lifespan read."""
    settings: Settings = connection.state.settings
    return settings


SettingsDep = Annotated[Settings, Depends(get_settings)]
