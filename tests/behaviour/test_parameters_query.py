"""Query parameters: which values are taken, converted and refused, and how the refusal reads."""

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, Json

from tercel import FastAPI, Query


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def errors(response):
    assert response.status_code == 422, response.text
    return response.json()["detail"]


def test_a_missing_required_parameter_is_reported_in_full(serve):
    def endpoint(q: int):
        return q

    assert errors(serve(endpoint).get("/")) == [{"type": "missing", "loc": ["query", "q"], "msg": "Field required", "input": None}]


def test_a_parameter_of_the_wrong_type_is_reported_with_what_was_sent(serve):
    def endpoint(q: int):
        return q

    assert errors(serve(endpoint).get("/?q=four")) == [
        {
            "type": "int_parsing",
            "loc": ["query", "q"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": "four",
        }
    ]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "42", 42),
        (int, "-1", -1),
        (int, "1.0", 1),
        (float, "1.5", 1.5),
        (str, "", ""),
        (str, "a b", "a b"),
        (bool, "true", True),
        (bool, "on", True),
        (bool, "0", False),
        (bool, "No", False),
        (Color, "red", Color.RED),
        (Literal["a", "b"], "b", "b"),
        (date, "2024-02-29", date(2024, 2, 29)),
        (datetime, "2024-02-29T10:20:30", datetime(2024, 2, 29, 10, 20, 30)),
        (timedelta, "P1DT2H", timedelta(days=1, hours=2)),
        (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678123456781234567812345678")),
        (Decimal, "1.10", Decimal("1.10")),
        (bytes, "abc", b"abc"),
        (int | None, "3", 3),
        (int | str, "x", "x"),
        (Annotated[int, Field(ge=3)], "3", 3),
    ],
)
def test_a_value_is_converted_to_the_annotated_type(serve, annotation, text, value):
    def endpoint(q: annotation):
        return repr(q)

    assert serve(endpoint).get("/", params={"q": text}).json() == repr(value)


@pytest.mark.parametrize(
    ("annotation", "text", "kind"),
    [
        (int, "1.5", "int_parsing"),
        (int, "", "int_parsing"),
        (float, "x", "float_parsing"),
        (bool, "maybe", "bool_parsing"),
        (Color, "green", "enum"),
        (Literal["a", "b"], "c", "literal_error"),
        (date, "2024-02-30", "date_from_datetime_parsing"),
        (uuid.UUID, "nope", "uuid_parsing"),
        (Decimal, "nope", "decimal_parsing"),
        (int, "9" * 5000, "int_parsing_size"),
    ],
)
def test_a_value_that_cannot_be_converted_is_refused(serve, annotation, text, kind):
    def endpoint(q: annotation):
        return q

    (error,) = errors(serve(endpoint).get("/", params={"q": text}))
    assert (error["type"], error["loc"], error["input"]) == (kind, ["query", "q"], text)


@pytest.mark.parametrize(
    ("constraint", "text", "kind", "context"),
    [
        ({"gt": 3}, "3", "greater_than", {"gt": 3}),
        ({"ge": 3}, "2", "greater_than_equal", {"ge": 3}),
        ({"lt": 3}, "3", "less_than", {"lt": 3}),
        ({"le": 3}, "4", "less_than_equal", {"le": 3}),
        ({"multiple_of": 5}, "7", "multiple_of", {"multiple_of": 5}),
    ],
)
def test_numeric_constraints_are_checked(serve, constraint, text, kind, context):
    def endpoint(q: Annotated[int, Query(**constraint)]):
        return q

    (error,) = errors(serve(endpoint).get(f"/?q={text}"))
    assert (error["type"], error["ctx"]) == (kind, context)


@pytest.mark.parametrize(
    ("constraint", "text", "kind"),
    [
        ({"min_length": 3}, "ab", "string_too_short"),
        ({"max_length": 3}, "abcd", "string_too_long"),
        ({"pattern": "^a+$"}, "b", "string_pattern_mismatch"),
    ],
)
def test_text_constraints_are_checked(serve, constraint, text, kind):
    def endpoint(q: Annotated[str, Query(**constraint)]):
        return q

    assert [error["type"] for error in errors(serve(endpoint).get(f"/?q={text}"))] == [kind]


def test_infinity_may_be_forbidden(serve):
    def endpoint(q: Annotated[float, Query(allow_inf_nan=False)]):
        return q

    connected = serve(endpoint)
    assert [error["type"] for error in errors(connected.get("/?q=inf"))] == ["finite_number"]
    assert connected.get("/?q=1.5").json() == 1.5


