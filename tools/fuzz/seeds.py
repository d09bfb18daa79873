"""Where the fuzzer begins: requests of every kind as tests have them, and the words of each target's language.

Seeds are code and not files, so that they follow the tests; what the fuzzer finds of itself stays in `.cache/fuzz`.
"""

from __future__ import annotations

import zlib

from bench.protocol import request_bytes
from bench.workloads import WORKLOADS
from tests.attacks.attacker import close_frame, frame
from tests.protocol import test_cuts as cuts
from tests.protocol.comparing import WAYS
from tools.fuzz.targets import with_cuts

__all__ = ["seeds", "words"]

_REQUESTS = [
    *(cuts.GET, cuts.WAIT, cuts.POST, cuts.CHUNKED, cuts.OLD, cuts.UPGRADE, *cuts.BAD),
    cuts.WAIT + cuts.POST + cuts.CHUNKED + cuts.GET,
    b"HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n" + cuts.GET,
    b"GET /stream HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://u@other:80/later?x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + cuts.GET,
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"GET /%C3%A9%2F?a=%41&b HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: x\r\nX-Forwarded-Prefix: /p\r\nForwarded: for=192.0.2.8;host=x;proto=https\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(6)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    *(request_bytes(workload)[:500] for workload in WORKLOADS if not workload.is_websocket),
]
_WAYS = [
    b"%b /%b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" % (method, way) for method in (b"GET", b"PUT") for way in WAYS
]

_CHUNKED = [
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n",
    b'0a;name="quoted \\" text";other\r\n0123456789\r\n000\r\n\r\nGET /',
    b"0\r\nA: 1\r\nB:2\r\n\r\n",
    b"fffffffffffffff\r\n",
    b"1\na\n0\n\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
]


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


_FRAMES = [
    frame(1, b"hello") + frame(8),
    frame(2, bytes(200)) + close_frame(1000, b"bye"),
    frame(1, b"caf\xc3", fin=False) + frame(9, b"ping") + frame(0, b"\xa9") + close_frame(1001),
    frame(1, b"\xff") + frame(1, b"behind"),
    frame(2, b"a", fin=False) + frame(2, b"b"),
    frame(0, b"nothing to continue"),
    frame(1, b"x", rsv=4),
    frame(1, b"x", rsv=2),
    frame(1, _deflated(b"ab" * 300), rsv=4) + frame(8),
    frame(1, _deflated(b"x" * 3_000), rsv=4),
    frame(2, _deflated(b"abc")[:2], rsv=4, fin=False) + frame(0, _deflated(b"abc")[2:]) + frame(8),
    frame(9, b"p" * 126),
    frame(9, b"", fin=False),
    frame(3, b"reserved"),
    frame(1, b"good") + frame(3, b"reserved"),
    frame(1, b"\xff") + frame(3, b"reserved"),
    frame(8) + frame(3, b"reserved"),
    frame(1, b"unmasked", mask=False),
    frame(8, b"\x03"),
    close_frame(1005),
    close_frame(999),
    close_frame(1000, b"\xff"),
    frame(2, bytes(2_001)),
    b"\x82\xff" + b"\xff" * 8,
    frame(2, b"a") + b"\x82\xff" + bytes(12) + frame(3, b"reserved"),
    b"\x82\xfe" + bytes(6),
    b"\x88\xfe\x01\x02\x03\x04igohn\x88\x80\x01\x02\x03\x04",
]
_DESCRIBED = [
    b"\x81\x05hello\x88\x00",
    b"\x01\x02\xc3\xa9\x89\x01x\x80\x01y\x88\x02\x03\xe8",
    b"\x82\xfaabcd\x88\x00",
    b"\xc1\x03abc",
    b"\x02\x00\x00\x00\x80\x00",
    b"\xf8\x03\x03\xe8\xff",
]

_MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="one"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n'
    b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nwords\r\n--b--\r\n'
)
_FORMS = [
    b"\0application/x-www-form-urlencoded\nname=a&age=3&tags=x&tags=%C3%A9+y",
    b"\0application/x-www-form-urlencoded; charset=latin-1\nname=&age=&&=;a=b=c%zz",
    b"\2application/x-www-form-urlencoded\nname=a&numbers=1&numbers=x",
    b"\1multipart/form-data; boundary=b\n" + _MULTIPART,
    b'\3multipart/form-data; boundary="b"\n' + _MULTIPART,
    b"\3multipart/form-data; boundary=b; charset=utf-16\n" + _MULTIPART,
    b"\3multipart/form-data\n" + _MULTIPART,
    b"\1multipart/form-data; boundary=b\n" + _MULTIPART[:-9],
    b"\1multipart/form-data; boundary=b\n--b\r\n\r\n\r\n--b--",
    b"\1multipart/form-data; boundary=b\n"
    b'--b\r\nContent-Disposition: form-data; name*=utf-8\'\'%ff; filename="\\""\r\n\r\n\r\n--b--\r\n',
    b"\3text/plain\nname=a",
]
_PARAMETERS = [
    b'items/3/a/b%2Fc\nq=1&flag=yes&ratio=1e3&color=blue&id=1&id=2\nsession=x; other="y"\nabc\n3',
    b"items/-6/\nq=%ff&flag=&ratio=nan&color=&id=x&key=12345678-1234-5678-1234-567812345678\nsession\nA1\n1,2",
    b"pages/2024-02-29\nlimit=5&after=2024-01-01\n\n\n",
    b"pages/2024-02-30\nlimit=101&limit=-1&after=\n=;;=\n\n",
    b'items/1\n\n\n\n\n{"item": {"name": "n", "price": 1.5, "tags": ["a"], "parent": {"name": "p"}}, "note": "x"}',
    b'items/1\n\n\n\n\n{"item": {"name": 1, "price": -1, "tags": {}}, "note": null}',
    b'numbers\n\n\n\n\n[1, 2.0, "3", 1e999, NaN]',
    b"numbers\n\n\n\n\n" + b"[" * 300,
    b"numbers\n\n\n\n\n\xff\xfe[\x00",
    b"items/%31/%00\n%00=%00&id=99999999999999999999999\n\x80=\x81\n\xe9\n\x80",
]

_HTTP_WORDS = """GET POST HEAD OPTIONS BREW CONNECT HTTP/1.1 HTTP/1.0 Host: Content-Length: Transfer-Encoding: chunked gzip,
Connection: close keep-alive upgrade Upgrade: websocket h2c Expect: 100-continue X-Forwarded-For: Forwarded: Proxy-Connection:
Trailer: 0 1 3 ff +5 0x3
http:// * ? # %2F %zz // /../ /wait /stream"""
_WORDS = {
    "http": [*_HTTP_WORDS.encode().split(), b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\n\n", b": ", b" : ", b"\t", b"\0", b"0\r\n\r\n"],
    "chunked": [b"\r\n", b"0\r\n\r\n", b";a=b", b';a="', b'\\"', b"ff\r\n", b"A: b\r\n", b"\r", b"\n", b"0"],
    "websocket": [
        b"\x81\x80",
        b"\x82\x80",
        b"\x80\x80",
        b"\x88\x82",
        b"\x89\x80",
        b"\xc1\x80",
        b"\x03\xe8",
        b"\xfe",
        b"\xff",
        b"\xc3\xa9",
    ],
    "forms": [
        *(b"multipart/form-data; boundary=b\n", b"application/x-www-form-urlencoded\n", b"--b\r\n", b"--b--\r\n", b"\r\n\r\n"),
        *(
            b'Content-Disposition: form-data; name="',
            b'filename="',
            b"Content-Type: ",
            b"charset=",
            b"%ff",
            b"&",
            b"=",
            b"+",
            b"\\",
        ),
    ],
    "parameters": [
        *(
            b"items/",
            b"pages/",
            b"numbers",
            b"%2F",
            b"%00",
            b"%ff",
            b"id=",
            b"flag=",
            b"ratio=",
            b"color=",
            b"key=",
            b"limit=",
            b"after=",
        ),
        *(
            b"session=",
            b'"',
            b"\\u0000",
            b"\\ud800",
            b"null",
            b"1e999",
            b"NaN",
            b"Infinity",
            b"{}",
            b"[]",
            b'{"item": ',
            b"&",
            b"; ",
        ),
    ],
}
_WORDS["protocols"] = _WORDS["http"] + [b"/%b" % way for way in WAYS]


def seeds(target: str) -> list[bytes]:
    """Inputs of a target, each of another kind."""
    if target in ("http", "protocols"):
        requests = _REQUESTS + _WAYS if target == "protocols" else _REQUESTS
        return [with_cuts(data, [3, len(data) - 2][: number % 3], number) for number, data in enumerate(requests)]
    if target == "chunked":
        return [with_cuts(data, [number]) for number, data in enumerate(_CHUNKED)]
    if target == "websocket":
        framed = [with_cuts(data, [3][: number % 2], settings) for settings in (0, 1) for number, data in enumerate(_FRAMES)]
        return framed + [with_cuts(data, [], settings) for settings in (2, 3) for data in _DESCRIBED]
    return {"forms": _FORMS, "parameters": _PARAMETERS}[target]


def words(target: str) -> list[bytes]:
    """What inputs of a target are made of."""
    return _WORDS[target]
