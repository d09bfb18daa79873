"""Results that the compiled writer may write: with it and without it, an answer is what pydantic makes of the result."""

import warnings
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from tercel import Response
from tercel.exceptions import ResponseValidationError


class Place(BaseModel):
    city: str
    lines: dict[str, str | None] = {}


class Event(BaseModel):
    number: int
    title: Annotated[str, Field(serialization_alias="Title", max_length=20)]
    price: float
    at: datetime
    place: Place | None = None


class Secret(Event):
    password: str = "secret"


class Row:
    """What an object of a database might be."""

    number, title, price, at, place = 3, "row", 0.1 + 0.2, datetime(2026, 1, 2), None


def event(kind: type[Event] = Event, **changed: Any) -> Event:
    values = {"number": 1, "title": 'é"', "price": 1e-7, "at": datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "place": Place(city="Tokyo")}
    return kind(**{**values, **changed})


RESULTS: dict[str, list[Any]] = {
    "instances": [event(), event(place=None)],
    "instances of a subclass": [event(Secret)],
    "dicts": [event().model_dump()],
    "objects with attributes": [Row()],
    "an instance and a dict": [event(), event().model_dump()],
    "nothing": [],
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_result_is_written_with_the_bytes_of_pydantic(serve, result):
    def endpoint() -> list[Event]:
        return result

    adapter = TypeAdapter(list[Event])
    answer = serve(endpoint).get("/")
    assert answer.content == adapter.dump_json(adapter.validate_python(result, from_attributes=True), by_alias=True)
    assert b"secret" not in answer.content


def test_a_field_of_a_wrong_type_is_written_as_pydantic_writes_it_with_its_warning(serve):
    wrong = event().model_copy(update={"number": "one"})

    def endpoint() -> list[Event]:
        return [event(), wrong]

    with pytest.warns(UserWarning, match="serialized value may not be as expected"):
        answer = serve(endpoint).get("/")
    assert [item["number"] for item in answer.json()] == [1, "one"]


def test_a_constraint_outside_a_model_is_checked_before_anything_is_written(serve):
    def endpoint() -> Annotated[list[int], Field(max_length=1)]:
        return [1, 2]

    error = serve(endpoint).expect_error(ResponseValidationError, "GET", "/")
    assert [item["type"] for item in error.errors()] == ["too_long"]


def test_an_injected_response_and_dump_options_keep_their_meaning(serve):
    def endpoint(response: Response) -> Event:
        response.headers["x-more"] = "yes"
        return event(place=None)

    answer = serve(endpoint, response_model_exclude_none=True).get("/")
    assert answer.headers["x-more"] == "yes"
    assert list(answer.json()) == ["number", "Title", "price", "at"]


def test_no_warning_comes_from_an_ordinary_result(serve):
    def endpoint() -> dict[str, Any]:
        return {"a": [1, 0.5, None, "x", {"b": True}]}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert serve(endpoint).get("/").content == b'{"a":[1,0.5,null,"x",{"b":true}]}'
