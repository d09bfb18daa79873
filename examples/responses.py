# examples/responses.py
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tercel import FastAPI, Response
from tercel.responses import PlainTextResponse, RedirectResponse

app = FastAPI()


class Account(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    home_page: str | None = Field(default=None, alias="homePage")


class Row:
    """What an object of a database might be."""

    name = "ada"
    homePage = None
    password_hash = "$argon2id$..."


@app.get("/accounts/{name}")
async def read(name: str) -> Account:
    return Row()  # type: ignore[return-value]  # validated, and filtered to what Account has


@app.get("/accounts/{name}/short", response_model=Account, response_model_exclude_none=True)
async def read_short(name: str) -> Any:
    return Row()


@app.post("/accounts", status_code=201)
async def create(account: Account, response: Response) -> Account:
    response.headers["Location"] = f"/accounts/{account.name}"
    return account


@app.delete("/accounts/{name}", status_code=204)
async def delete(name: str) -> None:
    pass


@app.get("/me")
async def me() -> RedirectResponse:
    return RedirectResponse("/accounts/ada")


@app.get("/robots.txt", response_class=PlainTextResponse)
async def robots() -> str:
    return "User-agent: *\nDisallow: /accounts/\n"
