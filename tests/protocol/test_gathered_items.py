"""How the items of generator endpoints are cut into chunks, and that all of them arrive, in both protocols."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Callable
from typing import Any

import pytest

from tercel import FastAPI
from tercel.compile.streams import settings
from tercel.responses import EventSourceResponse, Response, StreamingResponse
from tests.protocol.feeding import PROTOCOLS, Protocol, feed
from tests.protocol.peer import config

pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def chunks_of(endpoint: Callable[..., Any], protocol: Protocol, response_class: type[Response] | None = None) -> list[bytes]:
    """The chunks that a client gets from an endpoint whose stream ends as it should."""
    app = FastAPI()
    if response_class is None:
        app.get("/")(endpoint)
    else:
        app.get("/", response_class=response_class)(endpoint)
    head, _, rest = feed(app, config(), REQUEST, [], protocol).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding: chunked" in head
    chunks: list[bytes] = []
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if length == 0:
            assert rest == b"\r\n"
            return chunks
        chunks.append(rest[:length])
        rest = rest[length + 2 :]


@pytest.mark.parametrize(("burst_s", "cut"), [(float("inf"), [1, 3, 2]), (0.0, [1, 1, 1, 1, 1, 1])])
def test_events_are_gathered_only_where_they_follow_each_other_at_once(
    protocol: Protocol, burst_s: float, cut: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "burst_s", burst_s)

    async def endpoint() -> AsyncIterable[int]:
        for number in range(6):
            if number in (1, 4):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            yield number

    chunks = chunks_of(endpoint, protocol, EventSourceResponse)
    assert b"".join(chunks) == b"".join(b"data: %d\n\n" % number for number in range(6))
    assert [chunk.count(b"data: ") for chunk in chunks] == cut


def test_lines_are_gathered_up_to_a_checkpoint_and_bytes_are_json_too(protocol: Protocol) -> None:
    async def endpoint() -> AsyncIterable[bytes]:
        for number in range(70):
            yield b"%d" % number

    chunks = chunks_of(endpoint, protocol)
    assert [json.loads(line) for line in b"".join(chunks).splitlines()] == [str(number) for number in range(70)]
    assert [chunk.count(b"\n") for chunk in chunks] == [32, 32, 6]


def test_a_stream_without_items_is_an_empty_body(protocol: Protocol) -> None:
    async def endpoint() -> AsyncIterable[int]:
        for number in ():
            yield number

    assert chunks_of(endpoint, protocol) == []


def test_empty_first_pieces_of_a_raw_stream_are_left_out(protocol: Protocol) -> None:
    async def endpoint() -> AsyncIterable[bytes | str]:
        yield b""
        yield ""
        yield "a"
        yield memoryview(b"b").tobytes()

    assert chunks_of(endpoint, protocol, StreamingResponse) == [b"ab"]
