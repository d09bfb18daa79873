"""Bytes cut anywhere mean the same as whole; no input raises out of the protocol (Hypothesis, without sockets)."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tercel.http.exchange import Exchange
from tests.protocol.feeding import PROTOCOLS, Protocol, feed
from tests.protocol.peer import TEXT, config, direct_app


async def handler(ex: Exchange) -> None:
    body = await ex.body()
    if ex.path == "/wait":
        await asyncio.sleep(0)
    await ex.respond(TEXT, ex.method.encode() + b" " + ex.path.encode() + b" " + body)


def answers(data: bytes, cuts: list[int], protocol: Protocol) -> bytes:
    settings = config(date_header=False, max_head_bytes=400, max_headers=5, max_body_bytes=100)
    return feed(direct_app(handler), settings, data, cuts, protocol)


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"
OLD = b"GET /o HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPGRADE = b"POST /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
BAD = [
    b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r1\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\r" + b"b" * 600 + b"\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\n\r\n \r\n\r\n",
    b"nonsense\r\n\r\n",
]
sequences = st.lists(st.sampled_from([GET, WAIT, POST, CHUNKED, OLD, UPGRADE, b"\r\n", *BAD]), min_size=1, max_size=5).map(b"".join)
cuts = st.lists(st.integers(1, 300), max_size=12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None)
@given(data=sequences, cuts=cuts)
@example(data=GET, cuts=[3])
@example(data=BAD[1], cuts=[3])
@example(data=WAIT + POST + CHUNKED + GET, cuts=list(range(1, 300)))
@example(data=b"GET / HTTP/1.1\r\nHost: h\r\nX: a\n" + b"b" * 400 + b"\r\n\r\n", cuts=[300])
@example(data=b"GET /" + b"a" * 380 + b" HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[300])
@example(data=b"GET /" + b"a" * 410 + b" HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[300])
def test_the_answers_do_not_depend_on_how_the_bytes_are_cut(data: bytes, cuts: list[int], protocol: Protocol) -> None:
    whole = answers(data, [], protocol)
    assert answers(data, cuts, protocol) == whole
    assert answers(data, list(range(1, len(data))), protocol) == whole


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None)
@example(data=b"\n\r\n\r\n", cuts=[1])
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [b"GET ", b"/", b" HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: h", b":", b" ", b"\0", b"5", b"chunked", b"\xff"]
            ),
            max_size=30,
        ).map(b"".join),
    ),
    cuts=cuts,
)
@example(data=b"\n\r\n\r\n", cuts=[1])
def test_no_bytes_raise_out_of_the_protocol_and_there_is_at_most_one_answer_to_nonsense(
    data: bytes, cuts: list[int], protocol: Protocol
) -> None:
    written = answers(data, cuts, protocol)
    assert re.fullmatch(rb"(HTTP/1\.1 200 .*)?(HTTP/1\.1 [45]\d\d [^\r]*\r\n.*)?", written, re.DOTALL)
    assert answers(data, [], protocol) == written
