"""The database: an engine with its pool for as long as the application runs, a session for as long as a request needs one.

SQLite through aiosqlite unless DATABASE_URL names another. What is in the database is declared in `tables` and filled in by `seed`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from demo.tables import Base
from tercel import Depends
from tercel.requests import HTTPConnection

__all__ = ["Database", "DatabaseDep", "SessionDep", "open_database"]


class Database:
    """The pool of connections and what makes sessions from it. `async with database.session() as session:` anywhere."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # Objects stay readable after a commit; reading one must not turn into a query when the session is gone.
        self.session = async_sessionmaker(engine, expire_on_commit=False)

    async def create_tables(self) -> None:
        """Create those that are missing."""
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """A pool that opens connections as they are needed, and closes all of them at the end."""
    if make_url(url).get_backend_name() == "sqlite":
        engine = _create_sqlite_engine(url)
    else:
        engine = create_async_engine(url, pool_pre_ping=True)  # a server may have closed a connection that slept in the pool
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def _create_sqlite_engine(url: str) -> AsyncEngine:
    file = make_url(url).database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=5000")  # milliseconds that a second writer waits for the first; also for the next line
        cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
        cursor.execute("PRAGMA foreign_keys=ON")  # SQLite ignores foreign keys unless told
        cursor.close()

    return engine


# -- dependencies --------------------------------------------------------------------------------------------------------------
# `async def` although nothing is awaited: a plain `def` would be sent to a worker thread.


async def get_database(connection: HTTPConnection) -> Database:
    """For who needs a session apart, for example a WebSocket that must not hold one as long as it lives."""
    database: Database = connection.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_session(database: DatabaseDep) -> AsyncIterator[AsyncSession]:
    """One session for a request, shared by all its dependencies. What was not committed is rolled back."""
    async with database.session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]
