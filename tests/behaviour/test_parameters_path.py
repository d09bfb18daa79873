"""Path parameters: conversion by annotation and by convertor, and the mistakes that are found when a route is declared."""

import re
import uuid
from datetime import date
from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, Field
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor

from tercel import Depends, FastAPI, Path, Query


class Kind(StrEnum):
    BOOK = "book"
    DISC = "disc"


def errors(response):
    assert response.status_code == 422, response.text
    return response.json()["detail"]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "a%20b", "a b"),
        (str, "caf%C3%A9", "café"),
        (int, "-12", -12),
        (float, "1e3", 1000.0),
        (bool, "yes", True),
        (date, "2024-01-31", "2024-01-31"),
        (uuid.UUID, "12345678123456781234567812345678", "12345678-1234-5678-1234-567812345678"),
        (Kind, "book", "book"),
    ],
)
def test_a_path_parameter_is_converted_to_the_annotated_type(serve, annotation, text, value):
    def endpoint(item: annotation):
        return item

    assert serve(endpoint, "/items/{item}").get(f"/items/{text}").json() == value


def test_a_path_parameter_without_an_annotation_is_text(serve):
    def endpoint(item):
        return item

    assert serve(endpoint, "/items/{item}").get("/items/42").json() == "42"


def test_an_invalid_path_parameter_is_reported_in_full(serve):
    def endpoint(item: int):
        return item

    assert errors(serve(endpoint, "/items/{item}").get("/items/x")) == [
        {
            "type": "int_parsing",
            "loc": ["path", "item"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": "x",
        }
    ]


@pytest.mark.parametrize(
    ("constraint", "text", "kind"),
    [
        ({"gt": 3}, "3", "greater_than"),
        ({"ge": 3, "le": 5}, "6", "less_than_equal"),
        ({"multiple_of": 2}, "3", "multiple_of"),
    ],
)
def test_constraints_of_path_parameters_are_checked(serve, constraint, text, kind):
    def endpoint(item: Annotated[int, Path(**constraint)]):
        return item

    assert [error["type"] for error in errors(serve(endpoint, "/{item}").get(f"/{text}"))] == [kind]


def test_text_constraints_of_path_parameters_are_checked(serve):
    def endpoint(item: str = Path(min_length=3, max_length=4, pattern="^[a-z]+$")):
        return item

    connected = serve(endpoint, "/{item}")
    assert connected.get("/abc").json() == "abc"
    assert [connected.get(f"/{text}").json()["detail"][0]["type"] for text in ("ab", "abcde", "ABC")] == [
        "string_too_short",
        "string_too_long",
        "string_pattern_mismatch",
    ]


def test_several_parameters_of_one_path_are_independent(serve):
    def endpoint(user: int, item: str):
        return [user, item]

    connected = serve(endpoint, "/users/{user}/items/{item}")
    assert connected.get("/users/1/items/a").json() == [1, "a"]
    assert [error["loc"] for error in errors(connected.get("/users/x/items/a"))] == [["path", "user"]]


def test_two_parameters_may_share_a_segment(serve):
    def endpoint(name: str, extension: str):
        return [name, extension]

    connected = serve(endpoint, "/files/{name}.{extension}")
    assert connected.get("/files/report.txt").json() == ["report", "txt"]
    assert connected.get("/files/report").status_code == 404


def test_a_path_convertor_takes_slashes(serve):
    def endpoint(rest: str):
        return rest

    connected = serve(endpoint, "/files/{rest:path}")
    assert connected.get("/files/a/b/c.txt").json() == "a/b/c.txt"
    assert connected.get("/files/").json() == ""


def test_other_convertors_decide_whether_the_route_matches(make_app, client):
    app = make_app()

    @app.get("/int/{n:int}")
    def integer(n: int):
        return n

    @app.get("/float/{n:float}")
    def number(n: float):
        return n

    @app.get("/uuid/{n:uuid}")
    def identifier(n: uuid.UUID):
        return n

    connected = client(app)
    assert connected.get("/int/3").json() == 3
    assert connected.get("/int/x").status_code == 404
    assert connected.get("/float/2.5").json() == 2.5
    assert connected.get("/uuid/12345678-1234-5678-1234-567812345678").json() == "12345678-1234-5678-1234-567812345678"
    assert connected.get("/uuid/x").status_code == 404


def test_a_registered_convertor_gives_the_value(serve, monkeypatch):
    class Hex(Convertor[int]):
        regex = "[0-9a-f]+"

        def convert(self, value):
            return int(value, 16)

        def to_string(self, value):
            return f"{value:x}"

    monkeypatch.setitem(CONVERTOR_TYPES, "hex", Hex())
    register_url_convertor("hex", Hex())

    def endpoint(n: int):
        return n

    connected = serve(endpoint, "/{n:hex}")
    assert connected.get("/ff").json() == 255
    assert connected.get("/xy").status_code == 404


def test_a_path_parameter_may_be_taken_by_a_dependency(serve):
    def item(item_id: int):
        return item_id * 2

    def endpoint(value: Annotated[int, Depends(item)]):
        return value

    connected = serve(endpoint, "/{item_id}")
    assert connected.get("/4").json() == 8
    assert [error["loc"] for error in errors(connected.get("/x"))] == [["path", "item_id"]]


def test_a_dependency_on_a_name_that_is_not_in_the_path_takes_a_query_parameter(make_app, client):
    app = make_app()

    def item(item_id: int = 0):
        return item_id

    @app.get("/with/{item_id}")
    @app.get("/without")
    def endpoint(value: Annotated[int, Depends(item)]):
        return value

    connected = client(app)
    assert connected.get("/with/4?item_id=5").json() == 4
    assert connected.get("/without?item_id=5").json() == 5


def test_a_path_parameter_may_be_the_same_for_two_dependencies(serve):
    def one(n: int):
        return n

    def two(n: float):
        return n

    def endpoint(n: str, a: Annotated[int, Depends(one)], b: Annotated[float, Depends(two)]):
        return [n, a, b]

    assert serve(endpoint, "/{n}").get("/3").json() == ["3", 3, 3.0]


def test_an_alias_names_the_part_of_the_path(serve):
    def endpoint(item_id: Annotated[int, Path(alias="item-id")]):
        return item_id

    # Names in a path are identifiers, so that an alias has to be one to be found there.
    assert [error["loc"] for error in errors(serve(endpoint, "/{item}").get("/3"))] == [["path", "item-id"]]

    def found(item_id: Annotated[int, Path(alias="item")]):
        return item_id

    assert serve(found, "/{item}").get("/3").json() == 3


def test_of_several_alias_choices_the_one_in_the_path_counts(serve):
    def endpoint(value: Annotated[int, Path(validation_alias=AliasChoices("other", "item"))]):
        return value

    assert serve(endpoint, "/{item}").get("/3").json() == 3


def test_a_path_parameter_cannot_have_a_default_value():
    app = FastAPI()
    with pytest.raises(AssertionError, match="Path parameters cannot have a default value"):
        Path(default=1)
    with pytest.raises(AssertionError, match="Path parameters cannot have default values"):

        @app.get("/{item}")
        def endpoint(item: Annotated[int, Path()] = 1):
            return item


def test_a_default_without_a_marker_is_ignored_for_a_path_parameter(serve):
    def endpoint(item: int = 5):
        return item

    assert serve(endpoint, "/{item}").get("/3").json() == 3


def test_a_path_parameter_cannot_be_declared_as_something_else():
    app = FastAPI()
    with pytest.raises(AssertionError, match=re.escape("Cannot use `Query` for path param 'item'")):

        @app.get("/{item}")
        def endpoint(item: Annotated[int, Query()]):
            return item


class Model(BaseModel):
    x: int


@pytest.mark.parametrize("annotation", [list[int], dict[str, int], set[str], tuple[int, int], Model, list[Model]])
def test_a_path_parameter_must_be_a_scalar(annotation):
    app = FastAPI()
    with pytest.raises(AssertionError, match="Path params must be of one of the supported types"):

        @app.get("/{item}")
        def endpoint(item: annotation):
            return item


def test_field_metadata_applies_to_a_path_parameter_without_a_marker(serve):
    def endpoint(item: Annotated[int, Field(ge=3, default_factory=lambda: 9)]):
        return item

    connected = serve(endpoint, "/{item}")
    assert connected.get("/3").json() == 3
    assert [error["type"] for error in errors(connected.get("/2"))] == ["greater_than_equal"]


def test_an_encoded_slash_is_a_slash_by_the_time_routes_are_matched(serve):
    def endpoint(item: str):
        return item

    assert serve(endpoint, "/items/{item}").get("/items/a%2Fb").status_code == 404


def test_a_path_is_matched_in_full(serve):
    def endpoint(item: str):
        return item

    connected = serve(endpoint, "/items/{item}")
    assert connected.get("/items/").status_code == 404
    assert connected.get("/items//").status_code == 404
    assert connected.get("/x/items/a").status_code == 404
    assert connected.get("/items/a/b").status_code == 404
