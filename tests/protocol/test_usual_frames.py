"""Whole, plain messages, which have a way of their own in C where it was built: the same happens on either way, whatever user code
does while it waits for one, and however the bytes are cut."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import FrameType
from typing import Any

import anyio
import pytest
from starlette._utils import is_async_callable
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tercel.http.websocket import websocket_of
from tercel.server import Server, serving
from tests.protocol.feeding import PROTOCOLS
from tests.protocol.peer import DirectApp, Peer, config, connected
from tests.protocol.sockets import frame, hello, request
from tests.protocol.sockets import read_frame as read_raw_frame

pytestmark = pytest.mark.anyio
Endpoint = Callable[[WebSocket], Awaitable[None]]
MARK: ContextVar[str] = ContextVar("MARK", default="outside")
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(params=PROTOCOLS, autouse=True)
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TERCEL_PURE", "1" if request.param == "pure" else "0")
    return str(request.param)


@contextlib.asynccontextmanager
async def talking(endpoint: Endpoint, count: int = 1, **options: Any) -> AsyncIterator[list[Peer]]:
    """Clients of a server whose endpoint has accepted."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = websocket_of(scope, receive, send)
        await socket.accept()
        await endpoint(socket)

    async with serving(DirectApp(hello, app), config(**options)) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(opened(server)) for _ in range(count)]
        yield peers


@contextlib.asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Peer]:
    async with connected(server) as peer:
        peer.writer.write(request())
        await peer.reader.readuntil(b"\r\n\r\n")
        yield peer


async def read_frame(peer: Peer) -> tuple[int, bytes]:
    """Opcode and payload of a whole message."""
    first, payload = await read_raw_frame(peer)
    assert first & 0x80
    return first & 0x0F, payload


async def say(peer: Peer, *texts: str) -> None:
    peer.writer.write(b"".join(frame(TEXT, text.encode()) for text in texts))
    await peer.writer.drain()


async def heard(peer: Peer, count: int = 1) -> list[str]:
    found = []
    for _ in range(count):
        opcode, payload = await read_frame(peer)
        assert opcode == TEXT, (opcode, payload)
        found.append(payload.decode())
    return found


async def echo(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await socket.receive_text())


async def echo_bytes(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_bytes(await socket.receive_bytes())


# -- frames ------------------------------------------------------------------------------------------------------------------------

SIZES = (0, 1, 3, 8, 125, 126, 127, 4_000, 8_191, 8_192, 8_193, 16_383, 16_384, 65_535, 65_536, 100_000)


@pytest.mark.parametrize(("endpoint", "opcode"), [(echo, TEXT), (echo_bytes, BINARY)], ids=["text", "binary"])
async def test_messages_of_every_size_come_back(endpoint: Endpoint, opcode: int) -> None:
    payloads = [bytes(place * 7 % 95 + 32 for place in range(size)) for size in SIZES]
    async with talking(endpoint) as (peer,):
        for payload in payloads:
            peer.writer.write(frame(opcode, payload))
            assert await read_frame(peer) == (opcode, payload)
        # And with one another in the same packets, behind a ping and a message in two fragments.
        halves = frame(opcode, b"one ", fin=False) + frame(0, b"two")
        peer.writer.write(frame(PING, b"?") + halves + b"".join(frame(opcode, payload) for payload in payloads))
        assert [await read_frame(peer) for _ in range(2 + len(SIZES))] == [
            (PONG, b"?"),
            (opcode, b"one two"),
            *((opcode, payload) for payload in payloads),
        ]


async def test_bytes_that_are_cut_anywhere_are_the_same_messages() -> None:
    fragments = frame(TEXT, b"a", fin=False) + frame(0, b"b")
    stream = frame(TEXT, "größer €".encode()) + frame(PING, b"") + frame(TEXT, b"x" * 126) + fragments
    async with talking(echo) as (peer,):
        for place in range(1, len(stream)):
            peer.writer.write(stream[:place])
            await asyncio.sleep(0)
            peer.writer.write(stream[place:])
            found = [await read_frame(peer) for _ in range(4)]
            # A pong may overtake an echo, which the endpoint's task sends.
            assert [text.decode() for opcode, text in found if opcode == TEXT] == ["größer €", "x" * 126, "ab"]
            assert [text for opcode, text in found if opcode == PONG] == [b""]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(frame(TEXT, b"x", mask=False), 1002, id="unmasked"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="no UTF-8"),
        pytest.param(frame(TEXT, "\ud800".encode("utf-8", "surrogatepass")), 1007, id="a surrogate"),
        pytest.param(frame(TEXT, b"x", rsv=4), 1002, id="a reserved bit"),
        pytest.param(frame(3, b"x")[:2], 1002, id="an unknown opcode, of which two bytes came"),
        pytest.param(frame(PING, b"x" * 126)[:2], 1002, id="a long ping, of which two bytes came"),
        pytest.param(b"\x81\xfe\x00\x05", 1002, id="a length that is not the shortest"),
        pytest.param(b"\x82\xff" + bytes(5) + b"\xff\xff\xff", 1009, id="a long frame, of which the length came"),
        pytest.param(b"\x82\xff\xff" + bytes(7), 1002, id="a length of more than 63 bits"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002, id="a message inside another"),
    ],
)
async def test_what_is_wrong_ends_the_connection_behind_what_was_right(wrong: bytes, code: int) -> None:
    async with talking(echo, ws_max_message_bytes=200_000) as (peer,):
        peer.writer.write(frame(TEXT, b"right") + wrong)
        found = [await read_frame(peer)]
        if found[0][0] == TEXT:
            found.append(await read_frame(peer))
        assert found[-1][0] == CLOSE
        assert int.from_bytes(found[-1][1][:2], "big") == code


