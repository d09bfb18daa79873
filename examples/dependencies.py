# examples/dependencies.py
from collections.abc import AsyncIterator
from typing import Annotated

from tercel import Depends, FastAPI, Header, HTTPException

app = FastAPI()
log: list[str] = []


class Connection:
    """Stands for a connection of a database."""

    async def find_user(self, token: str) -> str | None:
        return {"secret": "ada"}.get(token)


async def connection() -> AsyncIterator[Connection]:
    log.append("open")
    try:
        yield Connection()
    except HTTPException:
        log.append("roll back")
        raise
    finally:
        log.append("close")


Database = Annotated[Connection, Depends(connection)]


async def current_user(database: Database, x_token: Annotated[str, Header()]) -> str:
    user = await database.find_user(x_token)
    if user is None:
        raise HTTPException(401, "unknown token")
    return user


User = Annotated[str, Depends(current_user)]


@app.get("/orders/{number}")
async def read_order(number: int, user: User, database: Database) -> dict[str, object]:
    if number > 100:
        raise HTTPException(404, "no such order")
    return {"number": number, "user": user}