def test_strict_refuses_to_convert(serve):
    def endpoint(q: Annotated[int, Query(strict=True)]):
        return q

    assert [error["type"] for error in errors(serve(endpoint).get("/?q=1"))] == ["int_type"]


def test_constraints_as_default_value_work_like_constraints_in_annotated(serve):
    def endpoint(q: int = Query(5, ge=3), r: str = Query(default="x", min_length=1)):
        return [q, r]

    connected = serve(endpoint)
    assert connected.get("/").json() == [5, "x"]
    assert [error["loc"] for error in errors(connected.get("/?q=1&r="))] == [["query", "q"], ["query", "r"]]


def test_ellipsis_as_default_value_means_required(serve):
    def endpoint(q: int = Query(...), r: int = ...):
        return q

    assert [error["type"] for error in errors(serve(endpoint).get("/"))] == ["missing", "missing"]


def test_a_nullable_parameter_without_a_default_is_required(serve):
    def endpoint(q: int | None):
        return q

    assert [error["type"] for error in errors(serve(endpoint).get("/"))] == ["missing"]


def test_a_missing_parameter_takes_its_default_unvalidated(serve):
    def endpoint(q: int = "not a number", r: Annotated[int, Query(ge=10)] = 1):
        return [q, r]

    assert serve(endpoint).get("/").json() == ["not a number", 1]


def test_a_default_is_validated_on_request(serve):
    def endpoint(q: Annotated[int, Query(validate_default=True)] = "7"):
        return q

    assert serve(endpoint).get("/").json() == 7


def test_a_mutable_default_is_new_for_each_request(serve):
    shared = ["default"]

    def endpoint(q: Annotated[list[str], Query()] = shared):
        q.append("changed")
        return q

    connected = serve(endpoint)
    assert connected.get("/").json() == ["default", "changed"]
    assert connected.get("/").json() == ["default", "changed"]
    assert shared == ["default"]


def test_a_default_factory_is_called_for_each_request(serve):
    calls = []

    def endpoint(q: Annotated[int, Query(default_factory=lambda: calls.append(1) or len(calls))]):
        return q

    connected = serve(endpoint)
    assert [connected.get("/").json(), connected.get("/?q=7").json(), connected.get("/").json()] == [1, 7, 2]


def test_of_a_repeated_scalar_the_last_value_counts(serve):
    def endpoint(q: int):
        return q

    assert serve(endpoint).get("/?q=1&q=2&q=3").json() == 3


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(list[int], [1, 2]), (tuple[int, int], [1, 2]), (set[int], [1, 2]), (frozenset[int], [1, 2]), (list, ["1", "2"])],
)
def test_a_sequence_collects_all_values(serve, annotation, value):
    def endpoint(q: Annotated[annotation, Query()]):
        return q

    assert serve(endpoint).get("/?q=1&other=9&q=2").json() == value


def test_items_of_a_sequence_are_refused_one_by_one(serve):
    def endpoint(q: Annotated[list[int], Query()]):
        return q

    assert [error["loc"] for error in errors(serve(endpoint).get("/?q=1&q=x&q=y"))] == [["query", "q", 1], ["query", "q", 2]]


def test_a_missing_sequence_takes_its_default_or_is_reported(serve):
    def endpoint(required: Annotated[list[int], Query()], optional: Annotated[list[int] | None, Query()] = None):
        return [required, optional]

    connected = serve(endpoint)
    assert [(error["type"], error["loc"]) for error in errors(connected.get("/"))] == [("missing", ["query", "required"])]
    assert connected.get("/?required=1").json() == [[1], None]


def test_an_empty_value_is_a_value(serve):
    def endpoint(q: str = "default", many: Annotated[list[str], Query()] = ["default"]):  # noqa: B006 - defaults are copied
        return [q, many]

    connected = serve(endpoint)
    assert connected.get("/?q=&many=").json() == ["", [""]]
    assert connected.get("/?q&many").json() == ["", [""]]


def test_a_list_without_a_marker_is_a_body_not_a_query_parameter(serve):
    def endpoint(q: list[int]):
        return q

    connected = serve(endpoint, method="POST")
    assert connected.post("/?q=1", json=[2]).json() == [2]


def test_names_and_values_are_percent_and_plus_decoded(serve):
    def endpoint(q: Annotated[str, Query(alias="näme & co")]):
        return q

    assert serve(endpoint).get("/?n%C3%A4me+%26+co=%E2%82%AC+a%2Bb").json() == "€ a+b"


def test_an_alias_replaces_the_name_and_appears_in_errors(serve):
    def endpoint(item_query: Annotated[int, Query(alias="item-query")]):
        return item_query

    connected = serve(endpoint)
    assert connected.get("/?item-query=3").json() == 3
    assert [error["loc"] for error in errors(connected.get("/?item_query=3"))] == [["query", "item-query"]]
    assert [error["loc"] for error in errors(connected.get("/?item-query=x"))] == [["query", "item-query"]]