async def test_a_long_text_that_cannot_be_encoded_is_the_endpoints_error() -> None:
    errors: list[str] = []

    async def endpoint(socket: WebSocket) -> None:
        try:
            await socket.send_text("\ud800")
        except UnicodeEncodeError as error:
            errors.append(error.reason)
        await socket.send_text("€" * 3_000)

    async with talking(endpoint) as (peer,):
        assert await heard(peer) == ["€" * 3_000]
    assert errors == ["surrogates not allowed"]


# -- waiting -----------------------------------------------------------------------------------------------------------------------


async def test_the_endpoint_goes_on_as_its_own_task_in_its_own_context() -> None:
    found: list[Any] = []

    async def endpoint(socket: WebSocket) -> None:
        MARK.set("inside")
        task = asyncio.current_task()
        for _ in range(3):
            await socket.receive_text()
            found.append((asyncio.current_task() is task, MARK.get(), bool(task and task.get_stack())))
            await socket.send_text(".")

    async with talking(endpoint) as (peer,):
        for _ in range(3):
            await say(peer, "go on")
            await heard(peer)
        assert (MARK.get(), found) == ("outside", [(True, "inside", True)] * 3)


async def test_the_compiled_way_calls_the_endpoint_where_the_message_arrives(protocol: str) -> None:
    """As its task, but not through that task's coroutine; what it waits for otherwise comes through that."""
    callers: list[set[str]] = []

    async def endpoint(socket: WebSocket) -> None:
        for _ in range(3):
            await socket.receive_text()
            callers.append(callers_of(sys._getframe()))
            await socket.send_text(".")
        await asyncio.sleep(0)
        callers.append(callers_of(sys._getframe()))

    async with talking(endpoint) as (peer,):
        for _ in range(3):
            await say(peer, "go on")
            await heard(peer)
        assert (await read_frame(peer))[0] == CLOSE
    assert ["_run_websocket" in found for found in callers] == [protocol == "pure"] * 3 + [True]


def callers_of(level: FrameType) -> set[str]:
    """The names of the functions that are running."""
    found = set()
    while (back := level.f_back) is not None:
        level = back
        found.add(level.f_code.co_name)
    return found


async def asyncio_timeout(socket: WebSocket) -> None:
    async with asyncio.timeout(0.001):
        await socket.receive_text()


