"""The server under Autobahn's test: accepts and sends back what it gets, until SIGTERM. Prints its address as its first line."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import uvloop

from tercel.server import ServerConfig, serving

CONFIG = ServerConfig(port=0, access_log=False, ws_compression=True, ws_max_message_bytes=64 * 1024 * 1024)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The application."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def main() -> None:
    """Serve."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serving(echo, CONFIG) as server:
        print(f"ws://127.0.0.1:{server.port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
