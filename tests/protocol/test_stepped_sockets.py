"""An endpoint that is called where its message arrives. Whatever it does then, and whatever else happens to its socket, is as it is
where its task calls it, which the pure protocol shows beside. `docs/design/0015-usual-frames.md` says what is called from where."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from tercel.http.websocket import stepped
from tests.protocol.peer import until
from tests.protocol.test_usual_frames import CLOSE, TEXT, echo, heard, protocol, read_frame, say, talking
from tests.protocol.test_websocket import frame

__all__ = ["protocol"]  # a fixture of every test here

pytestmark = pytest.mark.anyio
DESCRIPTORS = Path("/proc/self/fd")


async def test_an_endpoint_that_cancels_itself_is_cancelled_where_it_waits_next() -> None:
    ended: list[Any] = []

    async def endpoint(socket: WebSocket) -> None:
        task = asyncio.current_task()
        assert task is not None
        waits = [socket.receive_text, lambda: asyncio.sleep(0), lambda: asyncio.sleep(10), asyncio.Event().wait, socket.receive]
        for wait in waits:
            await socket.receive_text()
            task.cancel("enough")
            try:
                await wait()
            except asyncio.CancelledError as error:
                ended.append(error.args)
                task.uncancel()
            await socket.send_text("on")

    async with talking(endpoint) as (peer,):
        for _ in range(5):
            await say(peer, "go on")
            assert await heard(peer) == ["on"]
        assert (await read_frame(peer))[0] == CLOSE
    assert ended == [("enough",)] * 5


async def test_a_task_that_its_endpoint_cancels_and_leaves_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.receive_text()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async with talking(endpoint) as (peer,):
        await say(peer, "leave")
        opcode, payload = await read_frame(peer)
        assert (opcode, payload[:2]) in {(CLOSE, code.to_bytes(2, "big")) for code in (1000, 1012)}
    assert caplog.records == []


async def test_what_is_raised_comes_out_where_the_work_was_awaited() -> None:
    places: list[list[str]] = []

    async def work(socket: WebSocket) -> None:
        for _ in range(3):
            await socket.send_text(await socket.receive_text())
        raise LookupError(await socket.receive_text())

    async def endpoint(socket: WebSocket) -> None:
        try:
            await stepped(socket, work(socket))
        except LookupError as error:
            places.append([place.name for place in traceback.extract_tb(error.__traceback__)])
            await socket.send_text(f"wrong: {error}")
        await echo(socket)

    async with talking(endpoint) as (peer,):
        for text in ("a", "b", "c"):
            await say(peer, text)
            assert await heard(peer) == [text]
        await say(peer, "d")
        assert await heard(peer) == ["wrong: d"]
        await say(peer, "e", "f")
        assert await heard(peer, 2) == ["e", "f"]
    assert places == [["endpoint", "work"]]


async def test_work_that_ends_gives_way_to_what_comes_behind_it() -> None:
    async def work(socket: WebSocket) -> None:
        while (text := await socket.receive_text()) != "enough":
            await asyncio.sleep(0)
            await socket.send_text(text)

    async def endpoint(socket: WebSocket) -> None:
        for name in ("first", "second"):
            await stepped(socket, work(socket))
            await socket.send_text(name)

    async with talking(endpoint) as (peer,):
        for name in ("first", "second"):
            await say(peer, "a", "b")
            assert await heard(peer, 2) == ["a", "b"]
            await say(peer, "enough")
            assert await heard(peer) == [name]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start in place since Python 3.12")
async def test_a_task_that_starts_in_place_waits_for_itself() -> None:
    """It runs within the endpoint, and is cancelled without it."""

    async def endpoint(socket: WebSocket) -> None:
        async def one() -> None:
            await socket.send_text("inner " + await socket.receive_text())

        loop = asyncio.get_running_loop()
        await socket.receive_text()
        tasks = [asyncio.Task(one(), loop=loop, eager_start=True) for _ in range(2)]
        tasks[1].cancel()
        await socket.send_text("ready")
        await socket.send_text("outer " + await socket.receive_text())
        await tasks[0]
        assert tasks[1].cancelled()
        await echo(socket)

    async with talking(endpoint) as (peer,):
        await say(peer, "begin")
        assert await heard(peer) == ["ready"]
        await say(peer, "a", "b")
        assert sorted(await heard(peer, 2)) in (["inner a", "outer b"], ["inner b", "outer a"])
        await say(peer, "c")
        assert await heard(peer) == ["c"]


async def test_one_that_waits_and_another_task_that_does() -> None:
    async def endpoint(socket: WebSocket) -> None:
        async def other() -> None:
            await socket.send_text("other " + await socket.receive_text())

        await socket.receive_text()
        task = asyncio.create_task(other())
        await socket.send_text("one " + await socket.receive_text())
        await task
        await echo(socket)

    async with talking(endpoint) as (peer,):
        await say(peer, "begin")
        await say(peer, "a")
        await say(peer, "b")
        assert sorted(text[:3] for text in await heard(peer, 2)) == ["one", "oth"]
        await say(peer, "c")
        assert await heard(peer) == ["c"]


async def test_messages_may_be_received_in_every_way_in_turn() -> None:
    async def endpoint(socket: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            for _ in range(2):
                await socket.send_text(await socket.receive_text())
                await socket.send_json(await socket.receive_json())
                message = await socket.receive()
                await socket.send_text(message["text"])
                async for text in socket.iter_text():
                    await socket.send_text(text)
                    if text == "last":
                        break

    async with talking(endpoint) as (peer,):
        for _ in range(2):
            for text in ("a", '{"b":1}', "c", "d", "e", "last"):
                await say(peer, text)
                assert await heard(peer) == [text]


# -- reading -----------------------------------------------------------------------------------------------------------------------


async def test_an_endpoint_may_close_a_socket_whose_message_has_come_too() -> None:
    """Both messages are read in one turn; the one that comes first closes the other's socket."""
    members: list[WebSocket] = []
    left = asyncio.Event()

    async def endpoint(socket: WebSocket) -> None:
        members.append(socket)
        try:
            while True:
                text = await socket.receive_text()
                await socket.send_text(text)
                if text == "alone":
                    for member in members:
                        if member is not socket:
                            await member.close(4000)
        except (WebSocketDisconnect, RuntimeError):
            left.set()

    async with talking(endpoint, 2) as peers:
        for peer in peers:
            peer.writer.write(frame(TEXT, b"hello"))
            assert await heard(peer) == ["hello"]
        for peer in peers:
            peer.writer.write(frame(TEXT, b"alone"))
        opcodes = [(await read_frame(peer))[0] for peer in peers]
        assert CLOSE in opcodes or opcodes == [TEXT, TEXT]
        async with asyncio.timeout(10):
            await left.wait()


