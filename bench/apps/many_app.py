"""Applications of many routes for measuring start-up, for FastAPI, Tercel and Starlette, as `BENCH_PACKAGE` and `BENCH_ROUTES` say.

Of ten routes, four read a typed path and query, two post a model and answer through another, two have a dependency, and two
are plain. There is a pair of models for every fifty routes.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, create_model

PACKAGE = os.environ.get("BENCH_PACKAGE", "tercel")
COUNT = int(os.environ.get("BENCH_ROUTES", "10"))

if TYPE_CHECKING or PACKAGE == "tercel":
    from tercel import APIRouter, Depends, FastAPI, Header, Query
elif PACKAGE == "fastapi":
    from fastapi import APIRouter, Depends, FastAPI, Header, Query


class Page(BaseModel):
    """A base that the generated models have in common."""

    title: str
    score: float = 0.0


if TYPE_CHECKING or PACKAGE != "starlette":

    def get_token(x_token: Annotated[str, Header()] = "none") -> str:
        return x_token


@cache
def make_models(number: int) -> tuple[Any, Any]:
    """What is posted, and what is shown of it."""
    return create_model(f"Posted{number}", __base__=Page, secret=(str, "secret")), create_model(f"Shown{number}", __base__=Page)


def add_group(router: Any, number: int) -> None:
    """Ten routes."""
    posted, shown = make_models(number // 5)

    def make_reader() -> Any:
        async def read(item_id: int, q: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Any:
            return {"item_id": item_id, "q": q, "limit": limit}

        return read

    def make_writer() -> Any:
        async def write(page: posted) -> Any:
            return page

        return write

    def make_guarded() -> Any:
        async def guarded(token: Annotated[str, Depends(get_token)]) -> dict[str, str]:
            return {"token": token}

        return guarded

    def make_plain() -> Any:
        async def plain() -> dict[str, str]:
            return {"message": "hello"}

        return plain

    for place in range(4):
        router.get(f"/read{place}/{{item_id}}")(make_reader())
    for place in range(2):
        router.post(f"/write{place}", response_model=shown, status_code=201)(make_writer())
        router.get(f"/guarded{place}")(make_guarded())
        router.get(f"/plain{place}")(make_plain())


def make_app() -> Any:
    """The application: groups of ten routes, each in a router of its own that is included under a prefix."""
    app = FastAPI()
    for number in range(COUNT // 10):
        router = APIRouter()
        add_group(router, number)
        app.include_router(router, prefix=f"/group{number}")
    return app


def make_starlette() -> Any:
    """As many plain Starlette routes: what a framework without analysis needs."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    def make_endpoint() -> Any:
        async def endpoint(request: Any) -> JSONResponse:
            return JSONResponse({"message": "hello"})

        return endpoint

    names = [*(f"/read{place}/{{item_id}}" for place in range(4))]
    names += [f"/{kind}{place}" for place in range(2) for kind in ("write", "guarded", "plain")]
    groups = [Mount(f"/group{number}", routes=[Route(name, make_endpoint()) for name in names]) for number in range(COUNT // 10)]
    return Starlette(routes=groups)


app = make_starlette() if PACKAGE == "starlette" else make_app()
