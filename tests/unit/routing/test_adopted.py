"""The effective form of an untouched route is taken over from it; the result is what declaring it anew gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from tercel import APIRouter, Body, Depends, FastAPI, Query
from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import ModelField
from tercel.http.defaults import DefaultPlaceholder
from tercel.routing.include import EffectiveRoute
from tercel.routing.route import APIRoute
from tercel.testclient import TestClient


class Item(BaseModel):
    name: str
    note: str | None = None


def tell() -> str:
    return "told"


def make_router() -> APIRouter:
    router = APIRouter(tags=["inner"])

    @router.get("/items/{item_id:int}", name="one", deprecated=True)
    async def read(item_id: int, q: Annotated[str | None, Query(max_length=5)] = None) -> Item:
        """Text.\f hidden"""
        return Item(name=f"{item_id}{q}")

    @router.post("/items", status_code=201, dependencies=[Depends(tell)], operation_id="own", callbacks=[], max_body_size=100)
    def write(item: Item, told: Annotated[str, Depends(tell)], more: Annotated[int, Body()] = 1) -> Item:
        return item

    @router.get("/stream")
    async def stream() -> AsyncIterator[Item]:
        yield Item(name="a")

    @router.get("/plain", response_class=PlainTextResponse, include_in_schema=False, responses={404: {"model": Item}})
    async def plain() -> str:
        return "plain"

    return router


def comparable(value: Any) -> Any:
    """A value in which fields and trees are told by their contents."""
    if isinstance(value, ModelField):
        annotation = value.field_info.annotation
        shown = annotation.__name__ if str(annotation).startswith("<class") and "Body_" in str(annotation) else annotation
        return ("field", value.name, value.mode, shown, id(value._type_adapter) if "Body_" not in str(annotation) else 0)
    if isinstance(value, Dependant):
        return [comparable(getattr(value, name)) for name in Dependant.__slots__]
    if isinstance(value, DefaultPlaceholder):
        return ("default", value.value)
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    return value


def effective_routes(app: FastAPI) -> list[EffectiveRoute]:
    (included,) = [route for route in app.router.routes if hasattr(route, "effective_candidates")]
    routes: list[EffectiveRoute] = list(included.effective_candidates())
    for route in routes:
        route.settle()
    return routes


LAYERS: list[dict[str, Any]] = [
    {},
    {"prefix": "/api"},
    {"prefix": "/{tenant}"},
    {"prefix": "/api", "tags": ["outer"], "dependencies": [Depends(tell)], "deprecated": True, "include_in_schema": False},
    {"prefix": "/api", "default_response_class": PlainTextResponse, "max_body_size": 5, "cancel_on_disconnect": True},
    {"generate_unique_id_function": lambda route: f"made_{route.name}", "responses": {418: {"description": "Teapot"}}},
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: " ".join(layer) or "nothing")
def test_what_is_adopted_is_what_would_be_declared(layer: dict[str, Any]) -> None:
    router = make_router()
    app = FastAPI()
    app.include_router(router, **layer)
    adopted = effective_routes(app)
    for route in router.routes:
        vars(route)["is_untouched"] = False
    again = FastAPI()
    again.include_router(router, **layer)
    declared = effective_routes(again)
    for one, other in zip(adopted, declared, strict=True):
        names = {*vars(one), *vars(other)} - {"operation", "app", "_regex", "dependency_overrides_provider"}
        assert one.path_regex == other.path_regex
        for name in names - {"path_regex"}:
            assert comparable(getattr(one, name)) == comparable(getattr(other, name)), name


def test_what_is_assigned_to_a_route_before_it_is_served_counts() -> None:
    router = make_router()
    route = router.routes[0]
    assert isinstance(route, APIRoute)
    assert route.is_untouched
    route.response_model_exclude_none = True
    route.name = "renamed"
    assert not route.is_untouched
    app = FastAPI()
    app.include_router(router, prefix="/api")
    client = TestClient(app)
    assert client.get("/api/items/1").json() == {"name": "1None"}
    assert app.url_path_for("renamed", item_id=3) == "/api/items/3"
