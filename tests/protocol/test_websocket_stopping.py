"""What becomes of WebSocket endpoints when the server stops: those that notice, and those that wait for something else."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.protocol.peer import connected, time_passes, until
from tests.protocol.sockets import Socket, client, closed_with, frame, opened, read_frame, served

pytestmark = pytest.mark.anyio
Records = list[logging.LogRecord]

LONG_S = 3600.0


def waiting_for_a_queue(queues: list[asyncio.Queue[str]], seen: list[str], sends: list[Any]) -> Socket:
    """Accepts, and sends what others put into its queue: it never receives."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.append(queue)
        sends.append(send)
        try:
            while True:
                await send({"type": "websocket.send", "text": await queue.get()})
        except BaseException as error:
            seen.append(type(error).__name__)
            raise
        finally:
            seen.append("finally")

    return app


@pytest.mark.parametrize("leaves", ["with a close", "without a word", "before"])
async def test_an_endpoint_that_waits_for_something_else_is_cancelled(leaves: str, errors: Records) -> None:
    queues: list[asyncio.Queue[str]] = []
    seen: list[str] = []
    options = {"ws_unaware_timeout_s": 0.05, "ws_close_timeout_s": 0.1, "graceful_timeout_s": LONG_S}
    async with served(waiting_for_a_queue(queues, seen, []), **options) as server, connected(server) as peer:
        await opened(peer)
        await until(lambda: bool(queues))
        queues[0].put_nowait("before")
        assert (await peer.reader.readexactly(8))[2:] == b"before"
        if leaves == "before":
            await peer.close()
            await until(lambda: not server.connections)
            # While the server runs it is left alone, as on other servers.
            await time_passes(0.2)
            assert seen == []
        stopping = asyncio.ensure_future(server.stop())
        if leaves == "with a close":
            assert await closed_with(peer) == 1012
        async with asyncio.timeout(10):
            await stopping
    assert seen == ["CancelledError", "finally"]
    assert errors == []


async def test_what_others_are_told_an_endpoint_does_not_know(errors: Records) -> None:
    queues: list[asyncio.Queue[str]] = []
    seen: list[str] = []
    sends: list[Any] = []
    options = {"ws_unaware_timeout_s": 0.2, "graceful_timeout_s": LONG_S}
    async with served(waiting_for_a_queue(queues, seen, sends), **options) as server, connected(server) as peer:
        await opened(peer)
        await until(lambda: bool(queues))
        stopping = asyncio.ensure_future(server.stop())
        opcode, code_and_reason = await read_frame(peer)
        assert (opcode, code_and_reason[:2]) == (0x88, (1012).to_bytes(2))
        assert seen == []
        with pytest.raises(OSError, match="the client has closed"):
            await sends[0]({"type": "websocket.send", "text": "to the room"})
        await peer.send(frame(8, code_and_reason[:2]))
        async with asyncio.timeout(10):
            await stopping
    assert seen == ["CancelledError", "finally"]
    assert errors == []


@pytest.mark.parametrize("notices", ["receiving", "sending"])
async def test_an_endpoint_that_has_noticed_has_the_grace_period_to_clean_up(notices: str, errors: Records) -> None:
    noticed, released = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            if notices == "receiving":
                while (await receive())["type"] != "websocket.disconnect":
                    pass
            else:
                while True:
                    await send({"type": "websocket.send", "text": "tick"})
                    await asyncio.sleep(0)
        except OSError:
            pass
        noticed.set()
        await released.wait()
        seen.append("cleaned up")

    options = {"ws_unaware_timeout_s": 0.01, "ws_close_timeout_s": 0.1, "graceful_timeout_s": LONG_S}
    async with served(app, **options) as server, client(server):
        stopping = asyncio.ensure_future(server.stop())
        await noticed.wait()
        await time_passes(0.3)
        assert not stopping.done()
        released.set()
        async with asyncio.timeout(10):
            await stopping
    assert seen == ["cleaned up"]
    assert errors == []


async def test_an_endpoint_that_asked_to_be_told_is_left_to_itself() -> None:
    released = asyncio.Event()
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        draining = asyncio.Event()
        forget = scope["extensions"]["tercel"].on_drain(draining.set)
        await draining.wait()
        seen.append("told")
        await released.wait()
        forget()
        await send({"type": "websocket.send", "text": "goodbye"})

    async with served(app, ws_unaware_timeout_s=0.01, graceful_timeout_s=LONG_S) as server, connected(server) as peer:
        await opened(peer)
        stopping = asyncio.ensure_future(server.stop())
        await until(lambda: seen == ["told"])
        await time_passes(0.3)
        released.set()
        assert await peer.reader.readexactly(9) == b"\x81\x07goodbye"
        assert await read_frame(peer) == (0x88, b"\x03\xe8")
        await peer.send(frame(8, b"\x03\xe8"))
        async with asyncio.timeout(10):
            await stopping