def test_a_validation_alias_wins_over_an_alias(serve):
    def endpoint(p: Annotated[int, Query(alias="one", validation_alias="two")]):
        return p

    connected = serve(endpoint)
    assert connected.get("/?two=2&one=1").json() == 2
    assert [error["loc"] for error in errors(connected.get("/?one=1"))] == [["query", "two"]]


def test_the_first_of_several_alias_choices_that_was_sent_counts(serve):
    def endpoint(p: Annotated[int, Query(validation_alias=AliasChoices("first", "second"))]):
        return p

    connected = serve(endpoint)
    assert connected.get("/?second=2&first=1").json() == 1
    assert connected.get("/?second=2").json() == 2
    assert [error["loc"] for error in errors(connected.get("/?second=x"))] == [["query", "second"]]
    assert [error["loc"] for error in errors(connected.get("/"))] == [["query", "first"]]


def test_validators_in_annotated_run(serve):
    def endpoint(
        q: Annotated[int, BeforeValidator(lambda value: value.strip("#")), Query(), AfterValidator(lambda value: value + 1)],
    ):
        return q

    assert serve(endpoint).get("/", params={"q": "#41"}).json() == 42


def test_a_validator_that_raises_is_reported_with_its_message_and_an_empty_error_object(serve):
    def refuse(value):
        raise ValueError("odd")

    def endpoint(q: Annotated[int, AfterValidator(refuse), Query()]):
        return q

    assert errors(serve(endpoint).get("/?q=1")) == [
        {"type": "value_error", "loc": ["query", "q"], "msg": "Value error, odd", "input": "1", "ctx": {"error": {}}}
    ]


def test_of_several_markers_in_annotated_the_last_counts_and_field_metadata_is_merged(serve):
    def endpoint(q: Annotated[int, Field(ge=3), Query(alias="one"), Field(le=5), Query(alias="two")] = 4):
        return q

    connected = serve(endpoint)
    assert connected.get("/").json() == 4
    assert connected.get("/?two=5").json() == 5
    assert connected.get("/?one=9").json() == 4
    assert [error["type"] for error in errors(connected.get("/?two=9"))] == ["less_than_equal"]
    assert [error["type"] for error in errors(connected.get("/?two=1"))] == ["greater_than_equal"]


def test_a_marker_can_be_reused_by_several_parameters(serve):
    Positive = Annotated[int, Query(gt=0)]

    def endpoint(a: Positive, b: Positive = 7):
        return [a, b]

    assert serve(endpoint).get("/?a=1").json() == [1, 7]


def test_a_default_value_inside_annotated_is_refused():
    app = FastAPI()
    with pytest.raises(AssertionError, match="`Query` default value cannot be set in `Annotated` for 'q'"):

        @app.get("/")
        def endpoint(q: Annotated[int, Query(default=1)]):
            return q


def test_markers_in_annotated_and_as_default_cannot_be_combined():
    app = FastAPI()
    with pytest.raises(
        AssertionError, match="Cannot specify FastAPI annotations in `Annotated` and default value together for 'q'"
    ):

        @app.get("/")
        def endpoint(q: Annotated[int, Query()] = Query(1)):
            return q


def test_a_type_that_cannot_be_a_query_parameter_is_refused():
    app = FastAPI()

    class Model(BaseModel):
        x: int

    with pytest.raises(AssertionError, match="Query parameter 'q' must be one of the supported types"):

        @app.get("/")
        def endpoint(q: Annotated[list[Model], Query()]):
            return q


def test_a_json_parameter_is_parsed_from_its_text(serve):
    def endpoint(q: Annotated[Json[list[int]], Query()]):
        return q

    connected = serve(endpoint)
    assert connected.get("/", params={"q": "[1, 2]"}).json() == [1, 2]
    assert [error["type"] for error in errors(connected.get("/?q=oops"))] == ["json_invalid"]


def test_unknown_parameters_are_ignored(serve):
    def endpoint(q: int = 1):
        return q

    assert serve(endpoint).get("/?r=2&=3&&s").json() == 1


def test_a_parameter_hidden_from_the_schema_works(serve):
    def endpoint(q: Annotated[int, Query(include_in_schema=False)] = 1):
        return q

    assert serve(endpoint).get("/?q=4").json() == 4


def test_a_thousand_values_are_collected(serve):
    def endpoint(q: Annotated[list[int], Query()]):
        return len(q)

    assert serve(endpoint).get("/?" + "&".join(f"q={n}" for n in range(1000))).json() == 1000
