"""`/public`: an application of its own for partners, mounted into the main one.

A mounted application shares nothing by itself but the process: it has its own documentation (`/public/docs`), its own handlers,
which answer in the form of RFC 9457, and its own lifespan. Nobody runs that lifespan unless the main one does: see `lifespan`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select

from demo.database import Database
from demo.errors import EscapedJSONResponse, describe_validation
from demo.inputs import Line
from demo.tables import Product
from tercel import FastAPI, Request
from tercel.exceptions import HTTPException, RequestValidationError

__all__ = ["public_api"]


class ProductOut(BaseModel):
    """A product as partners see it."""

    slug: str
    name: str
    price: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Read the catalogue once: it changes with a release, not with a request. The main lifespan has put the database here."""
    database: Database = app.state.database
    async with database.session() as session:
        products = await session.scalars(select(Product).order_by(Product.id))
        app.state.catalogue = {
            product.slug: ProductOut(slug=product.slug, name=product.name, price=product.price_cents / 100) for product in products
        }
    try:
        yield
    finally:
        app.state.catalogue = None


public_api = FastAPI(title="Tercel demo: public", summary="For partners.", lifespan=lifespan)


@public_api.get("/products/")
async def list_products(request: Request) -> list[ProductOut]:
    """The whole catalogue. `request.app` is the mounted application, not the main one."""
    return list(request.app.state.catalogue.values())


@public_api.get("/products/{slug}")
async def get_product(slug: Line, request: Request) -> ProductOut:
    """One product."""
    product: ProductOut | None = request.app.state.catalogue.get(slug)
    if product is None:
        raise HTTPException(404, "There is no such product.")
    return product


# -- handlers: RFC 9457, problem details ---------------------------------------------------------------------------------------


class ProblemResponse(EscapedJSONResponse):
    """A body with the members `title` and `status`, and the media type that says so (RFC 9457 §3)."""

    media_type = "application/problem+json"


@public_api.exception_handler(HTTPException)
@public_api.exception_handler(404)
@public_api.exception_handler(405)
async def answer_http_exception(request: Request, error: HTTPException) -> ProblemResponse:
    problem = {"title": str(error.detail), "status": error.status_code}
    return ProblemResponse(problem, status_code=error.status_code, headers=dict(error.headers or {}))


@public_api.exception_handler(RequestValidationError)
async def answer_invalid_input(request: Request, error: RequestValidationError) -> ProblemResponse:
    problem: dict[str, Any] = {"title": "The request is not valid.", "status": 422, "errors": describe_validation(error)}
    return ProblemResponse(problem, status_code=422)
