"""The byte streams: everything that the suites hold to be malformed, and requests that are odd but good. Knows no server."""

from __future__ import annotations

from typing import Final

from tests.attacks.test_http import REFUSED
from tests.protocol.test_malformed import CHUNKS, HEADS

__all__ = ["CASES", "NEXT"]

HOST: Final = b"Host: test\r\n"
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"
"""Follows each stream. Whoever answers it has kept the connection, and agrees about where the first request ended."""


def _get(target: bytes, fields: bytes = b"", version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n"


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return _get(b"/", fields, method=b"POST") + body


_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"

ODD: Final[dict[str, bytes]] = {
    "a plain request": _get(b"/"),
    "a body with its length": _post(b"Content-Length: 5\r\n", b"hello"),
    "a body in chunks": _post(_CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
    "an empty line in front": b"\r\n" + _get(b"/"),
    "ten empty lines in front": b"\r\n" * 10 + _get(b"/"),
    "an absolute target": _get(b"http://other/a"),
    "an absolute target with https": _get(b"https://other/a"),
    "an absolute target without a path": _get(b"http://other"),
    "OPTIONS with an asterisk": _get(b"*", method=b"OPTIONS"),
    "dot segments": _get(b"/a/../b"),
    "an encoded slash": _get(b"/a%2Fb"),
    "bytes that are no UTF-8, encoded": _get(b"/%ff"),
    "an encoded NUL": _get(b"/a%00b"),
    "a percent sign without digits": _get(b"/a%zz"),
    "two slashes": _get(b"//a"),
    "a backslash": _get(b"/a\\b"),
    "TRACE": _get(b"/", method=b"TRACE"),
    "QUERY with a body": _get(b"/", b"Content-Length: 5\r\n", method=b"QUERY") + b"hello",
    "GET with a body": _get(b"/", b"Content-Length: 5\r\n") + b"hello",
    "no Host in HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.0": _get(b"/", version=b"1.0"),
    "HTTP/1.0 with keep-alive": _get(b"/", b"Connection: keep-alive\r\n", version=b"1.0"),
    "Connection: close": _get(b"/", b"Connection: close\r\n"),
    "Connection: close among others": _get(b"/", b"Connection: x, Close\r\n"),
    "an empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a Host with an IPv6 address": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "chunked in capitals": _post(b"Transfer-Encoding: CHUNKED\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    "an empty element before chunked": _post(b"Transfer-Encoding: , chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    "an extension of a chunk": _post(_CHUNKED, b'5;a="b"\r\nhello\r\n0\r\n\r\n'),
    "a trailer": _post(_CHUNKED, b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    "a trailer that names a length": _post(_CHUNKED, b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
    "a chunk size with zeros in front": _post(_CHUNKED, b"0005\r\nhello\r\n0\r\n\r\n"),
    "a length with zeros in front": _post(b"Content-Length: 005\r\n", b"hello"),
    "a body that is expected to be asked for": _post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"),
    "an upgrade to h2c": _get(
        b"/", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    ),
    "an upgrade nobody knows": _get(b"/", b"Connection: Upgrade\r\nUpgrade: tea\r\n"),
    "a value beyond ASCII": _get(b"/", b"X: \xc3\xa9\r\n"),
    "tabs around a value": _get(b"/", b"X:\ty\t\r\n"),
    "an empty value": _get(b"/", b"X:\r\n"),
    "a hundred fields": _get(b"/", b"X: y\r\n" * 100),
    "a field of 30 KB": _get(b"/", b"X: " + b"y" * 30_000 + b"\r\n"),
}


def _collect() -> dict[str, bytes]:
    """All streams under their names, each once."""
    named = [*ODD.items()]
    named += [(name, stream) for name, (_, stream) in REFUSED.items()]
    named += [(name, stream) for name, (_, stream) in HEADS.items()]
    named += [(name, _post(_CHUNKED, body)) for name, body in CHUNKS.items()]
    cases: dict[str, bytes] = {}
    seen: set[bytes] = set()
    for name, stream in named:
        same = stream.replace(b"POST /echo", b"POST /")
        if same in seen:
            continue
        seen.add(same)
        if any(name.lower() == other.lower() for other in cases):
            name = f"{name} (2)"
        cases[name] = stream
    return cases


CASES: Final = _collect()
