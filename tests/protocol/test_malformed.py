"""What is not HTTP, or could mean two things, gets one answer and the end of the connection (RFC 9112 §11.2: request smuggling)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tercel.http.exchange import Exchange
from tests.protocol.peer import TEXT, App, Handler, exchange_with

pytestmark = pytest.mark.anyio
AppOf = Callable[[Handler], App]

HOST = b"Host: test\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"

HEADS = {
    "nonsense": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "no request line": (400, b"Host: test\r\n\r\n"),
    "no version": (400, b"GET /\r\n" + HOST + b"\r\n"),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "version 0.9": (505, b"GET / HTTP/0.9\r\n" + HOST + b"\r\n"),
    "version 1.2": (505, b"GET / HTTP/1.2\r\n" + HOST + b"\r\n"),
    "version 2.0": (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    "version 3": (400, b"GET / HTTP/3\r\n" + HOST + b"\r\n"),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "lower-case version": (400, b"GET / http/1.1\r\n" + HOST + b"\r\n"),
    "RTSP": (400, b"DESCRIBE / RTSP/1.0\r\n" + HOST + b"\r\n"),
    "ICE": (400, b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n"),
    "text behind the version": (400, b"GET / HTTP/1.1 x\r\n" + HOST + b"\r\n"),
    "lower-case method": (501, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "unknown method": (501, b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "method with a space": (400, b"GE T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "method with a control": (400, b"GE\x01T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT": (501, b"CONNECT test:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "two spaces before the target": (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "two spaces after the target": (400, b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n"),
    "tab instead of space": (400, b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\n" + HOST + b"\r\n"),
    "relative target": (400, b"GET a/b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target with a space": (400, b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target with a control": (400, b"GET /a\x01b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target with a NUL": (400, b"GET /a\x00b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target that is not ASCII": (400, "GET /é HTTP/1.1\r\n".encode() + HOST + b"\r\n"),
    "target with a fragment": (400, b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "asterisk with GET": (400, b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "asterisk and more": (400, b"OPTIONS *x HTTP/1.1\r\n" + HOST + b"\r\n"),
    "foreign scheme": (400, b"GET ftp://test/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute target without a host": (400, b"GET http:///a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute target with userinfo": (400, b"GET http://u:p@test/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute target with a user": (400, b"GET http://u@test/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    "two different Hosts": (400, b"GET / HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n"),
    "Host with a slash": (400, b"GET / HTTP/1.1\r\nHost: test/evil\r\n\r\n"),
    "Host with an at sign": (400, b"GET / HTTP/1.1\r\nHost: u@test\r\n\r\n"),
    "Host with a space": (400, b"GET / HTTP/1.1\r\nHost: test evil\r\n\r\n"),
    "Host with two ports": (400, b"GET / HTTP/1.1\r\nHost: test:80:81\r\n\r\n"),
    "Host that is not ASCII": (400, b"GET / HTTP/1.1\r\nHost: t\xe9st\r\n\r\n"),
    "line folding": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"),
    "space before the first field": (400, b"GET / HTTP/1.1\r\n " + HOST + b"\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\r\n\r\n"),
    "empty name": (400, b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n"),
    "control in a name": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\x01: a\r\n\r\n"),
    "parenthesis in a name": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X(): a\r\n\r\n"),
    "a name that is not ASCII": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\xe9: a\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n"),
    "control in a value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x0bb\r\n\r\n"),
    "DEL in a value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x7fb\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: test\n\n"),
    "bare LF behind a field": (400, b"GET / HTTP/1.1\r\nHost: test\nX: a\r\n\r\n"),
    "bare CR in a field": (400, b"GET / HTTP/1.1\r\nHost: test\rX: a\r\n\r\n"),
    "bare CR behind the request line": (400, b"GET / HTTP/1.1\rHost: test\r\n\r\n"),
    "length and coding": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "coding and length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    "two equal lengths": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "two lengths": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "list of lengths": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "positive length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello"),
    "negative length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\nhello"),
    "hexadecimal length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\nhello"),
    "underscored length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0_5\r\n\r\nhello"),
    "empty length": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\nhello"),
    "length of 2**64": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551616\r\n\r\nhello"),
    "length of 2**63": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9223372036854775808\r\n\r\nhello"),
    "chunked twice": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunked twice on two lines": (
        400,
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked not last": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "identity": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    "almost chunked": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunked with a vertical tab": (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "unknown coding": (501, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked in HTTP/1.0": (400, b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "unknown expectation": (417, b"POST / HTTP/1.1\r\n" + HOST + b"Expect: the unexpected\r\nContent-Length: 5\r\n\r\nhello"),
}

CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no hexadecimal size": b"g\r\nhello\r\n0\r\n\r\n",
    "prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "underscored size": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "huge size": b"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
    "size of 2**64 + 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk too short": b"5\r\nhell\r\n0\r\n\r\n",
    "bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind the chunk": b"5\r\nhello\n0\r\n\r\n",
    "bare CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\n\n",
    "control in an extension": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer without a colon": b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "endless trailer": b"5\r\nhello\r\n0\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 3000 + b"\r\n",
}


def check_one_answer(raw: bytes, status: int) -> None:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), raw
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head, "more than one answer"


@pytest.mark.parametrize("name", HEADS)
async def test_a_malformed_head_is_answered_once_and_the_connection_closed(app_of: AppOf, name: str) -> None:
    called: list[str] = []

    async def handler(ex: Exchange) -> None:
        called.append(ex.path)
        await ex.respond(TEXT, b"")

    status, request = HEADS[name]
    async with exchange_with(app_of(handler)) as peer:
        await peer.send(request + SMUGGLED)
        check_one_answer(await peer.rest(), status)
    assert called == []


@pytest.mark.parametrize("name", HEADS)
async def test_a_malformed_head_is_refused_in_pieces_as_well(name: str, anyio_backend_name: str) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("the application was called")

    status, request = HEADS[name]
    async with exchange_with(app, lifespan="off") as peer:
        try:
            for byte in request + SMUGGLED:
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        check_one_answer(await peer.rest(), status)


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", CHUNKS)
async def test_a_malformed_chunked_body_is_answered_once_and_the_connection_closed(app_of: AppOf, name: str, pieces: str) -> None:
    async def handler(ex: Exchange) -> None:
        if ex.path == "/smuggled":
            raise AssertionError("the bytes behind a malformed body were taken for a request")
        await ex.body()
        raise AssertionError("a malformed body was delivered")

    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with exchange_with(app_of(handler)) as peer:
        if pieces == "whole":
            await peer.send(head + CHUNKS[name] + SMUGGLED)
        else:
            await peer.send(head)
            try:
                body = CHUNKS[name] + SMUGGLED
                sizes = [1] * 100 + [97] * (len(body) // 97)
                for size in sizes:
                    await peer.send(body[:size])
                    body = body[size:]
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
        check_one_answer(await peer.rest(), 400)


async def test_the_requests_in_front_of_a_malformed_one_are_answered(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await asyncio.sleep(0)
        await ex.respond(TEXT, ex.path.encode())

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET /a HTTP/1.1\r\nHost: test\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\nnonsense\r\n\r\n" + SMUGGLED)
        assert (await peer.response()).body == b"/a"
        assert (await peer.response()).body == b"/b"
        check_one_answer(await peer.rest(), 400)


async def test_a_body_that_breaks_while_it_is_being_answered_ends_the_connection(app_of: AppOf, errors: list[object]) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        async for chunk in ex.chunks():
            await ex.write(chunk)
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await peer.head_of_response()
        await peer.send(b"nonsense\r\n")
        assert await peer.rest() == b"5\r\nhello\r\n"
    assert errors == []


async def test_what_was_refused_is_not_repeated_in_the_answer() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("the application was called")

    async with exchange_with(app, lifespan="off") as peer:
        await peer.send(b"GET /<script> HTTP/1.1\r\nHost: <script>\r\n\r\n")
        assert b"script" not in await peer.rest()
