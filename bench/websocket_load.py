"""The WebSocket load where there is no C compiler: connections that send a text, wait for its echo, compare it and send again.

    python bench/websocket_load.py URL CONNECTIONS SECONDS TEXT

A program of its own, on picows; `bench/websocket_load.c` does the same for half of the processor time. Prints one line,
`RESULT {…}`; with 0 seconds every connection does one round. Ends with 1 if an echo differs or a connection breaks.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import picows
import uvloop


class Fault(Exception):
    """An echo that differs, or a connection that broke."""


class Echo(picows.WSListener):
    """One connection; knows how many rounds it has done and how long each took."""

    def __init__(self, payload: bytes, deadline: float, ended: asyncio.Future[None]) -> None:
        self.payload = payload
        self.deadline = deadline
        self.ended = ended
        self.times_s: list[float] = []
        self.sent_at = 0.0

    def send(self, transport: picows.WSTransport) -> None:
        self.sent_at = time.perf_counter()
        transport.send(picows.WSMsgType.TEXT, self.payload)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not picows.WSMsgType.TEXT or frame.get_payload_as_bytes() != self.payload:
            if not self.ended.done():
                self.ended.set_exception(Fault(f"the echo differs: {frame}"))
            return
        now = time.perf_counter()
        self.times_s.append(now - self.sent_at)
        if now < self.deadline:
            self.send(transport)
        elif not self.ended.done():
            self.ended.set_result(None)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if not self.ended.done():
            self.ended.set_exception(Fault("the connection broke"))


async def run(url: str, connections: int, seconds: float, text: str) -> dict[str, float]:
    """All connections until the deadline; counts and round-trip times."""
    loop = asyncio.get_running_loop()
    echoes: list[Echo] = []
    transports: list[picows.WSTransport] = []
    for _ in range(connections):
        echo = Echo(text.encode(), 0.0, loop.create_future())
        transport, _ = await picows.ws_connect(lambda echo=echo: echo, url)
        echoes.append(echo)
        transports.append(transport)
    started = time.perf_counter()
    for echo, transport in zip(echoes, transports, strict=True):
        echo.deadline = started + seconds
        echo.send(transport)
    try:
        await asyncio.wait_for(asyncio.gather(*(echo.ended for echo in echoes)), seconds + 10)
    finally:
        elapsed_s = time.perf_counter() - started
        for transport in transports:
            transport.disconnect()
    times_s = sorted(time_s for echo in echoes for time_s in echo.times_s)
    return {
        "count": len(times_s),
        "elapsed_us": elapsed_s * 1e6,
        "p50_us": times_s[len(times_s) // 2] * 1e6,
        "p99_us": times_s[len(times_s) * 99 // 100] * 1e6,
        "errors": 0,
        "refused": 0,
    }


def main() -> int:
    """Runs the command line."""
    url, connections, seconds, text = sys.argv[1:]
    try:
        result = uvloop.run(run(url, int(connections), float(seconds), text))
    except (Fault, TimeoutError, OSError, picows.WSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("RESULT", json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
