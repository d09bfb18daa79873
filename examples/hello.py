# examples/hello.py
from pydantic import BaseModel

from tercel import FastAPI

app = FastAPI()


class Parcel(BaseModel):
    weight_kg: float
    fragile: bool = False


@app.post("/quotes/{zone}")
async def quote(zone: int, parcel: Parcel, express: bool = False) -> dict[str, float]:
    return {"price": zone * parcel.weight_kg * (2 if express else 1)}
