"""Server-sent events: how items become events, the headers, pings, and what `ServerSentEvent` refuses."""

import json
import threading
from collections.abc import AsyncIterable, Iterable
from typing import Annotated

import pytest
from pydantic import BaseModel

import tercel.routing
from tercel import APIRouter, Depends, Header, Response
from tercel.concurrency import run_in_threadpool
from tercel.exceptions import ResponseValidationError
from tercel.sse import EventSourceResponse, ServerSentEvent, format_sse_event


class Item(BaseModel):
    name: str
    note: str | None = None


class Secret(Item):
    password: str = "hidden"


def events(text):
    """The events of a stream, each a dict of its fields; `data` lines are joined and the comment is under `:`."""
    parsed = []
    for block in text.split("\n\n")[:-1]:
        event = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            name = name or ":"
            event[name] = f"{event[name]}\n{value}" if name in event else value
        parsed.append(event)
    return parsed


@pytest.fixture
def serve_events(serve):
    def serve_one(endpoint, **options):
        return serve(endpoint, response_class=EventSourceResponse, **options)

    return serve_one


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_every_item_is_an_event_with_json_data(serve_events, kind):
    if kind == "async":

        async def endpoint():
            yield {"a": 1}
            yield "text"
            yield Item(name="x")

    else:

        def endpoint():
            yield {"a": 1}
            yield "text"
            yield Item(name="x")

    answer = serve_events(endpoint).get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert [json.loads(event["data"]) for event in events(answer.text)] == [{"a": 1}, "text", {"name": "x", "note": None}]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_items_are_filtered_to_the_annotated_type(serve_events, kind):
    if kind == "async":

        async def endpoint() -> AsyncIterable[Item]:
            yield Secret(name="a")

    else:

        def endpoint() -> Iterable[Item]:
            yield Secret(name="a")

    assert [json.loads(event["data"]) for event in events(serve_events(endpoint).get("/").text)] == [{"name": "a", "note": None}]


def test_an_event_has_the_fields_that_were_given(serve_events):
    async def endpoint():
        yield ServerSentEvent(data={"k": "v"}, event="update", id="7", retry=3000, comment="note")
        yield ServerSentEvent(comment="only a comment")
        yield ServerSentEvent(event="no data")
        yield ServerSentEvent(data=Item(name="x"))

    assert events(serve_events(endpoint).get("/").text) == [
        {":": "note", "event": "update", "data": '{"k": "v"}', "id": "7", "retry": "3000"},
        {":": "only a comment"},
        {"event": "no data"},
        {"data": '{"name":"x","note":null}'},
    ]


def test_raw_data_is_sent_as_it_is_one_data_line_for_each_line(serve_events):
    async def endpoint():
        yield ServerSentEvent(raw_data="[DONE]")
        yield ServerSentEvent(raw_data="<p>\n</p>\r\nx\ry")

    assert serve_events(endpoint).get("/").text == "data: [DONE]\n\ndata: <p>\ndata: </p>\ndata: x\ndata: y\n\n"


def test_events_and_plain_items_can_be_mixed(serve_events):
    async def endpoint() -> AsyncIterable[Item]:
        yield Item(name="a")
        yield ServerSentEvent(data="special", event="other")

    assert events(serve_events(endpoint).get("/").text) == [
        {"data": '{"name":"a","note":null}'},
        {"event": "other", "data": '"special"'},
    ]


@pytest.mark.parametrize(
    ("field", "value"), [("event", "a\nb"), ("event", "a\rb"), ("id", "a\nb"), ("id", "a\0b"), ("retry", -1), ("retry", 1.5)]
)
def test_fields_that_would_break_the_stream_are_refused(field, value):
    with pytest.raises(ValueError, match=r"single line|null characters|greater than|valid integer"):
        ServerSentEvent(data="x", **{field: value})


