# examples/lifespan.py
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from tercel import Depends, FastAPI, Request


class State(TypedDict):
    database: sqlite3.Connection


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE birds (name TEXT)")
    database.execute("INSERT INTO birds VALUES ('falcon'), ('kestrel')")
    yield {"database": database}
    database.close()


app = FastAPI(lifespan=lifespan)


def database(request: Request) -> sqlite3.Connection:
    connection: sqlite3.Connection = request.state.database
    return connection


@app.get("/birds")
def birds(database: Annotated[sqlite3.Connection, Depends(database)]) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM birds ORDER BY name")]
