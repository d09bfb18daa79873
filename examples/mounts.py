# examples/mounts.py
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tercel import FastAPI, HTTPException, Request

log: list[str] = []


@asynccontextmanager
async def shop_lifespan(app: FastAPI) -> AsyncIterator[None]:
    log.append("shop opens")
    yield
    log.append("shop closes")


shop = FastAPI(title="Shop", lifespan=shop_lifespan)


@shop.get("/products/{number}")
async def product(number: int, request: Request) -> dict[str, str]:
    if number > 10:
        raise HTTPException(404, "no such product")
    return {"self": str(request.url_for("product", number=number))}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with shop.router.lifespan_context(shop):  # nobody else runs the lifespan of what is mounted
        yield


app = FastAPI(title="Main", lifespan=lifespan)
app.mount("/shop", shop)
