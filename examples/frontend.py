# examples/frontend.py
from pathlib import Path

from tercel import APIRouter, FastAPI

api = APIRouter(prefix="/api")


@api.get("/birds")
async def birds() -> list[str]:
    return ["falcon", "kestrel"]


app = FastAPI()
app.include_router(api)
app.frontend("/", directory=Path("examples/site"))  # index.html and app.js, as a build tool leaves them