def test_data_and_raw_data_exclude_each_other():
    with pytest.raises(ValueError, match="Cannot set both 'data' and 'raw_data'"):
        ServerSentEvent(data=1, raw_data="1")


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({}, b"\n\n"[1:] + b"\n"),
        ({"data_str": "a"}, b"data: a\n\n"),
        ({"data_str": "a\n"}, b"data: a\ndata: \n\n"),
        ({"comment": "a\nb"}, b": a\n: b\n\n"),
        ({"event": "e", "data_str": "d", "id": "", "retry": 0}, b"event: e\ndata: d\nid: \nretry: 0\n\n"),
    ],
)
def test_an_event_is_written_in_a_fixed_order(fields, wire):
    assert format_sse_event(**fields).lstrip(b"\n") == wire.lstrip(b"\n")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_any_method_may_answer_with_events(serve_events, method):
    async def endpoint(names: list[str]):
        for name in names:
            yield name

    answer = serve_events(endpoint, method=method).request(method, "/", json=["a", "b"])
    assert [event["data"] for event in events(answer.text)] == ['"a"', '"b"']


def test_events_can_be_resumed_from_the_last_id(serve_events):
    async def endpoint(last_event_id: Annotated[int, Header()] = -1):
        for n in range(last_event_id + 1, 3):
            yield ServerSentEvent(data=n, id=str(n))

    connected = serve_events(endpoint)
    assert [event["id"] for event in events(connected.get("/").text)] == ["0", "1", "2"]
    assert [event["id"] for event in events(connected.get("/", headers={"last-event-id": "1"}).text)] == ["2"]


def test_events_work_through_an_included_router_with_status_and_headers(make_app, client):
    app = make_app()
    router = APIRouter()

    def tagging(response: Response):
        response.headers["x-tag"] = "1"

    @router.get("/events", response_class=EventSourceResponse, status_code=202, dependencies=[Depends(tagging)])
    async def endpoint():
        yield 1

    app.include_router(router, prefix="/api")
    answer = client(app).get("/api/events")
    assert (answer.status_code, answer.headers["x-tag"], answer.text) == (202, "1", "data: 1\n\n")


def test_a_validation_error_of_the_request_is_a_422_not_a_stream(serve_events):
    async def endpoint(n: int):
        yield n

    answer = serve_events(endpoint).get("/?n=x")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/json")


def test_non_finite_numbers_are_null(serve_events):
    async def endpoint():
        yield [float("nan")]
        yield ServerSentEvent(data={"x": float("inf")})

    assert [json.loads(event["data"]) for event in events(serve_events(endpoint).get("/").text)] == [[None], {"x": None}]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_comment_is_sent_while_a_generator_is_silent(serve_events, monkeypatch, kind):
    if hasattr(tercel.routing, "_PING_INTERVAL"):  # where FastAPI has it
        monkeypatch.setattr(tercel.routing, "_PING_INTERVAL", 0.02)
    else:
        monkeypatch.setattr("tercel.compile.streams.settings.ping_interval_s", lambda: 0.02)
    proceed = threading.Event()

    if kind == "async":

        async def endpoint():
            yield 1
            await run_in_threadpool(proceed.wait, 5)
            yield 2

    else:

        def endpoint():
            yield 1
            proceed.wait(5)
            yield 2

    seen = []
    with serve_events(endpoint).stream("GET", "/") as answer:
        for line in answer.iter_lines():
            seen.append(line)
            if line == ": ping":
                proceed.set()
    assert seen[:3] == ["data: 1", "", ": ping"]
    assert seen[-2:] == ["data: 2", ""]


def test_an_item_can_be_read_before_the_next_one_exists(serve_events):
    proceed = threading.Event()

    async def endpoint():
        yield 1
        await run_in_threadpool(proceed.wait, 5)
        yield 2

    with serve_events(endpoint).stream("GET", "/") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: 1"
        proceed.set()
        assert [line for line in lines if line] == ["data: 2"]


def test_dependencies_with_yield_stay_open_while_events_are_sent(serve_events, journal):
    async def resource():
        journal("open")
        yield "resource"
        journal("close")

    async def endpoint(value: Annotated[str, Depends(resource)]):
        yield value
        journal("last")

    assert serve_events(endpoint).get("/").text == 'data: "resource"\n\n'
    assert journal.until("close") == ["open", "last", "close"]


def test_an_invalid_item_is_an_error_of_the_server(serve_events):
    async def endpoint() -> AsyncIterable[Item]:
        yield {"name": 3}

    error = serve_events(endpoint).expect_error(Exception, "GET", "/", answers=(200, 500))
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, ResponseValidationError)
    assert error.body == {"name": 3}
