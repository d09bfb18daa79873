"""Attacks on what a framework does for its applications: bodies, forms, files, headers, addresses, security schemes, errors.

Wrong input is a 4xx that says what is wrong. Where the application puts input of a client's into the head of a response, it is
encoded or the answer is a 500: never a second response, never a header of the client's choice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from tests.attacks.attacker import OPENING, Response, Service

JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
MULTIPART = "Content-Type: multipart/form-data; boundary=B"
END = b"--B--\r\n"


@pytest.fixture(scope="module")
def framework() -> Iterator[Service]:
    """The application under attack. It must survive all of the file's attacks and hold no more files than before."""
    running = Service("framework:app")
    before = running.health()["files"]
    yield running
    try:
        assert running.process.poll() is None, "\n".join(running.lines[-60:])
        running.until(lambda told: told["files"] <= before)
        assert running.stop() == 0
        assert not [line for line in running.lines if "never retrieved" in line or "was never awaited" in line]
    finally:
        running.close()


def get(service: Service, target: str, *fields: str, method: str = "GET") -> Response:
    with service.connect() as wire:
        return wire.get(target, *fields, method=method)


def post(service: Service, target: str, body: bytes, *fields: str | bytes) -> Response:
    head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n".encode()
    head += b"".join((field if isinstance(field, bytes) else field.encode("latin-1")) + b"\r\n" for field in fields)
    with service.connect() as wire:
        wire.send(head + b"\r\n" + body)
        return wire.response()


def part(fields: bytes, body: bytes) -> bytes:
    return b"--B\r\n" + fields + b"\r\n\r\n" + body + b"\r\n"


def named(name: bytes, body: bytes = b"x", more: bytes = b"") -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"' + more, body)


def a_file(body: bytes, more: bytes = b"") -> bytes:
    return part(b'Content-Disposition: form-data; name="file"; filename="x.txt"' + more, body)


# -- JSON ------------------------------------------------------------------------------------------------------------------------


def member(text: bytes) -> bytes:
    return b'{"name":"a",' + text + b"}"


BODIES: dict[str, tuple[int, bytes]] = {
    "nothing": (422, b""),
    "blanks": (422, b"   "),
    "null": (422, b"null"),
    "a list": (422, b"[]"),
    "two values": (422, b'{"name":"a"} x'),
    "single quotes": (422, b"{'name':'a'}"),
    "a comma at the end": (422, b'{"name":"a",}'),
    "a line break in a text": (422, b'{"name":"a\nb"}'),
    "a NUL in a text": (422, b'{"name":"\0"}'),
    "an escaped NUL": (200, b'{"name":"\\u0000"}'),
    "half a surrogate pair": (422, b'{"name":"\\ud800"}'),
    "not UTF-8": (422, b'{"name":"\xe9"}'),
    "a byte order mark": (200, b'\xef\xbb\xbf{"name":"a"}'),
    "UTF-16": (200, '{"name":"a"}'.encode("utf-16")),
    "the same key twice": (200, b'{"name":"a","name":"b"}'),
    "an int of 5,000 digits": (422, member(b'"number":' + b"9" * 5000)),
    "an int of 4,000 digits": (200, member(b'"number":' + b"9" * 4000)),
    "a float of 400 digits": (422, member(b'"price":' + b"9" * 400)),
    "1e400": (422, member(b'"price":1e400')),
    "NaN": (422, member(b'"price":NaN')),
    "NaN in what nobody looks at": (422, member(b'"extra":{"x":NaN}')),
    "a year beyond 9999": (422, member(b'"when":1e30')),
    "the last moment, west of Greenwich": (200, member(b'"when":"9999-12-31T23:59:59-23:59"')),
    "the first moment, east of Greenwich": (200, member(b'"when":"0001-01-01T00:00:00+23:59"')),
    "an offset of 25 hours": (422, member(b'"when":"2020-01-01T00:00:00+25:00"')),
    "a day beyond all": (422, member(b'"day":1e20')),
    "a time beyond all": (422, member(b'"hour":1e20')),
    "a duration beyond all": (422, member(b'"delta":1e308')),
    "a duration of a trillion years": (422, member(b'"delta":"P999999999999Y"')),
    "a decimal of a billion digits": (200, member(b'"amount":"1e999999999"')),
    "a decimal that is no number": (422, member(b'"amount":"sNaN"')),
    "no UUID": (422, member(b'"key":"x"')),
    "bytes that are not text": (422, member(b'"data":"\xff"')),
    "fifty thousand keys": (200, member(b'"extra":{' + b",".join(b'"%d":0' % n for n in range(50_000)) + b"}")),
    "100,000 brackets": (422, b"[" * 100_000),
    "a text of 3 MB": (200, b'{"name":"' + b"a" * 3_000_000 + b'"}'),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_taken_or_refused_and_never_an_error_of_the_server(framework: Service, name: str) -> None:
    status, body = BODIES[name]
    answer = post(framework, "/items", body, JSON)
    assert answer.status == status, answer.body[:300]
    assert isinstance(answer.json, dict)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"9" * 5000, b"-" * 10_000, b"\\", b'"\\u12']
)
def test_a_body_of_any_kind_too(framework: Service, body: bytes) -> None:
    assert post(framework, "/any", body, JSON).status == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "\xff\xfe", "a/b" * 1000, "application/x-www-form-urlencoded"])