async def wait_for(socket: WebSocket) -> None:
    await asyncio.wait_for(socket.receive_text(), 0.001)


async def cancel_scope(socket: WebSocket) -> None:
    with anyio.fail_after(0.001):
        await socket.receive_text()


async def task_cancelled(socket: WebSocket) -> None:
    task = asyncio.create_task(socket.receive_text())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError:
        raise TimeoutError from None


@pytest.mark.parametrize("wait", [asyncio_timeout, wait_for, cancel_scope, task_cancelled])
async def test_a_wait_can_be_given_up_and_begun_again(wait: Endpoint) -> None:
    async def endpoint(socket: WebSocket) -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await wait(socket)
            await socket.send_text("nothing came")
            await socket.send_text(await socket.receive_text())

    async with talking(endpoint) as (peer,):
        for text in ("first", "second"):
            assert await heard(peer) == ["nothing came"]
            await say(peer, text)
            assert await heard(peer) == [text]


async def test_a_message_that_comes_while_the_wait_is_cancelled_is_not_lost() -> None:
    """The one task waits; another cancels it in the very turn in which the message comes."""

    async def endpoint(socket: WebSocket) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await socket.send_text("cancelled: " + await socket.receive_text())
        task.uncancel()
        await socket.send_text(await socket.receive_text())

    async with talking(endpoint) as (peer,):
        await say(peer, "kept")
        assert await heard(peer) in (["kept"], ["cancelled: kept"])


async def test_tasks_may_wait_side_by_side() -> None:
    async def endpoint(socket: WebSocket) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(one, socket)
        first, second = await asyncio.gather(socket.receive_text(), socket.receive_text())
        await socket.send_text(f"{first} and {second}")

    async def one(socket: WebSocket) -> None:
        await socket.send_text(await socket.receive_text())

    async with talking(endpoint) as (peer,):
        await say(peer, "a", "b")
        assert sorted(await heard(peer, 2)) == ["a", "b"]
        await say(peer, "c")
        await say(peer, "d")
        assert await heard(peer) == ["c and d"]


async def test_two_sockets_may_wake_each_other() -> None:
    """As members of a room do: each endpoint sends to both, and hands a note to the other's task."""
    sockets: list[WebSocket] = []
    notes = [asyncio.Queue[str](), asyncio.Queue[str]()]

    async def endpoint(socket: WebSocket) -> None:
        place = len(sockets)
        sockets.append(socket)
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await socket.receive_text()
                for member in sockets:
                    await member.send_text(text)
                notes[1 - place].put_nowait(text)
                if not notes[place].empty():
                    await socket.send_text("note " + await notes[place].get())

    async with talking(endpoint, 2) as (one, other):
        for count in range(20):
            await say(one, f"one {count}")
            assert [await heard(peer) for peer in (one, other)] == [[f"one {count}"]] * 2
            if count:
                assert await heard(one) == [f"note other {count - 1}"]
            await say(other, f"other {count}")
            assert [await heard(peer) for peer in (one, other)] == [[f"other {count}"]] * 2
            assert await heard(other) == [f"note one {count}"]


async def test_an_endpoint_may_do_anything_in_the_middle_of_a_burst() -> None:
    ended: list[Any] = []

    async def endpoint(socket: WebSocket) -> None:
        try:
            while (text := await socket.receive_text()) != "close":
                await asyncio.sleep(0)
                for _ in range(3):
                    await socket.send_text(text)
            await socket.close(4000, "asked for")
            await socket.receive_text()
        except RuntimeError as error:
            ended.append(str(error))
            ended.append(socket.application_state)

    async with talking(endpoint) as (peer,):
        await say(peer, "a", "b", "close", "behind")
        assert await heard(peer, 6) == ["a"] * 3 + ["b"] * 3
        assert await read_frame(peer) == (CLOSE, (4000).to_bytes(2, "big") + b"asked for")
        peer.writer.write(frame(CLOSE, (4000).to_bytes(2, "big")))
        assert await peer.reader.read() == b""
    assert ended[1:] == [WebSocketState.DISCONNECTED]


