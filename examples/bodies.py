# examples/bodies.py
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from tercel import Body, FastAPI

app = FastAPI()


class Position(BaseModel):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class Sighting(BaseModel):
    species: str = Field(min_length=2)
    count: int = Field(default=1, ge=1)
    position: Position
    seen_at: datetime


@app.post("/sightings", status_code=201)
async def report(sighting: Sighting) -> dict[str, object]:
    return {"species": sighting.species, "latitude": sighting.position.latitude}


@app.put("/sightings/{number}")
async def correct(number: int, sighting: Sighting, reason: Annotated[str, Body()], notify: bool = False) -> list[object]:
    return [number, sighting.count, reason, notify]
