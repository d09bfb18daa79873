"""What `write_each` does with a generator, in both protocols. The compiled one resumes it without `async for`,
which nobody may notice."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, cast

import pytest

from tercel.http.exchange import Head
from tercel.server import Server
from tercel.server.exchange import HttpExchange
from tercel.server.http1 import HttpConnection
from tests.protocol.feeding import PROTOCOLS, Protocol, Transport, connect
from tests.protocol.peer import TEXT, config, direct_app

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
END = b"0\r\n\r\n"
Body = Callable[[HttpExchange], Awaitable[None]]


def encode(piece: Any) -> bytes:
    return str(piece).encode()


class Served:
    """A request whose answer a test writes.

    Attributes:
        failure: what the handler raised.
        ended: the handler has ended.
    """

    def __init__(self, protocol: Protocol, body: Body, request: bytes = GET, head: Head = TEXT, **settings: Any) -> None:
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

        async def handler(ex: Any) -> None:
            self.task = asyncio.current_task()
            try:
                await ex.start(head)
                await body(ex)
                await ex.finish()
            except BaseException as error:
                self.failure = error
                raise
            finally:
                self.ended.set()

        made = connect(Server(direct_app(handler), config(date_header=False, **settings)), protocol)
        self.connection: HttpConnection = made[0]
        self.transport: Transport = made[1]
        self.connection.data_received(request)

    @property
    def body(self) -> bytes:
        return self.transport.written.partition(b"\r\n\r\n")[2]

    async def end(self) -> None:
        async with asyncio.timeout(30):
            await self.ended.wait()
        await asyncio.sleep(0)  # what became of its task is looked at by a callback


def each(pieces: AsyncIterator[Any]) -> Body:
    return lambda ex: ex.write_each(pieces, encode)


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("protocol", PROTOCOLS)]


async def test_pieces_of_any_kind_arrive_in_their_order_and_only_what_is_not_bytes_is_encoded(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[Any]:
        for piece in (b"a", 1, b"", "", "b", b"c", None, (2, 3), StopIteration):
            yield piece

    served = Served(protocol, each(pieces()))
    await served.end()
    assert served.failure is None
    assert served.body == chunks(b"a1bcNone(2, 3)<class 'StopIteration'>") + END


async def test_a_generator_without_pieces_is_an_empty_body(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in ():
            yield piece

    served = Served(protocol, each(pieces()))
    await served.end()
    assert served.body == END
    served.ended.clear()
    served.connection.data_received(GET)
    await served.end()
    assert served.transport.written.count(b"HTTP/1.1 200 OK") == 2


async def test_a_generator_that_has_ended_already_gives_nothing(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"

    generator = pieces()

    async def body(ex: HttpExchange) -> None:
        await ex.write_each(generator, encode)
        await ex.write_each(generator, encode)

    served = Served(protocol, body)
    await served.end()
    assert served.failure is None
    assert served.body == chunks(b"a") + END


async def test_what_is_held_goes_out_when_the_generator_waits(protocol: Protocol) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        await asyncio.sleep(0)
        yield b"a"
        yield b"b"
        assert await asyncio.wait_for(first.wait(), 30)
        yield b"c"
        await second.wait()
        yield b"d"
        yield b"e"

    served = Served(protocol, each(pieces()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert served.body == chunks(b"ab")
    first.set()
    for _ in range(9):
        await asyncio.sleep(0)
    assert served.body == chunks(b"ab", b"c")
    second.set()
    await served.end()
    assert served.body == chunks(b"ab", b"c", b"de") + END


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("before", [0, 1, 3])
async def test_what_a_generator_raises_is_raised_after_what_it_gave_was_sent(protocol: Protocol, before: int, waits: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(before):
            yield b"a"
        if waits:
            await asyncio.sleep(0)
        raise LookupError("enough")

    generator = pieces()
    served = Served(protocol, each(generator))
    await served.end()
    assert isinstance(served.failure, LookupError)
    assert served.body == (chunks(b"a" * before) if before else b"")
    assert served.transport.closed
    assert not cast("AsyncGenerator[bytes]", generator).ag_running
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
async def test_what_looks_like_the_end_of_an_iteration_is_an_error(protocol: Protocol, error: type[Exception]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        raise error

    served = Served(protocol, each(pieces()))
    await served.end()
    assert isinstance(served.failure, RuntimeError)
    assert isinstance(served.failure.__cause__, error)


async def test_a_cancelled_task_is_cancelled_in_its_generator(protocol: Protocol) -> None:
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            seen.append("closed")

    served = Served(protocol, each(pieces()))
    await asyncio.sleep(0)
    assert served.task is not None
    served.task.cancel()
    await served.end()
    assert isinstance(served.failure, asyncio.CancelledError)
    assert seen == ["cancelled", "closed"]


async def test_a_generator_may_go_on_after_it_was_cancelled(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            try:
                yield b"%d" % number
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield b"c"
                await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    served = Served(protocol, each(pieces()))
    for _ in range(4):
        for _ in range(3):
            await asyncio.sleep(0)
        assert served.task is not None
        served.task.cancel()
    await served.end()
    assert served.failure is None
    assert b"".join(served.body.split(b"\r\n")[1::2]) == b"0c1c2c"
    assert served.body.endswith(END)


async def test_who_iterates_at_the_same_time_is_told_so(protocol: Protocol) -> None:
    go_on = asyncio.Event()
    told: list[str] = []

    async def ask(work: Awaitable[Any]) -> None:
        try:
            await work
        except RuntimeError as error:
            told.append(str(error))

    async def pieces() -> AsyncGenerator[bytes]:
        yield b"a"
        yield b"b"
        assert generator.ag_running
        await ask(anext(generator))
        await go_on.wait()
        yield b"c"

    generator = pieces()
    served = Served(protocol, each(generator))
    for _ in range(3):
        await asyncio.sleep(0)
    assert generator.ag_running
    await ask(anext(generator))
    await ask(generator.aclose())
    go_on.set()
    await served.end()
    assert not generator.ag_running
    assert served.body == chunks(b"ab", b"c") + END
    assert told == [f"{what}: asynchronous generator is already running" for what in ("anext()", "anext()", "aclose()")]


async def test_a_generator_that_somebody_else_is_in_is_not_resumed(protocol: Protocol) -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    generator = pieces()

    async def body(ex: HttpExchange) -> None:
        await anext(generator)
        other = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0)
        try:
            await ex.write_each(generator, encode)
        finally:
            other.cancel()
            await asyncio.wait([other])

    served = Served(protocol, body)
    await served.end()
    assert str(served.failure) == "anext(): asynchronous generator is already running"


async def test_an_error_between_two_pieces_leaves_the_generator_to_whoever_closes_it(protocol: Protocol) -> None:
    closed: list[str] = []

    async def pieces() -> AsyncGenerator[Any]:
        try:
            yield b"a"
            yield b"b"
            yield 1 / 3
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    def refuse(piece: Any) -> bytes:
        raise LookupError(str(piece))

    generator = pieces()
    served = Served(protocol, lambda ex: ex.write_each(generator, refuse))
    await served.end()
    assert isinstance(served.failure, LookupError)
    assert not closed
    assert not generator.ag_running
    await asyncio.get_running_loop().shutdown_asyncgens()  # knows the generators whose first piece was asked for
    assert closed == ["closed"]


async def test_a_slow_client_is_waited_for(protocol: Protocol) -> None:
    given: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(8):
            if number == 3:
                served.connection.pause_writing()
            given.append(number)
            yield b"%d" % number * 6

    async def body(ex: HttpExchange) -> None:
        await asyncio.sleep(0)
        await ex.write_each(pieces(), encode)

    served = Served(protocol, body, gather_bytes=10)
    for _ in range(5):
        await asyncio.sleep(0)
    assert given == [0, 1, 2, 3]
    served.connection.resume_writing()
    await served.end()
    assert given == list(range(8))
    assert served.body == chunks(*(b"%d" % number * 6 + b"%d" % (number + 1) * 6 for number in range(0, 8, 2))) + END


async def test_who_is_cancelled_while_a_client_is_slow_leaves_the_generator_where_it_was(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        served.connection.pause_writing()
        yield b"a" * 10
        yield b"b"

    generator = pieces()

    async def body(ex: HttpExchange) -> None:
        await asyncio.sleep(0)
        await ex.write_each(generator, encode)

    served = Served(protocol, body, gather_bytes=10)
    for _ in range(5):
        await asyncio.sleep(0)
    assert served.task is not None
    served.task.cancel()
    await served.end()
    assert isinstance(served.failure, asyncio.CancelledError)
    assert await anext(generator) == b"b"


async def test_a_client_that_leaves_ends_the_stream_with_an_error(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        served.transport.closed = True
        served.connection.connection_lost(ConnectionResetError())
        yield b"c"

    async def body(ex: HttpExchange) -> None:
        await asyncio.sleep(0)
        await ex.write_each(pieces(), encode)

    served = Served(protocol, body)
    await served.end()
    assert isinstance(served.failure, OSError)


async def test_a_generator_that_never_waits_lets_others_work(protocol: Protocol) -> None:
    given: list[int] = []
    turns: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5000):
            if number == 10:
                asyncio.get_running_loop().call_soon(lambda: turns.append(len(given)))
            given.append(number)
            yield b"x" * 1000

    served = Served(protocol, each(pieces()))
    await served.end()
    assert len(turns) == 1
    assert 10 < turns[0] < 1100
    assert served.body.count(b"x") == 5_000_000


@pytest.mark.parametrize(
    ("request_line", "length"), [(b"HEAD / HTTP/1.1", None), (b"GET / HTTP/1.1", 5), (b"GET / HTTP/1.0", None)]
)
async def test_a_body_that_is_not_chunked(protocol: Protocol, request_line: bytes, length: int | None) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield b"ab"
        yield "c"
        await asyncio.sleep(0)
        yield b"de"

    head = TEXT if length is None else Head(200, [(b"content-length", b"%d" % length)])
    served = Served(protocol, each(pieces()), GET.replace(b"GET / HTTP/1.1", request_line), head)
    await served.end()
    assert served.failure is None
    assert served.body == (b"" if request_line.startswith(b"HEAD") else b"abcde")


async def test_more_than_the_promised_length_is_an_error(protocol: Protocol) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cde"

    served = Served(protocol, each(pieces()), head=Head(200, [(b"content-length", b"4")]))
    await served.end()
    assert str(served.failure) == "the response body is longer than its content-length"
    assert served.transport.closed


async def test_iterators_that_are_no_generators_are_iterated_over(protocol: Protocol) -> None:
    class Pieces:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> Pieces:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return b"%d" % self.left

    served = Served(protocol, each(Pieces()))
    await served.end()
    assert served.body == chunks(b"210") + END


async def test_context_variables_of_the_task_are_those_of_the_generator(protocol: Protocol) -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def pieces() -> AsyncIterator[str]:
        yield variable.get()
        yield variable.get()
        variable.set("after")
        await asyncio.sleep(0)
        yield variable.get()

    async def body(ex: HttpExchange) -> None:
        variable.set("before")
        await ex.write_each(pieces(), encode)
        assert variable.get() == "after"

    served = Served(protocol, body)
    await served.end()
    assert served.failure is None
    assert b"".join(served.body.split(b"\r\n")[1::2]) == b"beforebeforeafter"


async def test_nothing_stays_of_the_pieces(protocol: Protocol) -> None:
    class Piece:
        def __str__(self) -> str:
            return "p"

    made: list[weakref.ref[Piece]] = []

    async def pieces() -> AsyncIterator[Piece]:
        for number in range(300):
            piece = Piece()
            made.append(weakref.ref(piece))
            if number % 50 == 49:
                await asyncio.sleep(0)
            yield piece
            del piece

    served = Served(protocol, each(pieces()))
    await served.end()
    assert served.body.count(b"p") == 300 == len(made)
    assert [piece for piece in made if piece() is not None] == []


@pytest.mark.parametrize("obeys", [True, False])
async def test_closing_what_awaits_a_stream_closes_it_in_the_generator(protocol: Protocol, obeys: bool) -> None:
    if protocol == "pure" and sys.version_info < (3, 13):
        pytest.skip("the interpreter's own awaitable leaves the generator where it is")
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        try:
            await asyncio.sleep(0)
        except GeneratorExit:
            seen.append("exit")
            if not obeys:
                await asyncio.sleep(0)
            raise

    async def body(ex: HttpExchange) -> None:
        steps = ex.write_each(pieces(), encode).__await__()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)  # the loop could not close what does not obey
        assert next(steps) is None
        sys.set_asyncgen_hooks(*hooks)
        if obeys:
            steps.close()
        else:
            with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
                steps.close()

    served = Served(protocol, body)
    await served.end()
    assert served.failure is None
    assert seen == ["exit"]