async def test_an_error_in_the_endpoint_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def endpoint(socket: WebSocket) -> None:
        raise LookupError(await socket.receive_text())

    async with talking(endpoint) as (peer,):
        await say(peer, "broken")
        assert await read_frame(peer) == (CLOSE, (1011).to_bytes(2, "big") + b"internal error")
    assert "LookupError: broken" in caplog.text


async def test_a_wait_ends_when_the_client_leaves_and_another_kind_of_message_is_an_error() -> None:
    ended: asyncio.Queue[Any] = asyncio.Queue()

    async def endpoint(socket: WebSocket) -> None:
        with pytest.raises(KeyError, match="text"):
            await socket.receive_text()
        with pytest.raises(KeyError, match="bytes"):
            await socket.receive_bytes()
        with pytest.raises(WebSocketDisconnect) as left:
            await socket.receive_text()
        ended.put_nowait((left.value.code, left.value.reason))
        with pytest.raises(RuntimeError):
            await socket.receive_text()
        ended.put_nowait("over")

    async with talking(endpoint) as (peer,):
        peer.writer.write(frame(BINARY, b"bytes") + frame(TEXT, b"text") + frame(CLOSE, (4001).to_bytes(2, "big") + b"bye"))
        async with asyncio.timeout(10):
            assert [await ended.get(), await ended.get()] == [(4001, "bye"), "over"]


async def test_what_the_methods_return_are_coroutines_that_do_nothing_before_they_are_awaited() -> None:
    async def endpoint(socket: WebSocket) -> None:
        later = socket.send_text("later")
        assert isinstance(later, Coroutine)
        assert asyncio.iscoroutine(later)
        for method in (socket.receive_text, socket.receive_bytes, socket.send_text, socket.send_bytes):
            assert is_async_callable(method)
            assert sys.version_info < (3, 12) or inspect.iscoroutinefunction(method)
        unused = socket.receive_text()
        unused.close()
        await socket.send_text("first")
        await asyncio.create_task(later)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="already awaited"):
            await later
        thrown = socket.receive_text()
        with pytest.raises(LookupError, match="thrown"):
            thrown.throw(LookupError("thrown"))
        with pytest.raises(RuntimeError, match="already awaited"):
            await thrown
        await socket.send_text(await socket.receive_text())

    async with talking(endpoint) as (peer,):
        await say(peer, "last")
        assert await heard(peer, 3) == ["first", "later", "last"]


async def test_a_peer_that_takes_nothing_makes_sending_wait() -> None:
    sent: list[int] = []
    waits = asyncio.Event()

    async def endpoint(socket: WebSocket) -> None:
        while True:
            sending = asyncio.ensure_future(socket.send_text("x" * 8_000))
            await asyncio.sleep(0)
            if not sending.done():
                waits.set()
            await sending
            sent.append(8_000)

    async with talking(endpoint) as (peer,):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            await waits.wait()
        before = len(sent)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await heard(peer, before + 1) == ["x" * 8_000] * (before + 1)


async def test_echoes_keep_no_memory() -> None:
    async with talking(echo) as (peer,):

        async def talk(count: int) -> None:
            for _ in range(count):
                await say(peer, "again")
                await heard(peer)

        await talk(200)
        gc.collect()
        before = sys.getallocatedblocks()
        await talk(1_000)
        gc.collect()
        assert sys.getallocatedblocks() - before < 300


async def test_nothing_behind_a_violation_is_read_although_it_came_with_it() -> None:
    """picows has seen the length of the frame, and would take its payload for that of a frame that is right."""
    got: list[bytes] = []

    async def endpoint(socket: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                got.append(await socket.receive_bytes())

    async with talking(endpoint, ws_max_message_bytes=3_000) as (peer,):
        peer.writer.write(frame(BINARY, b"fits") + frame(BINARY, bytes(3_001)) + frame(BINARY, b"behind"))
        opcode, payload = await read_frame(peer)
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
    assert got == [b"fits"]
