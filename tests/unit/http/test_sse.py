"""Server-sent events: what an event may hold and its bytes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tercel.http import sse
from tercel.http.sse import EventSourceResponse, ServerSentEvent, format_sse_event


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"data_str": "a"}, b"data: a\n\n"),
        ({"data_str": ""}, b"data: \n\n"),
        ({"data_str": "a\nb\r\nc\rd\n"}, b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        ({"data_str": "a\u2028b\x0bc"}, "data: a\u2028b\x0bc\n\n".encode()),
        ({"comment": "hi\n"}, b": hi\n: \n\n"),
        ({"retry": 0, "id": "", "event": "e", "data_str": "d", "comment": "c"}, b": c\nevent: e\ndata: d\nid: \nretry: 0\n\n"),
        ({}, b"\n"),
    ],
)
def test_an_event_is_written_line_by_line(fields: dict[str, Any], wire: bytes) -> None:
    assert format_sse_event(**fields) == wire


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"event": "a\nb"}, "SSE 'event' must be a single line"),
        ({"id": "a\rb"}, "SSE 'id' must be a single line"),
        ({"id": "a\0b\n"}, "SSE 'id' must not contain null characters"),
        ({"retry": -1}, "greater than or equal to 0"),
        ({"retry": 1.5}, "valid integer"),
        ({"data": 1, "raw_data": "x"}, "Cannot set both 'data' and 'raw_data'"),
    ],
)
def test_an_event_that_would_break_the_stream_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServerSentEvent(**fields)


def test_an_event_keeps_what_it_was_given() -> None:
    event = ServerSentEvent(data={"a": 1}, event="e", id="1", retry=3, comment="c")
    assert event.model_dump() == {"data": {"a": 1}, "raw_data": None, "event": "e", "id": "1", "retry": 3, "comment": "c"}


def test_the_response_class_names_its_media_type() -> None:
    assert EventSourceResponse(iter([b""])).headers["content-type"] == "text/event-stream; charset=utf-8"


def test_a_keepalive_is_a_comment_every_fifteen_seconds() -> None:
    assert format_sse_event(comment="ping") == sse.KEEPALIVE_COMMENT
    assert sse.PING_INTERVAL_S == 15.0


@pytest.mark.parametrize("name", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rdata: b"])
def test_a_name_or_id_of_two_lines_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="single line"):
        format_sse_event(**{name: value})
