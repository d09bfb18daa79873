"""The chunked decoder against llhttp, and the body a handler reads."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from tercel.http.exchange import BodyTooLarge
from tercel.server.body import BodySyntaxError, ChunkedDecoder, RequestBody

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def decode(data: bytes, cuts: list[int]) -> tuple[bytes, bytes] | str:
    """Body and what stands behind it, or what is wrong; "more" when the body does not end."""
    decoder = ChunkedDecoder(1000)
    body = b""
    positions = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:stop] for start, stop in pairwise(positions)]
    for index, piece in enumerate(pieces):
        out: list[bytes] = []
        try:
            used = decoder.feed(piece, 0, out)
        except BodySyntaxError:
            return "error"
        assert all(out), "an empty piece"
        body += b"".join(out)
        if decoder.complete:
            return body, piece[used:] + b"".join(pieces[index + 1 :])
        assert used == len(piece)
    return "more"


class Oracle:
    """llhttp's opinion."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.complete = False
        parser = httptools.HttpRequestParser(self)
        self.refused = False
        try:
            parser.feed_data(HEAD + data)
        except httptools.HttpParserError:
            self.refused = True

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


valid = st.lists(st.binary(min_size=1, max_size=20), max_size=5)
broken = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"0", b"1", b"5", b"f", b"a", b";", b" ", b"hello", b"X: y", b":", b"\0", b"0\r\n\r\n"]
    ),
    max_size=12,
).map(b"".join)
cuts = st.lists(st.integers(0, 200), max_size=8)


@given(chunks=valid, cuts=cuts, behind=st.binary(max_size=10))
def test_a_valid_body_is_decoded_however_it_is_cut(chunks: list[bytes], cuts: list[int], behind: bytes) -> None:
    data = b"".join(map(chunk, chunks)) + b"0\r\n\r\n" + behind
    assert decode(data, cuts) == (b"".join(chunks), behind)
    assert decode(data, list(range(len(data)))) == (b"".join(chunks), behind)


@given(data=broken, cuts=cuts)
@example(data=b"5\r\nhello\r\n0\r\n\n", cuts=[])
@example(data=b"0\r\n\r", cuts=[3])
def test_what_is_decoded_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    whole = decode(data, [])
    assert decode(data, cuts) == whole
    assert decode(data, list(range(len(data)))) == whole


@given(data=broken)
@example(data=b"1 \r\nx\r\n0\r\n\r\n")
@example(data=b"1;\r\nx\r\n0\r\n\r\n")
@example(data=b"0;\r\n\r\n")
def test_the_decoder_takes_nothing_that_llhttp_refuses_or_reads_otherwise(data: bytes) -> None:
    mine = decode(data, [])
    if isinstance(mine, tuple):
        oracle = Oracle(data)
        assert oracle.complete
        assert oracle.body == mine[0]


class Source:
    """Stands in for a connection."""

    def __init__(self) -> None:
        self.continues = 0
        self.taken = 0

    def send_continue(self) -> None:
        self.continues += 1

    def body_taken(self) -> None:
        self.taken += 1


def test_a_body_that_is_there_is_read_without_waiting() -> None:
    body = RequestBody(Source(), None, False)
    body.feed(b"ab")
    body.feed(b"c")
    body.end()
    reading = body.read_all()
    with pytest.raises(StopIteration) as stopped:
        reading.send(None)
    assert stopped.value.value == b"abc"
    assert body.whole == b"abc"
    assert asyncio.run(body.read_all()) == b"abc"


def test_two_readers_share_what_comes() -> None:
    async def main() -> None:
        body = RequestBody(Source(), None, False)
        first, second = asyncio.ensure_future(body.next_chunk()), asyncio.ensure_future(body.next_chunk())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        body.feed(b"abc")
        assert await second == b"abc"
        body.end()
        assert await body.next_chunk() == b""

    asyncio.run(main())


def test_continue_is_asked_for_once_and_only_when_nothing_has_come() -> None:
    async def main() -> None:
        source = Source()
        body = RequestBody(source, None, True)
        reading = asyncio.ensure_future(body.read_all())
        await asyncio.sleep(0)
        assert source.continues == 1
        body.feed(b"a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        body.feed(b"b")
        body.end()
        assert await reading == b"ab"
        assert source.continues == 1
        eager = RequestBody(source, None, True)
        eager.feed(b"a")
        assert await eager.next_chunk() == b"a"
        assert source.continues == 1

    asyncio.run(main())


def test_the_limit_is_the_last_byte_that_is_taken() -> None:
    async def main() -> None:
        body = RequestBody(Source(), 3, False)
        body.feed(b"abc")
        body.end()
        assert await body.read_all() == b"abc"
        long = RequestBody(Source(), 3, False)
        long.feed(b"abc")
        long.feed(b"d")
        for _ in range(2):
            with pytest.raises(BodyTooLarge) as raised:
                await long.read_all()
            assert raised.value.limit_bytes == 3
        assert long.buffered_bytes == 0

    asyncio.run(main())


def test_a_client_that_leaves_is_told_after_what_it_has_sent() -> None:
    async def main() -> None:
        body = RequestBody(Source(), None, False)
        body.feed(b"abc")
        body.lose()
        assert await body.next_chunk() == b"abc"
        with pytest.raises(ClientDisconnect):
            await body.next_chunk()
        with pytest.raises(ClientDisconnect):
            await body.read_all()

    asyncio.run(main())
