"""What an included route is in its place is found out when somebody asks for it, and is what it was when the application froze."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from tercel import APIRouter, Depends, FastAPI
from tercel.http.errors import DeclarationError
from tercel.routing.changes import unsettled
from tercel.routing.include import EffectiveRoute, IncludedRouter
from tercel.routing.route import APIRoute
from tercel.testclient import TestClient


class Numbers(BaseModel):
    number: int
    more: int | None


def make_app(**layer: Any) -> tuple[FastAPI, APIRouter, Callable[[], list[EffectiveRoute]]]:
    router = APIRouter()

    @router.get("/first")
    async def first() -> str:
        return "first"

    @router.get("/second/{number}", tags=["own"])
    async def second(number: int, more: int | None = None) -> Numbers:
        return Numbers(number=number, more=more)

    app = FastAPI()
    app.include_router(router, prefix="/api", **layer)

    def effective() -> list[EffectiveRoute]:
        (included,) = [route for route in app.router.routes if isinstance(route, IncludedRouter)]
        return list(included.effective_candidates())

    return app, router, effective


def test_only_the_route_that_is_asked_for_is_settled() -> None:
    app, _, effective = make_app(tags=["outer"])
    client = TestClient(app)
    assert client.get("/api/first").json() == "first"
    assert [route.is_settled for route in effective()] == [True, False]
    assert app.url_path_for("second", number=5) == "/api/second/5"
    assert client.get("/api/second/no").status_code == 422
    assert client.post("/api/second/5").status_code == 405
    assert effective()[1].is_settled
    assert effective()[1].tags == ["outer", "own"]


def test_all_attributes_are_there_for_who_copies_them() -> None:
    _, _, effective = make_app(tags=["outer"])
    route = effective()[1]
    assert not route.is_settled
    copied = {name: copy.copy(value) for name, value in vars(route).items() if name != "original_route" and hasattr(route, name)}
    assert (copied["tags"], copied["response_model"], copied["summary"]) == (["outer", "own"], Numbers, None)
    assert [each.name for each in copied["dependant"].query_params] == ["more"]
    assert vars(copy.copy(effective()[0]))["unique_id"] == "first_api_first_get"


def test_a_document_settles_all() -> None:
    app, _, effective = make_app(tags=["outer"])
    client = TestClient(app)
    client.get("/api/first")
    operation = client.get("/openapi.json").json()["paths"]["/api/second/{number}"]["get"]
    assert (operation["tags"], operation["operationId"]) == (["outer", "own"], "second_api_second__number__get")
    assert all(route.is_settled for route in effective())


def test_an_assignment_after_the_first_request_does_not_reach_what_was_put_off() -> None:
    app, router, effective = make_app()
    client = TestClient(app)
    client.get("/api/first")
    route = router.routes[1]
    assert isinstance(route, APIRoute)
    route.response_model_exclude_none = True
    route.tags = ["late"]
    assert effective()[1].tags == ["own"]
    assert client.get("/api/second/5").json() == {"number": 5, "more": None}
    assert not list(unsettled)


def test_an_unknown_attribute_is_one() -> None:
    app, _, effective = make_app()
    TestClient(app).get("/api/first")
    for _ in range(2):
        assert not hasattr(effective()[1], "no_such_thing")


def test_a_mistake_of_a_layer_shows_with_the_first_request_whichever_it_is() -> None:
    class Unknown:
        pass

    def dependency(value: Any) -> None: ...

    dependency.__annotations__["value"] = Unknown
    app, _, _ = make_app(dependencies=[Depends(dependency)])
    with pytest.raises(DeclarationError, match="Unknown"):
        TestClient(app).get("/docs")


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_has_its_handler_in_common_with_the_original(how: Callable[[Any], Any]) -> None:
    _, router, _ = make_app()
    route = router.routes[1]
    copied = how(route)
    assert copied.operation is route.operation  # type: ignore[attr-defined]
    assert set(vars(copied)) == set(vars(route))


def test_a_route_is_served_as_it_was_declared_whatever_is_assigned_to_it() -> None:
    app = FastAPI()

    @app.get("/", response_model_exclude_none=True)
    async def root() -> Numbers:
        return Numbers(number=1, more=None)

    route: Any = app.router.routes[-1]
    assert "operation" not in vars(route)
    route.response_model_exclude_none = False
    assert TestClient(app).get("/").json() == {"number": 1}
