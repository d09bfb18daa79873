"""The assistant: token streams, whole answers, stopping when nobody listens, and another server behind it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.demo.serving import Served, served
from tests.demo.test_features import eventually
from tests.demo.upstream import Call, Upstream, upstream


def stream(client: httpx.Client, **conversation: object) -> list[str]:
    """The data of each event."""
    with client.stream("POST", "/chat", json=conversation) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [line.removeprefix("data: ") for line in answer.iter_lines() if line]


def text_of(events: list[str]) -> str:
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_an_answer_comes_token_by_token_and_ends_in_done(client: httpx.Client) -> None:
    events = stream(client, prompt="What does a falcon do?", max_tokens=30)
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] == "stop"
    assert 20 <= len(events) - 2 <= 30
    assert len(text_of(events).split()) > 10


def test_without_streaming_the_same_answer_comes_in_one_piece(client: httpx.Client) -> None:
    asked = {"messages": [{"role": "user", "content": "Tell me about the mews."}], "max_tokens": 25, "seed": 7}
    answer = client.post("/chat", json={**asked, "stream": False})
    assert answer.headers["content-type"] == "application/json"
    whole = answer.json()["choices"][0]["message"]
    assert whole == {"role": "assistant", "content": text_of(stream(client, **asked))}


@pytest.mark.parametrize(
    "conversation",
    [
        {},
        {"messages": []},
        {"prompt": "x", "messages": [{"role": "user", "content": "x"}]},
        {"prompt": ""},
        {"prompt": "x", "max_tokens": 0},
        {"prompt": "x", "max_tokens": 10**6},
        {"prompt": "x", "temperature": 0},
        {"prompt": "x", "seed": 2**64},
        {"messages": [{"role": "falcon", "content": "kek"}]},
        {"prompt": "x" * 20_001},
    ],
)
def test_a_conversation_that_makes_no_sense_is_refused_before_anything_is_generated(
    client: httpx.Client, conversation: dict[str, object]
) -> None:
    answer = client.post("/chat", json=conversation)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


def test_generation_stops_when_the_client_goes_away(server: Served) -> None:
    def generations() -> dict[str, int]:
        return server.metrics()["generations"]

    abandoned = generations()["abandoned"]
    with httpx.stream("POST", f"{server.url}/chat", json={"prompt": "falcon", "max_tokens": 1000}, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        assert generations()["running"] == 1
    # A thousand tokens would take five seconds and then count as finished.
    assert eventually(lambda: generations()["abandoned"] == abandoned + 1)
    assert generations()["running"] == 0


def test_it_also_stops_when_nobody_waits_for_the_whole_answer_any_more(server: Served) -> None:
    def generations() -> dict[str, int]:
        return server.metrics()["generations"]

    before = generations()
    body = json.dumps({"prompt": "falcon", "max_tokens": 1000, "stream": False}).encode()
    head = f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as leaving:
        leaving.sendall(head.encode() + body)
        assert eventually(lambda: generations()["running"] == 1)
    assert eventually(lambda: generations()["abandoned"] == before["abandoned"] + 1)
    assert generations()["finished"] == before["finished"]


# -- another server behind it --------------------------------------------------------------------------------------------------


def chunk(text: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n".encode()


def say_hello(call: Call, up: Upstream) -> None:
    call.begin("text/event-stream")
    for piece in (b": comment\n\n", b'data: {"choices": []}\n\n', chunk("Hel"), chunk("lo"), chunk(""), b"data: [DONE]\n\n"):
        call.write(piece)


@pytest.fixture(scope="module")
def behind(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Upstream]]:
    """The demo with another server behind it, whose `respond` each test sets."""
    with upstream(say_hello) as up:
        settings = {"OPENAI_BASE_URL": f"{up.url}/v1/", "OPENAI_API_KEY": "key-of-the-test", "OPENAI_MODEL": "model-of-the-test"}
        with served(server_name, tmp_path_factory.mktemp("behind"), settings) as server:
            yield server, up


def test_an_openai_compatible_server_can_answer_instead(behind: tuple[Served, Upstream]) -> None:
    server, up = behind
    up.respond = say_hello
    with httpx.Client(base_url=server.url, timeout=20) as client:
        assert text_of(stream(client, prompt="Say hello")) == "Hello"
        whole = client.post("/chat", json={"prompt": "Say hello", "stream": False}).json()
    assert (whole["model"], whole["choices"][0]["message"]["content"]) == ("model-of-the-test", "Hello")
    call = up.calls[-1]
    assert (call.path, call.headers["Authorization"]) == ("/v1/chat/completions", "Bearer key-of-the-test")
    sent = json.loads(call.body)
    assert (sent["model"], sent["stream"]) == ("model-of-the-test", True)
    assert sent["messages"] == [{"role": "user", "content": "Say hello"}]


@pytest.mark.parametrize("streaming", [True, False])
def test_its_failure_before_the_first_token_is_a_502(behind: tuple[Served, Upstream], streaming: bool) -> None:
    server, up = behind
    up.respond = lambda call, up: call.answer(500, b"{}")
    answer = httpx.post(f"{server.url}/chat", json={"prompt": "x", "stream": streaming}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "MODEL_ERROR")


def test_its_failure_in_the_middle_is_an_error_event_and_no_done(behind: tuple[Served, Upstream]) -> None:
    def break_off(call: Call, up: Upstream) -> None:
        call.begin("text/event-stream")
        call.write(chunk("Hel"))
        call.write(b"data: {rubbish\n\n")

    server, up = behind
    up.respond = break_off
    with httpx.Client(base_url=server.url, timeout=20) as client:
        events = stream(client, prompt="x")
    assert "[DONE]" not in events
    assert json.loads(events[0])["choices"][0]["delta"]["content"] == "Hel"
    assert json.loads(events[-1])["error"]["code"] == "MODEL_ERROR"


def test_it_is_hung_up_on_when_the_client_goes_away(behind: tuple[Served, Upstream]) -> None:
    def talk_for_ever(call: Call, up: Upstream) -> None:
        call.begin("text/event-stream")
        while not up.over.wait(0.02):
            call.write(chunk("kek "))

    server, up = behind
    up.respond = talk_for_ever
    up.hung_up.clear()
    with httpx.stream("POST", f"{server.url}/chat", json={"prompt": "x"}, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        assert not up.hung_up.is_set()
    assert up.hung_up.wait(10)
