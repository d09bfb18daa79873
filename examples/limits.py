# examples/limits.py
from typing import Annotated

from tercel import APIRouter, FastAPI, File, Form

app = FastAPI(max_body_size=1_000, form_limits={"max_fields": 10, "max_files": 0, "max_part_size": 200})


@app.post("/notes")
async def note(text: list[str]) -> int:
    return sum(map(len, text))


@app.post("/votes")
async def vote(choice: Annotated[str, Form()]) -> str:
    return choice


uploads = APIRouter(prefix="/uploads", max_body_size=100_000)


@uploads.post("/photo", form_limits={"max_files": 1})
async def photo(photo: Annotated[bytes, File()]) -> int:
    return len(photo)


app.include_router(uploads)