def test_a_body_of_another_kind_is_not_taken_for_json(framework: Service, kind: str) -> None:
    """A page on another site can send text/plain without the browser asking first."""
    assert post(framework, "/items", b'{"name":"a"}', f"Content-Type: {kind}").status == 422


# -- parameters ------------------------------------------------------------------------------------------------------------------

PARAMETERS: dict[str, int] = {
    "/number/" + "9" * 5000: 422,
    "/number/%D9%A5": 422,
    "/number/%00": 422,
    "/text/%00": 200,
    "/text/%ff": 200,
    "/text/%c0%af": 200,
    "/text/%": 200,
    "/text/%zz": 200,
    "/query?i=" + "9" * 5000: 422,
    "/query?f=1e999": 200,
    "/query?f=nan": 200,
    "/query?when=1e30": 422,
    "/query?when=99999999999999999999": 422,
    "/query?day=1e10": 422,
    "/query?hour=1e10": 422,
    "/query?delta=1e308": 422,
    "/query?delta=P99999999999D": 422,
    "/query?amount=1e999999999": 200,
    "/query?amount=" + "1" * 5000: 200,
    "/query?amount=sNaN": 422,
    "/query?key=x": 422,
    "/query?data=%ff": 200,
    "/query?colour=%ed%a0%80": 422,
    "/query?b=maybe": 422,
    "/query?i=1&i=2": 200,
    "/query?many=1&many=x": 422,
    "/query?" + "many=1&" * 2000: 200,
    "/query?" + "&" * 10_000: 200,
    "/query?" + "=" * 10_000: 200,
    "/query?&&&===&i": 422,
    "/query?i=%00": 422,
    "/query?letters=" + "a" * 5000 + "!": 422,
}


@pytest.mark.parametrize("target", PARAMETERS, ids=lambda target: target[:40])
def test_a_parameter_is_taken_or_refused_and_never_an_error_of_the_server(framework: Service, target: str) -> None:
    began_s = time.monotonic()
    answer = get(framework, target)
    assert answer.status == PARAMETERS[target], answer.body[:300]
    assert answer.body
    json.loads(answer.body)
    # A pattern like (a+)+ and a decimal of a billion digits would take hours; a busy machine takes less than a minute.
    assert time.monotonic() - began_s < 60


