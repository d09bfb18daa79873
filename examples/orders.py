# examples/orders.py
from collections.abc import AsyncIterator
from secrets import compare_digest
from typing import Annotated

from pydantic import BaseModel, Field

from tercel import Depends, FastAPI, Header, HTTPException

app = FastAPI()
ORDERS: list[str] = []


class Order(BaseModel):
    item: str
    quantity: int = Field(default=1, ge=1)


class Placed(Order):
    number: int


async def database() -> AsyncIterator[list[str]]:
    yield ORDERS


async def customer(x_token: Annotated[str, Header()], database: Annotated[list[str], Depends(database)]) -> str:
    if not compare_digest(x_token.encode(), b"secret"):
        raise HTTPException(401)
    return "ada"


@app.post("/shops/{shop_id}/orders", status_code=201)
async def place(
    shop_id: int,
    order: Order,
    customer: Annotated[str, Depends(customer)],
    database: Annotated[list[str], Depends(database)],
) -> Placed:
    database.append(f"{customer} wants {order.quantity} {order.item} from {shop_id}")
    return Placed(number=len(database), **order.model_dump())
