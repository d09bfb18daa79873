"""Responses: models and filtering, how values become JSON, and responses that are returned as they are."""

import dataclasses
import json
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_serializer

from tercel import FastAPI, Response
from tercel.encoders import jsonable_encoder
from tercel.exceptions import FastAPIError, ResponseValidationError
from tercel.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)


class User(BaseModel):
    name: str
    nickname: str | None = None


class UserInDB(User):
    password: str


# -- response models -----------------------------------------------------------------------------------------------------------


def test_the_return_annotation_is_the_response_model(serve):
    def endpoint() -> User:
        return UserInDB(name="a", password="secret")

    assert serve(endpoint).get("/").json() == {"name": "a", "nickname": None}


def test_response_model_wins_over_the_return_annotation(serve):
    def endpoint() -> UserInDB:
        return UserInDB(name="a", password="secret")

    assert serve(endpoint, response_model=User).get("/").json() == {"name": "a", "nickname": None}


def test_response_model_none_switches_the_return_annotation_off(serve):
    def endpoint() -> User:
        return UserInDB(name="a", password="visible")

    assert serve(endpoint, response_model=None).get("/").json() == {"name": "a", "nickname": None, "password": "visible"}


def test_without_a_model_everything_is_returned(serve):
    def endpoint():
        return UserInDB(name="a", password="visible")

    assert serve(endpoint).get("/").json() == {"name": "a", "nickname": None, "password": "visible"}


@pytest.mark.parametrize("given", [{"name": "a", "password": "x"}, UserInDB(name="a", password="x")])
def test_dicts_and_models_are_filtered_to_the_response_model(serve, given):
    def endpoint():
        return given

    assert serve(endpoint, response_model=User).get("/").json() == {"name": "a", "nickname": None}


def test_any_object_with_the_attributes_becomes_the_response_model(serve):
    class Row:
        name = "a"
        nickname = "b"
        password = "x"

    def endpoint():
        return Row()

    assert serve(endpoint, response_model=User).get("/").json() == {"name": "a", "nickname": "b"}


def test_lists_dicts_and_nested_models_are_filtered_too(serve):
    class Team(BaseModel):
        lead: User
        members: list[User]

    def endpoint():
        user = UserInDB(name="a", password="x")
        return {"t": {"lead": user, "members": [user, {"name": "b", "password": "x"}]}}

    shown = {"name": "a", "nickname": None}
    assert serve(endpoint, response_model=dict[str, Team]).get("/").json() == {
        "t": {"lead": shown, "members": [shown, {"name": "b", "nickname": None}]}
    }


def test_a_union_keeps_the_member_that_was_returned(serve):
    class Cat(BaseModel):
        lives: int

    def endpoint(cat: bool) -> User | Cat:
        return Cat(lives=9) if cat else UserInDB(name="a", password="x")

    connected = serve(endpoint)
    assert connected.get("/?cat=1").json() == {"lives": 9}
    assert connected.get("/?cat=0").json() == {"name": "a", "nickname": None}


def test_scalars_are_converted_to_the_response_model(serve):
    def endpoint():
        return "12"

    assert serve(endpoint, response_model=int).get("/").json() == 12


def test_a_value_that_does_not_fit_the_model_is_an_error_of_the_server(serve):
    def endpoint() -> User:
        return {"nickname": 3}

    error = serve(endpoint).expect_error(ResponseValidationError, "GET", "/")
    assert [(item["type"], item["loc"]) for item in error.errors()] == [
        ("missing", ("response", "name")),
        ("string_type", ("response", "nickname")),
    ]
    assert error.body == {"nickname": 3}
    assert "GET /" in str(error)


def test_a_value_that_does_not_fit_the_model_answers_500_without_details(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint() -> User:
        return {"secret": "value"}

    answer = client(app, raise_errors=False).get("/")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_none_is_refused_by_a_model_that_is_not_nullable(serve):
    def endpoint() -> User:
        return None

    serve(endpoint).expect_error(ResponseValidationError, "GET", "/")


def test_none_is_null_without_a_model_or_with_a_nullable_one(make_app, client):
    app = make_app()

    @app.get("/untyped")
    def untyped():
        return None

    @app.get("/nullable")
    def nullable() -> User | None:
        return None

    @app.get("/none")
    def none() -> None:
        return None

    connected = client(app)
    for path in ("/untyped", "/nullable", "/none"):
        answer = connected.get(path)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"null", "application/json")


