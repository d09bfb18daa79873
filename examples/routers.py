# examples/routers.py
from typing import Annotated

from tercel import APIRouter, Depends, FastAPI, Header, HTTPException

birds = APIRouter(prefix="/birds", tags=["birds"])


@birds.get("/")
async def all_birds() -> list[str]:
    return ["falcon", "kestrel"]


@birds.get("/{name}")
async def bird(name: str) -> str:
    return name


async def ranger(x_badge: Annotated[str | None, Header()] = None) -> None:
    if x_badge is None:
        raise HTTPException(401, "rangers only")


reserve = APIRouter(tags=["reserve"], dependencies=[Depends(ranger)])


@reserve.get("/gates")
async def gates() -> list[str]:
    return ["north", "south"]


reserve.include_router(birds)  # /reserve/birds/... is for rangers too

app = FastAPI()
app.include_router(birds, prefix="/v1")
app.include_router(reserve, prefix="/reserve", responses={401: {"description": "Not a ranger"}})