async def reset(peer: Any) -> None:
    # A close that sends RST (SO_LINGER with no time).
    peer.writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


async def end_of_file(peer: Any) -> None:
    peer.writer.write_eof()


@pytest.mark.parametrize("leave", [reset, end_of_file])
async def test_a_client_that_leaves_without_a_word_is_noticed(leave: Any) -> None:
    ended: asyncio.Queue[int] = asyncio.Queue()

    async def endpoint(socket: WebSocket) -> None:
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect as error:
            ended.put_nowait(error.code)

    async with talking(endpoint) as (peer,):
        for text in ("a", "b"):
            await say(peer, text)
            assert await heard(peer) == [text]
        await leave(peer)
        async with asyncio.timeout(10):
            assert await ended.get() == 1006


async def test_who_sends_without_end_does_not_keep_others_waiting() -> None:
    seen: list[str] = []
    count = 20_000

    async def endpoint(socket: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                seen.append(await socket.receive_text())

    async with talking(endpoint, 2) as (loud, quiet):
        for peer in (loud, quiet):
            await say(peer, "hello")
        await until(lambda: len(seen) == 2)
        loud.writer.write(frame(TEXT, b"loud") * count)
        quiet.writer.write(frame(TEXT, b"quiet"))
        await until(lambda: len(seen) == count + 3)
    assert seen.index("quiet") < count // 2


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="descriptors are counted in /proc")
async def test_no_descriptor_is_left_behind() -> None:
    async with talking(echo) as (peer,):  # what the process opens for the first time stays open
        await say(peer, "a")
        await heard(peer)
    before = len(os.listdir(DESCRIPTORS))
    for _ in range(3):
        async with talking(echo, 3) as peers:
            for peer in peers:
                await say(peer, "a")
                assert await heard(peer) == ["a"]
    await until(lambda: len(os.listdir(DESCRIPTORS)) <= before)


async def test_where_descriptors_cannot_be_watched_the_transport_reads(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    add_reader, refused = loop.add_reader, []

    def refuse(watched: Any, callback: Any, *arguments: Any) -> None:
        if not arguments:  # those who listen for connections give some
            refused.append(watched)
            raise NotImplementedError
        add_reader(watched, callback, *arguments)

    monkeypatch.setattr(loop, "add_reader", refuse)
    async with talking(echo, 2) as peers:
        for text in ("a", "b" * 20_000, "c"):
            for peer in peers:
                await say(peer, text)
                assert await heard(peer) == [text]
    assert len(refused) == (2 if protocol == "compiled" and sys.platform == "linux" else 0)


async def test_a_socket_that_was_held_back_goes_on() -> None:
    """The application asks for a pause, during which nothing is read, and for its end."""
    handles: list[Any] = []

    async def watched(socket: WebSocket) -> None:
        handles.append(socket.scope["extensions"]["tercel"])
        await echo(socket)

    async with talking(watched, 2) as (held, other):
        for peer in (held, other):
            await say(peer, "a")
            assert await heard(peer) == ["a"]
        handles[0].pause_reading()
        await say(held, "b")
        for _ in range(3):
            await say(other, "c")
            assert await heard(other) == ["c"]
        assert held.reader._buffer == b""  # type: ignore[attr-defined]
        handles[0].resume_reading()
        assert await heard(held) == ["b"]
