"""Attacks with values: whatever stands in a path, a query, a cookie, a header or JSON, it is a value or 4xx, and never 500."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.attacks.attacker import Service, assert_linear_time

DIGITS = "9" * 5000
"""Beyond what Python makes an int of (4,300 digits)."""

PATHS: dict[str, tuple[int, object]] = {
    f"/path/int/{DIGITS}": (422, "int_parsing_size"),
    f"/path/int/-{DIGITS}": (422, "int_parsing_size"),
    "/path/int/1e3": (422, "int_parsing"),
    "/path/int/%D9%A5": (422, "int_parsing"),
    "/path/int/%00": (422, "int_parsing"),
    f"/path/converted/{DIGITS}": (404, None),
    "/path/converted/%D9%A5": (404, None),
    f"/path/float/{DIGITS}": (200, "inf"),
    "/path/float/nan": (404, None),
    "/path/float/%D9%A5.%D9%A5": (404, None),
    "/path/uuid/" + "z" * 36: (404, None),
    "/path/str/a%00b": (200, "a\0b"),
    "/path/str/a%2Fb": (404, None),
    "/path/str/%00": (200, "\0"),
    "/path/str/%c0%af": (200, "\ufffd" * 2),
    "/path/str/%ff": (200, "\ufffd"),
    "/path/str/%ed%a0%80": (200, "\ufffd" * 3),
    "/path/str/%": (200, "%"),
    "/path/str/%zz": (200, "%zz"),
    "/path/str/%0d%0a": (200, "\r\n"),
}


@pytest.mark.parametrize("target", PATHS, ids=lambda target: target[:30])
def test_a_value_in_a_path(attacked: Service, target: str) -> None:
    status, told = PATHS[target]
    found = attacked.get(target)
    assert found.status == status
    if status == 422:
        assert [(error["type"], error["loc"]) for error in found.json["detail"]] == [(told, ["path", "value"])]
    elif status == 200:
        assert found.json == told


INVALID: dict[str, list[str | bytes]] = {
    "integer": [DIGITS, "1e400", "0x10", "\0", "\u0665", "1" + "_" * 50],
    "number": ["0x10", "1e", "", "\0"],
    "exact": ["nan", "inf", "sNaN", "1e", "-", "1e99999999999999999999999999"],
    "moment": [
        "99999999999999999",
        "99999999999999999999",
        "1e30",
        "1e400",
        "inf",
        "-inf",
        "nan",
        DIGITS,
        "2020-01-01T00:00:00+99:99",
        "0000-00-00T00:00",
    ],
    "day": ["99999999999999", "1e10", "inf", "1e30", "0000-00-00", "99999-01-01", "2023-02-29", DIGITS],
    "hour": ["99999999999", "1e10", "inf", "1e400", "24:00:01", DIGITS],
    "span": [
        "1e308",
        "1e400",
        "P99999999999D",
        "inf",
        "nan",
        DIGITS,
        "P99999999999999999Y",
        f"P{DIGITS}D",
        "-999999999999",
        "99999999999999:00:00",
    ],
    "name": ["x", "0" * 10_000, "\0" * 16, "{" * 36],
    "size": ["3", DIGITS, "small", "1.5", b"\xed\xa0\x80"],
    "address": ["999.1.1.1", "1" * 30, DIGITS, "::1", "1.1.1.1/0"],
    "flag": ["\0", "2", "maybe"],
    "short": ["aaaaaa", "b", "a" * 10_000 + "b"],
    "letters": ["a" * 5000 + "!"],  # exponential with a matcher that goes back
    "integers": ["x", DIGITS, "1&integers=x"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in INVALID for value in INVALID[name]], ids=lambda text: repr(text)[:24]
)
def test_a_value_that_its_type_does_not_have_is_422(attacked: Service, name: str, value: str | bytes) -> None:
    found = attacked.get(f"/values?{name}={quote(value, safe='&=')}")
    assert found.status == 422
    assert {error["loc"][1] for error in found.json["detail"]} == {name}


VALID = [
    ("number", "1e400", "inf"),
    ("number", "nan", "nan"),
    ("number", DIGITS, "inf"),
    ("exact", "1e999999999", "Decimal('1E+999999999')"),
    ("exact", "1" * 5000, "Decimal('1111"),
    ("moment", "9999-12-31T23:59:59-23:59", "datetime.datetime(9999, 12, 31"),
    ("moment", "0001-01-01T00:00:00+23:59", "datetime.datetime(1, 1, 1"),
    ("span", "P999999999D", "datetime.timedelta(days=999999999)"),
    ("data", "\0", "b'\\x00'"),
]


@pytest.mark.parametrize(("name", "value", "seen"), VALID, ids=lambda text: text[:24])
def test_an_extreme_value_that_its_type_has_is_one(attacked: Service, name: str, value: str, seen: str) -> None:
    found = attacked.get(f"/values?{name}={quote(value)}")
    assert found.status == 200
    assert seen in found.json["seen"]
    # And it can be answered with, as JSON that every client can read.
    if name != "exact":
        assert attacked.get(f"/returns?{name}={quote(value)}").status == 200


def test_a_decimal_with_a_huge_exponent_is_answered_at_once(attacked: Service) -> None:
    begun_s = time.monotonic()
    assert attacked.get("/returns?exact=1e999999999").json["exact"] in (None, "1E+999999999")
    assert time.monotonic() - begun_s < 10


# -- queries, cookies and headers ----------------------------------------------------------------------------------------------


def test_a_query_of_thousands_of_parameters_is_read_and_a_longer_one_is_414(attacked: Service) -> None:
    assert attacked.get("/query?" + "&".join(["a=1"] * 3500)).json == 3500
    assert attacked.get("/query?" + "&" * 12_000 + "a=1").json == 1
    assert attacked.get("/query?" + "=" * 12_000).json == 1
    assert attacked.get("/values?" + "integers=1&" * 1000).status == 200
    assert attacked.get("/values?&&&===&integer").status == 422
    assert attacked.get("/values?integer=1&integer=2").json["seen"].startswith("(2, ")
    assert attacked.get("/query?" + "&".join(["a=1"] * 100_000)).status == 414


@pytest.mark.parametrize("query", ["&&&=&", "=", "a", "a=%", "a=%zz", "%00=%00", "a[]=1&a[b]=2", "a=1;b=2", "a=" + "%" * 12_000])
def test_a_strange_query_is_read(attacked: Service, query: str) -> None:
    assert attacked.get(f"/query?{query}").status == 200


COOKIES: dict[str, dict[str, str]] = {
    ";;;=;a=b; c": {"a": "b", "": "c"},
    "a=b; " * 6000: {"a": "b"},
    "a=1; a=2": {"a": "2"},
    "a": {"": "a"},
    "=__Host-a=1": {"": "__Host-a=1"},
    "; ; ;": {},
    "a=1;;b=2": {"a": "1", "b": "2"},
    "a=\xff": {"a": "\xff"},
    'a="x\\"y"': {"a": 'x"y'},
    'a="\\999"': {"a": "999"},
    "$Version=1; a=b": {"$Version": "1", "a": "b"},
    "__proto__=1": {"__proto__": "1"},
    "a=%0d%0a": {"a": "%0d%0a"},
    "a=b=c=d": {"a": "b=c=d"},
}


@pytest.mark.parametrize("sent", COOKIES)
def test_a_strange_cookie_is_read(attacked: Service, sent: str) -> None:
    assert attacked.request("/cookies", f"Cookie: {sent}").json["all"] == COOKIES[sent]


@pytest.mark.parametrize(
    ("target", "name"), [("/cookie", "a"), ("/cookies", "a"), ("/cookie-key", "key"), ("/remembering/", "session")]
)
def test_escapes_in_a_cookie_take_linear_time(attacked: Service, target: str, name: str) -> None:
    def attack(size: int) -> None:
        for escape in ("\\", "\\1", '\\"', "\\012", ";", "a=b;"):
            found = attacked.request(target, f'Cookie: {name}="{escape * (size // len(escape))}"')
            assert found.status == 200

    assert_linear_time(attacked, attack, 7_500)


@pytest.mark.parametrize("value", ["\xff\xfe", "", "\xc3\xa9", "a\tb", "a" * 20_000, "\\r\\n", "%0d%0a"])
def test_a_header_value_is_text_whatever_it_is(attacked: Service, value: str) -> None:
    assert attacked.request("/fields", f"X-Text: {value}").json == [value]


@pytest.mark.parametrize("value", [DIGITS, "\xb2", "", "1e3"], ids=lambda value: value[:8])
def test_a_header_that_is_no_number_is_422(attacked: Service, value: str) -> None:
    found = attacked.request("/fields", "X-Text: a", f"X-Number: {value}")
    assert (found.status, found.json["detail"][0]["loc"]) == (422, ["header", "x-number"])


# -- JSON ----------------------------------------------------------------------------------------------------------------------

JSON = "Content-Type: application/json"

NO_JSON: dict[str, bytes] = {
    "an integer of 5,000 digits": b'{"name":"a","count":' + DIGITS.encode() + b"}",
    "a float of 5,000 digits": b'{"name":"a","price":' + DIGITS.encode() + b"}",
    "1e400": b'{"name":"a","price":1e400}',
    "NaN": b'{"name":"a","price":NaN}',
    "Infinity": b'{"name":"a","price":-Infinity}',
    "100,000 arrays": b"[" * 100_000,
    "5,000 objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "half a pair": b'{"name":"\\ud800"}',
    "half a pair in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "Latin-1": b'{"name":"\xe9"}',
    "a control character": b'{"name":"a\0"}',
    "something behind": b'{"name":"a"} x',
    "white space": b" ",
    "single quotes": b"{'name':'a'}",
    "a comma at the end": b'{"name":"a",}',
    "a line break in a text": b'{"name":"a\nb"}',
    "NaN in what nobody looks at": b'{"name":"a","extra":{"x":NaN}}',
    "100,000 arrays with their ends": b"[" * 100_000 + b"]" * 100_000,
    "2,000 objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "10,000 signs": b"-" * 10_000,
    "half an escape": b'"\\u12',
    "bytes": b"\xa1",
}


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_is_422(attacked: Service, name: str) -> None:
    for target in ("/item", "/anything"):
        found = attacked.request(target, JSON, method="POST", body=NO_JSON[name])
        assert (found.status, [error["type"] for error in found.json["detail"]]) == (422, ["json_invalid"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"x","name":"\xc3\xa9"}',
        '{"name":"é"}'.encode("utf-16"),
        '{"name":"é"}'.encode("utf-32"),
        '\ufeff{"name":"é"}'.encode(),
    ],
    ids=["the last of a key counts", "UTF-16", "UTF-32", "a byte order mark"],
)
def test_what_is_json_after_all(attacked: Service, body: bytes) -> None:
    assert attacked.request("/item", JSON, method="POST", body=body).json["name"] == "é"


def _member(text: bytes) -> bytes:
    return b'{"name":"a",' + text + b"}"


EVERYTHING: dict[str, tuple[int, bytes]] = {
    "nothing": (422, b""),
    "null": (422, b"null"),
    "a list": (422, b"[]"),
    "an escaped NUL": (200, b'{"name":"\\u0000"}'),
    "an int of 4,000 digits": (200, _member(b'"count":' + b"9" * 4000)),
    "a float of 400 digits": (422, _member(b'"price":' + b"9" * 400)),
    "a year beyond 9999": (422, _member(b'"when":1e30')),
    "the last moment, west of Greenwich": (200, _member(b'"when":"9999-12-31T23:59:59-23:59"')),
    "the first moment, east of Greenwich": (200, _member(b'"when":"0001-01-01T00:00:00+23:59"')),
    "an offset of 25 hours": (422, _member(b'"when":"2020-01-01T00:00:00+25:00"')),
    "a day beyond all": (422, _member(b'"day":1e20')),
    "a time beyond all": (422, _member(b'"hour":1e20')),
    "a duration beyond all": (422, _member(b'"span":1e308')),
    "a duration of a trillion years": (422, _member(b'"span":"P999999999999Y"')),
    "a decimal of a billion digits": (200, _member(b'"exact":"1e999999999"')),
    "a decimal that is no number": (422, _member(b'"exact":"sNaN"')),
    "no UUID": (422, _member(b'"key":"x"')),
    "bytes that are not text": (422, _member(b'"data":"\xff"')),
    "fifty thousand keys": (200, _member(b'"extra":{' + b",".join(b'"%d":0' % n for n in range(50_000)) + b"}")),
    "a text of 3 MB": (200, b'{"name":"' + b"a" * 3_000_000 + b'"}'),
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_member_of_any_type_is_taken_or_refused(attacked: Service, name: str) -> None:
    status, body = EVERYTHING[name]
    found = attacked.request("/everything", JSON, method="POST", body=body)
    assert found.status == status, found.body[:300]
    assert isinstance(found.json, dict)


GROWING: dict[str, Callable[[int], bytes]] = {
    "texts": lambda n: b'["' + b"\\u0041" * (n // 6) + b'"]',
    "numbers": lambda n: b"[" + b"1e5," * (n // 4) + b"0]",
    "brackets": lambda n: b"[" * n,
}


@pytest.mark.parametrize("name", GROWING)
def test_eight_times_the_json_takes_nowhere_near_sixty_four_times_as_long(attacked: Service, name: str) -> None:
    def attack(size: int) -> None:
        assert attacked.request("/anything", JSON, method="POST", body=GROWING[name](size)).status in (200, 422)

    assert_linear_time(attacked, attack, 100_000)


@pytest.mark.parametrize(
    "value",
    [b'"' + DIGITS.encode() + b'"', b'"1e400"', b"1.5", b"[]", b"{}", b"null", b"true0"],
    ids=lambda value: value[:8].decode(),
)
def test_a_number_in_json_that_is_none_is_422(attacked: Service, value: bytes) -> None:
    assert attacked.request("/item", JSON, method="POST", body=b'{"name":"a","count":' + value + b"}").status == 422


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/\xff",
        "\xff\xfe",
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "json",
        "a/b" * 1000,
    ],
    ids=lambda kind: kind[:20],
)
def test_a_body_that_does_not_say_it_is_json_is_not_taken_for_it(attacked: Service, kind: str) -> None:
    """A page elsewhere can send such a body with a user's cookies; JSON it can not send without asking first (CORS)."""
    assert attacked.request("/item", f"Content-Type: {kind}", method="POST", body=b'{"name":"a"}').status == 422
