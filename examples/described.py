# examples/described.py
from typing import Annotated

from pydantic import BaseModel, Field

from tercel import FastAPI, Path

app = FastAPI(
    title="Ring registry",
    summary="Who ringed which bird, and where.",
    version="2.1.0",
    openapi_tags=[{"name": "rings", "description": "Rings with their **numbers**."}],
    contact={"name": "The registry", "url": "https://example.org"},
)


class Ring(BaseModel):
    number: str = Field(pattern="^[A-Z]{2}[0-9]{4}$", examples=["CH1234"])
    species: str


class Problem(BaseModel):
    detail: str


@app.get("/rings/{number}", tags=["rings"], responses={404: {"model": Problem, "description": "No such ring"}})
async def read_ring(number: Annotated[str, Path(description="As printed on the ring.", examples=["CH1234"])]) -> Ring:
    """One ring.

    The *registry* knows rings since 1911.
    \f
    This is for readers of the source.
    """
    return Ring(number=number, species="falcon")
