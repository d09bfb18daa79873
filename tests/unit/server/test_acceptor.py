"""How the acceptor empties the backlog, shares it, and borrows listeners of others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from tercel.server.acceptor import Acceptor

pytestmark = pytest.mark.anyio

FIRST_TURN = 64


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listening() as found:
        yield found


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen(1024)
        found.setblocking(False)
        yield found


class Clients(contextlib.ExitStack):
    """Connections that wait to be accepted, and those that were."""

    def __init__(self) -> None:
        super().__init__()
        self.adopted: list[socket.socket] = []
        self._more = asyncio.Event()

    def connect(self, listener: socket.socket, count: int = 1) -> None:
        for _ in range(count):
            self.enter_context(socket.create_connection(listener.getsockname()))

    def adopt(self, client: socket.socket) -> None:
        self.adopted.append(self.enter_context(client))
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.adopted) < count:
                self._more.clear()
                await self._more.wait()


def is_empty(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


async def test_the_backlog_is_emptied_at_once_and_handed_over_in_turns_that_double(listener: socket.socket) -> None:
    with Clients() as clients:
        clients.connect(listener, 500)
        acceptor = Acceptor([listener], None, clients.adopt)
        acceptor.start()
        await clients.until(1)
        assert len(clients.adopted) == FIRST_TURN
        assert is_empty(listener)
        sizes = [FIRST_TURN]
        while len(clients.adopted) < 500:
            await asyncio.sleep(0)
            if len(clients.adopted) != sizes[-1]:
                sizes.append(len(clients.adopted))
        assert sizes == [64, 128, 256, 500]
        acceptor.end()


async def test_what_others_accept_from_too_is_not_emptied(listener: socket.socket) -> None:
    with Clients() as clients:
        clients.connect(listener, FIRST_TURN + 10)
        acceptor = Acceptor([listener], None, clients.adopt, shared=True)
        acceptor.start()
        await clients.until(1)
        assert len(clients.adopted) == FIRST_TURN
        assert not is_empty(listener)
        acceptor.end()


async def test_the_limit_counts_what_has_not_had_its_turn(listener: socket.socket) -> None:
    with Clients() as clients:
        clients.connect(listener, 120)
        acceptor = Acceptor([listener], 100, clients.adopt)
        acceptor.start()
        await clients.until(100)
        assert not is_empty(listener)
        for _ in range(19):
            acceptor.left()
        await clients.until(119)
        acceptor.end()
        assert len(clients.adopted) == 119


async def test_the_end_loses_nobody_who_waits_for_a_turn_or_in_the_backlog(listener: socket.socket) -> None:
    with Clients() as clients:
        clients.connect(listener, 200)
        acceptor = Acceptor([listener], None, clients.adopt)
        acceptor.start()
        await clients.until(1)
        assert len(clients.adopted) < 200
        clients.connect(listener, 5)
        acceptor.end()
        assert len(clients.adopted) == 205
        assert listener.fileno() == -1
        await asyncio.sleep(0)
        assert len(clients.adopted) == 205


async def test_a_borrowed_listener_is_accepted_from_until_it_is_given_back(listener: socket.socket) -> None:
    with Clients() as clients, listening() as other:
        acceptor = Acceptor([listener], None, clients.adopt)
        acceptor.start()
        borrowed = other.dup()
        acceptor.add(borrowed)
        clients.connect(other)
        await clients.until(1)
        acceptor.remove(borrowed)
        assert borrowed.fileno() == -1
        clients.connect(other)
        clients.connect(listener)
        await clients.until(2)
        assert not is_empty(other), "it was accepted after it was given back"
        acceptor.end()


async def test_nothing_is_borrowed_after_the_end(listener: socket.socket) -> None:
    with Clients() as clients, listening() as other:
        acceptor = Acceptor([listener], None, clients.adopt)
        acceptor.end()
        borrowed = other.dup()
        acceptor.add(borrowed)
        assert borrowed.fileno() == -1
