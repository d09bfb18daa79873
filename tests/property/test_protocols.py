"""The compiled protocol and the pure one: the same bytes, however cut, look the same to the application and to the client."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.protocol import request_bytes
from bench.workloads import WORKLOADS
from tercel.http.exchange import Exchange
from tercel.server import ServerConfig
from tercel.server.http1 import HttpConnection
from tercel.server.protocols import compiled_connection, connection_class
from tests.protocol.comparing import FORWARDED, WAYS, both
from tests.protocol.feeding import feed, needs_compiled
from tests.protocol.peer import TEXT, config, direct_app

pytestmark = needs_compiled


def joined(*parts: Any) -> Any:
    return st.tuples(*parts).map(b"".join)


methods = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"QUERY", b"get", b"BREW", b"CONNECT", b""]
)
odd = st.sampled_from(
    [b"%2F", b"%C3%A9", b"%ff", b"%zz", b"[", b"|", b"\xe9", b"#f", b"?", b"?a=%41&b", b"//", b"/../", b"\x7f", b"\t", b'"']
)
targets = st.one_of(
    joined(st.just(b"/"), st.sampled_from(WAYS), st.lists(odd, max_size=2).map(b"".join)),
    st.sampled_from([b"*", b"http://other/later?x", b"a", b"", b"http://u@h/"]),
)
NAMES_SENT = """
Host hOST X-Token X-Empty Content-Length Transfer-Encoding Connection Upgrade Expect Proxy-Connection Keep-Alive
X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Prefix Forwarded
"""
FIELD_NAMES = [*NAMES_SENT.encode().split(), b"X A", b"", b"\x80"]
VALUES = [
    *(b"h", b"h:80", b"a b", b"0", b"3", b"5 ", b"\t5", b"+5", b"5, 5", b"0x3", b"999999999999999", b"99999999999999999999"),
    *(b"chunked", b"gzip, chunked", b"keep-alive", b"Keep-Alive", b"keep-alive ", b"close", b"upgrade", b"websocket", b"h2c"),
    *(b"100-continue", b"192.0.2.7, 192.0.2.1", b"https", b"/pre", b"for=192.0.2.8;host=x;proto=https", b"", b" ", b"\t x\t "),
    *(b"caf\xe9", b"a\x00b", b"a\x7fb", b"a\rb", b"a\nb", b"a\r\n b", b"v" * 40, b"v" * 15 + b"\x1f" + b"v" * 9),
]
names = st.sampled_from(FIELD_NAMES)
values = st.sampled_from(VALUES)
fields = joined(
    names, st.sampled_from([b":", b": ", b":\t", b" :", b":  ", b""]), values, st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r"])
)
versions = st.sampled_from(
    [b" HTTP/1.1\r\n"] * 9 + [b" HTTP/1.0\r\n", b" HTTP/2.0\r\n", b"  HTTP/1.1\r\n", b" http/1.1\r\n", b"\r\n", b" HTTP/1.1\n"]
)
requests = joined(
    methods,
    st.just(b" "),
    targets,
    versions,
    st.sampled_from([b"Host: h\r\n"] * 5 + [b"host:h:80\r\n", b"Host: \r\n", b""]),
    st.lists(fields, max_size=4).map(b"".join),
    st.just(b"\r\n"),
    st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"hello"]),
)
plain = st.builds(
    lambda method, way, query, extra, body: (
        b"%b /%b%b HTTP/1.1\r\nHost: h\r\n%b%b\r\n%b"
        % (method, way, query, extra, b"Content-Length: %d\r\n" % len(body) if body else b"", body)
    ),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE"]),
    st.sampled_from(WAYS),
    st.sampled_from([b"", b"?", b"?a=1&b=%20", b"/%41b?x"]),
    st.lists(
        st.sampled_from(
            [
                b"X-Token: t\r\n",
                b"Connection: keep-alive\r\n",
                b"X-Empty:\r\n",
                b"Forwarded: for=192.0.2.8\r\n",
                b"X-Forwarded-For: 192.0.2.9\r\n",
            ]
        ),
        max_size=4,
    ).map(b"".join),
    st.sampled_from([b"", b"", b"abc", b"y" * 50]),
)
streams = st.lists(st.one_of(plain, plain, requests), min_size=1, max_size=4).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(data=streams, cuts=st.lists(st.integers(1, 400), max_size=4))
@example(data=b"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /own HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[32])
@example(data=b"GET /twice HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[])
@example(
    data=b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: x\r\nX-Forwarded-Port: 1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n", cuts=[]
)
def test_the_same_bytes_are_the_same_request_and_get_the_same_answer(data: bytes, cuts: list[int]) -> None:
    pure, compiled = both(data, cuts, forwarded_allow_ips=("192.0.2.1",), forwarded_fields=FORWARDED)
    assert compiled == pure


@settings(deadline=None, max_examples=100)
@given(
    data=streams,
    options=st.fixed_dictionaries(
        {
            "root_path": st.sampled_from(["", "/api"]),
            "max_head_bytes": st.sampled_from([60, 120, 65_536]),
            "max_headers": st.sampled_from([1, 2, 128]),
            "max_target_bytes": st.sampled_from([5, 12, 16_384]),
            "max_body_bytes": st.sampled_from([None, 0, 3]),
            "body_buffer_bytes": st.sampled_from([3, 65_536]),
            "server_header": st.booleans(),
            "access_log": st.booleans(),
        }
    ),
)
def test_settings_mean_the_same(data: bytes, options: dict[str, Any]) -> None:
    pure, compiled = both(data, [], **options)
    assert compiled == pure


@settings(deadline=None, max_examples=300)
@given(
    position=st.integers(0, 115),
    value=st.integers(0, 255),
    insert=st.booleans(),
)
def test_one_wrong_byte_anywhere_is_the_same_to_both(position: int, value: int, insert: bool) -> None:
    head = (
        b"POST /later/%41?b=c HTTP/1.1\r\nHost: example\r\nX-Token: abc\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nxyz"
    )
    data = head[:position] + bytes([value]) + head[position if insert else position + 1 :]
    pure, compiled = both(data, [])
    assert compiled == pure


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_one_more_field_of_any_kind_is_the_same_to_both(name: bytes) -> None:
    """Every rule about a field, without waiting for Hypothesis to try it."""
    for value in VALUES:
        for separator in (b":", b": ", b" : "):
            for ending in (b"", b"X-Token: t\r\n"):
                field = b"%b%b%b\r\n%b" % (name, separator, value, ending)
                for data in (
                    b"GET /later HTTP/1.1\r\nHost: h\r\n%b\r\n" % field,
                    b"POST /own HTTP/1.1\r\n%bHost: h\r\nContent-Length: 3\r\n\r\nabc" % field,
                ):
                    pure, compiled = both(data, [], forwarded_allow_ips=("192.0.2.1",), forwarded_fields=FORWARDED)
                    assert compiled == pure, data


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_answer_is_the_same_to_both(way: bytes) -> None:
    """Once, again on the same connection, and with a body."""
    get = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % way
    post = b"POST /%b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" % way
    for data, cuts in ((get, []), (get + get, [len(get)]), (get + get, []), (post, []), (post + get, [len(post)])):
        pure, compiled = both(data, cuts)
        assert compiled == pure, data


KINDS: list[tuple[bytes, bool]] = [
    (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
    (b"HEAD /a%20b?c HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n", True),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", True),
    (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", False),
    (b"GET /| HTTP/1.1\r\nHost: h\r\n\r\n", False),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", False),
    (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", False),
    *((request_bytes(workload), True) for workload in WORKLOADS if not workload.is_websocket),
]


@pytest.mark.parametrize(("data", "usual"), KINDS)
def test_the_usual_request_is_handled_in_c_and_no_other(data: bytes, usual: bool) -> None:
    from tercel.server.compiled import CompiledExchange

    seen: list[type] = []

    async def handler(ex: Exchange) -> None:
        seen.append(type(ex))
        await ex.respond(TEXT, await ex.body())

    feed(direct_app(handler), config(), data, [], "compiled")
    assert [kind is CompiledExchange for kind in seen] == [usual]


NO_TYPE = b"X-Other: application/json\r\n"
JSON_TYPE = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize("protocol", ["pure", "compiled"])
@pytest.mark.parametrize(
    ("field", "body", "strict", "taken"),
    [
        (JSON_TYPE, b'{"a": 1}', True, True),
        (b"content-TYPE:\t application/json \r\n", b"[]", True, True),
        (b"Content-Type: Application/JSON; charset=utf-8\r\n", b"[]", True, True),
        (b"Content-Type: application/problem+json\r\n", b"[]", True, True),
        (b"Content-Type: application/jsonx\r\n", b"[]", True, False),
        (b"Content-Type: text/plain\r\n" + JSON_TYPE, b"[]", False, False),
        (b"Content-Type:\r\n", b"[]", True, False),
        (b"Content-Type:\r\n", b"[]", False, True),
        (NO_TYPE, b"[]", True, False),
        (NO_TYPE, b"[]", False, True),
        (JSON_TYPE, b"", False, False),
        (JSON_TYPE, b'{"a": NaN}', True, False),
        (JSON_TYPE, b"[-Infinity]", True, False),
        (JSON_TYPE, b"NaN", True, False),
        (JSON_TYPE, b'["N", "NN", "Na", "I", "Infinite", "Infinit', True, True),
    ],
)
def test_a_body_for_a_validator_of_json_is_told_by_its_type_and_its_numbers(
    protocol: str, field: bytes, body: bytes, strict: bool, taken: bool
) -> None:
    seen: list[Any] = []

    async def handler(ex: Any) -> None:
        seen.append(ex.json_at_once(strict))
        seen.append(ex.json_at_once(strict))  # what was read once is still there
        seen.append(await ex.body())
        ex.headers  # another way to find the type
        seen.append(ex.json_at_once(strict))
        await ex.respond(TEXT, b"")

    data = b"POST / HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b" % (field, len(body), body)
    feed(direct_app(handler), config(), data, [], protocol)
    found = body if taken else None
    assert seen == [found, found, body, found]


def test_a_body_that_is_not_whole_is_not_given_to_a_validator() -> None:
    seen: list[Any] = []

    async def handler(ex: Any) -> None:
        seen.append(ex.json_at_once(True))
        seen.append(await ex.body())
        seen.append(ex.json_at_once(True))
        await ex.respond(TEXT, b"")

    head = b"POST / HTTP/1.1\r\nHost: h\r\n%bContent-Length: 2\r\n\r\n" % JSON_TYPE
    feed(direct_app(handler), config(), head + b"[]", [len(head) + 1], "compiled")
    assert seen == [None, b"[]", b"[]"]


def test_many_requests_leave_nothing_behind() -> None:
    """Reference counts are kept by hand in the extension: a mistake would be a leak or a crash."""
    import gc

    async def main() -> tuple[int, int]:
        from bench.protocol import Sink
        from tercel.server import Server

        async def handler(ex: Exchange) -> None:
            ex.text_of(b"x-token")
            ex.json_at_once(False)
            ex.headers  # makes the list
            ex.header(b"x-token")
            await ex.respond(TEXT, await ex.body())

        connection = connection_class("compiled")(Server(direct_app(handler), ServerConfig(port=0)))
        connection.connection_made(Sink())  # type: ignore[arg-type]
        data = b"POST /%41?q HTTP/1.1\r\nHost: h\r\nX-Token: abc\r\n" + JSON_TYPE + b"Content-Length: 3\r\n\r\nxyz"
        counts = []
        for _ in range(3):
            for _ in range(3_000):
                connection.data_received(data)
                if sys.version_info < (3, 12):
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
            gc.collect()
            counts.append(sys.getallocatedblocks())
        return counts[1], counts[2]

    before, after = asyncio.run(main())
    assert after - before < 100


def test_an_environment_variable_forces_the_pure_protocol() -> None:
    code = "from tercel.server.protocols import connection_class as c; print(c().__name__)"
    for value, name in (("1", "HttpConnection"), ("0", "CompiledConnection"), ("", "CompiledConnection")):
        environment = {**os.environ, "TERCEL_PURE": value}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == name


def test_the_classes_say_what_they_are() -> None:
    assert connection_class("pure") is HttpConnection
    assert connection_class("compiled") is compiled_connection()
    assert issubclass(connection_class("compiled"), HttpConnection)
