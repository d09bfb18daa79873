"""`GET /items/`: filters and pagination as classes.

A class is a dependency like a function: its parameters become query parameters, its instance is what the endpoint receives. The
filter turns itself into SQL, so that the endpoint says what it does and not how.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, func, or_, select

from demo.database import SessionDep
from demo.errors import AppError
from demo.inputs import Line
from demo.tables import Item
from demo.timed import TimedRoute
from tercel import APIRouter, Depends, Query

__all__ = ["router"]

router = APIRouter(prefix="/items", tags=["items"], route_class=TimedRoute)

# Two decimal places, since there is no tenth of a cent. NaN and infinity are no decimals to pydantic; the bound fits any column.
Price = Annotated[Decimal, Query(ge=0, le=1_000_000, decimal_places=2)]


class ItemFilter:
    """Which items. Every condition may be left out; those given must all hold."""

    def __init__(
        self,
        q: Annotated[Line | None, Query(max_length=100, description="in the name or the description; % and _ are literal")] = None,
        min_price: Price | None = None,
        max_price: Price | None = None,
        category: Annotated[Line | None, Query(max_length=30)] = None,
    ) -> None:
        if min_price is not None and max_price is not None and min_price > max_price:
            raise AppError(422, "EMPTY_PRICE_RANGE", "min_price is above max_price.")
        self.q = q
        self.min_price = min_price
        self.max_price = max_price
        self.category = category

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL. Values travel as parameters, never as text."""
        found: list[ColumnElement[bool]] = []
        if self.q:
            # autoescape puts a backslash before % and _, which LIKE would otherwise take as "anything".
            found.append(or_(Item.name.icontains(self.q, autoescape=True), Item.description.icontains(self.q, autoescape=True)))
        if self.min_price is not None:
            found.append(Item.price_cents >= int((self.min_price * 100).to_integral_value(ROUND_CEILING)))
        if self.max_price is not None:
            found.append(Item.price_cents <= int((self.max_price * 100).to_integral_value(ROUND_FLOOR)))
        if self.category:
            found.append(Item.category == self.category)
        return found


class Pagination:
    """Which part of the result. Used with any query, hence not part of the filter."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> None:
        self.limit = limit
        self.offset = offset

    def apply(self, query: Select[Any]) -> Select[Any]:
        """The query, cut to this part."""
        return query.limit(self.limit).offset(self.offset)


class ItemOut(BaseModel):
    """An item as the shop shows it."""

    id: int
    name: str
    description: str
    category: str
    price: float = Field(description="in whole currency units")

    @classmethod
    def of(cls, item: Item) -> Self:
        return cls(id=item.id, name=item.name, description=item.description, category=item.category, price=item.price_cents / 100)


class ItemPage(BaseModel):
    """A part of the result, and how large the whole is."""

    items: list[ItemOut]
    total: int
    limit: int
    offset: int


@router.get("/")
async def list_items(
    filters: Annotated[ItemFilter, Depends()],
    part: Annotated[Pagination, Depends()],
    session: SessionDep,
) -> ItemPage:
    """The items that match, cheapest first."""
    conditions = filters.conditions()
    total = await session.scalar(select(func.count()).select_from(Item).where(*conditions))
    # The id decides between equal prices: without it two pages could show the same item.
    query = select(Item).where(*conditions).order_by(Item.price_cents, Item.id)
    found = await session.scalars(part.apply(query))
    return ItemPage(items=[ItemOut.of(item) for item in found], total=total or 0, limit=part.limit, offset=part.offset)


@router.get("/categories/")
async def list_categories(session: SessionDep) -> list[str]:
    """What `category` can be."""
    return list(await session.scalars(select(Item.category).distinct().order_by(Item.category)))
