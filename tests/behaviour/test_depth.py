"""How deep the JSON may be that an endpoint answers with what it was sent; FastAPI 0.165 answers the same."""

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError


class Node(BaseModel):
    child: "Node | None" = None


def nested(depth: int) -> dict[str, Any]:
    """Options of a request whose body has so many levels."""
    return {"content": b"[" * depth + b"]" * depth, "headers": {"content-type": "application/json"}}


@pytest.fixture
def echoing(make_app, client):
    app = make_app()

    @app.post("/model")
    async def model(body: Node) -> Node:
        return body

    @app.post("/declared")
    async def declared(body: list[Any]) -> list[Any]:
        return body

    @app.post("/undeclared")
    async def undeclared(body: list[Any]):
        return body

    return client(app)


def test_a_model_that_is_too_deep_to_be_written_is_refused_when_it_is_read(echoing):
    def sent(depth: int) -> dict[str, Any]:
        return {"content": b'{"child":' * depth + b"null" + b"}" * depth, "headers": {"content-type": "application/json"}}

    written = echoing.post("/model", **sent(254))
    assert (written.status_code, written.text.count("{")) == (200, 254)
    for depth in (255, 300, 800):
        refused = echoing.post("/model", **sent(depth))
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["type"] == "recursion_depth_exceeded"


def test_data_of_any_type_is_written_as_deep_as_it_is_read_unless_a_model_writes_it(echoing):
    assert echoing.post("/undeclared", **nested(800)).text == "[" * 800 + "]" * 800
    assert echoing.post("/declared", **nested(256)).text == "[" * 256 + "]" * 256


@pytest.mark.parametrize("depth", [257, 800])
def test_data_of_any_type_beyond_what_pydantic_writes_is_an_error_of_the_application(echoing, depth):
    error = echoing.expect_error(PydanticSerializationError, "POST", "/declared", **nested(depth))
    assert "depth exceeded" in str(error)
