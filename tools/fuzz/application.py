"""The application whose endpoints are fuzzed: a parameter of every kind and forms as people declare them, once for each engine."""

from __future__ import annotations

from datetime import date
from enum import Enum
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from tercel import Body, Cookie, Depends, FastAPI, File, Form, Header, Path, Query, Request, UploadFile

__all__ = ["engines"]


class Color(Enum):
    """A closed set of strings."""

    RED = "red"
    BLUE = "blue"


class Page(BaseModel):
    """Several query parameters in one model."""

    limit: int = Field(10, ge=0, le=100)
    after: date | None = None


class Item(BaseModel):
    """A body."""

    name: str = Field(max_length=20)
    price: float = Field(1.0, ge=0)
    tags: list[str] = []
    parent: Item | None = None


class Login(BaseModel):
    """A form in one model."""

    name: str
    numbers: list[int] = []


async def paged(page: Annotated[Page, Query()]) -> Page:
    """A dependency with a parameter model."""
    return page


@cache
def engines() -> tuple[FastAPI, FastAPI]:
    """The application with the compiled engine, and with the interpreted one."""
    return _make("compiled"), _make("interpreted")


def _make(engine: Any) -> FastAPI:
    app = FastAPI(engine=engine)

    @app.get("/items/{number}/{rest:path}")
    async def read(
        number: Annotated[int, Path(ge=-5, le=10**6)],
        rest: str,
        q: str | None = None,
        flag: bool = False,
        ratio: float = 0.0,
        color: Color = Color.RED,
        ids: Annotated[list[int], Query(alias="id", max_length=5)] = [],  # noqa: B006
        key: UUID | None = None,
        session: Annotated[str | None, Cookie()] = None,
        x_token: Annotated[str, Header(pattern="^[a-z]*$")] = "",
        x_numbers: Annotated[list[int] | None, Header()] = None,
    ) -> dict[str, Any]:
        return {
            "number": number,
            "rest": rest,
            "q": q,
            "flag": flag,
            "ratio": repr(ratio),
            "color": color,
            "ids": ids,
            "key": key,
            "session": session,
            "token": x_token,
            "numbers": x_numbers,
        }

    @app.get("/pages/{day}")
    async def page(day: date, page: Annotated[Page, Depends(paged)]) -> dict[str, Any]:
        return {"day": day, "page": page}

    @app.post("/items/{number}")
    async def create(number: int, item: Item, note: Annotated[str, Body()] = "") -> dict[str, Any]:
        return {"number": number, "name": item.name, "tags": item.tags, "note": note}

    @app.post("/numbers")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.post("/form")
    async def form(
        name: Annotated[str, Form(max_length=20)], age: Annotated[int, Form()] = 0, tags: Annotated[list[str] | None, Form()] = None
    ) -> dict[str, Any]:
        return {"name": name, "age": age, "tags": tags}

    @app.post("/files")
    async def files(
        one: UploadFile, more: Annotated[list[bytes] | None, File()] = None, text: Annotated[str, Form()] = ""
    ) -> list[Any]:
        content = await one.read()
        return [one.filename, one.content_type, len(content), [len(data) for data in more or ()], text]

    @app.post("/model")
    async def model(login: Annotated[Login, Form()]) -> Login:
        return login

    @app.post("/raw")
    async def raw(request: Request) -> list[Any]:
        async with request.form() as found:
            return [(name, value if isinstance(value, str) else value.filename) for name, value in found.multi_items()]

    return app
