# examples/forms.py
from typing import Annotated

from pydantic import BaseModel, Field

from tercel import FastAPI, File, Form, UploadFile

app = FastAPI()


class Membership(BaseModel):
    name: str
    email: str
    newsletter: bool = False
    interests: list[str] = Field(default=[], max_length=5)


@app.post("/members")
async def join(membership: Annotated[Membership, Form()]) -> Membership:
    return membership


@app.post("/photos")
async def add_photos(
    photos: Annotated[list[UploadFile], File(max_length=10)],
    caption: Annotated[str, Form(max_length=200)] = "",
) -> dict[str, object]:
    sizes = {}
    for photo in photos:
        size = 0
        while piece := await photo.read(65_536):
            size += len(piece)
        sizes[photo.filename] = size
    return {"caption": caption, "sizes": sizes}
