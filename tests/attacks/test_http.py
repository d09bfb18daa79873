"""Attacks on HTTP/1.1 in raw bytes: whatever comes, one answer that says what is wrong, and the next client is served."""

from __future__ import annotations

import json
import time

import pytest

from tests.attacks.attacker import Service
from tests.processes import time_passes

H = b"Host: test\r\n"
SMUGGLED = b"GET /text/smuggled HTTP/1.1\r\nHost: test\r\n\r\n"


def post(fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /echo HTTP/" + version + b"\r\n" + H + fields + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


REFUSED: dict[str, tuple[int, bytes]] = {
    # -- how long is the body? (request smuggling) --
    "length and coding": (400, post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
    "coding and length": (400, post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n")),
    "two lengths": (400, post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!")),
    "the same length twice": (400, post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5\r\n", b"hello")),
    "a positive length": (400, post(b"Content-Length: +5\r\n", b"hello")),
    "a negative length": (400, post(b"Content-Length: -5\r\n", b"hello")),
    "a hexadecimal length": (400, post(b"Content-Length: 0x5\r\n", b"hello")),
    "a length with an underscore": (400, post(b"Content-Length: 1_0\r\n", b"0123456789")),
    "a length with a fraction": (400, post(b"Content-Length: 5.0\r\n", b"hello")),
    "a length with a space inside": (400, post(b"Content-Length: 5 5\r\n", b"hello")),
    "an empty length": (400, post(b"Content-Length: \r\n", b"hello")),
    "a length of words": (400, post(b"Content-Length: five\r\n", b"hello")),
    "a length beyond 64 bits": (400, post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
    "a length of a hundred digits": (400, post(b"Content-Length: " + b"9" * 100 + b"\r\n", b"hello")),
    "a length in other digits": (400, post("Content-Length: \u0665\r\n".encode(), b"hello")),
    "chunked twice": (400, post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    "chunked in two fields": (400, post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
    "chunked, then identity": (400, post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n")),
    "identity": (400, post(b"Transfer-Encoding: identity\r\n", b"hello")),
    "gzip, then chunked": (501, post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    "a coding nobody knows": (400, post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    "a coding with a vertical tab": (400, post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n")),
    "a coding with a parameter": (400, post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n")),
    "a quoted coding": (400, post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n")),
    "a folded coding": (400, post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    "a coding in HTTP/1.0": (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", version=b"1.0")),
    # -- chunks --
    "a chunk size with a sign": (400, chunked(b"+5\r\nhello\r\n0\r\n\r\n")),
    "a negative chunk size": (400, chunked(b"-5\r\nhello\r\n0\r\n\r\n")),
    "a chunk size with 0x": (400, chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "a chunk size with an underscore": (400, chunked(b"0_5\r\nhello\r\n0\r\n\r\n")),
    "a chunk size with spaces": (400, chunked(b"5 \r\nhello\r\n0\r\n\r\n")),
    "an empty chunk size": (400, chunked(b"\r\nhello\r\n0\r\n\r\n")),
    "a chunk size that overflows": (400, chunked(b"1000000000000000005\r\nhello\r\n0\r\n\r\n")),
    "a chunk longer than its size": (400, chunked(b"5\r\nhello!\r\n0\r\n\r\n")),
    "a chunk that ends with LF": (400, chunked(b"5\r\nhello\n0\r\n\r\n")),
    "a size line that ends with LF": (400, chunked(b"5\nhello\r\n0\r\n\r\n")),
    "a size line with a bare CR": (400, chunked(b"5\rX\r\nhello\r\n0\r\n\r\n")),
    "an endless extension": (400, chunked(b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n")),
    "an extension with LF": (400, chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    "an endless trailer": (400, chunked(b"0\r\n" + b"X-Trailer: y\r\n" * 10_000 + b"\r\n")),
    "a trailer that is none": (400, chunked(b"0\r\nnonsense\r\n\r\n")),
    "a trailer with NUL": (400, chunked(b"0\r\nX: \0\r\n\r\n")),
    # -- fields --
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "the same host twice": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "a host with a path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a host with userinfo": (400, b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    "a host with a space": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "a host with a port of letters": (400, b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n"),
    "a host beyond ASCII": (400, b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\n" + H + b"X : y\r\n\r\n"),
    "a space in a name": (400, b"GET / HTTP/1.1\r\n" + H + b"X y: z\r\n\r\n"),
    "an empty name": (400, b"GET / HTTP/1.1\r\n" + H + b": y\r\n\r\n"),
    "a name beyond ASCII": (400, b"GET / HTTP/1.1\r\n" + H + b"X-\xc3\xa9: y\r\n\r\n"),
    "a name with NUL": (400, b"GET / HTTP/1.1\r\n" + H + b"X\0: y\r\n\r\n"),
    "a name in parentheses": (400, b"GET / HTTP/1.1\r\n" + H + b"(X): y\r\n\r\n"),
    "a field without a colon": (400, b"GET / HTTP/1.1\r\n" + H + b"X\r\n\r\n"),
    "a folded field": (400, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n z\r\n\r\n"),
    "a fold before the first field": (400, b"GET / HTTP/1.1\r\n " + H + b"\r\n"),
    "a value with NUL": (400, b"GET / HTTP/1.1\r\n" + H + b"X: \0\r\n\r\n"),
    "a value with CR": (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n"),
    "a value with BEL": (400, b"GET / HTTP/1.1\r\n" + H + b"X: \x07\r\n\r\n"),
    "a value with DEL": (400, b"GET / HTTP/1.1\r\n" + H + b"X: \x7f\r\n\r\n"),
    "lines that end with LF": (400, b"GET / HTTP/1.1\nHost: test\n\n"),
    "one line that ends with LF": (400, b"GET / HTTP/1.1\r\n" + H + b"X: y\nY: z\r\n\r\n"),
    "lines that end with CR": (400, b"GET / HTTP/1.1\rHost: test\r\r"),
    "two hundred fields": (431, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 200 + b"\r\n"),
    "a field of 100 KB": (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
    "a name of 100 KB": (431, b"GET / HTTP/1.1\r\n" + H + b"X" * 100_000 + b": y\r\n\r\n"),
    # -- request lines --
    "a target of 100 KB": (414, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "a query of 100 KB": (414, b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with a fragment": (400, b"GET /#a HTTP/1.1\r\n" + H + b"\r\n"),
    "a target without a slash": (400, b"GET a HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with a space": (400, b"GET /a b HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with a tab": (400, b"GET /a\tb HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with NUL": (400, b"GET /a\0b HTTP/1.1\r\n" + H + b"\r\n"),
    "a target beyond ASCII": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n"),
    "an empty target": (400, b"GET  HTTP/1.1\r\n" + H + b"\r\n"),
    "an asterisk for GET": (400, b"GET * HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with another scheme": (400, b"GET ftp://test/ HTTP/1.1\r\n" + H + b"\r\n"),
    "a target with userinfo": (400, b"GET http://a@test/ HTTP/1.1\r\n" + H + b"\r\n"),
    "CONNECT": (501, b"CONNECT test:443 HTTP/1.1\r\n" + H + b"\r\n"),
    "a method nobody knows": (501, b"BREW / HTTP/1.1\r\n" + H + b"\r\n"),
    "a method in lower case": (501, b"get / HTTP/1.1\r\n" + H + b"\r\n"),
    "a method with a space in front": (400, b" GET / HTTP/1.1\r\n" + H + b"\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    "a tab for a space": (400, b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n"),
    "HTTP/0.9": (400, b"GET /\r\n"),
    "HTTP/1.2": (505, b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    "the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP in lower case": (400, b"GET / http/1.1\r\n" + H + b"\r\n"),
    "a version of one number": (400, b"GET / HTTP/1\r\n" + H + b"\r\n"),
    "a version with a leading zero": (400, b"GET / HTTP/01.1\r\n" + H + b"\r\n"),
    "no version": (400, b"GET / \r\n" + H + b"\r\n"),
    # -- no HTTP at all --
    "a TLS handshake": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 500),
    "a binary": (400, bytes(range(256)) * 4),
    "a megabyte of no text without an end": (400, b"\xff" * 1_000_000),
    "words": (400, b"hello, is anybody there?\r\n\r\n"),
    # -- expectations --
    "an expectation nobody knows": (417, post(b"Expect: tea\r\nContent-Length: 5\r\n", b"hello")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_gets_one_answer_and_the_connection_ends(service: Service, name: str) -> None:
    status, data = REFUSED[name]
    answers = service.ask(data + SMUGGLED)
    assert [answer.status for answer in answers] == [status]
    assert answers[0]["connection"] == "close"
    assert b"smuggled" not in answers[0].body
    assert service.get("/").json == {"hello": "world"}


# -- what is unusual and right ---------------------------------------------------------------------------------------------------


def one(service: Service, data: bytes, *, method: str = "GET") -> tuple[int, bytes]:
    with service.connect() as wire:
        wire.send(data)
        found = wire.response(method=method)
        again = wire.get("/text/again")
        assert again.body == b"again", "the connection is out of step"
        return found.status, found.body


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/text/a%2Fb", "a/b", ""),
        ("/text/../text/a", "../text/a", ""),
        ("/text/a//b", "a//b", ""),
        ("/text/%C3%A9", "é", ""),
        ("/text/%FF", "\ufffd", ""),
        ("/text/%00", "\0", ""),
        ("/text/%", "%", ""),
        ("/text/%zz", "%zz", ""),
        ("/text/a?b=%FF&c", "a", ""),
        ("http://other:1/text/a", "a", ""),
    ],
)
def test_a_strange_target_reaches_the_application_as_it_is(service: Service, target: str, path: str, query: str) -> None:
    status, body = one(service, f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert (status, body.decode()) == (200, path)


def test_the_authority_of_an_absolute_target_replaces_the_host(service: Service) -> None:
    _, body = one(service, b"GET http://other:1/echo HTTP/1.1\r\nHost: test\r\n\r\n")
    assert [value for name, value in json.loads(body)["headers"] if name == "host"] == ["other:1"]


def test_empty_lines_before_a_request_are_ignored(service: Service) -> None:
    assert one(service, b"\r\n\r\nGET /text/a HTTP/1.1\r\nHost: test\r\n\r\n") == (200, b"a")


def test_an_asterisk_is_a_target_of_options(service: Service) -> None:
    assert one(service, b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")[0] in (404, 405)


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH"])
def test_a_method_the_path_does_not_have_is_405(service: Service, method: str) -> None:
    assert one(service, f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n".encode())[0] == 405


def test_white_space_and_case_of_a_coding_do_not_change_the_meaning(service: Service) -> None:
    status, body = one(service, post(b"Transfer-Encoding: \t Chunked \r\n", b"5\r\nhello\r\n0\r\n\r\n"))
    assert (status, json.loads(body)["body"]) == (200, "hello")


def test_trailers_and_extensions_are_dropped(service: Service) -> None:
    status, body = one(service, chunked(b'5;a=b;c="d;e"\r\nhello\r\n0\r\nX-Admin: yes\r\nHost: evil\r\n\r\n'))
    told = json.loads(body)
    assert (status, told["body"]) == (200, "hello")
    assert not [name for name, _ in told["headers"] if name == "x-admin"]
    assert [value for name, value in told["headers"] if name == "host"] == ["test"]


def test_a_chunk_size_may_have_zeros_in_front_and_capitals(service: Service) -> None:
    status, body = one(service, chunked(b"00A\r\n0123456789\r\n000\r\n\r\n"))
    assert (status, json.loads(body)["body"]) == (200, "0123456789")


def test_names_with_an_underscore_do_not_pass_for_others(service: Service) -> None:
    status, _ = one(service, b"GET /guarded HTTP/1.1\r\nHost: test\r\nX_Token: forged\r\n\r\n")
    assert status == 422


def test_a_hundred_fields_and_a_field_of_30_kb_pass(service: Service) -> None:
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(100)) + b"Cookie: " + b"c" * 30_000 + b"\r\n"
    assert one(service, b"GET /text/a HTTP/1.1\r\n" + H + fields + b"\r\n") == (200, b"a")


def test_a_value_beyond_ascii_passes(service: Service) -> None:
    _, body = one(service, b"GET /echo HTTP/1.1\r\n" + H + b"X: \xc3\xa9\r\n\r\n")
    assert [value for name, value in json.loads(body)["headers"] if name == "x"] == ["Ã©"]


# -- bodies ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_where_none_is_usual_is_read_as_one(service: Service, method: str) -> None:
    data = f"{method} /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 45\r\n\r\n".encode() + SMUGGLED[:45].ljust(45)
    status, body = one(service, data, method=method)
    assert status == 200
    if method != "HEAD":
        assert len(json.loads(body)["body"]) == 45


def test_a_body_nobody_read_is_not_the_next_request(service: Service) -> None:
    data = b"POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED)
    assert one(service, data) == (200, b'"not read"')


def test_a_body_of_an_unknown_path_is_not_the_next_request(service: Service) -> None:
    data = b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED)
    assert one(service, data)[0] == 404


def test_a_long_body_nobody_reads_is_answered_at_once_and_costs_the_connection(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n")
        assert wire.response().status == 404
        wire.send(b"x" * 1_000_000)
        assert wire.rest() == b""


def test_a_client_that_waits_for_continue_gets_it_when_the_body_is_wanted(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"POST /length HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert wire.response().status == 100
        wire.send(b"hello")
        assert wire.response().json == 5


def test_a_client_that_waits_for_continue_in_vain_gets_the_answer(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        found = wire.response()
        assert (found.status, found["connection"]) == (404, "close")


def test_a_body_that_is_broken_off_is_not_given_to_the_application_as_whole(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\nonly this")
        wire.end_sending()
        assert all(found.status >= 400 for found in wire.all_responses())


def test_an_upload_of_64_mb_does_not_stay_in_memory(service: Service) -> None:
    before = service.health()
    with service.connect() as wire:
        wire.send(b"POST /length HTTP/1.1\r\nHost: test\r\nContent-Length: 67108864\r\n\r\n")
        for _ in range(1024):
            wire.send(b"x" * 65536)
        assert wire.response().json == 67108864
    assert service.health()["max_rss_kib"] - before["max_rss_kib"] < 20_000


# -- answers ---------------------------------------------------------------------------------------------------------------------


def test_head_has_the_fields_of_get_and_no_body(service: Service) -> None:
    with service.connect() as wire:
        got = wire.get("/echo")
        head = wire.get("/echo", method="HEAD")
        assert head.status == 200
        assert head["content-type"] == got["content-type"]
        assert wire.get("/text/again").body == b"again"


@pytest.mark.parametrize("code", [204, 304])
def test_a_status_without_content_has_none(service: Service, code: int) -> None:
    with service.connect() as wire:
        found = wire.get(f"/status/{code}")
        assert found.get("transfer-encoding") is None
        assert wire.get("/text/again").body == b"again"


@pytest.mark.parametrize("code", [100, 101, 199, 99, 1000])
def test_a_status_that_would_confuse_a_client_is_500(service: Service, code: int) -> None:
    with service.connect() as wire:
        assert wire.get(f"/status/{code}").status == 500


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%20yes", "a%0aX-Evil:%20yes", "a%0dX-Evil:%20yes", "a%00b"])
def test_a_header_that_would_split_the_response_is_500(service: Service, value: str) -> None:
    since = len(service.lines)
    found = service.get(f"/header?value={value}")
    assert found.status == 500
    assert found.get("x-evil") is None
    service.saw("x-echo", since=since)


def test_a_header_name_that_would_split_the_response_is_500(service: Service) -> None:
    assert service.get("/header?value=a&name=X%0d%0aY").status == 500


@pytest.mark.parametrize("said", [5, 20])
def test_a_response_that_contradicts_its_length_ends_the_connection_and_is_logged(service: Service, said: int) -> None:
    since = len(service.lines)
    with service.connect() as wire:
        wire.send(f"GET /wrong-length?said={said} HTTP/1.1\r\nHost: test\r\n\r\n".encode() + SMUGGLED)
        found = wire.response()
        assert found.status in (200, 500)
        assert len(found.body) <= said
        assert wire.rest() == b""
    service.saw("content-length", since=since)


def test_an_exception_is_500_without_a_word_of_it(service: Service) -> None:
    with service.connect() as wire:
        found = wire.get("/fails")
        assert found.status == 500
        assert b"secret" not in found.body
        assert b"Traceback" not in found.body


def test_an_exception_in_a_stream_is_seen_by_the_client(service: Service) -> None:
    with service.connect() as wire:
        found = wire.get("/stream-fails")
        assert not found.complete


def test_a_stream_to_http_1_0_ends_with_the_connection(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"GET /stream HTTP/1.0\r\n\r\n")
        found = wire.response()
        assert found.get("transfer-encoding") is None
        assert found.body == b"x" * 50


# -- connections -----------------------------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    with service.connect() as wire:
        targets = ["/slow?seconds=0.1", *(f"/text/{number}" for number in range(200)), "/blocking"]
        wire.send(b"".join(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for target in targets))
        bodies = [wire.response().body for _ in targets]
        assert bodies == [b'"slow"', *(str(number).encode() for number in range(200)), b'"from a thread"']


def test_requests_pipelined_without_end_are_held_back(service: Service) -> None:
    with service.connect() as wire:
        before = service.health()["rss_kib"]
        wire.send(b"GET /slow?seconds=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        wire.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100_000_000:
                sent += wire.socket.send(b"GET /text/a HTTP/1.1\r\nHost: test\r\n\r\n" * 1000)
        assert service.health()["rss_kib"] - before < 10_000
        wire.reset()


def test_a_client_that_closes_its_side_gets_its_answer(service: Service) -> None:
    with service.connect() as wire:
        wire.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        wire.end_sending()
        assert wire.response().body == b'"slow"'
        assert wire.rest() == b""


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0", "websocket2"])
def test_an_upgrade_nobody_wants_is_an_ordinary_request(service: Service, upgrade: str) -> None:
    data = f"GET /text/a HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\r\n"
    assert one(service, data.encode()) == (200, b"a")


def test_connection_close_is_obeyed(service: Service) -> None:
    with service.connect() as wire:
        assert wire.get("/", "Connection: close")["connection"] == "close"
        assert wire.rest() == b""


# -- time ------------------------------------------------------------------------------------------------------------------------


def test_a_head_that_comes_in_drops_is_cut_off(impatient: Service) -> None:
    began_s = time.monotonic()
    with impatient.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: test\r\n")
        wire.socket.settimeout(0.3)
        found = b""
        while not found:
            wire.send(b"X: y\r\n")
            try:
                found = wire.socket.recv(1000)
            except TimeoutError:
                assert time.monotonic() - began_s < 30
            except ConnectionResetError:
                break
        assert not found or found.startswith(b"HTTP/1.1 408")


def test_a_connection_that_says_nothing_is_closed(impatient: Service) -> None:
    with impatient.connect() as wire:
        assert wire.rest() == b""


def test_a_body_that_stops_is_408(impatient: Service) -> None:
    with impatient.connect() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\nonly this")
        assert [found.status for found in wire.all_responses()] == [408]


def test_an_idle_connection_is_closed_without_a_word(impatient: Service) -> None:
    with impatient.connect() as wire:
        assert wire.get("/").status == 200
        assert wire.rest() == b""


def test_three_hundred_slow_clients_do_not_keep_others_waiting(impatient: Service) -> None:
    slow = [impatient.connect() for _ in range(300)]
    for wire in slow:
        wire.send(b"GET / HTTP/1.1\r\nHo")
    assert impatient.get("/").status == 200
    assert sum(wire.rest().startswith(b"HTTP/1.1 408") for wire in slow) == 300
    for wire in slow:
        wire.socket.close()


def test_a_client_that_does_not_read_costs_no_memory(service: Service) -> None:
    before = service.health()["rss_kib"]
    wires = [service.connect(receive_buffer_bytes=4096) for _ in range(20)]
    for wire in wires:
        wire.send(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
    service.until(lambda told: told["streams"] >= 1)
    time_passes(0.5)
    assert service.health()["rss_kib"] - before < 40_000
    for wire in wires:
        wire.reset()
    service.until(lambda told: told["streams"] == 0)


def test_a_stream_whose_client_leaves_ends(service: Service) -> None:
    since = len(service.lines)
    with service.connect() as wire:
        wire.send(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        assert wire.head().status == 200
        wire.exactly(20)
    service.saw("events ended", since=since)


def test_a_thousand_connections_that_come_and_go_leave_nothing(service: Service) -> None:
    before = service.until(lambda told: told["tasks"] <= 5)
    for number in range(1000):
        with service.connect() as wire:
            if number % 4 == 0:
                wire.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            elif number % 4 == 1:
                wire.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nbroken")
                wire.reset()
            elif number % 4 == 2:
                wire.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
    after = service.until(lambda told: told["files"] <= before["files"] and told["tasks"] <= before["tasks"])
    assert after["rss_kib"] - before["rss_kib"] < 10_000
