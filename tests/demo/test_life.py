"""From start to stop: what is opened, what is kept, what the surroundings can change, and what happens when they fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.demo.conftest import Serve
from tests.demo.serving import COMMANDS, REPOSITORY, Served, served
from tests.demo.test_features import eventually
from tests.demo.upstream import Call, Respond, Upstream, upstream


def sign_up(server: Served, name: str) -> httpx.Response:
    body = {"username": name, "email": f"{name}@example.com", "password": "long enough"}
    return httpx.post(f"{server.url}/signup/", json=body, timeout=20)


def test_data_outlive_a_restart_and_are_seeded_only_once(serve: Serve, tmp_path: Path) -> None:
    first = serve(tmp_path)
    assert sign_up(first, "survivor").status_code == 201
    total = httpx.get(f"{first.url}/items/", timeout=20).json()["total"]
    first.stop()
    second = serve(tmp_path)
    assert sign_up(second, "survivor").status_code == 409
    assert httpx.get(f"{second.url}/items/", timeout=20).json()["total"] == total


def test_tokens_end_with_the_start_that_made_them_unless_a_secret_is_set(serve: Serve, tmp_path: Path) -> None:
    def status_with(server: Served, token: str) -> int:
        return httpx.get(f"{server.url}/editor/posts/", headers={"Authorization": f"Bearer {token}"}, timeout=20).status_code

    forgetful = serve(tmp_path)
    assert status_with(serve(tmp_path), forgetful.token("editor")) == 401
    secret = "a secret of at least thirty-two bytes"
    remembering = serve(tmp_path, JWT_SECRET=secret)
    assert status_with(serve(tmp_path, JWT_SECRET=secret), remembering.token("editor")) == 200


def test_a_stopped_server_closes_its_database_and_leaves_no_process(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path)
    assert sign_up(server, "last").status_code == 201
    assert server.stop() in (0, -signal.SIGTERM)
    # SQLite removes the write-ahead log when the last connection is closed properly.
    assert [path.name for path in tmp_path.iterdir()] == ["demo.sqlite3"]
    assert "Traceback" not in server.log


def test_a_server_stops_although_streams_and_sockets_are_open(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path)
    with (
        httpx.stream("GET", f"{server.url}/events", timeout=20) as events,
        connect(f"{server.ws_url}/ws/chat/last") as chat,
        connect(f"{server.ws_url}/ws/feed?token={server.token('viewer')}") as feed,
    ):
        lines = events.iter_lines()
        assert next(lines).startswith("data: ")
        assert "joined" in str(chat.recv())
        assert "welcome" in str(feed.recv())
        assert server.stop() in (0, -signal.SIGTERM)
        assert [path.name for path in tmp_path.iterdir()] == ["demo.sqlite3"]
        with pytest.raises(ConnectionClosed):
            chat.recv()


def test_mail_goes_to_the_server_that_is_named(serve: Serve) -> None:
    received: list[Message] = []

    class Keep(MessageHandler):
        def handle_message(self, message: Message) -> None:
            received.append(message)

    controller = Controller(Keep(), hostname="127.0.0.1", port=0)
    # The controller would wake itself up by connecting to the port that was asked for, and 0 is none: ask for its real one.
    server_port = _start(controller)
    try:
        server = serve(SMTP_URL=f"smtp://127.0.0.1:{server_port}")
        assert sign_up(server, "posted").status_code == 201
        assert eventually(lambda: server.metrics()["mails"]["sent"] == 1)
        assert httpx.get(f"{server.url}/outbox", timeout=20).json()["error"]["code"] == "NO_OUTBOX"
    finally:
        controller.stop()
    assert [message["To"] for message in received] == ["posted@example.com"]


def _start(controller: Controller) -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        controller.port = probe.getsockname()[1]
    controller.start()
    return int(controller.port)


def test_a_mail_server_that_is_away_does_not_hurt_the_sign_up(serve: Serve) -> None:
    server = serve(SMTP_URL="smtp://127.0.0.1:9")
    assert sign_up(server, "unposted").status_code == 201
    assert eventually(lambda: server.metrics()["mails"]["failed"] == 1)


# -- external data -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Upstream]]:
    """The demo with another server behind it, whose `respond` each test sets."""
    with upstream(never_answer) as up:
        settings = {"EXTERNAL_URL": f"{up.url}/data", "EXTERNAL_TIMEOUT_S": "0.5"}
        with served(server_name, tmp_path_factory.mktemp("behind"), settings) as server:
            yield server, up


def external(server: Served) -> tuple[int, str]:
    answer = httpx.get(f"{server.url}/external-data", timeout=20)
    body = answer.json()
    return answer.status_code, body["error"]["code"] if "error" in body else answer.text


def never_answer(call: Call, up: Upstream) -> None:
    up.over.wait(20)


def drip(call: Call, up: Upstream) -> None:
    call.begin("application/json")
    while not up.over.wait(0.1):  # each read succeeds in time, the whole never does
        call.write(b" ")


def break_off(call: Call, up: Upstream) -> None:
    call.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def endless(call: Call, up: Upstream) -> None:
    call.begin("application/json")
    while not up.over.is_set():
        call.write(b" " * 65536)


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (lambda call, up: call.answer(200, b'{"kek": [1, 2.50]}'), (200, '{"kek": [1, 2.50]}')),
        (lambda call, up: call.answer(500, b"{}"), (502, "UPSTREAM_ERROR")),
        (lambda call, up: call.answer(404, b"{}"), (502, "UPSTREAM_ERROR")),
        (lambda call, up: call.answer(200, b"<html>"), (502, "UPSTREAM_NOT_JSON")),
        (lambda call, up: call.answer(200, b'{"x": NaN}'), (502, "UPSTREAM_NOT_JSON")),
        (lambda call, up: call.answer(200, b"[" * 100_000), (502, "UPSTREAM_NOT_JSON")),
        (lambda call, up: call.answer(200, b"\xff\xfe{"), (502, "UPSTREAM_NOT_JSON")),
        (break_off, (502, "UPSTREAM_UNREACHABLE")),
        (endless, (502, "UPSTREAM_TOO_LARGE")),
        (never_answer, (504, "UPSTREAM_TIMEOUT")),
        (drip, (504, "UPSTREAM_TIMEOUT")),
    ],
    ids=["good", "500", "404", "HTML", "NaN", "deep", "not UTF-8", "breaks off", "endless", "silent", "drips"],
)
def test_whatever_the_other_side_does_is_a_502_or_a_504(
    behind: tuple[Served, Upstream], respond: Respond, expected: tuple[int, str]
) -> None:
    server, up = behind
    up.respond = respond
    assert external(server) == expected


def test_another_side_that_is_not_there_is_a_502(serve: Serve) -> None:
    assert external(serve(EXTERNAL_URL="http://127.0.0.1:9/")) == (502, "UPSTREAM_UNREACHABLE")


# -- failing to start ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("EVENT_INTERVAL_S", "soon"), ("FEED_PING_INTERVAL_S", "-1"), ("SMTP_URL", "mail.example.com"), ("EXTERNAL_URL", "ftp://x/")],
)
def test_a_setting_that_cannot_be_read_keeps_the_server_from_starting_and_is_named(
    server_name: str, tmp_path: Path, name: str, value: str
) -> None:
    process = subprocess.run(
        [sys.executable, *COMMANDS[server_name]],
        cwd=REPOSITORY,
        env={**os.environ, "DEMO_DATA": str(tmp_path), name: value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == 3, process.stdout
    assert f"{name}={value!r}" in process.stdout
