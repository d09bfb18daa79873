"""Generator endpoints: JSON Lines, raw bytes, the type of their items, and what happens before, between and after them."""

import json
import threading
import typing
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from typing import Annotated

import pytest
from pydantic import BaseModel

from tercel import BackgroundTasks, Depends, Response
from tercel.concurrency import run_in_threadpool
from tercel.exceptions import ResponseValidationError
from tercel.responses import PlainTextResponse, StreamingResponse


class Item(BaseModel):
    name: str
    note: str | None = None


class Secret(Item):
    password: str = "hidden"


kinds = pytest.mark.parametrize("kind", ["async", "sync"])


def lines(response):
    return [json.loads(line) for line in response.text.splitlines()]


# -- JSON Lines ----------------------------------------------------------------------------------------------------------------


@kinds
def test_a_generator_endpoint_answers_with_one_json_value_per_line(serve, kind):
    if kind == "async":

        async def endpoint(n: int):
            for i in range(n):
                yield {"i": i}

    else:

        def endpoint(n: int):
            for i in range(n):
                yield {"i": i}

    connected = serve(endpoint)
    answer = connected.get("/?n=3")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    assert lines(answer) == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert answer.text.endswith("\n")
    assert connected.get("/?n=0").content == b""
    assert connected.get("/?n=x").status_code == 422


@pytest.mark.parametrize("annotation", [AsyncIterable[Item], AsyncIterator[Item]])
def test_items_of_an_async_generator_are_filtered_to_the_annotated_type(serve, annotation):
    async def endpoint() -> annotation:
        yield Secret(name="a")
        yield {"name": "b", "password": "x"}

    assert lines(serve(endpoint).get("/")) == [{"name": "a", "note": None}, {"name": "b", "note": None}]


@pytest.mark.parametrize("annotation", [Iterable[Item], Iterator[Item], Generator[Item, None, None]])
def test_items_of_a_sync_generator_are_filtered_to_the_annotated_type(serve, annotation):
    def endpoint() -> annotation:
        yield Secret(name="a")

    assert lines(serve(endpoint).get("/")) == [{"name": "a", "note": None}]


@pytest.mark.parametrize("annotation", [typing.AsyncIterable, typing.AsyncIterator])
def test_an_annotation_without_an_item_type_filters_nothing(serve, annotation):
    async def endpoint() -> annotation:
        yield Secret(name="a")

    assert lines(serve(endpoint).get("/")) == [{"name": "a", "note": None, "password": "hidden"}]


def test_response_model_options_apply_to_each_item(serve):
    async def endpoint() -> AsyncIterable[Item]:
        yield Item(name="a")

    assert lines(serve(endpoint, response_model_exclude_none=True).get("/")) == [{"name": "a"}]


def test_an_invalid_item_ends_the_stream_after_the_items_before_it(serve):
    async def endpoint() -> AsyncIterable[Item]:
        yield {"name": "a"}
        yield {"nome": "b"}
        yield {"name": "c"}

    error = serve(endpoint).expect_error(ResponseValidationError, "GET", "/", answers=200)
    assert error.body == {"nome": "b"}


def test_non_finite_numbers_are_null_in_untyped_and_typed_items(make_app, client):
    app = make_app()

    @app.get("/untyped")
    async def untyped():
        yield {"x": [float("nan"), float("inf")]}

    @app.get("/typed")
    async def typed() -> AsyncIterable[list[float]]:
        yield [float("nan"), -float("inf")]

    connected = client(app)
    assert lines(connected.get("/untyped")) == [{"x": [None, None]}]
    assert lines(connected.get("/typed")) == [[None, None]]


def test_a_function_that_returns_an_iterable_is_not_a_stream(serve):
    def endpoint() -> Iterable[Item]:
        return [Secret(name="a")]

    answer = serve(endpoint).get("/")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [{"name": "a", "note": None}]


# -- raw streams ---------------------------------------------------------------------------------------------------------------


@kinds
def test_with_a_streaming_response_class_items_are_bytes_and_text(serve, kind):
    if kind == "async":

        async def endpoint():
            yield "text "
            yield b"bytes"

    else:

        def endpoint():
            yield "text "
            yield b"bytes"

    assert serve(endpoint, response_class=StreamingResponse).get("/").content == b"text bytes"


def test_a_streaming_response_class_may_name_its_media_type(serve):
    class Png(StreamingResponse):
        media_type = "image/png"

    async def endpoint() -> AsyncIterable[bytes]:
        yield b"\x89PNG"

    answer = serve(endpoint, response_class=Png).get("/")
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"\x89PNG")


