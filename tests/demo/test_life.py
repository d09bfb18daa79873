"""From start to stop: what is opened, what is kept, what the surroundings can change, and what happens when they fail."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path

import httpx
import jwt
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from demo.settings import Settings
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
    assert first.stop() in (0, -signal.SIGTERM)
    # SQLite removes its write-ahead log when the last connection is closed properly.
    assert [path.name for path in tmp_path.iterdir()] == ["demo.sqlite3"]
    assert "Traceback" not in first.log
    second = serve(tmp_path)
    assert sign_up(second, "survivor").status_code == 409
    assert httpx.get(f"{second.url}/items/", timeout=20).json()["total"] == total


def test_a_secret_of_ones_own_signs_the_tokens(server: Served, serve: Serve) -> None:
    def status_with(token: str, running: Served) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{running.url}/editor/posts/", headers=headers, timeout=20).status_code

    secret = "a secret of at least thirty-two bytes"
    with_secret = serve(JWT_SECRET=secret)
    token = with_secret.token("editor")
    again = jwt.encode({**jwt.decode(token, secret, algorithms=["HS256"])}, secret, algorithm="HS256")
    assert [status_with(one, with_secret) for one in (token, again)] == [200, 200]
    assert status_with(token, server) == 401, "without the setting each start has a secret of its own"


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


@pytest.fixture(scope="module")
def lonely(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A demo whose mail server and whose other side are not there."""
    settings = {"SMTP_URL": "smtp://127.0.0.1:9", "EXTERNAL_URL": "http://127.0.0.1:9/"}
    with served(server_name, tmp_path_factory.mktemp("lonely"), settings) as running:
        yield running


def test_a_mail_server_that_is_away_does_not_hurt_the_sign_up(lonely: Served) -> None:
    assert sign_up(lonely, "unposted").status_code == 201
    assert eventually(lambda: lonely.metrics()["mails"]["failed"] == 1)


# -- external data -------------------------------------------------------------------------------------------------------------


@contextmanager
def in_front(server_name: str, folder: Path, patience_s: float) -> Iterator[tuple[Served, Upstream]]:
    """The demo with another server behind it, whose `respond` each test sets."""
    with upstream(never_answer) as up:
        settings = {"EXTERNAL_URL": f"{up.url}/data", "EXTERNAL_TIMEOUT_S": f"{patience_s}"}
        with served(server_name, folder, settings) as server:
            yield server, up


@pytest.fixture(scope="module")
def behind(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Upstream]]:
    """With patience: what is slow is the machine."""
    with in_front(server_name, tmp_path_factory.mktemp("behind"), 15) as both:
        yield both


@pytest.fixture(scope="module")
def impatient(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Upstream]]:
    """It waits for half a second only."""
    with in_front(server_name, tmp_path_factory.mktemp("impatient"), 0.5) as both:
        yield both


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
    ],
    ids=["good", "500", "404", "HTML", "NaN", "deep", "not UTF-8", "breaks off", "endless"],
)
def test_whatever_the_other_side_answers_is_passed_on_or_a_502(
    behind: tuple[Served, Upstream], respond: Respond, expected: tuple[int, str]
) -> None:
    server, up = behind
    up.respond = respond
    assert external(server) == expected


@pytest.mark.parametrize("respond", [never_answer, drip], ids=["silent", "drips"])
def test_another_side_that_takes_too_long_is_a_504(impatient: tuple[Served, Upstream], respond: Respond) -> None:
    server, up = impatient
    up.respond = respond
    assert external(server) == (504, "UPSTREAM_TIMEOUT")


def test_another_side_that_is_not_there_is_a_502(lonely: Served) -> None:
    assert external(lonely) == (502, "UPSTREAM_UNREACHABLE")


# -- failing to start ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_INTERVAL_S", "soon"),
        ("FEED_PING_INTERVAL_S", "-1"),
        ("JWT_LIFETIME_S", "nan"),
        ("SMTP_URL", "mail.example.com"),
        ("EXTERNAL_URL", "ftp://example.com/"),
        ("OPENAI_BASE_URL", "http://"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r}")):
        Settings.from_environment({name: value})


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"),
        ("postgresql://ada:s%40crt@db.example/demo", "postgresql+asyncpg://ada:s%40crt@db.example/demo"),
        ("postgresql+psycopg://db.example/demo", "postgresql+psycopg://db.example/demo"),
    ],
)
def test_a_database_url_gets_the_driver_that_does_not_block(url: str, meant: str) -> None:
    assert Settings.from_environment({"DATABASE_URL": url}).database_url == meant


def test_a_setting_that_cannot_be_read_keeps_the_server_from_starting(server_name: str, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, *COMMANDS[server_name]],
        cwd=REPOSITORY,
        env={**os.environ, "DEMO_DATA": str(tmp_path), "EVENT_INTERVAL_S": "soon"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert process.returncode == 3, process.stdout
    assert "EVENT_INTERVAL_S='soon'" in process.stdout
