"""The WebSocket load, in C and on picows: it counts right echoes and refuses every other answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import load
from bench.environments import Failure
from bench.workloads import ECHO_TEXT, choose_workloads

(ECHO,) = choose_workloads(["W6"])
Answer = Callable[[bytes], bytes | list[bytes]]


@pytest.fixture(params=["c", "picows"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "picows":
        monkeypatch.setattr(load, "compile_websocket_load", lambda: None)
    elif load.compile_websocket_load() is None:
        pytest.skip("there is no C compiler")
    return str(request.param)


def frame(first: int, payload: bytes) -> bytes:
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes((first,)) + size + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and payload of a client's frame, which has to be masked."""
    first, size = await reader.readexactly(2)
    assert size & 0x80
    size &= 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    mask = await reader.readexactly(4)
    return first, bytes(byte ^ mask[place % 4] for place, byte in enumerate(await reader.readexactly(size)))


class Answering:
    """A server that answers each text as it is told, in pieces if there are several; knows what it was sent."""

    def __init__(
        self, answer: Answer, status: str = "101 Switching Protocols", guid: str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    ) -> None:
        self.answer, self.status, self.guid = answer, status, guid
        self.frames: list[tuple[int, bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1((key + self.guid).encode()).digest()).decode()
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
        writer.write(f"HTTP/1.1 {self.status}\r\n{fields}\r\n\r\n".encode())
        try:
            while True:
                self.frames.append(await read_frame(reader))
                if self.frames[-1][0] != 0x81:
                    continue
                answer = self.answer(self.frames[-1][1])
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not answer:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def run_against(answering: Answering, text: str = ECHO_TEXT, connections: int = 3, seconds: float = 0.0) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            workload = replace(ECHO, expected=text)
            return await asyncio.to_thread(load._run_websocket, workload, port, seconds, connections)

    return asyncio.run(run())


@pytest.mark.parametrize("text", ["short", ECHO_TEXT, "é" * 62, "x" * 126, "long " * 4_000], ids=len)
def test_right_echoes_are_counted(kind: str, text: str) -> None:
    server = Answering(lambda payload: frame(0x81, payload))
    result = run_against(server, text)
    assert (result["count"], result["errors"], result["refused"]) == (3, 0, 0)
    assert 0 < result["p50_us"] <= result["p99_us"] <= result["elapsed_us"]
    assert [payload.decode() for first, payload in server.frames if first == 0x81] == [text] * 3


def test_every_connection_goes_on_until_the_time_is_over(kind: str) -> None:
    server = Answering(lambda payload: frame(0x81, payload))
    result = run_against(server, seconds=0.2)
    assert result["elapsed_us"] >= 200_000
    assert result["count"] == sum(first == 0x81 for first, _ in server.frames) > 3


def test_an_echo_in_pieces_and_a_ping_before_it_are_no_faults(kind: str) -> None:
    server = Answering(lambda payload: [frame(0x89, b"there?"), frame(0x81, payload)[:1], frame(0x81, payload)[1:]])
    assert run_against(server)["count"] == 3
    assert [payload for first, payload in server.frames if first == 0x8A] == [b"there?"] * 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(lambda payload: frame(0x81, payload[:-1] + b"!"), "the echo differs", id="another text"),
        pytest.param(lambda payload: frame(0x81, payload[:-1]), "the echo differs", id="a shorter text"),
        pytest.param(lambda payload: frame(0x82, payload), "the echo differs", id="a binary message"),
        pytest.param(lambda payload: b"", "the connection broke", id="no answer"),
    ],
)
def test_any_other_answer_is_a_fault(kind: str, answer: Answer, message: str) -> None:
    with pytest.raises(Failure, match=message):
        run_against(Answering(answer))


@pytest.mark.parametrize("wrong", [{"status": "404 Not Found"}, {"guid": "another"}], ids=lambda wrong: next(iter(wrong)))
def test_a_handshake_that_is_refused_or_wrong_is_a_fault(kind: str, wrong: dict[str, str]) -> None:
    with pytest.raises(Failure):
        run_against(Answering(lambda payload: frame(0x81, payload), **wrong))


def test_the_load_is_compiled_once_and_without_a_compiler_picows_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "CACHE", tmp_path)
    compile_once = load.compile_websocket_load.__wrapped__
    program = compile_once()
    if program is None:
        pytest.skip("there is no C compiler")
    made = program.stat().st_mtime_ns
    assert compile_once() == program
    assert program.stat().st_mtime_ns == made
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compile_once() is None
