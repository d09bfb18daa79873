"""Annotations as text: forward references, names that exist only for type checkers, aliases, wrapped functions."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Annotated

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from tercel import BackgroundTasks, Depends, FastAPI, Query, Request, Response
from tercel.responses import PlainTextResponse

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypeCheckers


def later(value: Annotated[Later, Query()]):
    return value.n


class Later(BaseModel):
    n: int = 3


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


def wrapping(function):
    """A decorator such as applications have."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def path_of(request: Request) -> OnlyForTypeCheckers:
    return request.url.path


@wrapping
def number_of(value: Annotated[Later, Query()]) -> int:
    return value.n


Number = TypeAliasType("Number", Annotated[int, Query(ge=3)])
Current = TypeAliasType("Current", Annotated[str, Depends(lambda: "current")])
Plain = TypeAliasType("Plain", int)


def test_names_that_are_defined_later_in_the_module_are_found(serve):
    def endpoint(value: Annotated[int, Depends(later)], tree: Tree) -> Tree:
        return Tree(name=str(value), children=[tree])

    answer = serve(endpoint, method="POST").post("/?n=4", json={"name": "leaf"})
    assert answer.json() == {"name": "4", "children": [{"name": "leaf", "children": []}]}


def test_injected_classes_are_recognised(serve, journal):
    def endpoint(request: Request, response: Response, tasks: BackgroundTasks) -> str:
        response.headers["x-path"] = request.url.path
        tasks.add_task(journal, "task")
        return "ok"

    answer = serve(endpoint).get("/")
    assert (answer.json(), answer.headers["x-path"]) == ("ok", "/")
    journal.until("task")


def test_a_return_annotation_of_none_and_of_a_response_are_understood(make_app, client):
    app = make_app()

    @app.delete("/none", status_code=204)
    def none() -> None:
        return None

    @app.get("/response")
    def response() -> PlainTextResponse:
        return PlainTextResponse("plain")

    connected = client(app)
    assert connected.delete("/none").status_code == 204
    assert connected.get("/response").text == "plain"


def test_the_item_type_of_a_stream_is_found(serve):
    async def endpoint() -> AsyncIterable[Later]:
        yield {"n": "5", "more": 1}

    assert serve(endpoint).get("/").text == '{"n":5}\n'


def test_names_for_type_checkers_only_are_tolerated_where_they_are_not_needed(serve):
    def endpoint(value: Annotated[str, Depends(path_of)]):
        return value

    assert serve(endpoint).get("/").json() == "/"


def test_a_wrapped_function_is_read_in_the_module_where_it_was_written(serve):
    @wrapping
    def endpoint(value: Annotated[int, Depends(number_of)]) -> int:
        return value

    assert serve(endpoint).get("/?n=6").json() == 6


def test_methods_and_classes_with_text_annotations_are_dependencies(serve):
    class Service:
        def __init__(self, value: Annotated[Later, Query()]) -> None:
            self.n = value.n

    class Callable:
        def __call__(self, value: Annotated[Later, Query()]) -> int:
            return value.n + 1

    made = Callable()

    # Names of this function are not global, so that they are given as objects.
    def endpoint(service, number):
        return [service.n, number]

    endpoint.__annotations__ = {"service": Annotated[Service, Depends()], "number": Annotated[int, Depends(made)]}
    assert serve(endpoint).get("/?n=7").json() == [7, 8]


@pytest.mark.parametrize(("target", "answer"), [("/?number=3&plain=1", [3, "current", 1]), ("/?number=2&plain=1", None)])
def test_type_aliases_are_looked_through(serve, target, answer):
    def endpoint(number: Number, current: Current, plain: Plain):
        return [number, current, plain]

    response = serve(endpoint).get(target)
    if answer is None:
        assert [error["type"] for error in response.json()["detail"]] == ["greater_than_equal"]
    else:
        assert response.json() == answer


def test_a_model_that_refers_to_itself_is_documented():
    app = FastAPI()

    @app.post("/")
    def endpoint(tree: Tree):
        return tree

    schema = app.openapi()["components"]["schemas"]["Tree"]
    assert schema["properties"]["children"]["items"] == {"$ref": "#/components/schemas/Tree"}
