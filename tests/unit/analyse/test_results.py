"""Renderers: what becomes of a result, decided once for a route."""

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from tercel.analyse.fields import ModelField
from tercel.analyse.results import Renderer
from tercel.compile.support import injected_response
from tercel.http.defaults import Default
from tercel.http.errors import ResponseValidationError
from tercel.http.sse import ServerSentEvent


class Item(BaseModel):
    name: str
    full_name: str = Field("", serialization_alias="fullName")
    price: float | None = None


def field(annotation: Any) -> ModelField:
    return ModelField(field_info=FieldInfo(annotation=annotation), name="response", mode="serialization")


def renderer(annotation: Any = None, response_class: Any = None, **options: Any) -> Renderer:
    dump = {"by_alias": True, **options.pop("dump", {})}
    return Renderer(
        response_class=Default(JSONResponse) if response_class is None else response_class,
        status_code=options.pop("status_code", None),
        field=None if annotation is None else field(annotation),
        dump=dump,
        **options,
    )


def rendered(made: Renderer, value: Any, injected: Response | None = None) -> Response:
    return made.response(made.checked(value), injected, None)


# -- the usual way -----------------------------------------------------------------------------------------------------------------


def test_by_default_results_are_json_with_a_head_made_beforehand() -> None:
    made = renderer(Item, status_code=201)
    assert (made.is_json, made.label) == (True, "JSONResponse")
    assert made.head is not None
    assert (made.head.status, made.head.headers) == (201, [(b"content-type", b"application/json")])
    assert made.dump_bytes(made.validate({"name": "n"})) == b'{"name":"n","fullName":"","price":null}'


@pytest.mark.parametrize(
    "made",
    [renderer(response_class=JSONResponse), renderer(response_class=Default(HTMLResponse)), renderer(stream="jsonl")],
    ids=["explicit", "another default", "stream"],
)
def test_anything_else_has_no_head_beforehand(made: Renderer) -> None:
    assert (made.is_json, made.head) == (False, None)


def test_the_label_is_the_class_or_the_kind_of_stream() -> None:
    assert [renderer(response_class=HTMLResponse).label, renderer(stream="sse").label] == ["HTMLResponse", "sse"]


@pytest.mark.parametrize(("status", "has_body"), [(None, True), (200, True), (404, True), (204, False), (205, False), (304, False)])
def test_some_statuses_have_no_body(status: int | None, has_body: bool) -> None:
    assert renderer(status_code=status).has_body is has_body


def test_objects_with_the_right_attributes_are_results_too_and_the_rest_of_them_is_left_out() -> None:
    @dataclass
    class Row:
        name: str
        secret: str = "s"

    made = renderer(Item, dump={"exclude_unset": True})
    assert made.dump_bytes(made.validate(Row("n"))) == b'{"name":"n"}'
    assert rendered(made, Row("n")).body == b'{"name":"n"}'


@pytest.mark.parametrize(
    ("dump", "expected"),
    [
        ({"by_alias": False}, {"name": "n", "full_name": "", "price": None}),
        ({"exclude_none": True}, {"name": "n", "fullName": ""}),
        ({"exclude_defaults": True}, {"name": "n"}),
        ({"exclude_unset": True}, {"name": "n"}),
        ({"include": {"name", "price"}}, {"name": "n", "price": None}),
        ({"exclude": {"price"}}, {"name": "n", "fullName": ""}),
    ],
)
def test_dump_options_count_on_every_way(dump: dict[str, Any], expected: dict[str, Any]) -> None:
    made = renderer(Item, dump=dump)
    assert json.loads(made.dump_bytes(made.validate({"name": "n"}))) == expected
    assert json.loads(bytes(rendered(made, {"name": "n"}).body)) == expected
    assert json.loads(bytes(rendered(renderer(Item, JSONResponse, dump=dump), {"name": "n"}).body)) == expected


def test_a_result_that_breaks_the_promise_is_told_with_what_it_was() -> None:
    with pytest.raises(ResponseValidationError) as caught:
        renderer(Item).checked({"name": 3})
    assert caught.value.errors()[0]["loc"] == ("response", "name")
    assert caught.value.body == {"name": 3}


def test_a_response_passes_as_it_is_and_takes_the_background_tasks_if_it_has_none() -> None:
    made, own, given = renderer(Item), BackgroundTask(print), BackgroundTask(print)
    response = PlainTextResponse("x")
    assert made.checked(response) is response
    assert made.response(response, None, given) is response
    assert response.background is given
    with_own = PlainTextResponse("x", background=own)
    assert made.response(with_own, None, given).background is own


