# examples/parameters.py
from datetime import time
from typing import Annotated, Literal

from pydantic import BaseModel

from tercel import Cookie, FastAPI, Header, Path, Query

app = FastAPI()


class Search(BaseModel):
    """What every list of departures understands."""

    model_config = {"extra": "forbid"}

    after: time = time(0)
    line: list[str] = []
    limit: Annotated[int, Query(ge=1, le=50)] = 10


@app.get("/stations/{code}/departures")
async def departures(code: Annotated[str, Path(pattern="^[A-Z]{3}$")], search: Annotated[Search, Query()]) -> dict[str, object]:
    return {"station": code, **search.model_dump(mode="json")}


@app.get("/platforms/{number:int}")
async def platform(
    number: int,
    side: Literal["a", "b"] = "a",
    accept_language: Annotated[str, Header()] = "en",
    favourites: Annotated[str | None, Cookie()] = None,
) -> dict[str, object]:
    return {"platform": f"{number}{side}", "language": accept_language, "favourites": favourites}


@app.get("/documents/{name:path}")
async def document(name: str) -> dict[str, str]:
    return {"name": name}
