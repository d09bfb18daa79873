"""Attacks on WebSockets in raw frames: the right close code, nothing leaked, and the next socket works."""

from __future__ import annotations

import json
import struct

import pytest

from tests.attacks.attacker import OPENING, Service, Socket, close_frame, frame
from tests.processes import time_passes

# -- the handshake ---------------------------------------------------------------------------------------------------------------


def opening(target: str = "/ws", **changes: str | None) -> bytes:
    head = OPENING.format(target=target, fields="")
    for name, value in changes.items():
        name = name.replace("_", "-")
        lines = [line for line in head.split("\r\n")[1:-2] if not line.lower().startswith(name + ":")]
        if value is not None:
            lines.append(f"{name}: {value}")
        head = "\r\n".join([head.split("\r\n")[0], *lines, "", ""])
    return head.encode()


@pytest.mark.parametrize(
    ("status", "data"),
    [
        pytest.param(426, opening(sec_websocket_version="8"), id="version 8"),
        pytest.param(426, opening(sec_websocket_version="13, 8"), id="two versions"),
        pytest.param(426, opening(sec_websocket_version=None), id="no version"),
        pytest.param(400, opening(sec_websocket_key=None), id="no key"),
        pytest.param(400, opening(sec_websocket_key="short"), id="a short key"),
        pytest.param(400, opening(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: a"), id="two keys"),
        pytest.param(400, opening(content_length="5") + b"hello", id="a body"),
        pytest.param(400, opening(host=None), id="no host"),
        pytest.param(403, opening("/ws/refuses"), id="refused by the application"),
        pytest.param(403, opening("/nowhere"), id="no such path"),
        pytest.param(500, opening("/ws/fails-before"), id="an exception before accepting"),
        pytest.param(403, opening("/ws/typed/one"), id="a parameter of the wrong type"),
        pytest.param(403, opening("/ws/typed/1?limit=11"), id="a parameter out of range"),
        pytest.param(403, opening("/ws/guarded?token=bad"), id="a dependency that refuses"),
    ],
)
def test_a_handshake_that_fails_gets_one_http_answer(service: Service, status: int, data: bytes) -> None:
    with service.connect() as wire:
        wire.send(data)
        found = wire.response()
        assert found.status == status
        assert b"secret" not in found.body
        assert wire.rest() == b""


def test_a_get_without_upgrade_on_a_socket_path_is_404(service: Service) -> None:
    assert service.get("/ws").status == 404


def test_a_post_that_wants_an_upgrade_is_an_ordinary_request(service: Service) -> None:
    with service.connect() as wire:
        wire.send(opening().replace(b"GET /ws", b"POST /echo"))
        assert wire.response().status == 200


def test_a_denial_response_is_the_applications(service: Service) -> None:
    with Socket(service, "/ws/denies") as ws:
        assert (ws.response.status, ws.response.body, ws.response["x-why"]) == (402, b"pay first", "money")


def test_subprotocols_headers_and_a_reason_that_is_too_long(service: Service) -> None:
    with Socket(service, "/ws/protocol", "Sec-WebSocket-Protocol: one, two") as ws:
        assert (ws.response["sec-websocket-protocol"], ws.response["x-extra"]) == ("two", "yes")
        assert json.loads(ws.message()) == ["one", "two"]
        code, reason = ws.closed()
        assert code == 4000
        assert reason == "é" * 61


def test_compression_is_not_negotiated_unless_it_was_asked_for(service: Service) -> None:
    with Socket(service, "/ws", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits") as ws:
        assert ws.response.get("sec-websocket-extensions") is None


def test_frames_in_the_same_segment_as_the_handshake_are_not_lost(service: Service) -> None:
    with service.connect() as wire:
        wire.send(opening() + frame(1, b"early"))
        assert wire.head().status == 101
        assert wire.exactly(7) == b"\x81\x05early"


# -- frames ----------------------------------------------------------------------------------------------------------------------

VIOLATIONS = [
    pytest.param(1002, frame(1, b"x", mask=False), id="not masked"),
    pytest.param(1002, frame(1, b"x", rsv=4), id="RSV1"),
    pytest.param(1002, frame(2, b"x", rsv=2), id="RSV2"),
    pytest.param(1002, frame(9, b"x", rsv=1), id="RSV3 in a ping"),
    *(pytest.param(1002, frame(opcode, b"x"), id=f"opcode {opcode}") for opcode in (3, 7, 11, 15)),
    pytest.param(1002, frame(9, b"x" * 126), id="a ping of 126 bytes"),
    pytest.param(1002, frame(9, b"x", fin=False), id="half a ping"),
    pytest.param(1002, frame(8, b"\x03"), id="half a code"),
    pytest.param(1002, frame(8, b"x" * 126), id="a close of 126 bytes"),
    *(
        pytest.param(1002, close_frame(code), id=f"code {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535)
    ),
    pytest.param(1007, close_frame(1000, b"\xff"), id="a reason that is no text"),
    pytest.param(1002, frame(0, b"x"), id="a continuation of nothing"),
    pytest.param(1002, frame(1, b"x", fin=False) + frame(2, b"y"), id="a message within a message"),
    pytest.param(1007, frame(1, b"\xff"), id="text that is none"),
    pytest.param(1007, frame(1, b"\xc0\x80"), id="an overlong NUL"),
    pytest.param(1007, frame(1, b"\xed\xa0\x80"), id="a surrogate"),
    pytest.param(1007, frame(1, b"\xf4\x90\x80\x80"), id="beyond U+10FFFF"),
    pytest.param(1007, frame(1, b"\xe2\x98", fin=False) + frame(0, b"x"), id="half a character"),
    pytest.param(1007, frame(1, b"good", fin=False) + frame(0, b"\xff", fin=False), id="no text in the middle"),
    pytest.param(1009, struct.pack("!BBQ", 0x82, 0xFF, 1 << 40) + b"\0\0\0\0", id="a terabyte announced"),
    pytest.param(1009, (frame(2, b"x" * 9_000_000, fin=False, mask=False)).replace(b"\x7f", b"\xff", 1)[:10] + b"\0" * 9_000_004
                 + struct.pack("!BBQ", 0x80, 0xFF, 9_000_000) + b"\0" * 9_000_004, id="two fragments too big together"),
    pytest.param(1002, struct.pack("!BBQ", 0x82, 0xFF, 1 << 63) + b"\0\0\0\0", id="a negative length"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "data"), VIOLATIONS)
def test_a_violation_closes_with_its_code(service: Service, code: int, data: bytes) -> None:
    with Socket(service, "/ws") as ws:
        assert ws.response.status == 101
        ws.send(data)
        assert ws.closed()[0] == code
    with Socket(service, "/ws") as ws:
        ws.send(frame(1, b"still there?"))
        assert ws.message() == b"still there?"


def test_messages_are_echoed_whatever_their_size_and_cut(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        for size in (0, 1, 125, 126, 127, 65535, 65536, 200_000):
            ws.send(frame(2, b"x" * size))
            assert ws.message() == b"x" * size
        data = frame(1, "grüße".encode())
        for byte in data:
            ws.send(bytes((byte,)))
        assert ws.message() == "grüße".encode()


def test_fragments_with_pings_between_them_are_one_message(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        ws.send(frame(1, b"a", fin=False) + frame(9, b"ping") + frame(0, b"", fin=False) + frame(0, b"b"))
        assert ws.frame() == (10, b"ping")
        assert ws.message() == b"ab"


def test_a_message_in_ten_thousand_fragments_is_taken_in_linear_time(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        ws.send(frame(2, b"x", fin=False) + frame(0, b"x" * 10, fin=False) * 10_000 + frame(0, b"x"))
        assert len(ws.message()) == 100_002


def test_a_message_of_empty_fragments_without_end_is_refused(service: Service) -> None:
    before = service.health()["rss_kib"]
    with Socket(service, "/ws") as ws:
        ws.send(frame(2, b"", fin=False))
        for _ in range(14):
            ws.send(frame(0, b"", fin=False) * 10_000)
        assert ws.closed()[0] == 1008
    assert service.health()["rss_kib"] - before < 10_000


def test_a_flood_of_pings_is_answered_or_bounded(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        ws.send(frame(9, b"p") * 1000 + frame(1, b"end"))
        pongs = 0
        while (found := ws.frame())[0] == 10:
            pongs += 1
        assert found == (1, b"end")
        assert pongs == 1000


def test_pongs_nobody_asked_for_are_ignored(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        ws.send(frame(10, b"x") * 1000 + frame(1, b"end"))
        assert ws.message() == b"end"


# -- closing ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 3000, 4999])
def test_a_close_is_answered_with_its_code_and_told_to_the_application(service: Service, code: int) -> None:
    since = len(service.lines)
    with Socket(service, "/ws") as ws:
        ws.send(close_frame(code, b"bye"))
        assert ws.closed()[0] == code
    service.saw(f"ws left {code}", since=since)


def test_a_close_without_a_code_is_1005(service: Service) -> None:
    since = len(service.lines)
    with Socket(service, "/ws") as ws:
        ws.send(frame(8))
        assert ws.closed()[0] == 1005
    service.saw("ws left 1005", since=since)


def test_what_comes_behind_a_close_means_nothing(service: Service) -> None:
    with Socket(service, "/ws") as ws:
        ws.send(close_frame(1000) + frame(1, b"late") * 100)
        assert ws.closed()[0] == 1000


@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_client_that_just_leaves_is_1006_without_a_traceback(service: Service, how: str) -> None:
    since = len(service.lines)
    with Socket(service, "/ws/text") as ws:
        ws.send(frame(1, b"x"))
        assert ws.message() == b"x"
        if how == "reset":
            ws.wire.reset()
        else:
            ws.wire.end_sending()
    service.saw("ws left 1006", since=since)
    assert not [line for line in service.lines[since:] if "Traceback" in line or "Exception" in line]


@pytest.mark.parametrize(("target", "says"), [("/ws/fails", "RuntimeError: a secret"), ("/ws/exits", "SystemExit: 5")])
def test_an_exception_closes_with_1011_and_says_nothing_of_it(service: Service, target: str, says: str) -> None:
    since = len(service.lines)
    with Socket(service, target) as ws:
        code, reason = ws.closed()
        assert code == 1011
        assert "secret" not in reason
    service.saw(says, since=since)


@pytest.mark.parametrize(
    "data", [frame(1, b"{broken"), frame(1, b"[" * 100_000), frame(2, b"\xff\xfe")], ids=["broken", "deep", "bytes"]
)
def test_a_message_the_application_can_not_read_ends_its_socket_only(service: Service, data: bytes) -> None:
    with Socket(service, "/ws/json") as ws:
        ws.send(data)
        assert ws.closed()[0] in (1003, 1007, 1011)


def test_bytes_for_an_application_that_wants_text_end_its_socket_only(service: Service) -> None:
    with Socket(service, "/ws/text") as ws:
        ws.send(frame(2, b"bytes"))
        assert ws.closed()[0] in (1003, 1011)


def test_the_application_may_close_for_policy(service: Service) -> None:
    with Socket(service, "/ws/policy") as ws:
        assert ws.closed() == (1008, "not allowed")


# -- pressure --------------------------------------------------------------------------------------------------------------------


def test_a_client_that_floods_an_application_that_does_not_read_is_held_back(service: Service) -> None:
    before = service.health()["rss_kib"]
    with Socket(service, "/ws/deaf") as ws:
        ws.wire.socket.settimeout(0.5)
        sent = 0
        data = frame(2, b"x" * 1000) * 100
        with pytest.raises(TimeoutError):
            while sent < 100_000_000:
                sent += ws.wire.socket.send(data)
        assert service.health()["rss_kib"] - before < 10_000
        ws.wire.reset()
    service.until(lambda told: told["sockets"] == 0)


def test_a_client_that_does_not_read_holds_the_application_back(service: Service) -> None:
    since = len(service.lines)
    before = service.health()["rss_kib"]
    with Socket(service, "/ws/flood", receive_buffer_bytes=4096) as ws:
        time_passes(0.5)
        assert service.health()["rss_kib"] - before < 10_000
        ws.wire.reset()
    service.saw("flood ended", since=since)


def test_five_hundred_sockets_come_and_go_and_leave_nothing(service: Service) -> None:
    service.until(lambda told: told["sockets"] <= 1)
    before = service.health()
    for number in range(500):
        with Socket(service, "/ws") as ws:
            if number % 3 == 0:
                ws.send(frame(1, b"x"))
                assert ws.message() == b"x"
            elif number % 3 == 1:
                ws.wire.reset()
            else:
                ws.send(close_frame(1000))
                assert ws.closed()[0] == 1000
    after = service.until(lambda told: told["files"] <= before["files"] and told["tasks"] <= before["tasks"])
    assert after["rss_kib"] - before["rss_kib"] < 10_000