class Options(BaseModel):
    a: int = 1
    b: int | None = None
    c: dict[str, int] = {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"a": 5, "b": None, "c": {"x": 1, "y": 2}}),
        ({"response_model_include": {"a"}}, {"a": 5}),
        ({"response_model_include": ["a", "b"]}, {"a": 5, "b": None}),
        ({"response_model_exclude": {"c"}}, {"a": 5, "b": None}),
        ({"response_model_exclude": {"c": {"x"}}}, {"a": 5, "b": None, "c": {"y": 2}}),
        ({"response_model_include": {"a", "c"}, "response_model_exclude": {"c"}}, {"a": 5}),
        ({"response_model_exclude_unset": True}, {"a": 5}),
        ({"response_model_exclude_defaults": True}, {"a": 5}),
        ({"response_model_exclude_none": True}, {"a": 5, "c": {"x": 1, "y": 2}}),
    ],
)
@pytest.mark.parametrize("response_class", [None, JSONResponse])
def test_fields_of_a_response_model_can_be_selected(serve, options, expected, response_class):
    def endpoint():
        return Options(a=5)

    chosen = {} if response_class is None else {"response_class": response_class}
    assert serve(endpoint, response_model=Options, **options, **chosen).get("/").json() == expected


def test_a_returned_dict_counts_as_set_only_what_it_holds(serve):
    def endpoint():
        return {"b": None}

    assert serve(endpoint, response_model=Options, response_model_exclude_unset=True).get("/").json() == {"b": None}


def test_aliases_are_used_by_default_and_can_be_switched_off(make_app, client):
    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        inner_name: int = Field(alias="innerName")

    app = make_app()

    @app.get("/alias")
    def with_alias() -> Aliased:
        return Aliased(inner_name=1)

    @app.get("/name", response_model_by_alias=False)
    def with_name() -> Aliased:
        return Aliased(inner_name=1)

    @app.get("/untyped")
    def untyped():
        return Aliased(inner_name=1)

    connected = client(app)
    assert connected.get("/alias").json() == {"innerName": 1}
    assert connected.get("/name").json() == {"inner_name": 1}
    assert connected.get("/untyped").json() == {"innerName": 1}


def test_computed_fields_and_serializers_of_the_model_apply(serve):
    class Square(BaseModel):
        side: int

        @computed_field
        def area(self) -> int:
            return self.side**2

        @field_serializer("side")
        def shown(self, value):
            return f"{value} cm"

    def endpoint() -> Square:
        return Square(side=3)

    assert serve(endpoint).get("/").json() == {"side": "3 cm", "area": 9}


def test_a_dataclass_is_a_response_model(serve):
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = 0

    def endpoint() -> list[Point]:
        return [Point(1), {"x": 2}]

    assert serve(endpoint).get("/").json() == [{"x": 1, "y": 0}, {"x": 2, "y": 0}]


def test_a_model_that_is_returned_is_validated_again(serve):
    class Positive(BaseModel):
        n: int = Field(gt=0)

    def endpoint() -> Positive:
        return Positive.model_construct(n=-1)

    # pydantic does not look into instances of the declared class unless the model asks for it.
    assert serve(endpoint).get("/").json() == {"n": -1}


def test_what_cannot_be_a_response_model_is_refused_at_declaration():
    app = FastAPI()

    class NotAModel:
        pass

    with pytest.raises(FastAPIError, match=r"Invalid args for response field! Hint: check that .* is a valid Pydantic field type"):

        @app.get("/")
        def endpoint() -> NotAModel:
            return NotAModel()


def test_a_response_class_in_a_union_annotation_is_refused_at_declaration():
    app = FastAPI()
    with pytest.raises(FastAPIError, match="Invalid args for response field!"):

        @app.get("/")
        def endpoint() -> Response | dict:
            return {}


