# examples/middleware.py
import time
from collections.abc import Awaitable, Callable

from tercel import FastAPI, Request, Response
from tercel.middleware import Middleware
from tercel.middleware.cors import CORSMiddleware
from tercel.middleware.gzip import GZipMiddleware

app = FastAPI(
    middleware=[
        Middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["GET", "POST"]),
        Middleware(GZipMiddleware, minimum_size=1000),
    ]
)


@app.middleware("http")
async def timed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    begun_s = time.perf_counter()
    response = await call_next(request)
    response.headers["Server-Timing"] = f"app;dur={(time.perf_counter() - begun_s) * 1000:.1f}"
    return response


@app.get("/words")
async def words() -> list[str]:
    return ["falcon"] * 1000
