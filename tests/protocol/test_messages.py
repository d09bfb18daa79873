"""Requests and responses as RFC 9110 and 9112 want them: persistence, pipelining, bodies both ways, HEAD, HTTP/1.0."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tercel.http.exchange import Exchange, Head
from tercel.server import serving
from tests.protocol.peer import TEXT, App, Handler, Peer, config, connected, exchange_with

pytestmark = pytest.mark.anyio
AppOf = Callable[[Handler], App]


async def hello(ex: Exchange) -> None:
    await ex.respond(TEXT, b"hello " + ex.path.encode())


async def echo(ex: Exchange) -> None:
    await ex.respond(TEXT, await ex.body())


async def pieces(ex: Exchange) -> None:
    await ex.start(TEXT)
    for number in range(3):
        await ex.write(b"piece %d." % number)
        if ex.query_string == b"slow":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    await ex.finish()


async def test_a_response_has_a_length_and_a_date_and_keeps_the_connection(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        for path in ("/a", "/b", "/c"):
            response = await peer.get(path)
            assert (response.status, response.reason) == (200, "OK")
            assert response.body == b"hello " + path.encode()
            assert response["content-length"] == "8"
            assert response["content-type"] == "text/plain"
            assert response["date"].endswith(" GMT")
            assert "connection" not in response
            assert "server" not in response


async def test_the_server_field_is_sent_when_asked_for_and_the_date_is_left_out(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), server_header=True, date_header=False) as peer:
        response = await peer.get()
        assert response["server"] == "tercel"
        assert "date" not in response


async def test_the_application_may_send_its_own_date_and_server(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(200, [(b"date", b"yesterday"), (b"server", b"mine")]), b"")

    async with exchange_with(app_of(handler), server_header=True) as peer:
        response = await peer.get()
        assert (response["date"], response["server"]) == ("yesterday", "mine")


async def test_pipelined_requests_are_answered_in_order(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % n for n in range(50)))
        for n in range(50):
            assert (await peer.response()).body == b"hello /%d" % n


async def test_a_slow_answer_holds_back_the_faster_ones_behind_it(app_of: AppOf) -> None:
    running = 0

    async def handler(ex: Exchange) -> None:
        nonlocal running
        running += 1
        assert running == 1, "a pipelined request was started before the one in front of it was answered"
        for _ in range(20 if ex.path == "/slow" else 1):
            await asyncio.sleep(0)
        running -= 1
        await ex.respond(TEXT, ex.path.encode())

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(
            b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
            b"GET /fast HTTP/1.1\r\nHost: t\r\n\r\n"
        )
        assert [(await peer.response()).body for _ in range(3)] == [b"/slow", b"/b", b"/fast"]


async def test_reading_pauses_when_too_much_is_pipelined(app_of: AppOf) -> None:
    release = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await release.wait()
        await ex.respond(TEXT, b"")

    sent = 0

    async def flood(peer: Peer) -> None:
        nonlocal sent
        while True:
            await peer.send(request)
            sent += 1

    async with serving(app_of(handler), config(look_ahead_bytes=1000)) as server, connected(server) as peer:
        request = b"GET / HTTP/1.1\r\nHost: test\r\nX-Fill: " + b"x" * 60_000 + b"\r\n\r\n"
        # The kernel's buffers fill up once the server has stopped reading; then `send` does not return.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(peer), 0.5)
        assert sent < 1000
        release.set()
        for _ in range(sent):
            assert (await peer.response()).status == 200


async def test_a_body_with_a_length_arrives_in_whatever_pieces_it_is_sent(app_of: AppOf) -> None:
    async with exchange_with(app_of(echo)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
        for byte in b"0123456789":
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response()).body == b"0123456789"
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        assert (await peer.response()).body == b"abc"


async def test_a_chunked_body_is_decoded_without_extensions_and_trailers(app_of: AppOf) -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def handler(ex: Exchange) -> None:
        body = await ex.body()
        seen.append(list(ex.headers))
        await ex.respond(TEXT, body)

    request = (
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5;name=value;q="x"\r\nhello\r\n00006\r\n world\r\n0\r\nX-Trailer: no\r\n\r\n'
    )
    async with exchange_with(app_of(handler)) as peer:
        await peer.send(request + request)
        for _ in range(2):
            assert (await peer.response()).body == b"hello world"
        for byte in request:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response()).body == b"hello world"
    assert all(name != b"x-trailer" for headers in seen for name, _ in headers)


async def test_a_head_may_arrive_byte_by_byte(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        for byte in b"\r\n\r\nGET /slow HTTP/1.1\r\nHost: test\r\nX: y\r\n\r\n":
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response()).body == b"hello /slow"


async def test_a_body_can_be_read_as_it_arrives(app_of: AppOf) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(ex: Exchange) -> None:
        async for chunk in ex.chunks():
            arrived.put_nowait(chunk)
        await ex.respond(TEXT, b"done")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\n")
        for piece in (b"ab", b"cd", b"ef"):
            await peer.send(piece)
            assert await asyncio.wait_for(arrived.get(), 5) == piece
        assert (await peer.response()).body == b"done"


async def test_a_stream_is_chunked_and_small_writes_are_gathered(app_of: AppOf) -> None:
    async with exchange_with(app_of(pieces)) as peer:
        response = await peer.get()
        assert response.chunks == [b"piece 0.piece 1.piece 2."]
        slow = await peer.get("/?slow")
        assert slow.body == b"piece 0.piece 1.piece 2."
        assert len(slow.chunks) > 1


@pytest.mark.parametrize(("gather_bytes", "sizes"), [(1, [8, 8, 8]), (9, [16, 8]), (24, [24]), (25, [24])])
async def test_writes_are_gathered_up_to_the_setting(app_of: AppOf, gather_bytes: int, sizes: list[int]) -> None:
    async with exchange_with(app_of(pieces), gather_bytes=gather_bytes) as peer:
        assert [len(chunk) for chunk in (await peer.get()).chunks] == sizes


async def test_the_head_of_a_stream_is_sent_before_its_first_piece(app_of: AppOf) -> None:
    release = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await release.wait()
        await ex.write(b"late")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.head_of_response())["transfer-encoding"] == "chunked"
        release.set()
        assert await asyncio.wait_for(peer.reader.readuntil(b"0\r\n\r\n"), 5) == b"4\r\nlate\r\n0\r\n\r\n"


async def test_a_stream_with_a_known_length_is_not_chunked(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(Head(200, [(b"content-length", b"6")]))
        await ex.write(b"abc")
        await ex.write(b"def")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        for _ in range(2):
            response = await peer.get()
            assert (response["content-length"], response.body, response.chunks) == ("6", b"abcdef", [])


async def test_an_empty_stream_ends(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.start(TEXT)
        await ex.write(b"")
        await ex.finish()

    async with exchange_with(app_of(handler)) as peer:
        assert (await peer.get()).body == b""
        assert (await peer.get()).body == b""


async def test_a_head_request_has_the_fields_of_a_get_and_no_body(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        for _ in range(2):
            await peer.send(b"HEAD /x HTTP/1.1\r\nHost: test\r\n\r\n")
            response = await peer.response(method="HEAD")
            assert response["content-length"] == "8"
        assert (await peer.get("/y")).body == b"hello /y"


async def test_a_head_request_for_a_stream_has_no_body(app_of: AppOf) -> None:
    async with exchange_with(app_of(pieces)) as peer:
        await peer.send(b"HEAD /?slow HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response(method="HEAD"))["transfer-encoding"] == "chunked"
        assert (await peer.get()).body == b"piece 0.piece 1.piece 2."


async def test_a_head_response_may_name_a_length_it_does_not_send(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(200, [(b"content-length", b"1000")]), b"")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response(method="HEAD"))["content-length"] == "1000"


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, None), (205, "0")])
async def test_statuses_without_content_have_none_whatever_the_application_sends(
    app_of: AppOf, status: int, length: str | None
) -> None:
    async def handler(ex: Exchange) -> None:
        if ex.path == "/stream":
            await ex.start(Head(status, []))
            await ex.write(b"never sent")
            await ex.finish()
        else:
            await ex.respond(Head(status, []), b"never sent")

    async with exchange_with(app_of(handler)) as peer:
        for path in ("/", "/stream", "/"):
            response = await peer.get(path)
            assert (response.status, response.body) == (status, b"")
            assert response.all("content-length") == ([] if length is None else [length])
            assert "transfer-encoding" not in response


async def test_http_1_0_closes_unless_asked_to_keep_the_connection(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await peer.response()
        assert (response.body, response["connection"]) == (b"hello /a", "keep-alive")
        await peer.send(b"GET /b HTTP/1.0\r\n\r\n")
        response = await peer.response()
        assert (response.body, response["connection"]) == (b"hello /b", "close")
        await peer.ended()


async def test_a_stream_to_http_1_0_ends_with_the_connection(app_of: AppOf) -> None:
    async with exchange_with(app_of(pieces)) as peer:
        await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await peer.response()
        assert response.body == b"piece 0.piece 1.piece 2."
        assert "transfer-encoding" not in response


@pytest.mark.parametrize("value", [b"close", b"Close", b"foo, close"])
async def test_connection_close_is_obeyed(app_of: AppOf, value: bytes) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: " + value + b"\r\n\r\n")
        assert (await peer.response())["connection"] == "close"
        await peer.ended()


async def test_the_application_may_close_the_connection(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(200, [(b"connection", b"close")]), b"bye")

    async with exchange_with(app_of(handler)) as peer:
        response = await peer.get()
        assert (response["connection"], response.body) == ("close", b"bye")
        await peer.ended()


async def test_fields_of_the_connection_are_the_servers(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(200, [(b"transfer-encoding", b"chunked"), (b"keep-alive", b"timeout=5")]), b"abc")

    async with exchange_with(app_of(handler)) as peer:
        response = await peer.get()
        assert (response.body, response["content-length"]) == (b"abc", "3")
        assert "transfer-encoding" not in response
        assert "keep-alive" not in response


async def test_100_continue_is_sent_when_the_body_is_first_read(app_of: AppOf) -> None:
    read = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await read.wait()
        await ex.respond(TEXT, await ex.body())

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.reader.read(1), 0.05)
        read.set()
        assert (await peer.response()).status == 100
        await peer.send(b"abc")
        assert (await peer.response()).body == b"abc"
        assert (await peer.get()).status == 200


async def test_100_continue_is_not_sent_when_the_body_is_refused(app_of: AppOf) -> None:
    async def handler(ex: Exchange) -> None:
        await ex.respond(Head(401, []), b"no")

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        response = await peer.response()
        assert (response.status, response["connection"]) == (401, "close")
        await peer.ended()


async def test_100_continue_is_not_sent_when_the_body_is_there_already(app_of: AppOf) -> None:
    async with exchange_with(app_of(echo)) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
        assert (await peer.response()).body == b"abc"


async def test_a_short_body_nobody_read_is_discarded(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc")
        assert (await peer.response()).body == b"hello /a"
        await peer.send(b"defGET /b HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response()).body == b"hello /b"
        await peer.send(b"POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert (await peer.response()).body == b"hello /c"
        await peer.send(b"0\r\n\r\nGET /d HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response()).body == b"hello /d"


async def test_a_long_body_nobody_read_costs_the_connection_but_not_the_response(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000)
        response = await peer.response()
        assert (response.body, response["connection"]) == (b"hello /a", "close")
        await peer.ended()


async def send_for_ever(peer: Peer, data: bytes) -> None:
    while True:
        await peer.send(data)


async def test_an_endless_chunked_body_nobody_read_costs_the_connection(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello), discard_body_bytes=10_000, linger_timeout_s=0.1) as peer:
        await peer.send(b"POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await peer.response()).body == b"hello /a"
        with pytest.raises(ConnectionError):
            await send_for_ever(peer, b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        assert b"HTTP" not in await peer.rest()


async def test_a_client_that_closes_its_side_is_still_answered(app_of: AppOf) -> None:
    closed = asyncio.Event()

    async def handler(ex: Exchange) -> None:
        await closed.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # so that the loop has seen it too
        await ex.respond(TEXT, ex.path.encode())

    async with exchange_with(app_of(handler)) as peer:
        await peer.send(b"GET /a HTTP/1.1\r\nHost: test\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n")
        peer.end_sending()
        closed.set()
        assert (await peer.response()).body == b"/a"
        assert (await peer.response()).body == b"/b"
        await peer.ended()


@pytest.mark.parametrize("upgrade", [b"h2c", b"TLS/1.0", b"foo/2, bar"])
async def test_other_upgrades_are_ignored_and_their_bodies_are_bodies(app_of: AppOf, upgrade: bytes) -> None:
    async with exchange_with(app_of(echo)) as peer:
        fields = b"Host: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nHTTP2-Settings: AAM\r\n"
        for _ in range(2):
            await peer.send(b"GET /a HTTP/1.1\r\n" + fields + b"\r\n")
            assert (await peer.response()).status == 200
            await peer.send(b"POST / HTTP/1.1\r\n" + fields + b"Content-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n....")
            assert (await peer.response()).body == b"GET /smuggled HTTP/1.1\r\n\r\n...."
            await peer.send(b"POST / HTTP/1.1\r\n" + fields + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
            assert (await peer.response()).body == b"x"


async def test_large_bodies_pass_both_ways(app_of: AppOf) -> None:
    data = bytes(range(256)) * 20_000
    async with exchange_with(app_of(echo)) as peer:
        sending = asyncio.ensure_future(
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        )
        assert (await peer.response()).body == data
        await sending


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/a%20b?c=%20", "/a b", b"/a%20b", b"c=%20"),
        ("/a%2Fb", "/a/b", b"/a%2Fb", b""),
        ("/%C3%A9", "/é", b"/%C3%A9", b""),
        ("/%ff", "/�", b"/%ff", b""),
        ("/../x/./y", "/../x/./y", b"/../x/./y", b""),
        ("//x", "//x", b"//x", b""),
        ("/a?b?c", "/a", b"/a", b"b?c"),
        ("/a?", "/a", b"/a", b""),
        ("http://other/a?b", "/a", b"/a", b"b"),
        ("HTTP://other", "/", b"/", b""),
        ("http://other?b", "/", b"/", b"b"),
    ],
)
async def test_targets_are_taken_apart(target: str, path: str, raw_path: bytes, query: bytes) -> None:
    seen: list[tuple[object, ...]] = []

    async def app(scope: dict[str, object], receive: object, send: Callable[[dict[str, object]], object]) -> None:
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]  # type: ignore[attr-defined]
            seen.append((scope["path"], scope["raw_path"], scope["query_string"], hosts))
            await send({"type": "http.response.start", "status": 200})  # type: ignore[misc]
            await send({"type": "http.response.body"})  # type: ignore[misc]

    async with exchange_with(app, lifespan="off") as peer:  # type: ignore[arg-type]
        await peer.get(target)
    host = b"other" if "other" in target else b"test"
    assert seen == [(path, raw_path, query, [host])]


async def test_the_asterisk_target_belongs_to_options(app_of: AppOf) -> None:
    async with exchange_with(app_of(hello)) as peer:
        await peer.send(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await peer.response()).body == b"hello *"
