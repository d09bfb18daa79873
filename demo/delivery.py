"""How many are served without one of them harming the others: a bounded queue and a sender of its own for each WebSocket.

`await websocket.send_text(...)` waits while the peer does not read. A room that sends to its members one after the other therefore
stops for all of them when one of them stops reading: a laptop that was closed, a phone in a tunnel. Here each receiver has a sender
of its own:

- Whoever has something to say puts it into the queue of each client. `Outgoing.put` never waits and never fails.
- Each client has a task that takes from its queue and sends. If the client is stuck, this task waits, and nothing else does.
- The queue is bounded. When it is full, the client is too slow: its queue is emptied, its connection closed with 1013 ("try again
  later"). A message is one string however many queues it is in, so a stuck client costs its share of a list and no more.
- A client that takes nothing for half a minute is dead and is dropped, too, even if its queue never fills up.

`chat_room` and `feed` are built on this.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from tercel import WebSocket, WebSocketDisconnect

__all__ = ["HangUp", "Outgoing", "connection", "incoming"]

LIMIT_MESSAGES = 1000  # a minute of a very lively room; who is that far behind will not catch up
LIMIT_CHARACTERS = 4 * 1024 * 1024  # a thousand long messages would be 64 MB
CALM = 0.1  # of either limit: a client whose queue is no fuller than this is keeping up
SEND_TIMEOUT_S = 30.0  # as long as TCP retries into a dead network before many a phone has found the next cell
CLOSE_TIMEOUT_S = 1.0  # for the close frame: a peer that is stuck does not take that either


class HangUp(Exception):
    """Raised by whatever runs inside `connection` to close it.

    Args:
        code: a close code of RFC 6455 §7.4.1.
        reason: for the client, at most 123 bytes (§5.5).
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Outgoing:
    """What is still to be sent to one client."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._queue: deque[str] = deque()
        self._characters = 0
        self._filled = asyncio.Event()
        self._calm = asyncio.Event()
        self._calm.set()
        self._overflowed = asyncio.Event()

    @property
    def fullness(self) -> float:
        """How full the queue is: 0 is empty, and beyond 1 it overflows."""
        return max(len(self._queue) / LIMIT_MESSAGES, self._characters / LIMIT_CHARACTERS)

    @property
    def too_slow(self) -> bool:
        """Whether the queue has been full. There is no way back from it: messages are missing from now on."""
        return self._overflowed.is_set()

    def put(self, text: str) -> None:
        """Have the text sent when its turn comes. Never waits; a client that is too slow is cut off rather than waited for."""
        if self.too_slow:
            return
        self._queue.append(text)
        self._characters += len(text)
        self._filled.set()
        if self.fullness > 1:
            self._queue.clear()
            self._characters = 0
            self._calm.set()  # nobody is to wait for this client any more
            self._overflowed.set()
        elif self.fullness > CALM:
            self._calm.clear()

    async def calm(self, timeout_s: float) -> None:
        """Return when the client keeps up, or after the timeout, whichever is first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._calm.wait()
        except TimeoutError:
            pass

    async def deliver(self) -> None:
        """Send what is put in, one after the other, until the client is gone.

        Raises:
            HangUp: the client took nothing for `SEND_TIMEOUT_S`.
        """
        try:
            while True:
                await self._filled.wait()
                while self._queue:
                    text = self._queue.popleft()
                    self._characters -= len(text)
                    if self.fullness <= CALM:
                        self._calm.set()
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await self._websocket.send_text(text)
                self._filled.clear()
        except TimeoutError:
            raise HangUp(1013, "too slow") from None
        except (WebSocketDisconnect, RuntimeError):
            return  # the client has left; who reads from it learns so, too, and ends the connection

    async def watch(self) -> NoReturn:
        """Raise `HangUp` once the queue overflows, while `deliver` may be stuck."""
        await self._overflowed.wait()
        raise HangUp(1013, "too slow")


class Connection:
    """An accepted WebSocket, as long as the `async with connection(...)` around it lasts."""

    def __init__(self, outgoing: Outgoing, tasks: asyncio.TaskGroup) -> None:
        self.outgoing = outgoing
        self._tasks = tasks
        self._started: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connection. It ends with the connection; if it raises `HangUp`, the connection ends with it."""
        self._started.append(self._tasks.create_task(work))

    def stop(self) -> None:
        """End what was started."""
        for task in self._started:
            task.cancel()


@asynccontextmanager
async def connection(websocket: WebSocket) -> AsyncIterator[Connection]:
    """A connection whose queue is being delivered while the block runs.

    The block and the tasks are one group: when the block ends, the tasks are cancelled; when a task raises `HangUp`, the block is
    cancelled wherever it waits, its `finally` clauses run, and then the connection is closed.
    """
    outgoing = Outgoing(websocket)
    try:
        async with asyncio.TaskGroup() as tasks:
            current = Connection(outgoing, tasks)
            current.start(outgoing.deliver())
            current.start(outgoing.watch())
            yield current
            current.stop()
    except* HangUp as group:
        first = group.exceptions[0]
        assert isinstance(first, HangUp)
        await _close(websocket, first.code, first.reason)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await websocket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        pass  # stuck or gone; the server drops the connection when we return


async def incoming(websocket: WebSocket) -> AsyncIterator[str | bytes]:
    """The client's messages until it leaves. Either kind: a client may send bytes where text is expected, and that is no defect."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        yield text if text is not None else message["bytes"]
