"""Small parts: forwarding fields, targets and hosts, the handshake, the reload filter, draining."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.server.acceptor import Guests
from tercel.server.config import ServerConfig
from tercel.server.forwarded import ForwardedFields
from tercel.server.handle import Draining
from tercel.server.handshake import check_opening, switching_protocols, wants_websocket
from tercel.server.head_reader import HeadReader, split_fields
from tercel.server.reload import SourceFilter
from tercel.server.request_head import Rejected, explain_syntax_error, is_host, parse_target

T = TypeVar("T")


def outcome(call: Callable[[], T]) -> T | Rejected:
    try:
        return call()
    except Rejected as rejected:
        return rejected


PEER = ("10.0.0.1", 5000)


# -- guests ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_network_of_ipv6_is_one_address(first: str, second: str, same: bool) -> None:
    guests = Guests(1)
    assert guests.arrive(first)
    assert guests.arrive(second) is not same
    guests.leave(first)
    assert guests.arrive(first)


# -- forwarding fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "expected"),
    [
        (["10.0.0.1"], PEER, True),
        (["10.0.0.0/8"], PEER, True),
        (["10.0.0.7/8"], PEER, True),
        (["10.0.0.2"], PEER, False),
        (["*"], PEER, True),
        (["::1"], ("::1", 1), True),
        (["10.0.0.1"], ("::ffff:10.0.0.1", 1), True),
        (["10.0.0.1"], ("not an address", 1), False),
        ([], None, True),
        ([], PEER, False),
    ],
)
def test_who_is_trusted(trusted: list[str], peer: tuple[str, int] | None, expected: bool) -> None:
    assert ForwardedFields(True, trusted).trusts(peer) is expected
    assert ForwardedFields(False, trusted).trusts(peer) is False


def test_a_trusted_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'proxy\.example' is neither an address, a network nor"):
        ForwardedFields(True, ["proxy.example"])


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"203.0.113.9", ("203.0.113.9", 0)),
        (b"203.0.113.9:1234", ("203.0.113.9", 1234)),
        (b"2001:db8::1", ("2001:db8::1", 0)),
        (b"[2001:db8::1]:1234", ("2001:db8::1", 1234)),
        (b"[2001:db8::1]", ("2001:db8::1", 0)),
        (b"1.1.1.1, 203.0.113.9", ("203.0.113.9", 0)),
        (b"203.0.113.9, 10.0.0.2", ("203.0.113.9", 0)),
        (b"10.0.0.3, 10.0.0.2", ("10.0.0.3", 0)),
        (b"evil, 203.0.113.9, 10.0.0.2", ("203.0.113.9", 0)),
        (b"203.0.113.9, unknown", PEER),
        (b"203.0.113.9, evil, 10.0.0.2", ("10.0.0.2", 0)),
        (b"", PEER),
        (b",,", PEER),
        (b"203.0.113.9:port", ("203.0.113.9", 0)),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(value: bytes, client: tuple[str, int]) -> None:
    fields = ForwardedFields(True, ["10.0.0.0/8"])
    assert fields.read([(b"x-forwarded-for", value)], PEER, "http") == (client, "http")


def test_lines_of_the_same_field_are_one_list() -> None:
    fields = ForwardedFields(True, ["10.0.0.0/8"])
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"10.0.0.2")]
    assert fields.read(headers, PEER, "http")[0] == ("203.0.113.9", 0)


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        (b"https", "https"),
        (b"HTTPS", "https"),
        (b"wss", "https"),
        (b"http, https", "https"),
        (b"javascript", "http"),
        (b"", "http"),
    ],
)
def test_only_known_schemes_are_believed(value: bytes, scheme: str) -> None:
    assert ForwardedFields(True, ["*"]).read([(b"x-forwarded-proto", value)], PEER, "http") == (PEER, scheme)


ALL = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "forwarded")


@given(st.one_of(st.binary(max_size=60), st.text('for=;," \\host[]:.1/aproto', max_size=60).map(str.encode)))
def test_no_value_of_a_forwarding_field_raises(value: bytes) -> None:
    fields = ForwardedFields(True, ["10.0.0.0/8"], ALL)
    headers = [(name.encode(), value) for name in ALL]
    client, scheme = fields.read(headers, PEER, "http")
    assert client is not None
    assert scheme in ("http", "https")
    host, prefix = fields.read_place(headers)
    assert host is None or is_host(host)
    assert not prefix or (prefix[0] == 47 and prefix[-1] != 47 and b"//" not in prefix)


@pytest.mark.parametrize(
    ("value", "client", "scheme", "host"),
    [
        (b"for=203.0.113.9;proto=https;host=example.org", ("203.0.113.9", 0), "https", b"example.org"),
        (b"For=203.0.113.9; Proto=HTTPS", ("203.0.113.9", 0), "https", None),
        (b'for="[2001:db8::1]:1234"', ("2001:db8::1", 1234), "http", None),
        (b'for=1.1.1.1;proto=https, for="203.0.113.9:80";host="a.example:8"', ("203.0.113.9", 80), "http", b"a.example:8"),
        (b"for=203.0.113.9, for=10.0.0.2", ("203.0.113.9", 0), "http", None),
        (b'for=203.0.113.9;host="evil/path"', ("203.0.113.9", 0), "http", None),
        (b"for=203.0.113.9;host=evil/path", PEER, "http", None),
        (b"for=_hidden", PEER, "http", None),
        (b"for=unknown, for=203.0.113.9", ("203.0.113.9", 0), "http", None),
        (b'for="203.0.113.9', PEER, "http", None),
        (b"for 203.0.113.9", PEER, "http", None),
        (b"", PEER, "http", None),
    ],
)
def test_the_forwarded_field_is_read_from_its_end(value: bytes, client: object, scheme: str, host: bytes | None) -> None:
    fields = ForwardedFields(True, ["10.0.0.0/8"], ["forwarded"])
    assert fields.read([(b"forwarded", value)], PEER, "http") == (client, scheme)
    assert fields.read_place([(b"forwarded", value)]) == (host, b"")


@pytest.mark.parametrize(
    ("value", "prefix"),
    [(b"/shop", b"/shop"), (b"/shop/", b"/shop"), (b"/a, /b.c/d", b"/b.c/d")]
    + [(bad, b"") for bad in (b"shop", b"//evil.example", b"/a//b", b"/../a", b"/a/..", b"/a/./b", b"/a%2F", b"/a?b", b"/")],
)
def test_a_prefix_is_a_plain_path(value: bytes, prefix: bytes) -> None:
    fields = ForwardedFields(True, ["*"], ["X-Forwarded-Prefix"])
    assert fields.read_place([(b"x-forwarded-prefix", value)]) == (None, prefix)


def test_fields_that_were_not_agreed_on_are_not_read() -> None:
    headers = [(name.encode(), b"203.0.113.9") for name in ALL]
    assert ForwardedFields(True, ["*"]).read_place(headers) == (None, b"")
    assert ForwardedFields(True, ["*"], []).read(headers, PEER, "http") == (PEER, "http")
    with pytest.raises(ValueError, match="forwarded_fields: 'x-real-ip' is not one of x-forwarded-for,"):
        ForwardedFields(True, [], ["X-Real-IP"])


# -- heads ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", [b"test", b"test:80", b"test:", b"", b"127.0.0.1:8000", b"[::1]", b"[::1]:80", b"a_b.example", b"x%20"]
)
def test_valid_hosts(host: bytes) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"u@a", b"a:b", b"a:1:2", b"[::1", b"::1", b"a\\b", b"a?b", b"a#b", b"a\xe9", b"[x]"]
)
def test_invalid_hosts(host: bytes) -> None:
    assert not is_host(host)


@given(st.binary(max_size=40))
def test_every_target_is_parsed_or_rejected(target: bytes) -> None:
    found = outcome(lambda: parse_target(target, "GET"))
    if isinstance(found, Rejected):
        assert found.status == 400
    else:
        assert found.path.startswith("/")
        assert found.raw_path.startswith(b"/")


@pytest.mark.parametrize(
    ("version", "values", "keep"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"close"], False),
        (b"1.1", [b"keep-alive"], True),
        (b"1.1", [b"keep-alive", b"Close"], False),
        (b"1.1", [b"close", b"keep-alive"], False),
        (b"1.0", [], False),
        (b"1.0", [b"Keep-Alive"], True),
        (b"1.0", [b"keep-alive, close"], False),
    ],
)
def test_whether_a_connection_persists(version: bytes, values: list[bytes], keep: bool) -> None:
    fields = b"".join(b"Connection: %b\r\n" % value for value in values)
    reader = HeadReader(ServerConfig())
    reader.read(b"GET / HTTP/%b\r\nHost: test\r\n%b\r\n" % (version, fields))
    assert reader.keep_alive is keep


def test_a_head_is_taken_apart() -> None:
    reader = HeadReader(ServerConfig())
    head = b"POST /a?b HTTP/1.1\r\nHost: test\r\nX-One:1\r\nx-one:  2 \t\r\nX-Empty:\r\nContent-Length: 5\r\n\r\n"
    reader.read(head)
    assert (reader.method, reader.target, reader.version, reader.has_body) == ("POST", b"/a?b", "1.1", True)
    assert split_fields(reader.head) == [
        (b"host", b"test"),
        (b"x-one", b"1"),
        (b"x-one", b"2"),
        (b"x-empty", b""),
        (b"content-length", b"5"),
    ]
    reader.read(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert not reader.has_body


@given(st.lists(st.integers(0, 80), max_size=6))
def test_a_head_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    data = b"GET /a HTTP/1.1\r\nHost: test\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n"
    reader = HeadReader(ServerConfig())
    targets: list[bytes] = []
    for start, stop in pairwise(sorted({0, len(data), *cuts})):
        piece, position = data[start:stop], 0
        while position < len(piece):
            position = reader.feed(piece, position)
            if not reader.begun:
                targets.append(reader.target)
    assert targets == [b"/a", b"/b"]


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"get / HTTP/1.1", 501), (b"GET / HTTP/2.0", 505), (b"GET / HTTP/1.1", 400), (b"\xff", 400), (b"", 400)],
)
def test_syntax_errors_are_explained_by_their_request_line(line: bytes, status: int) -> None:
    assert explain_syntax_error(line + b"\r\nHost: x\r\n", "Invalid method encountered").status == status


# -- the WebSocket handshake ---------------------------------------------------------------------------------------------------

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def test_the_example_of_the_rfc() -> None:
    response = switching_protocols(KEY, "chat", [], b"")
    assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response
    assert b"\r\nsec-websocket-protocol: chat\r\n" in response
    assert response.endswith(b"\r\n\r\n")


def test_the_handshakes_own_fields_are_not_the_applications() -> None:
    extra = [(b"Upgrade", b"x"), (b"sec-websocket-accept", b"x"), (b"sec-websocket-extensions", b"x"), (b"x-mine", b"1")]
    response = switching_protocols(KEY, None, extra, b"date: now\r\n").lower()
    assert response.count(b"upgrade:") == 1
    assert response.count(b"sec-websocket-accept:") == 1
    assert b"sec-websocket-extensions" not in response
    assert b"x-mine: 1\r\ndate: now\r\n\r\n" in response


@pytest.mark.parametrize(
    ("value", "wants"), [(b"websocket", True), (b"WebSocket", True), (b"h2c, websocket", True), (b"websockets", False)]
)
def test_who_wants_a_websocket(value: bytes, wants: bool) -> None:
    assert wants_websocket(value) is wants


@given(st.binary(max_size=30))
def test_a_key_is_sixteen_bytes_in_base64(key: bytes) -> None:
    headers = [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)]
    found = outcome(lambda: check_opening(headers, None))
    if isinstance(found, Rejected):
        assert found.status == 400
    else:
        assert len(base64.b64decode(key)) == 16


# -- reload, draining ----------------------------------------------------------------------------------------------------------


def test_which_files_are_a_reason_to_restart(tmp_path: Path) -> None:
    accepts = SourceFilter(("*.py", "*.html"), (".*", "node_modules", "*.tmp.py"), (str(tmp_path),))

    def accepted(name: str) -> bool:
        return accepts(None, str(tmp_path / name))

    assert accepted("app.py")
    assert accepted("pkg/page.html")
    assert not accepted("data.json")
    assert not accepted("node_modules/x/app.py")
    assert not accepted(".venv/lib/app.py")
    assert not accepted("app.tmp.py")


def test_a_hidden_folder_above_the_watched_one_does_not_matter(tmp_path: Path) -> None:
    root = tmp_path / ".hidden" / "project"
    assert SourceFilter(("*.py",), (".*",), (str(root),))(None, str(root / "app.py"))


def test_whoever_asked_is_told_once_and_an_error_stops_nobody() -> None:
    told: list[str] = []
    draining = Draining()

    def fails() -> None:
        raise LookupError

    draining.subscribe(lambda: told.append("first"))
    draining.subscribe(fails)
    forget = draining.subscribe(lambda: told.append("forgotten"))
    draining.subscribe(lambda: told.append("last"))
    forget()
    errors = draining.begin()
    assert [type(error) for error in errors] == [LookupError]
    assert told == ["first", "last"]
    assert draining.begin() == []
    draining.subscribe(lambda: told.append("late"))()
    assert told == ["first", "last", "late"]
