"""Response heads as bytes: what is rendered, what is kept, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.http.exchange import Head
from tercel.server.wire import render, tail_lines


def test_a_head_is_rendered_once_when_nothing_of_it_depends_on_the_connection() -> None:
    head = Head(200, [(b"content-type", b"text/plain"), (b"X-Case", b"kept")])
    wire = render(head)[0]
    assert wire == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nX-Case: kept\r\n"
    assert head.wire is wire


@pytest.mark.parametrize(
    "field",
    [
        (b"content-length", b"1"),
        (b"connection", b"close"),
        (b"date", b"now"),
        (b"server", b"x"),
        (b"Transfer-Encoding", b"chunked"),
    ],
)
def test_a_head_with_fields_of_the_connection_is_not_kept(field: tuple[bytes, bytes]) -> None:
    head = Head(200, [field])
    render(head)
    assert head.wire is None


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_head_without_content_is_not_kept_since_it_is_not_followed_by_a_length(status: int) -> None:
    head = Head(status, [])
    render(head)
    assert head.wire is None


def test_what_the_server_has_to_know_is_taken_out() -> None:
    rendered = render(Head(200, [(b"Content-Length", b"5"), (b"Connection", b"Close"), (b"date", b"now"), (b"keep-alive", b"x")]))
    assert rendered == (b"HTTP/1.1 200 OK\r\ndate: now\r\n", 5, True, True, False)


def test_the_same_length_twice_is_one_and_two_are_refused() -> None:
    assert render(Head(200, [(b"content-length", b"5"), (b"content-length", b"5")]))[1] == 5
    with pytest.raises(ValueError, match="given twice, as 5 and as 6"):
        render(Head(200, [(b"content-length", b"5"), (b"content-length", b"6")]))


@given(name=st.binary(max_size=12), value=st.binary(max_size=12))
def test_no_field_ever_adds_a_line(name: bytes, value: bytes) -> None:
    try:
        wire = render(Head(200, [(name, value)]))[0]
    except ValueError:
        return
    lines = wire.split(b"\r\n")
    assert len(lines) <= 3
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert b"\r" not in wire.replace(b"\r\n", b"")


def test_the_lines_behind_every_head() -> None:
    assert tail_lines(date=True, server=True, timestamp_s=0) == (
        b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: tercel\r\n",
        b"server: tercel\r\n",
        b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    )
    assert tail_lines(date=False, server=False, timestamp_s=0) == (b"", b"", b"")
