# examples/streaming.py
import csv
import io
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from pydantic import BaseModel

from tercel import FastAPI, Header, HTTPException
from tercel.responses import EventSourceResponse, StreamingResponse
from tercel.sse import ServerSentEvent

app = FastAPI()
READINGS = [(number, number * 0.5) for number in range(1, 1001)]


class Reading(BaseModel):
    number: int
    value: float


@app.get("/readings.jsonl")
async def lines(first: int = 1) -> AsyncIterator[Reading]:
    if first > len(READINGS):
        raise HTTPException(404, "there are not so many")
    for number, value in READINGS[first - 1 :]:
        yield Reading(number=number, value=value)


@app.get("/readings", response_class=EventSourceResponse)
async def events(last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
    for number, value in READINGS[last_event_id:]:
        yield ServerSentEvent(data={"value": value}, id=str(number), event="reading")


@app.get("/readings.csv", response_class=StreamingResponse)
def table() -> Iterator[str]:
    for row in READINGS:
        line = io.StringIO()
        csv.writer(line).writerow(row)
        yield line.getvalue()