# -- values without a model ----------------------------------------------------------------------------------------------------


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1, 2.5, True, None, "é"]}, {"a": [1, 2.5, True, None, "é"]}),
        ((1, 2), [1, 2]),
        (deque([1]), [1]),
        (frozenset({1}), [1]),
        (Point(1), {"x": 1, "y": 0}),
        (Color.RED, "red"),
        ({Color.RED: 1}, {"red": 1}),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
        (timedelta(minutes=1), 60.0),
        (Decimal("1.50"), 1.5),
        (Decimal("3"), 3),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (b"bytes", "bytes"),
        ([User(name="a")], [{"name": "a", "nickname": None}]),
        ({"_sa_instance_state": 1, "a": 2}, {"a": 2}),
        ("text", "text"),
        ("", ""),
        (0, 0),
    ],
)
def test_a_value_without_a_model_is_encoded_by_its_type(serve, value, shown):
    def endpoint():
        return value

    assert serve(endpoint).get("/").json() == shown
    assert json.loads(json.dumps(jsonable_encoder(value))) == shown


def test_an_object_without_a_known_type_is_shown_by_its_attributes(serve):
    class Thing:
        def __init__(self):
            self.a = 1
            self.b = [Point(2)]

    def endpoint():
        return Thing()

    assert serve(endpoint).get("/").json() == {"a": 1, "b": [{"x": 2, "y": 0}]}


def test_json_is_compact_and_not_escaped(make_app, client):
    app = make_app()

    @app.get("/untyped")
    def untyped():
        return {"a": [1, 2], "b": "é\u2028"}

    @app.get("/typed")
    def typed() -> dict[str, Any]:
        return {"a": [1, 2], "b": "é\u2028"}

    connected = client(app)
    for path in ("/untyped", "/typed"):
        answer = connected.get(path)
        assert answer.content == '{"a":[1,2],"b":"é\u2028"}'.encode()
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(answer.content))


def test_non_finite_numbers_are_null_with_a_model(serve):
    def endpoint() -> list[float]:
        return [float("nan"), float("inf"), -float("inf")]

    assert serve(endpoint).get("/").content == b"[null,null,null]"


# -- returned responses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "content_type", "body"),
    [
        (lambda: PlainTextResponse("hi"), "text/plain; charset=utf-8", b"hi"),
        (lambda: HTMLResponse("<p>"), "text/html; charset=utf-8", b"<p>"),
        (lambda: JSONResponse({"a": 1}), "application/json", b'{"a":1}'),
        (lambda: Response(b"raw", media_type="application/x"), "application/x", b"raw"),
        (lambda: Response(), None, b""),
        (lambda: StreamingResponse(iter([b"a", "b"]), media_type="text/x"), "text/x; charset=utf-8", b"ab"),
    ],
)
def test_a_returned_response_is_sent_as_it_is(serve, response, content_type, body):
    def endpoint():
        return response()

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == (200, content_type, body)


def test_a_returned_response_is_not_validated_against_the_model(serve):
    def endpoint() -> User:
        return JSONResponse({"anything": True}, status_code=202)

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.json()) == (202, {"anything": True})


def test_an_annotation_with_a_response_class_means_no_model(serve):
    def endpoint() -> PlainTextResponse:
        return PlainTextResponse("x")

    assert serve(endpoint).get("/").text == "x"


def test_headers_status_and_cookies_of_the_injected_response_are_ignored_for_a_returned_one(serve):
    def endpoint(response: Response):
        response.headers["x-a"] = "1"
        response.status_code = 418
        return PlainTextResponse("x")

    answer = serve(endpoint, status_code=201).get("/")
    assert (answer.status_code, answer.headers.get("x-a")) == (200, None)


def test_a_file_is_sent_with_its_length_type_and_validators(serve, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"0123456789")

    def endpoint():
        return FileResponse(path, filename="näme.txt")

    connected = serve(endpoint)
    answer = connected.get("/")
    assert (answer.content, answer.headers["content-length"], answer.headers["content-type"]) == (
        b"0123456789",
        "10",
        "text/plain; charset=utf-8",
    )
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''n%C3%A4me.txt"
    assert "etag" in answer.headers
    partial = connected.get("/", headers={"range": "bytes=2-4"})
    assert (partial.status_code, partial.content, partial.headers["content-range"]) == (206, b"234", "bytes 2-4/10")


def test_a_redirect_is_a_307_to_the_address(serve):
    def endpoint():
        return RedirectResponse("/elsewhere?a=b c")

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.headers["location"], answer.content) == (307, "/elsewhere?a=b%20c", b"")
