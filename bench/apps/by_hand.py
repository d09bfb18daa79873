"""What an application writes itself where its framework neither validates nor resolves dependencies: pydantic, called by hand.

Shared by the applications of such frameworks, so that they differ only in their framework. Everything takes and returns text, bytes
and models; knows no framework.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from bench.apps.content import ITEMS, USERS, Item, User, UserIn, UserOut

__all__ = [
    "JSON",
    "Refused",
    "active_user",
    "answer_item",
    "answer_list",
    "answer_user",
    "current_user",
    "require_token",
    "to_json",
]

JSON: Final = "application/json"


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: of the answer.
        body: JSON.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class ItemQuery(TypedDict):
    """W2: the parameters of one request, with the default put in before."""

    item_id: int
    q: str
    limit: Annotated[int, Field(ge=1, le=100)]


_ITEM_QUERY: Final = TypeAdapter(ItemQuery)
_USER_IN: Final = TypeAdapter(UserIn)
_USER_OUT: Final = TypeAdapter(UserOut)
_ITEM_LIST: Final = TypeAdapter(list[Item])


def answer_item(item_id: str, query: Mapping[str, str]) -> bytes:
    """W2: the validated parameters as JSON.

    Raises:
        Refused: 422, one of them is missing or wrong.
    """
    try:
        values = _ITEM_QUERY.validate_python({"limit": "10", **query, "item_id": item_id})
    except ValidationError as error:
        raise Refused(422, error.json(include_url=False).encode()) from None
    return to_json({"item_id": values["item_id"], "q": values["q"], "limit": values["limit"]})


def answer_user(body: bytes | str) -> bytes:
    """W3: what the response model shows of the posted user, as JSON.

    Raises:
        Refused: 422, the body is no valid user.
    """
    try:
        user = _USER_IN.validate_json(body)
    except ValidationError as error:
        raise Refused(422, error.json(include_url=False).encode()) from None
    return _USER_OUT.dump_json(_USER_OUT.validate_python(user, from_attributes=True))


def answer_list() -> bytes:
    """W5: the rows through their response model, as JSON."""
    return _ITEM_LIST.dump_json(_ITEM_LIST.validate_python(ITEMS))


def require_token(token: str | None) -> str:
    """W4 and W10: the first dependency.

    Raises:
        Refused: 422 without a token.
    """
    if token is None:
        raise Refused(422, b'{"detail":"x-token is missing"}')
    return token


async def current_user(token: str) -> AsyncGenerator[User]:
    """W4: the second dependency, a generator.

    Raises:
        Refused: 401 for a token of nobody.
    """
    user = USERS.get(token)
    if user is None:
        raise Refused(401, b'{"detail":"Unauthorized"}')
    yield user


_opened_user: Final = asynccontextmanager(current_user)


@asynccontextmanager
async def active_user(token: str | None) -> AsyncIterator[User]:
    """W4: all three dependencies.

    Raises:
        Refused: 422, 401 or 403.
    """
    async with _opened_user(require_token(token)) as user:
        if not user.active:
            raise Refused(403, b'{"detail":"Forbidden"}')
        yield user
