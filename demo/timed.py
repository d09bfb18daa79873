"""A custom route class: every route of a router that uses `TimedRoute` answers with `X-Response-Time`.

A route class sees what a middleware sees, but only for its own routes, and with the route's declaration at hand. The time is that
of the whole handler: body, validation, dependencies, endpoint, response. It is not in answers to errors, which are made further
out.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from tercel import APIRouter, Query, Request, Response
from tercel.routing import APIRoute

__all__ = ["TimedRoute", "router"]


class TimedRoute(APIRoute):
    """Says in a header of the response how long it took."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The original handler with a stop-watch round it. Called once for each route, not for each request."""
        handle = super().get_route_handler()

        async def handle_and_time(request: Request) -> Response:
            started = time.perf_counter()
            response = await handle(request)
            elapsed_ms = (time.perf_counter() - started) * 1000
            response.headers["X-Response-Time"] = f"{elapsed_ms:.2f}ms"
            return response

        return handle_and_time


router = APIRouter(prefix="/timed", tags=["route classes"], route_class=TimedRoute)


@router.get("/")
async def wait(delay_ms: Annotated[float, Query(ge=0, le=2000, allow_inf_nan=False)] = 0) -> dict[str, float]:
    """Wait, so that there is something to time."""
    await asyncio.sleep(delay_ms / 1000)
    return {"waited_ms": delay_ms}