def test_without_a_model_anything_that_can_be_encoded_is_a_result() -> None:
    made = renderer()
    assert rendered(made, {"a": Item(name="n")}).body == b'{"a":{"name":"n","full_name":"","price":null}}'.replace(
        b"full_name", b"fullName"
    )


@pytest.mark.parametrize("annotation", [None, dict[str, float]])
@pytest.mark.parametrize("response_class", [None, JSONResponse])
def test_nan_is_null_on_every_way(annotation: Any, response_class: Any) -> None:
    response = rendered(renderer(annotation, response_class), {"a": math.nan, "b": -math.inf, "c": 1.0})
    assert json.loads(bytes(response.body)) == {"a": None, "b": None, "c": 1.0}


# -- response classes --------------------------------------------------------------------------------------------------------------


def test_a_response_class_renders_what_the_model_dumps() -> None:
    class Own(JSONResponse):
        media_type = "application/own"

        def render(self, content: Any) -> bytes:
            return f"own {content['fullName']}".encode()

    response = rendered(renderer(Item, Own), Item(name="n", full_name="f"))
    assert (response.body, response.media_type) == (b"own f", "application/own")


def test_the_status_of_the_class_holds_unless_the_route_or_the_injected_response_says_another() -> None:
    assert rendered(renderer(response_class=RedirectResponse), "/there").status_code == 307
    assert rendered(renderer(response_class=RedirectResponse, status_code=303), "/there").status_code == 303
    injected = injected_response()
    injected.status_code = 302
    assert rendered(renderer(response_class=RedirectResponse, status_code=303), "/there", injected).status_code == 302


def test_an_error_of_a_class_that_is_no_json_is_its_own() -> None:
    class Own(Response):
        def render(self, content: Any) -> bytes:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        rendered(renderer(response_class=Own), "x")


@pytest.mark.parametrize("made", [renderer(), renderer(Item), renderer(response_class=PlainTextResponse)])
def test_headers_of_the_injected_response_are_appended_as_they_are(made: Renderer) -> None:
    injected = injected_response()
    injected.headers["x-a"] = "1"
    injected.set_cookie("a", "1")
    injected.set_cookie("b", "2")
    value = "text" if made.response_class is PlainTextResponse else {"name": "n"}
    names = [name for name, _ in rendered(made, value, injected).raw_headers]
    assert names[-3:] == [b"x-a", b"set-cookie", b"set-cookie"]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_the_body_is_cleared_where_the_status_forbids_one(status: int) -> None:
    assert rendered(renderer(response_class=PlainTextResponse, status_code=status), "text").body == b""


# -- items of streams --------------------------------------------------------------------------------------------------------------


def test_items_are_validated_and_filtered_by_their_type() -> None:
    made = renderer(stream="jsonl", item_field=field(Item), dump={"exclude_unset": True})
    assert made.line({"name": "n", "secret": 1}) == b'{"name":"n"}\n'
    with pytest.raises(ResponseValidationError) as caught:
        made.line({"name": 3})
    assert caught.value.body == {"name": 3}


def test_items_without_a_type_are_what_can_be_encoded() -> None:
    made = renderer(stream="jsonl")
    assert made.line({"a": math.nan, "é": Item(name="n").name}) == b'{"a": null, "\\u00e9": "n"}\n'


def event(value: Any, item_field: ModelField | None = None) -> bytes:
    return renderer(stream="sse", item_field=item_field).event(value)


def test_plain_items_are_the_data_of_events() -> None:
    assert event({"a": 1}) == b'data: {"a": 1}\n\n'
    assert event(Item(name="n"), field(Item)) == b'data: {"name":"n","fullName":"","price":null}\n\n'


def test_events_may_say_everything_themselves() -> None:
    full = event(ServerSentEvent(data={"a": 1}, event="e", id="7", retry=10, comment="c"))
    assert sorted(full.decode().split("\n")) == sorted([": c", "event: e", 'data: {"a": 1}', "id: 7", "retry: 10", "", ""])
    assert event(ServerSentEvent(raw_data="a\nb")) == b"data: a\ndata: b\n\n"
    assert event(ServerSentEvent(data=Item(name="n", price=math.nan))).startswith(b'data: {"name":"n"')
    assert event(ServerSentEvent(comment="c")) == b": c\n\n"
