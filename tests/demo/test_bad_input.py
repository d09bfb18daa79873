"""Whatever is sent to the demo, the answer is the client's fault, never a 500."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

DEEP = b"[" * 5000 + b"]" * 5000

BODIES = {
    "nothing": b"",
    "not JSON": b"{",
    "NaN": b'{"numbers": [NaN], "prompt": "x", "temperature": NaN}',
    "infinity": b'{"numbers": [1e999, -Infinity], "temperature": 1e999, "max_tokens": 1e999}',
    "huge integer": b'{"numbers": [1' + b"0" * 400 + b'], "max_tokens": 1' + b"0" * 400 + b', "seed": 99999999999999999999}',
    "lone surrogate": rb'{"username": "\ud800", "email": "\ud800@example.com", "password": "12345678\ud800", "prompt": "\udfff"}',
    "surrogate in a key": rb'{"\ud800": 1, "messages": [{"\udfff": 1}]}',
    "NUL": rb'{"username": "a\u0000b", "email": "a\u0000@example.com", "password": "12345678\u0000", "prompt": "\u0000"}',
    "deep": DEEP,
    "deep inside": b'{"messages": ' + DEEP + b', "numbers": ' + DEEP + b', "username": ' + DEEP + b"}",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "wrong types": b'{"username": [], "email": 1, "password": {}, "numbers": "x", "messages": 7, "stream": "perhaps"}',
    "not UTF-8": b"\xff\xfe\x00{",
    "not UTF-8 inside": b'{"username": "\xff\xfe", "numbers": ["\xc3\x28"], "prompt": "\xed\xa0\x80"}',
    "UTF-16": '{"prompt": "x"'.encode("utf-16"),
    "too large": b'{"prompt": "' + b"x" * 2_000_000 + b'"}',
}


@pytest.mark.parametrize("path", ["/signup/", "/chat", "/gzip/numbers"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_is_refused(client: httpx.Client, path: str, content_type: str | None, body: bytes) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post(path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.text


FORMS = {
    "nothing": b"",
    "no password": b"username=admin",
    "not UTF-8": b"username=%ff%fe&password=%c3%28",
    "raw bytes": b"username=\xff\xfe&password=\xed\xa0\x80",
    "NUL": b"username=%00&password=%00",
    "many fields": b"&".join(b"f%d=1" % number for number in range(5000)),
    "large field": b"username=" + b"x" * 2_000_000,
    "broken escapes": b"username=%&password=%zz",
    "wrong grant": b"username=admin&password=admin-password&grant_type=implicit",
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS.keys())
def test_a_bad_form_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/token", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert 400 <= answer.status_code < 500, answer.text


MULTIPART = {
    "no boundary": (b"x", "multipart/form-data"),
    "not multipart": (b"x" * 100, "multipart/form-data; boundary=b"),
    "cut off": (b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nadm', "multipart/form-data; boundary=b"),
    "a file": (
        b'--b\r\nContent-Disposition: form-data; name="username"; filename="x"\r\n\r\nadmin\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "many parts": (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % number for number in range(100))
        + b"--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    "a large part": (
        b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\n' + b"x" * 100_000 + b"\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
}


@pytest.mark.parametrize(("body", "content_type"), MULTIPART.values(), ids=MULTIPART.keys())
def test_a_bad_multipart_form_is_refused(client: httpx.Client, body: bytes, content_type: str) -> None:
    answer = client.post("/token", content=body, headers={"Content-Type": content_type})
    assert 400 <= answer.status_code < 500, answer.text


NASTY = [
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "9" * 30,
    "-1",
    "1e999",
    "NaN",
    "x" * 3000,
    "%F0%9F%A6%85",
    "..%2f..%2fetc%2fpasswd",
    "%0d%0aX:1",
]


@pytest.mark.parametrize("value", NASTY)
def test_nasty_query_values_never_break_a_route(client: httpx.Client, value: str) -> None:
    for path in ("/items/?q=", "/items/?category=", "/items/?min_price=", "/items/?limit=", "/items/?offset=", "/timed/?delay_ms="):
        assert client.get(path + value).status_code in (200, 422)
    assert client.get(f"/outbox?limit={value}").status_code in (200, 422)


@pytest.mark.parametrize("value", NASTY)
def test_nasty_paths_never_break_a_route(client: httpx.Client, value: str) -> None:
    for path in ("/", "/public/products/", "/static/", "/internal/", "/ws/chat/"):
        answer = client.get(path + value)
        assert 400 <= answer.status_code < 500
    assert client.delete(f"/admin/users/{value}").status_code in (401, 404)


@pytest.mark.parametrize("value", ["x", "-1", "1e3", "9" * 400, "", "\xff", "NaN", "0x10", "1 2"])
def test_a_bad_last_event_id_is_refused(client: httpx.Client, value: str) -> None:
    answer = client.get("/events", headers={b"Last-Event-ID": value.encode("latin-1")})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("value", ["Bearer", "Basic YTpi", "bearer \xff", "Bearer \xff.\xfe.x", ""])
def test_a_bad_authorization_is_refused(client: httpx.Client, value: str) -> None:
    assert client.get("/editor/posts/", headers={b"Authorization": value.encode("latin-1")}).status_code == 401


def test_a_token_that_hides_deep_json_is_refused(client: httpx.Client) -> None:
    hidden = base64.urlsafe_b64encode(DEEP).decode().rstrip("=")
    for token in (f"{hidden}.{hidden}.x", f"{hidden[:400]}.x.y"):
        assert client.get("/editor/posts/", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_errors_are_always_readable_json(client: httpx.Client) -> None:
    answer = client.post("/chat", content=rb'{"\ud800": 1}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert json.loads(answer.content)["error"]["code"] == "VALIDATION_ERROR"
