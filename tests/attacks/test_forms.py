"""Attacks on forms: floods and malformed ones are 400, in time that grows with their length only, and leave no file behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attacks.attacker import Response, Service, assert_linear_time

MULTIPART = "Content-Type: multipart/form-data; boundary=X"
URLENCODED = "Content-Type: application/x-www-form-urlencoded"
FIELD = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="file"; filename="f"'
END = b"--X--\r\n"
TARGETS = ("/form", "/any-form", "/upload")


def part(head: bytes, body: bytes = b"v") -> bytes:
    return b"--X\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


def disposition(parameters: bytes) -> bytes:
    return part(b"Content-Disposition: form-data; " + parameters) + END


def post(service: Service, target: str, body: bytes, content_type: str = MULTIPART) -> Response:
    return service.request(target, content_type, method="POST", body=body)


REFUSED: dict[str, bytes] = {
    "1,500 fields": part(FIELD) * 1500 + END,
    "1,500 files": part(FILE) * 1500 + END,
    "a field of 1.5 MB": part(FIELD, b"x" * 1_500_000) + END,
    "a field of 1.5 MB before a file": part(FIELD, b"x" * 1_500_000) + part(FILE) + END,
    "500 header fields in a part": part(b"A: b\r\n" * 500 + FIELD) + END,
    "a header field of 100 KB": part(FIELD + b"\r\nA: " + b"b" * 100_000) + END,
    "a header name of 100 KB": part(FIELD + b"\r\n" + b"A" * 100_000 + b": b") + END,
    "a header without a colon": part(b"nothing") + END,
    "a header with a space before the colon": part(b'Content-Disposition : form-data; name="a"') + END,
    "a folded header": part(b'Content-Disposition: form-data;\r\n name="a"') + END,
    "nothing but boundaries": b"--X\r\n" * 20_000,
    "nothing but dashes": b"-" * 1_000_000,
    "lines that end with LF": (part(FIELD) + END).replace(b"\r\n", b"\n"),
    "something before the first boundary": b"junk" * 1000 + b"\r\n" + part(FIELD) + END,
    "another boundary": (part(FIELD) + END).replace(b"X", b"Y"),
    "no disposition": part(b"A: b") + END,
    "no name": part(b"Content-Disposition: form-data") + END,
    "a thousand parameters": disposition(b'name="a"' + b'; x="y"' * 1000),
    "a file name without end": disposition(b'name="file"; filename="' + b'\\"' * 20_000),
    "a line and nothing else": b"nothing\r\n",
    "garbage": b"\0\xff" * 100,
    "a megabyte of CR in a part's head": b"--X\r\n" + b"\r" * 1_000_000,
    "a megabyte before the first boundary": b"x" * 1_000_000 + b"\r\n" + part(FIELD) + END,
    "a file name of 200 KB": disposition(b'name="file"; filename="' + b"x" * 200_000 + b'"'),
    "20,000 header fields in a part": part(FILE + b"\r\nX: y" * 20_000) + END,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_is_none_or_floods_is_400(attacked: Service, name: str) -> None:
    for target in TARGETS:
        found = post(attacked, target, REFUSED[name])
        assert (found.status, found["content-type"]) == (400, "application/json"), target
        assert found.json["detail"]


@pytest.mark.parametrize(
    "body", [b"a=1&" * 5000, b"a=" + b"x" * 2_000_000, b"x" * 2_000_000], ids=["fields", "a long value", "a long name"]
)
def test_an_urlencoded_flood_is_400(attacked: Service, body: bytes) -> None:
    for target in ("/form", "/any-form"):
        found = post(attacked, target, body, URLENCODED)
        assert (found.status, "aximum" in found.json["detail"]) == (400, True)


FIELDS: dict[str, tuple[bytes, list[list[str]]]] = {
    "latin-1 in a name and a value": (part(b'Content-Disposition: form-data; name="\xff"', b"\xfe") + END, [["\xff", "\xfe"]]),
    "a path as file name": (disposition(b'name="file"; filename="../../etc/passwd"'), [["file", "../../etc/passwd"]]),
    "a NUL in a file name": (disposition(b'name="file"; filename="a\0b"'), [["file", "a\0b"]]),
    "a quote in a file name": (disposition(b'name="file"; filename="a\\"b"'), [["file", 'a"b']]),
    "a form in a form": (
        part(FIELD + b"\r\nContent-Type: multipart/mixed; boundary=Y", b"--Y\r\n\r\nv") + END,
        [["a", "--Y\r\n\r\nv"]],
    ),
    "a charset of its own": (part(FIELD + b"\r\nContent-Type: text/plain; charset=utf-7", b"+ADw-") + END, [["a", "+ADw-"]]),
    "a transfer encoding of its own": (part(FIELD + b"\r\nContent-Transfer-Encoding: base64", b"AAAA") + END, [["a", "AAAA"]]),
    "an empty name": (part(b'Content-Disposition: form-data; name=""') + END, [["", "v"]]),
    "the same name twice": (part(FIELD, b"1") + part(FIELD, b"2") + END, [["a", "1"], ["a", "2"]]),
    "no line behind the end": (part(FIELD) + b"--X--", [["a", "v"]]),
    "something behind the end": (part(FIELD) + END + b"junk" * 100_000, [["a", "v"]]),
    "lines before the beginning": (b"\r\n" * 50_000 + part(FIELD) + END, [["a", "v"]]),
    "almost a boundary": (part(FIELD, b"\r\n--Y\r\n--\r\n-") + END, [["a", "\r\n--Y\r\n--\r\n-"]]),
    "no parts": (END, []),
}


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_strange_and_allowed_is_taken_as_it_is(attacked: Service, name: str) -> None:
    body, fields = FIELDS[name]
    found = post(attacked, "/any-form", body)
    assert (found.status, found.json) == (200, fields)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"a=%zz%", "%zz%"),
        (b"a=%00", "\0"),
        (b"a=%ff", "\ufffd"),
        (b"a=%ed%a0%80", "\ufffd" * 3),
        (b"a=\xff", "\xff"),
        (b"a=1;b=2", "1;b=2"),
        (b"&" * 100_000 + b"a=1", "1"),
        (b"a=" + b"=" * 1000, "=" * 1000),
    ],
)
def test_an_urlencoded_value_is_text_whatever_it_is(attacked: Service, body: bytes, value: str) -> None:
    found = post(attacked, "/form", body, URLENCODED)
    assert (found.status, found.json) == (200, value)


@pytest.mark.parametrize(
    "parameter",
    ["", "; boundary=X; boundary=Y", "; boundary*=utf-8''X", "; boundary=" + "x" * 300, '; boundary="X', "; boundary=-"],
)
def test_a_boundary_that_is_none_or_another_is_400(attacked: Service, parameter: str) -> None:
    for target in ("/form", "/any-form"):
        found = post(attacked, target, part(FIELD) + END, f"Content-Type: multipart/form-data{parameter}")
        assert found.status == 400


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "raw_unicode_escape", "undefined", "utf-7", "punycode", "idna", "UNDEFINED", " utf_7"]
)
def test_a_charset_that_is_no_encoding_of_texts_is_400(attacked: Service, charset: str) -> None:
    body = part(FIELD, b"\\ud800+2AA-") + END
    found = post(attacked, "/form", body, f"Content-Type: multipart/form-data; charset={charset}; boundary=X")
    assert (found.status, found.json) == (400, {"detail": "The form's charset is not supported."})


@pytest.mark.parametrize("charset", ["rot13", "hex", "zlib", "bz2", "nonsense", "../x", "a" * 5000])
def test_a_charset_that_does_not_decode_leaves_latin_1(attacked: Service, charset: str) -> None:
    found = post(attacked, "/form", part(FIELD, b"\xff") + END, f"Content-Type: multipart/form-data; charset={charset}; boundary=X")
    assert (found.status, found.json) == (200, "\xff")


@pytest.mark.parametrize(
    ("target", "kind", "body", "where"),
    [
        ("/form", "application/json", b"{}", "a"),
        ("/upload", "application/json", b"{}", "file"),
        ("/form", URLENCODED.removeprefix("Content-Type: "), b"a=x&number=" + b"9" * 5000, "number"),
        ("/upload", "multipart/form-data; boundary=X", b"", "file"),
        ("/upload", "multipart/form-data; boundary=", b"----\r\n", "file"),
        ("/upload", "multipart/form-data; boundary=\xe9", b"", "file"),
    ],
    ids=["JSON for a form", "JSON for a file", "5,000 digits", "nothing", "an empty boundary", "a boundary beyond ASCII"],
)
def test_a_form_without_what_is_asked_for_is_422(attacked: Service, target: str, kind: str, body: bytes, where: str) -> None:
    found = post(attacked, target, body, f"Content-Type: {kind}")
    assert (found.status, found.json["detail"][0]["loc"]) == (422, ["body", where])


def test_a_login_that_is_not_utf_8_is_one(attacked: Service) -> None:
    assert post(attacked, "/login", b"username=%ff&password=x", URLENCODED).json == "\ufffd"


def test_a_multipart_in_a_file_is_the_files_content(attacked: Service) -> None:
    head = b'Content-Disposition: form-data; name="files"; filename="f"\r\nContent-Type: multipart/mixed; boundary=Y'
    assert post(attacked, "/uploads", part(head, b"--Y--") + END).json == [5]


def test_a_malformed_form_is_a_line_in_the_log_at_most(attacked: Service) -> None:
    for body in (
        part(FIELD) + END + b"junk" * 100_000,
        b"junk" * 100_000,
        part(FIELD) + b"--X\r\n" * 20_000,
        part(FIELD) + b"\0" * 100_000,
    ):
        before = len(attacked.lines)
        post(attacked, "/any-form", body)
        attacked.get("/temporary")
        assert len(attacked.lines) - before <= 1


def test_a_content_type_of_any_shape_is_read_in_linear_time(attacked: Service) -> None:
    def attack(size: int) -> None:
        for piece in ("\\", ";", '"', '\\"', "=", "; a=", '; a="', "; a*0=", "\t"):
            value = f'multipart/form-data; boundary=X; x="{piece * (size // len(piece))}'
            assert post(attacked, "/any-form", part(FIELD) + END, f"Content-Type: {value}").status in (200, 400)

    assert_linear_time(attacked, attack, 3_750)


def test_the_part_that_was_not_ended_is_not_there(attacked: Service) -> None:
    assert post(attacked, "/form", part(FIELD)).status == 422
    assert post(attacked, "/upload", part(FILE, b"x" * 3_000_000)).status == 422


def test_a_file_is_no_field_and_a_field_no_file(attacked: Service) -> None:
    assert post(attacked, "/form", part(FIELD + b'; filename="x"') + END).status == 422
    assert post(attacked, "/upload", disposition(b'name="file"')).status == 422


# -- files that were begun -----------------------------------------------------------------------------------------------------

BIG = part(FILE, b"x" * 3_000_000)
"""Beyond what is kept in memory: a temporary file."""


@pytest.mark.parametrize(
    "rest",
    [b"", END, b"--X\r\nbroken\r\n\r\n", part(FIELD) * 1500, part(FILE, b"y" * 2_000_000) * 3 + b"--X\r\n: broken"],
    ids=["not ended", "ended", "a broken part", "too many fields", "several"],
)
def test_no_temporary_file_outlives_its_request(attacked: Service, rest: bytes) -> None:
    for target in TARGETS:
        assert post(attacked, target, BIG + rest).status in (200, 400, 422)
    attacked.until_answer("/temporary", b"0")


def test_no_temporary_file_outlives_a_client_that_leaves(attacked: Service) -> None:
    for target in TARGETS:
        with attacked.connect() as wire:
            head = f"POST {target} HTTP/1.1\r\nHost: test\r\n{MULTIPART}\r\nContent-Length: 4000000\r\n\r\n"
            wire.send(head.encode() + BIG)
            attacked.until_answer("/temporary", b"1")
        attacked.until_answer("/temporary", b"0")


# -- linear time ---------------------------------------------------------------------------------------------------------------

GROWING: dict[str, Callable[[int], bytes]] = {
    "CR": lambda n: part(FILE, b"\r" * n) + END,
    "CR LF": lambda n: part(FILE, b"\r\n" * (n // 2)) + END,
    "almost boundaries": lambda n: part(FILE, b"\r\n--" * (n // 4)) + END,
    "CR and one byte": lambda n: part(FILE, b"\r\n--X"[:4] * (n // 4) + b"-") + END,
    "dashes": lambda n: part(FILE, b"-" * n) + END,
    "LF": lambda n: part(FILE, b"\n" * n) + END,
    "lines before": lambda n: b"\r\n" * (n // 2) + part(FILE) + END,
    "behind the end": lambda n: part(FILE) + END + b"\r\n" * (n // 2),
    "not ended": lambda n: part(FILE, b"x" * n),
}


@pytest.mark.parametrize("name", GROWING)
def test_eight_times_the_form_takes_nowhere_near_sixty_four_times_as_long(attacked: Service, name: str) -> None:
    def attack(size: int) -> None:
        assert post(attacked, "/any-form", GROWING[name](size), MULTIPART).status in (200, 400)

    assert_linear_time(attacked, attack, 500_000)


@pytest.mark.parametrize("piece", [b"&", b"%", b"+", b";", b"=", b"a=%41"])
def test_eight_times_the_urlencoded_form_takes_nowhere_near_sixty_four_times_as_long(attacked: Service, piece: bytes) -> None:
    def attack(size: int) -> None:
        assert post(attacked, "/any-form", b"a=" + piece * (size // len(piece)), URLENCODED).status in (200, 400)

    assert_linear_time(attacked, attack, 100_000)
