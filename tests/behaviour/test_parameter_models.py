"""A model as a group of query, header or cookie parameters."""

from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from tercel import Cookie, Depends, Header, Query

PLACES = pytest.mark.parametrize(("marker", "place"), [(Query, "query"), (Header, "header"), (Cookie, "cookie")])


def send(client, place, given):
    """A request with parameters in one place and nothing else there."""
    client.http.headers.clear()
    client.http.headers["host"] = "testserver"
    if place == "query":
        return client.get("/", params=given)
    if place == "header":
        return client.get("/", headers={name: str(value) for name, value in given.items()})
    return client.get("/", headers={"cookie": "; ".join(f"{name}={value}" for name, value in given.items())} if given else {})


def locations(response):
    assert response.status_code == 422, response.text
    return [(error["type"], error["loc"]) for error in response.json()["detail"]]


class Page(BaseModel):
    limit: int = Field(10, gt=0, le=100)
    offset: int = 0


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = 10


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    limit: int = 10


@PLACES
def test_the_fields_of_a_model_are_parameters(serve, marker, place):
    def endpoint(page: Annotated[Page, marker()]):
        return page

    connected = serve(endpoint)
    assert send(connected, place, {}).json() == {"limit": 10, "offset": 0}
    assert send(connected, place, {"limit": 5, "other": 1}).json() == {"limit": 5, "offset": 0}
    assert locations(send(connected, place, {"limit": 0, "offset": "x"})) == [
        ("greater_than", [place, "limit"]),
        ("int_parsing", [place, "offset"]),
    ]


@PLACES
def test_a_missing_field_is_reported_with_what_was_sent(serve, marker, place):
    class Needed(BaseModel):
        wanted: int

    def endpoint(model: Annotated[Needed, marker()]):
        return model

    (error,) = send(serve(endpoint), place, {"other": "1"}).json()["detail"]
    assert (error["type"], error["loc"], error["msg"]) == ("missing", [place, "wanted"], "Field required")
    assert error["input"]["other"] == "1"


@pytest.mark.parametrize(("marker", "place"), [(Query, "query"), (Cookie, "cookie")])
def test_a_model_may_forbid_parameters_that_it_does_not_have(serve, marker, place):
    def endpoint(model: Annotated[Strict, marker()]):
        return model

    connected = serve(endpoint)
    assert send(connected, place, {"limit": 3}).json() == {"limit": 3}
    assert locations(send(connected, place, {"limit": 3, "typo": 1})) == [("extra_forbidden", [place, "typo"])]


def test_a_header_model_that_forbids_others_refuses_what_clients_send_by_themselves(serve):
    def endpoint(model: Annotated[Strict, Header()]):
        return model

    assert ("extra_forbidden", ["header", "host"]) in locations(serve(endpoint).get("/"))


@PLACES
def test_a_model_may_keep_parameters_that_it_does_not_have(serve, marker, place):
    def endpoint(model: Annotated[Open, marker()]):
        return model

    answer = send(serve(endpoint), place, {"limit": 3, "more": "yes"}).json()
    assert (answer["limit"], answer["more"]) == (3, "yes")


def test_extra_parameters_that_were_repeated_arrive_as_lists(serve):
    def endpoint(model: Annotated[Open, Query()]):
        return model

    assert serve(endpoint).get("/?a=1&a=2&b=3").json() == {"limit": 10, "a": ["1", "2"], "b": "3"}


def test_a_model_with_lists_collects_all_values(serve):
    class Tags(BaseModel):
        tag: list[str] = []
        n: int = 0

    def endpoint(tags: Annotated[Tags, Query()]):
        return tags

    assert serve(endpoint).get("/?tag=a&n=1&tag=b&n=2").json() == {"tag": ["a", "b"], "n": 2}


def test_field_names_of_a_header_model_become_hyphenated(serve):
    class Traced(BaseModel):
        x_request_id: int
        x_tag: list[str] = []

    def endpoint(headers: Annotated[Traced, Header()]):
        return headers

    connected = serve(endpoint)
    answer = connected.get("/", headers=[("X-Request-Id", "7"), ("x-tag", "a"), ("X-Tag", "b")])
    assert answer.json() == {"x_request_id": 7, "x_tag": ["a", "b"]}
    assert locations(connected.get("/", headers={"x_request_id": "7"})) == [("missing", ["header", "x-request-id"])]
    assert locations(connected.get("/", headers={"x-request-id": "x"})) == [("int_parsing", ["header", "x-request-id"])]


def test_conversion_of_underscores_can_be_switched_off_for_a_header_model(serve):
    class Traced(BaseModel):
        x_id: int

    def endpoint(converted: Annotated[Traced, Header()], literal: Annotated[Traced, Header(convert_underscores=False)]):
        return [converted.x_id, literal.x_id]

    assert serve(endpoint).get("/", headers={"x-id": "1", "x_id": "2"}).json() == [1, 2]


