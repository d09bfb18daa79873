"""What the applications answer with: models and rows that every application of a pydantic framework shares.

The expected answers in `bench/workloads.py` do not come from here, so that a mistake in a model shows. Knows no framework.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel

STATIC_FOLDER: Final = Path(__file__).parent / "static"
CHUNKS: Final = [b"chunk %02d\n" % number for number in range(100)]


class Address(BaseModel):
    """Nested in `UserIn` and `UserOut`."""

    street: str
    city: str
    zip_code: str


class UserOut(BaseModel):
    """W3: what the response model lets through."""

    name: str
    age: int
    tags: list[str]
    address: Address


class UserIn(UserOut):
    """W3: what is posted."""

    password: str


class Item(BaseModel):
    """W5: one of a hundred rows."""

    id: int
    name: str
    price: float
    created: datetime
    active: bool


ITEMS: Final = [
    Item(
        id=number,
        name=f"item {number}",
        price=number * 1.25,
        created=datetime(2026, 1, 1, 12, 0, 30) + timedelta(hours=number),
        active=number % 2 == 0,
    )
    for number in range(100)
]


class User(BaseModel):
    """W4: whom the token belongs to."""

    name: str
    active: bool


USERS: Final = {"secret-token": User(name="ada", active=True)}