@pytest.mark.parametrize(
    ("target", "field", "status"),
    [
        ("/headers", "X-Text: \xff\xfe", 200),
        ("/headers", "X-Number: " + "9" * 5000, 422),
        ("/headers", "X-Number: \xb2", 422),
        ("/cookies", "Cookie: ;;;=;a=b; c", 200),
        ("/cookies", "Cookie: c=\xe9\xff", 200),
        ("/cookies", 'Cookie: c="\\999"', 200),
        ("/cookies", "Cookie: " + "a=b; " * 6000, 200),
        ("/cookies", 'Cookie: a="' + "\\" * 25_000, 200),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_header_or_cookie_of_strange_content_is_no_error(framework: Service, target: str, field: str, status: int) -> None:
    answer = get(framework, target, field)
    assert answer.status == status
    json.loads(answer.body)


def test_names_of_cookies_are_compared_whole(framework: Service) -> None:
    """A cookie without a name must not become another one (`=c=stolen`)."""
    assert get(framework, "/cookies", "Cookie: =c=stolen").json[0] is None


# -- forms -----------------------------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[int, str, str | bytes, bytes]] = {
    "not UTF-8": (200, "/vote", FORM, b"choice=%ff"),
    "bytes beyond ASCII": (200, "/vote", FORM, b"choice=\xff\xfe"),
    "half a surrogate pair": (200, "/vote", FORM, b"choice=%ed%a0%80"),
    "a lone percent sign": (200, "/vote", FORM, b"choice=%"),
    "NUL": (200, "/vote", FORM, b"choice=%00"),
    "an unknown charset": (200, "/vote", FORM + "; charset=bogus", b"choice=a"),
    "an int of 5,000 digits": (422, "/vote", FORM, b"choice=a&weight=" + b"9" * 5000),
    "2,000 fields": (400, "/form", FORM, b"&".join(b"k%d=1" % number for number in range(2000))),
    "a field of 2 MB": (400, "/vote", FORM, b"choice=" + b"x" * 2_000_000),
    "a login that is not UTF-8": (200, "/login", FORM, b"username=%ff&password=x"),
    "JSON for a form": (422, "/vote", JSON, b"{}"),
    "JSON for a file": (422, "/upload", JSON, b"{}"),
    "no boundary": (400, "/upload", "Content-Type: multipart/form-data", a_file(b"hi") + END),
    "another boundary": (400, "/upload", MULTIPART.replace("=B", "=C"), a_file(b"hi") + END),
    "an empty boundary": (422, "/upload", MULTIPART.replace("=B", "="), b"----\r\n"),
    "a boundary beyond ASCII": (422, "/upload", MULTIPART.replace("=B", "=\xe9"), b""),
    "a boundary of 5 KB": (400, "/upload", MULTIPART.replace("=B", "=" + "b" * 5000), b"x"),
    "nothing": (422, "/upload", MULTIPART, b""),
    "garbage": (400, "/upload", MULTIPART, b"\0\xff" * 100),
    "no last boundary": (422, "/upload", MULTIPART, a_file(b"hi")),
    "a part without a name": (400, "/upload", MULTIPART, part(b"Content-Disposition: form-data", b"x") + END),
    "a part without a disposition": (400, "/upload", MULTIPART, part(b"X: y", b"x") + END),
    "a field without a colon": (400, "/upload", MULTIPART, part(b"nonsense", b"x") + END),
    "lines that end with LF": (400, "/upload", MULTIPART, (a_file(b"hi") + END).replace(b"\r\n", b"\n")),
    "a name beyond UTF-8": (200, "/form", MULTIPART, named(b"\xff") + END),
    "a charset nobody knows": (200, "/vote", MULTIPART + "; charset=bogus", named(b"choice") + END),
    "a file for a text": (422, "/vote", MULTIPART, named(b"choice", b"x", b'; filename="x"') + END),
    "a text for a file": (422, "/upload", MULTIPART, named(b"file") + END),
    "1,500 files": (400, "/form", MULTIPART, b"".join(named(b"f", b"", b'; filename="a"') for _ in range(1500)) + END),
    "1,500 fields": (400, "/form", MULTIPART, b"".join(named(b"f%d" % number) for number in range(1500)) + END),
    "a field of 2 MB in a part": (400, "/vote", MULTIPART, named(b"choice", b"x" * 2_000_000) + END),
    "a file name of 200 KB": (400, "/upload", MULTIPART, named(b"file", b"x", b'; filename="' + b"x" * 200_000 + b'"') + END),
    "20,000 fields in a part": (400, "/upload", MULTIPART, a_file(b"x", b"\r\nX: y" * 20_000) + END),
    "a megabyte of CR": (400, "/upload", MULTIPART, b"--B\r\n" + b"\r" * 1_000_000),
    "a megabyte before the first boundary": (400, "/upload", MULTIPART, b"x" * 1_000_000 + b"\r\n" + a_file(b"hi") + END),
    "a megabyte behind the last boundary": (200, "/upload", MULTIPART, a_file(b"hi") + END + b"\r\n" * 500_000),
    "a file of nothing but almost boundaries": (200, "/upload", MULTIPART, a_file(b"\r\n--" * 250_000) + END),
    "a multipart in a part": (200, "/bytes", MULTIPART, a_file(b"--X--", b"\r\nContent-Type: multipart/mixed; boundary=X") + END),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_taken_or_refused_and_never_an_error_of_the_server(framework: Service, name: str) -> None:
    status, target, kind, body = FORMS[name]
    answer = post(framework, target, body, kind)
    assert answer.status == status, answer.body[:300]
    json.loads(answer.body)


def test_a_file_name_is_told_as_it_came(framework: Service) -> None:
    body = named(b"file", b"x", b'; filename="../../etc/passwd"') + END
    assert post(framework, "/upload", body, MULTIPART).json == ["../../etc/passwd", 1]


def test_files_of_an_upload_that_breaks_off_are_closed(framework: Service) -> None:
    """A part beyond a megabyte is a file on the disk; the fixture looks at the descriptors when all is over."""
    before = framework.health()["files"]
    for _ in range(20):
        with framework.connect() as wire:
            wire.send(b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 9000000\r\n" + MULTIPART.encode() + b"\r\n\r\n")
            wire.send(a_file(b"x" * 2_000_000)[:-2])
            wire.reset()
    framework.until(lambda told: told["files"] <= before)


QUADRATIC: dict[str, tuple[str, str, Callable[[int], bytes]]] = {
    "separators": ("/form", FORM, lambda n: b"&" * n),
    "semicolons": ("/form", FORM, lambda n: b"a" + b";" * n),
    "equals signs": ("/form", FORM, lambda n: b"=" * n),
    "percent signs": ("/form", FORM, lambda n: b"a=" + b"%" * (n // 4)),
    "almost boundaries": ("/upload", MULTIPART, lambda n: a_file(b"\r\n--" * (n // 4)) + END),
    "dashes": ("/upload", MULTIPART, lambda n: a_file(b"-" * n) + END),
    "CR": ("/upload", MULTIPART, lambda n: a_file(b"\r" * n) + END),
    "behind the end": ("/upload", MULTIPART, lambda n: a_file(b"") + END + b"\r\n" * (n // 2)),
    "JSON texts": ("/any", JSON, lambda n: b'["' + b"\\u0041" * (n // 6) + b'"]'),
    "JSON numbers": ("/any", JSON, lambda n: b"[" + b"1e5," * (n // 4) + b"0]"),
    "JSON brackets": ("/any", JSON, lambda n: b"[" * n),
}


@pytest.mark.parametrize("name", QUADRATIC)
def test_four_times_the_input_takes_about_four_times_as_long(framework: Service, name: str) -> None:
    """Quadratic work would take sixteen times as long. The best of some tries, since others use the machine too."""
    target, kind, body = QUADRATIC[name]

    def best_s(size: int) -> float:
        times = []
        for _ in range(4):
            began_s = time.perf_counter()
            assert post(framework, target, body(size), kind).status < 500
            times.append(time.perf_counter() - began_s)
        return min(times)

    small_s, large_s = best_s(100_000), best_s(400_000)
    assert large_s < 9 * small_s + 0.05, (small_s, large_s)


# -- files -----------------------------------------------------------------------------------------------------------------------

OUTSIDE = (
    "../secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "..%5csecret.txt",
    "%252e%252e/secret.txt",
    "..;/secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "sub/../../secret.txt",
    "....//secret.txt",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "link.txt",
    "a.txt%00",
    "%00",
    "a.txt%00.html",
    "%ff",
    "a" * 5000,
    "a/" * 2000,
    "~root",
    "file:///etc/passwd",
)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:30])
@pytest.mark.parametrize("mount", ["/static/", "/plain/"])
def test_nothing_outside_of_the_folder_is_sent(framework: Service, mount: str, path: str) -> None:
    answer = get(framework, mount + path)
    assert answer.status in (307, 404), answer.body[:100]
    assert b"SECRET" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:30])
def test_nor_by_a_frontend(framework: Service, path: str) -> None:
    answer = get(framework, "/front/" + path)
    assert answer.status in (200, 307, 404)
    assert answer.status != 200 or answer.body == b"<h1>index</h1>"  # the page for all addresses of its own


def test_a_folder_without_a_page_is_404(framework: Service) -> None:
    assert get(framework, "/plain/sub").status == 404
    assert get(framework, "/static/sub/").status == 404


RANGES: dict[str, tuple[int, int]] = {
    "bytes=0-1": (206, 2),
    "bytes=-3": (206, 3),
    "bytes=-99999999": (206, 1048576),
    "bytes=1048570-": (206, 6),
    "bytes=0-" + "9" * 20: (206, 1048576),
    "bytes=1048576-": (416, 0),
    "bytes=-0": (416, 0),
    "bytes=5-2": (400, 0),
    "bytes=" + "9" * 5000 + "-": (400, 0),
    "items=0-1": (400, 0),
    "bytes=a-b": (400, 0),
    "bytes=": (400, 0),
    "bytes=,,,": (400, 0),
    "bytes=" + ",".join(["0-5"] * 2000): (200, 1048576),
    "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(2000)): (200, 1048576),
    "bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-": (206, 1048576),
    "0" * 20_000 + "=0": (400, 0),
}


@pytest.mark.parametrize("value", RANGES, ids=lambda value: value[:30])
def test_a_range_costs_no_more_than_the_file(framework: Service, value: str) -> None:
    status, most = RANGES[value]
    began_s = time.monotonic()
    answer = get(framework, "/plain/big.bin", f"Range: {value}")
    assert answer.status == status
    if status in (200, 206):
        assert answer.complete
        assert len(answer.body) <= most + 1000  # the heads of parts
    else:
        assert len(answer.body) < 1000
    assert time.monotonic() - began_s < 30


def test_several_ranges_are_the_parts_they_say(framework: Service) -> None:
    answer = get(framework, "/plain/big.bin", "Range: bytes=0-1,500-501")
    boundary = answer["content-type"].partition("boundary=")[2].encode()
    assert answer.status == 206
    parts = answer.body.split(b"--" + boundary)
    assert [
        piece.partition(b"\n\n")[2].strip(b"\r\n") or piece.partition(b"\r\n\r\n")[2].strip(b"\r\n") for piece in parts[1:3]
    ] == [
        b"\0\1",
        b"\xf4\xf5",
    ]


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("Range: bytes=0-0", 416),
        ("If-Modified-Since: nonsense", 200),
        ("If-Modified-Since: Fri, 31 Dec 99999 23:59:59 GMT", None),
        ('If-None-Match: "' + "x" * 20_000, 200),
        ("If-None-Match: " + '"x", ' * 5000, 200),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_condition_of_strange_content_is_no_error(framework: Service, field: str, status: int | None) -> None:
    answer = get(framework, "/plain/empty.txt", field)
    assert answer.status in ((200, 304) if status is None else (status,))


# -- heads of responses ----------------------------------------------------------------------------------------------------------

SPLITS = [
    "a\r\nX-Injected: 1",
    "a\nX-Injected: 1",
    "a\rX-Injected: 1",
    "a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a\0b",
]


@pytest.mark.parametrize("value", SPLITS, ids=repr)
@pytest.mark.parametrize(
    "target",
    [
        "/set-header?value=",
        "/inject-header?value=",
        "/refuse?value=",
        "/media-type?value=",
        "/redirect?to=",
        "/download?name=",
        "/set-cookie?value=",
    ],
)
def test_what_a_client_says_is_no_header(framework: Service, target: str, value: str) -> None:
    with framework.connect() as wire:
        wire.send(f"GET {target}{quote(value)} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        answers = wire.all_responses()
    assert len(answers) == 1
    assert answers[0].get("x-injected") is None
    assert answers[0].status in (200, 307, 500)


def test_the_log_names_the_header_that_was_refused(framework: Service) -> None:
    since = len(framework.lines)
    assert get(framework, "/set-header?value=a%0d%0aX:1").status == 500
    assert "x-choice" in framework.saw("x-choice", since=since)


def test_a_cookie_has_no_attributes_of_the_clients(framework: Service) -> None:
    value = get(framework, "/set-cookie?value=" + quote("a; Domain=evil.example; Path=/x"))["set-cookie"]
    assert not re.search(r"(?i);\s*domain=", value.replace('"a; Domain=evil.example; Path=/x"', "").replace("\\073", ""))


def test_an_event_stays_one_event(framework: Service) -> None:
    """Lone CR ends a line of the format too (WHATWG HTML §9.2.5)."""
    answer = get(framework, "/events?data=" + quote("a\r\rdata: b\n\nevent: c"))
    lines = [line for line in answer.body.decode().split("\n") if line and not line.startswith(":")]
    assert lines == ["data: a", "data: ", "data: data: b", "data: ", "data: event: c"]
    for name in ("event", "id"):
        refused = get(framework, f"/events?{name}=" + quote("a\ndata: injected"))
        assert refused.status == 500
        assert b"injected" not in refused.body


@pytest.mark.parametrize("value", SPLITS, ids=repr)
def test_a_subprotocol_is_no_header(framework: Service, value: str) -> None:
    with framework.connect() as wire:
        wire.send(OPENING.format(target="/socket?subprotocol=" + quote(value), fields="").encode())
        head = wire.head()
        assert head.status == 500
        assert head.get("x-injected") is None


def test_a_subprotocol_beyond_ascii_ends_no_worker(framework: Service) -> None:
    with framework.connect() as wire:
        opening = OPENING.format(target="/socket?subprotocol=a", fields="Sec-WebSocket-Protocol: \x80\xff\r\n")
        wire.send(opening.encode("latin-1"))
        assert wire.head().status in (101, 400)
    assert get(framework, "/health").status == 200


# -- addresses -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["//evil.example/slash", "/\\evil.example/slash", "//evil.example/..;/slash", "/%2f%2fevil.example/slash"]
)
def test_a_redirect_for_a_slash_stays_on_this_host(framework: Service, target: str) -> None:
    answer = get(framework, target)
    location = answer.get("location")
    assert location is None or location.startswith("http://test/")


def test_a_redirect_for_a_slash_goes_to_the_host_that_was_asked(framework: Service) -> None:
    assert get(framework, "/slash")["location"] == "http://test/slash/"


@pytest.mark.parametrize(
    "field",
    ["X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Forwarded-Prefix: /evil", "X-Original-URL: /evil"],
)
def test_an_address_is_not_what_a_client_says_in_a_proxys_name(framework: Service, field: str) -> None:
    assert get(framework, "/address", field).json == "http://test/address"


@pytest.mark.parametrize(
    "host", ["evil.example/path", "evil.example?x=", "evil@test", "evil.example#", "test:80:80", "a b", '"><script>']
)
def test_a_host_that_would_change_the_address_is_refused(framework: Service, host: str) -> None:
    with framework.connect() as wire:
        wire.send(f"GET /address HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert wire.response().status == 400


# -- pages -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/docs", "/redoc"])
def test_pages_escape_what_the_application_is_called(framework: Service, target: str) -> None:
    page = get(framework, target).body
    assert b"<script>alert" not in page
    assert b"</script><script>alert" not in page


def test_a_page_reflects_nothing_of_its_address(framework: Service) -> None:
    for target in ("/docs", "/docs/oauth2-redirect", "/redoc"):
        assert b"alert(2)" not in get(framework, f"{target}?x=</script><script>alert(2)</script>").body


# -- security schemes ------------------------------------------------------------------------------------------------------------

CREDENTIALS = [
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic YWJj",
    "Basic //79/jr/",
    "Basic \xe9\xe9",
    "Basic " + "A" * 8001,
    "Bearer",
    "Bearer ",
    "Digest",
    "Other x",
    " ",
    "\xff",
]


@pytest.mark.parametrize("value", CREDENTIALS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("scheme", ["basic", "bearer", "digest"])
def test_credentials_of_strange_content_are_401(framework: Service, scheme: str, value: str) -> None:
    answer = get(framework, f"/{scheme}", f"Authorization: {value}")
    assert answer.status == 401, answer.body
    assert answer["www-authenticate"].lower().startswith(scheme)


# -- what an error says ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/fails", "/promises", "/stream-fails", "/inner/fails"])
def test_an_error_says_nothing_of_itself(framework: Service, target: str) -> None:
    answer = get(framework, target)
    assert b"TOP SECRET" not in answer.body
    assert b"Traceback" not in answer.body
    assert b"password" not in answer.body


def test_credentials_for_every_origin_are_warned_about(framework: Service) -> None:
    """Any site may then read what a visitor with cookies can; Starlette's middleware answers with the origin that asks."""
    get(framework, "/open/", "Origin: https://evil.example")
    assert "allow_credentials" in framework.saw("allow_credentials")
