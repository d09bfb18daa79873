"""What a server makes of a byte stream, as text: statuses, what the application saw, and what became of the connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from tools.differential.cases import NEXT

__all__ = ["observe", "observe_all"]

SILENCE_S: Final = 4.0
"""Nothing for so long is no answer. Longer than a loaded machine takes, shorter than any server's time limit for a head."""
_AT_A_TIME: Final = 16
_SAW: Final = re.compile(rb"[A-Z]+ (.*) (\d+)")


async def _receive(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """What comes up to the end of the connection (True), the answer to `NEXT`, or silence."""
    raw = b""
    while True:
        try:
            piece = await asyncio.wait_for(reader.read(65536), SILENCE_S)
        except TimeoutError:
            return raw, False
        except ConnectionError:
            return raw, True
        if not piece:
            return raw, True
        raw += piece
        if raw.endswith(b"GET /next 0"):
            return raw, False


def _tell(raw: bytes, ended: bool) -> str:
    told: list[str] = []
    next_answered = False
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        if status is None:
            told.append("garbage")
            break
        said = status[1].decode()
        if said.startswith("1"):
            told.append(said)
            continue
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = len(raw) if length is None else int(length[1])
        body, raw = raw[:size], raw[size:]
        saw = _SAW.fullmatch(body) if said == "200" else None
        if saw is not None and saw[1] == b"/next":
            next_answered = True
        elif saw is not None:
            told.append(f"200 ({saw[2].decode()} B)" if saw[2] != b"0" else "200")
            if b"smuggled" in saw[1]:
                told.append("smuggled")
        else:
            told.append(said)
    if not told and not next_answered:
        return "closed without an answer" if ended else "waits"
    return ", ".join(told or ["no answer"]) + (", kept" if next_answered else ", closed" if ended else ", waits")


async def observe(port: int, stream: bytes) -> str:
    """Send a stream and `NEXT` behind it over a connection of its own.

    Returns:
        For example `400, closed`, or `200 (5 B), kept`: the body had five bytes, and `NEXT` was answered as well; `waits` where
        neither an answer nor the end of the connection came.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(stream + NEXT)
        raw, ended = await _receive(reader)
    finally:
        writer.transport.abort()
    return _tell(raw, ended)


async def observe_all(port: int, cases: Mapping[str, bytes]) -> dict[str, str]:
    """`observe` for each case."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(stream: bytes) -> str:
        async with places:
            return await observe(port, stream)

    found = await asyncio.gather(*(one(stream) for stream in cases.values()))
    return dict(zip(cases, found, strict=True))