@PLACES
def test_two_models_in_one_place_each_take_their_fields(serve, marker, place):
    class Filter(BaseModel):
        term: str = "all"

    def endpoint(page: Annotated[Page, marker()], filter: Annotated[Filter, marker()], extra: Annotated[int, marker()] = 0):
        return [page.limit, filter.term, extra]

    connected = serve(endpoint)
    assert send(connected, place, {"limit": 3, "term": "x", "extra": 9}).json() == [3, "x", 9]
    assert send(connected, place, {}).json() == [10, "all", 0]


def test_two_models_that_forbid_others_see_each_others_fields(serve):
    class Filter(BaseModel):
        model_config = ConfigDict(extra="forbid")
        term: str = "all"

    def endpoint(model: Annotated[Strict, Query()], filter: Annotated[Filter, Query()]):
        return "unreachable"

    assert sorted(locations(serve(endpoint).get("/?limit=3&term=x"))) == [
        ("extra_forbidden", ["query", "limit"]),
        ("extra_forbidden", ["query", "term"]),
    ]


def test_a_model_in_a_dependency_is_a_group_of_parameters_too(serve):
    def paging(page: Annotated[Page, Query()]):
        return page.limit

    def endpoint(limit: Annotated[int, Depends(paging)], page: Annotated[Page, Query()]):
        return [limit, page.offset]

    connected = serve(endpoint)
    assert connected.get("/?limit=4&offset=2").json() == [4, 2]
    assert locations(connected.get("/?limit=0")) == [("greater_than", ["query", "limit"])] * 2


@PLACES
def test_a_nullable_model_is_absent_when_none_of_its_names_was_sent(serve, marker, place):
    class Range(BaseModel):
        low: int
        high: int = 10

    def endpoint(range: Annotated[Range | None, marker()] = None):
        return range

    connected = serve(endpoint)
    assert send(connected, place, {}).json() is None
    assert send(connected, place, {"other": 1}).json() is None
    assert send(connected, place, {"low": 1}).json() == {"low": 1, "high": 10}
    assert locations(send(connected, place, {"high": 1})) == [("missing", [place, "low"])]


def test_a_nullable_model_that_keeps_or_forbids_others_is_present_when_anything_was_sent(serve):
    def endpoint(model: Annotated[Open | None, Query()] = None, strict: Annotated[Strict | None, Query()] = None):
        return [model, strict]

    connected = serve(endpoint)
    assert connected.get("/").json() == [None, None]
    assert locations(connected.get("/?other=1")) == [("extra_forbidden", ["query", "other"])]


def test_aliases_of_fields_are_the_names_of_parameters(serve):
    class Aliased(BaseModel):
        one: int = Field(alias="uno")
        two: int = Field(validation_alias="dos")
        three: int = Field(validation_alias=AliasChoices("tres", "drei"))

    def endpoint(model: Annotated[Aliased, Query()]):
        return [model.one, model.two, model.three]

    connected = serve(endpoint)
    assert connected.get("/?uno=1&dos=2&drei=3").json() == [1, 2, 3]
    assert locations(connected.get("/?one=1&two=2&three=3")) == [
        ("missing", ["query", "uno"]),
        ("missing", ["query", "dos"]),
        ("missing", ["query", "tres"]),
    ]


def test_fields_can_be_given_by_name_when_the_model_says_so(serve):
    class ByName(BaseModel):
        model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
        one: int = Field(alias="uno")

    def endpoint(model: Annotated[ByName, Query()]):
        return model.one

    connected = serve(endpoint)
    assert connected.get("/?uno=1").json() == 1
    assert connected.get("/?one=2").json() == 2


def test_validators_of_the_model_see_the_whole_group(serve):
    class Range(BaseModel):
        low: int = 0
        high: int = 10

        @field_validator("low", mode="before")
        @classmethod
        def strip(cls, value):
            return value.strip("~")

        @model_validator(mode="after")
        def ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    def endpoint(range: Annotated[Range, Query()]):
        return range

    connected = serve(endpoint)
    assert connected.get("/?low=~3").json() == {"low": 3, "high": 10}
    (error,) = connected.get("/?low=30").json()["detail"]
    assert (error["type"], error["loc"], error["msg"]) == ("value_error", ["query"], "Value error, low is above high")


def test_fields_that_were_not_sent_are_not_set(serve):
    def endpoint(page: Annotated[Page, Query()]):
        return sorted(page.model_fields_set)

    assert serve(endpoint).get("/?offset=0").json() == ["offset"]


def test_a_model_as_default_value_marker_works(serve):
    def endpoint(page: Page = Query()):
        return page.limit

    assert serve(endpoint).get("/?limit=4").json() == 4
