"""Request bodies: one parameter or several, embedding, content types, JSON errors, null, unions."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from tercel import APIRouter, Body, Depends, FastAPI, Form, HTTPException, Request


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []


class User(BaseModel):
    name: str


def locations(response):
    assert response.status_code == 422, response.text
    return [(error["type"], error["loc"]) for error in response.json()["detail"]]


# -- one parameter -------------------------------------------------------------------------------------------------------------


def test_a_single_model_is_the_whole_body(serve):
    def endpoint(item: Item):
        return item

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"name": "a", "price": 1}).json() == {"name": "a", "price": 1.0, "tags": []}
    assert locations(connected.post("/", json={"price": 0, "tags": [1]})) == [
        ("missing", ["body", "name"]),
        ("greater_than", ["body", "price"]),
        ("string_type", ["body", "tags", 0]),
    ]


def test_a_missing_field_is_reported_with_the_object_that_lacks_it(serve):
    def endpoint(item: Item):
        return item

    assert serve(endpoint, method="POST").post("/", json={"price": 1}).json() == {
        "detail": [{"type": "missing", "loc": ["body", "name"], "msg": "Field required", "input": {"price": 1}}]
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"])
def test_every_method_may_have_a_body(serve, method):
    def endpoint(item: Item):
        return item.name

    assert serve(endpoint, method=method).request(method, "/", json={"name": "a", "price": 1}).json() == "a"


def test_no_body_where_one_is_required_is_a_missing_body(serve):
    def endpoint(item: Item):
        return item

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() == {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}]}


def test_an_optional_body_may_be_left_out_or_be_null(serve):
    def endpoint(item: Item | None = None):
        return item

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() is None
    assert connected.post("/", content="null", headers={"content-type": "application/json"}).json() is None
    assert connected.post("/", json={"name": "a", "price": 1}).json()["name"] == "a"


def test_a_null_body_is_a_value_and_no_body_is_the_default(serve):
    def endpoint(value: Annotated[int | None, Body()] = 7):
        return value

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() == 7
    assert connected.post("/", content="null", headers={"content-type": "application/json"}).json() is None


def test_a_null_body_is_refused_by_a_type_that_is_not_nullable(serve):
    def endpoint(item: Item):
        return item

    assert locations(serve(endpoint, method="POST").post("/", content="null", headers={"content-type": "application/json"})) == [
        ("model_attributes_type", ["body"])
    ]


@pytest.mark.parametrize(
    ("annotation", "sent", "received"),
    [
        (dict, {"a": 1}, {"a": 1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[int, float], {"2": 2.2}, {"2": 2.2}),
        (list[int], [1, 2], [1, 2]),
        (list[Item], [{"name": "a", "price": 1}], [{"name": "a", "price": 1.0, "tags": []}]),
        (tuple[int, str], [1, "a"], [1, "a"]),
        (set[int], [1, 1], [1]),
    ],
)
def test_a_body_may_be_any_container(serve, annotation, sent, received):
    def endpoint(value: annotation):
        return value

    assert serve(endpoint, method="POST").post("/", json=sent).json() == received


@pytest.mark.parametrize(
    ("annotation", "sent"), [(int, 3), (str, "text"), (bool, True), (float, 1.5), (Any, {"any": [1]}), (Literal["a"], "a")]
)
def test_a_scalar_becomes_a_body_when_it_is_marked(serve, annotation, sent):
    def endpoint(value: Annotated[annotation, Body()]):
        return value

    assert serve(endpoint, method="POST").post("/", json=sent).json() == sent


def test_a_dataclass_or_typed_dict_is_a_body(make_app, client):
    app = make_app()

    @dataclass
    class Point:
        x: int
        y: int = 0

    class Named(TypedDict):
        name: str

    @app.post("/point")
    def point(value: Point):
        return [type(value).__name__, value.x, value.y]

    @app.post("/named")
    def named(value: Named):
        return value

    connected = client(app)
    assert connected.post("/point", json={"x": 1}).json() == ["Point", 1, 0]
    assert connected.post("/named", json={"name": "a"}).json() == {"name": "a"}
    assert locations(connected.post("/named", json={})) == [("missing", ["body", "name"])]


def test_a_model_may_forbid_unknown_fields_of_a_body(serve):
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        a: int

    def endpoint(value: Strict):
        return value

    assert locations(serve(endpoint, method="POST").post("/", json={"a": 1, "b": 2})) == [("extra_forbidden", ["body", "b"])]


def test_the_constraints_of_a_body_parameter_are_checked(serve):
    def endpoint(value: Annotated[int, Body(ge=3)]):
        return value

    assert locations(serve(endpoint, method="POST").post("/", json=2)) == [("greater_than_equal", ["body"])]


# -- several parameters --------------------------------------------------------------------------------------------------------


def test_several_parameters_are_keys_of_one_object(serve):
    def endpoint(item: Item, user: User, importance: Annotated[int, Body(gt=0)] = 1, q: str = "q"):
        return [item.name, user.name, importance, q]

    connected = serve(endpoint, method="POST")
    body = {"item": {"name": "a", "price": 1}, "user": {"name": "b"}}
    assert connected.post("/?q=x", json=body).json() == ["a", "b", 1, "x"]
    assert connected.post("/", json={**body, "importance": 5}).json() == ["a", "b", 5, "q"]
    assert locations(connected.post("/", json={"item": {"name": "a", "price": 0}, "importance": 0})) == [
        ("greater_than", ["body", "item", "price"]),
        ("missing", ["body", "user"]),
        ("greater_than", ["body", "importance"]),
    ]


def test_no_body_where_several_parameters_are_required_reports_each(serve):
    def endpoint(item: Item, user: User):
        return None

    connected = serve(endpoint, method="POST")
    assert locations(connected.post("/")) == [("missing", ["body", "item"]), ("missing", ["body", "user"])]
    assert locations(connected.post("/", json=[1, 2])) == [("missing", ["body", "item"]), ("missing", ["body", "user"])]


def test_several_optional_parameters_may_all_be_left_out(serve):
    def endpoint(item: Item | None = None, user: User | None = None):
        return [item, user]

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() == [None, None]
    assert connected.post("/", json={"user": {"name": "b"}}).json() == [None, {"name": "b"}]
    assert connected.post("/", json={"item": None, "user": None}).json() == [None, None]


def test_embed_makes_a_single_parameter_a_key(serve):
    def endpoint(item: Annotated[Item, Body(embed=True)]):
        return item.name

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"item": {"name": "a", "price": 1}}).json() == "a"
    assert locations(connected.post("/", json={"name": "a", "price": 1})) == [("missing", ["body", "item"])]


def test_an_alias_names_the_key_of_an_embedded_parameter(serve):
    def endpoint(a: Annotated[int, Body(alias="first")], b: Annotated[int, Body(validation_alias="second")]):
        return [a, b]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"first": 1, "second": 2}).json() == [1, 2]
    assert locations(connected.post("/", json={"a": 1, "b": 2})) == [
        ("missing", ["body", "first"]),
        ("missing", ["body", "second"]),
    ]


def test_bodies_of_dependencies_count_with_those_of_the_endpoint(serve):
    def dependency(user: User):
        return user.name

    def endpoint(item: Item, name: Annotated[str, Depends(dependency)]):
        return [item.name, name]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"item": {"name": "a", "price": 1}, "user": {"name": "b"}}).json() == ["a", "b"]
    # Errors of the dependency come first.
    assert locations(connected.post("/", json={})) == [("missing", ["body", "user"]), ("missing", ["body", "item"])]


def test_one_body_parameter_of_the_same_name_in_two_dependencies_counts_once(serve):
    def one(item: Item):
        return item.name

    def two(item: Item):
        return item.price

    def endpoint(a: Annotated[str, Depends(one)], b: Annotated[float, Depends(two)]):
        return [a, b]

    assert serve(endpoint, method="POST").post("/", json={"name": "a", "price": 1}).json() == ["a", 1.0]


# -- content types and syntax --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        "application/geo+json;v=1",
    ],
)
def test_json_is_read_from_json_content_types(serve, content_type):
    def endpoint(item: Item):
        return item.name

    answer = serve(endpoint, method="POST").post("/", content=b'{"name": "a", "price": 1}', headers={"content-type": content_type})
    assert answer.json() == "a"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/jsonx", "application/not-really-json", "json", "x/json"]
)
def test_other_content_types_are_not_read_as_json(serve, content_type):
    def endpoint(item: Item):
        return item.name

    answer = serve(endpoint, method="POST").post("/", content=b'{"name": "a", "price": 1}', headers={"content-type": content_type})
    assert answer.json() == {
        "detail": [
            {
                "type": "model_attributes_type",
                "loc": ["body"],
                "msg": "Input should be a valid dictionary or object to extract fields from",
                "input": '{"name": "a", "price": 1}',
            }
        ]
    }


def test_without_a_content_type_a_body_is_not_read_as_json(serve):
    def endpoint(item: Item):
        return item.name

    assert locations(serve(endpoint, method="POST").post("/", content=b'{"name": "a", "price": 1}')) == [
        ("model_attributes_type", ["body"])
    ]


@pytest.mark.parametrize(
    ("app_strict", "router_strict", "status"), [(False, None, 200), (True, False, 200), (False, True, 422), (True, None, 422)]
)
def test_strictness_about_a_missing_content_type_is_inherited(make_app, client, app_strict, router_strict, status):
    app = make_app(strict_content_type=app_strict)
    router = APIRouter() if router_strict is None else APIRouter(strict_content_type=router_strict)

    @router.post("/")
    def endpoint(item: Item):
        return item.name

    app.include_router(router, prefix="/r")
    connected = client(app)
    assert connected.post("/r/", content=b'{"name": "a", "price": 1}').status_code == status
    assert connected.post("/r/", content=b'{"name": "a", "price": 1}', headers={"content-type": "text/plain"}).status_code == 422


def test_a_body_of_bytes_takes_the_raw_bytes_of_any_content_type(serve):
    def endpoint(raw: Annotated[bytes, Body(media_type="text/plain")]):
        return len(raw)

    assert serve(endpoint, method="POST").post("/", content=b"hello", headers={"content-type": "text/plain"}).json() == 5


def test_text_of_another_content_type_reaches_a_text_parameter(serve):
    def endpoint(text: Annotated[str, Body(media_type="text/plain")]):
        return text.upper()

    assert (
        serve(endpoint, method="POST").post("/", content="héllo".encode(), headers={"content-type": "text/plain"}).json() == "HÉLLO"
    )


@pytest.mark.parametrize(
    ("raw", "position", "reason"),
    [
        (b"{", 1, "Expecting property name enclosed in double quotes"),
        (b'{"a": 1,}', 7, "Illegal trailing comma before end of object"),
        (b'{"a" 1}', 5, "Expecting ':' delimiter"),
        (b"nope", 0, "Expecting value"),
        (b'{"a": 1} x', 9, "Extra data"),
        (b'"open', 0, "Unterminated string starting at"),
    ],
)
def test_a_json_syntax_error_says_where_and_what(serve, raw, position, reason):
    def endpoint(item: Item):
        return item

    answer = serve(endpoint, method="POST").post("/", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    try:
        json.loads(raw)
    except json.JSONDecodeError as expected:  # the exact words depend on the version of Python
        position, reason = expected.pos, expected.msg
    assert error == {
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": reason},
    }


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [(RuntimeError("broken"), 400, "There was an error parsing the body"), (HTTPException(418, "from below"), 418, "from below")],
)
def test_a_failure_while_reading_the_body_is_a_400_unless_it_says_otherwise(make_app, client, error, status, detail):
    class Breaks:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def broken():
                raise error

            await self.app(scope, broken if scope["type"] == "http" else receive, send)

    app = make_app()
    app.add_middleware(Breaks)

    @app.post("/")
    def endpoint(item: Item):
        return item

    answer = client(app).post("/", json={"name": "a", "price": 1})
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def test_a_malformed_multipart_body_is_a_400(serve):
    def endpoint(a: Annotated[str, Form()]):
        return a

    answer = serve(endpoint, method="POST").post("/", content=b"oops", headers={"content-type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Missing boundary in multipart.")


def test_a_large_body_arrives_whole(serve):
    def endpoint(values: list[int]):
        return sum(values)

    assert serve(endpoint, method="POST").post("/", json=list(range(100_000))).json() == sum(range(100_000))


def test_a_body_sent_in_chunks_arrives_whole(serve):
    def endpoint(item: Item):
        return item.name

    def chunks():
        yield b'{"name": '
        yield b'"chunked", '
        yield b'"price": 1}'

    assert (
        serve(endpoint, method="POST").post("/", content=chunks(), headers={"content-type": "application/json"}).json() == "chunked"
    )


def test_the_request_gives_the_body_to_an_endpoint_that_declares_none(serve):
    async def endpoint(request: Request):
        return [(await request.body()).decode(), await request.json()]

    assert serve(endpoint, method="POST").post("/", content=b"[1]").json() == ["[1]", [1]]


def test_the_body_can_be_streamed_by_an_endpoint_that_declares_none(serve):
    async def endpoint(request: Request):
        return sum([len(chunk) async for chunk in request.stream()])

    assert serve(endpoint, method="POST").post("/", content=b"x" * 70_000).json() == 70_000


def test_duplicate_keys_in_json_keep_the_last(serve):
    def endpoint(value: dict[str, int]):
        return value

    assert serve(endpoint, method="POST").post(
        "/", content=b'{"a": 1, "a": 2}', headers={"content-type": "application/json"}
    ).json() == {"a": 2}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_may_be_in_any_unicode_encoding(serve, encoding):
    def endpoint(value: list[str]):
        return value

    raw = '["é€"]'.encode(encoding)
    assert serve(endpoint, method="POST").post("/", content=raw, headers={"content-type": "application/json"}).json() == ["é€"]


# -- unions --------------------------------------------------------------------------------------------------------------------


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


def test_a_union_takes_the_branch_that_fits(serve):
    def endpoint(animal: Cat | Dog):
        return type(animal).__name__

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"kind": "dog", "tricks": []}).json() == "Dog"
    assert locations(connected.post("/", json={"kind": "dog"})) == [
        ("literal_error", ["body", "Cat", "kind"]),
        ("missing", ["body", "Cat", "lives"]),
        ("missing", ["body", "Dog", "tricks"]),
    ]


def test_a_discriminated_union_reports_only_the_branch_that_was_meant(serve):
    def endpoint(animal: Annotated[Cat | Dog, Field(discriminator="kind")]):
        return type(animal).__name__

    connected = serve(endpoint, method="POST")
    assert connected.post("/", json={"kind": "cat", "lives": 9}).json() == "Cat"
    assert locations(connected.post("/", json={"kind": "dog"})) == [("missing", ["body", "dog", "tricks"])]
    assert locations(connected.post("/", json={"kind": "cow"})) == [("union_tag_invalid", ["body"])]


def test_a_discriminator_may_be_given_by_the_marker_or_by_a_function(make_app, client):
    app = make_app()

    @app.post("/marker")
    def marker(animal: Annotated[Cat | Dog, Body(discriminator="kind")]):
        return type(animal).__name__

    def kind_of(value):
        return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)

    @app.post("/function")
    def function(animal: Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(kind_of)]):
        return type(animal).__name__

    connected = client(app)
    assert connected.post("/marker", json={"kind": "cat", "lives": 9}).json() == "Cat"
    assert connected.post("/function", json={"kind": "dog", "tricks": []}).json() == "Dog"


def test_nested_models_report_the_whole_way_to_an_error(serve):
    class Basket(BaseModel):
        items: dict[str, list[Item]]

    def endpoint(basket: Basket):
        return basket

    assert locations(
        serve(endpoint, method="POST").post("/", json={"items": {"fruit": [{"name": "a", "price": 1}, {"name": 2, "price": 1}]}})
    ) == [("string_type", ["body", "items", "fruit", 1, "name"])]


def test_a_body_default_is_copied_for_each_request(serve):
    shared = {"n": 0}

    def endpoint(value: Annotated[dict[str, int], Body()] = shared):
        value["n"] += 1
        return value

    connected = serve(endpoint, method="POST")
    assert [connected.post("/").json(), connected.post("/").json(), shared] == [{"n": 1}, {"n": 1}, {"n": 0}]


def test_a_body_marker_may_not_carry_its_default_in_annotated():
    app = FastAPI()
    with pytest.raises(AssertionError, match="`Body` default value cannot be set in `Annotated` for 'item'"):

        @app.post("/")
        def endpoint(item: Annotated[Item, Body(default=None)]):
            return item


def test_path_query_and_body_are_told_apart_by_name_and_type(serve):
    def endpoint(item_id: int, item: Item, q: str | None = None):
        return [item_id, item.name, q]

    assert serve(endpoint, "/{item_id}", method="PUT").put("/3?q=x", json={"name": "a", "price": 1}).json() == [3, "a", "x"]