@kinds
def test_a_returned_streaming_response_is_sent_piece_by_piece(serve, kind):
    if kind == "async":

        async def pieces():
            for n in range(3):
                yield f"{n};"

    else:

        def pieces():
            for n in range(3):
                yield f"{n};"

    async def endpoint():
        return StreamingResponse(pieces(), status_code=201, headers={"x-a": "1"})

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.headers["x-a"], answer.text) == (201, "1", "0;1;2;")
    assert "content-length" not in answer.headers


def test_a_large_stream_arrives_whole(serve):
    async def endpoint():
        for n in range(2000):
            yield b"%06d" % n * 100

    body = serve(endpoint, response_class=StreamingResponse).get("/").content
    assert len(body) == 2000 * 600
    assert body[-6:] == b"001999"


@kinds
def test_an_item_can_be_read_before_the_next_one_exists(serve, kind):
    proceed = threading.Event()

    if kind == "async":

        async def endpoint():
            yield "first\n"
            await run_in_threadpool(proceed.wait, 5)
            yield "second\n"

    else:

        def endpoint():
            yield "first\n"
            proceed.wait(5)
            yield "second\n"

    with serve(endpoint, response_class=StreamingResponse).stream("GET", "/") as answer:
        pieces = answer.iter_lines()
        assert next(pieces) == "first"
        proceed.set()
        assert next(pieces) == "second"


# -- around the stream ---------------------------------------------------------------------------------------------------------


def test_status_code_and_injected_headers_apply_to_streams(serve):
    async def endpoint(response: Response):
        response.headers["x-unseen"] = "set while streaming, too late"
        yield 1

    def tagging(response: Response, status: int = 0):
        response.headers["x-tag"] = "1"
        if status:
            response.status_code = status

    connected = serve(endpoint, status_code=201, dependencies=[Depends(tagging)])
    answer = connected.get("/")
    assert (answer.status_code, answer.headers["x-tag"]) == (201, "1")
    assert connected.get("/?status=202").status_code == 202


def test_dependencies_with_yield_stay_open_while_a_stream_is_sent(serve, journal):
    async def resource():
        journal("open")
        yield "resource"
        journal("close")

    async def endpoint(value: Annotated[str, Depends(resource)]):
        journal("first")
        yield value
        journal("last")

    assert lines(serve(endpoint).get("/")) == ["resource"]
    assert journal.until("close") == ["open", "first", "last", "close"]


def test_background_tasks_run_after_the_last_item(serve, journal):
    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "background")
        yield 1
        journal("last")

    serve(endpoint).get("/")
    assert journal.until("background") == ["last", "background"]


@kinds
def test_the_finally_block_of_a_generator_runs(serve, journal, kind):
    if kind == "async":

        async def endpoint():
            try:
                yield 1
            finally:
                journal("finally")

    else:

        def endpoint():
            try:
                yield 1
            finally:
                journal("finally")

    serve(endpoint).get("/")
    journal.until("finally")


def test_an_error_after_the_first_item_is_seen_by_the_server_and_by_the_dependencies(serve, journal):
    async def resource():
        try:
            yield
        except ZeroDivisionError:
            journal("seen")
            raise

    async def endpoint(value: Annotated[None, Depends(resource)]):
        yield 1
        1 / 0

    serve(endpoint).expect_error(ZeroDivisionError, "GET", "/", answers=200)
    assert journal.until("seen") == ["seen"]


@kinds
def test_generators_run_where_functions_of_their_kind_run(make_app, client, kind):
    app = make_app()

    if kind == "async":

        @app.get("/")
        async def endpoint():
            yield threading.get_ident()

    else:

        @app.get("/")
        def endpoint():
            yield threading.get_ident()

    @app.get("/loop")
    async def loop():
        return threading.get_ident()

    connected = client(app)
    (inside,) = lines(connected.get("/"))
    assert (inside == connected.get("/loop").json()) is (kind == "async")


def test_a_post_with_a_body_may_stream(serve):
    async def endpoint(names: list[str]) -> AsyncIterable[Item]:
        for name in names:
            yield Item(name=name)

    assert [item["name"] for item in lines(serve(endpoint, method="POST").post("/", json=["a", "b"]))] == ["a", "b"]


def test_a_generator_endpoint_may_have_another_response_class_that_takes_an_iterable(serve):
    class Joined(PlainTextResponse):
        def render(self, content):
            return "+".join(content).encode()

    def endpoint():
        yield "a"
        yield "b"

    assert serve(endpoint, response_class=Joined).get("/").text == "a+b"
