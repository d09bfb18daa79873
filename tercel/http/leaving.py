"""Cancelling what answers a client that has gone away: `cancel_on_disconnect`, and how any server is asked to tell.

A server that can tell by itself subclasses `UntilClientLeaves`; `Listening` is for all others, which only answer `receive`. Knows
nothing of routes. Read `tercel.routing.operation` next for who asks for it.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Final

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect

from tercel.http.cancel_scopes import on_asyncio
from tercel.http.exchange import Exchange, Head
from tercel.http.workers import Workers

__all__ = ["Listening", "UntilClientLeaves", "cancelled_with_client"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


_RUNS_IN_THREAD: Final = frozenset({run_sync.__code__, Workers.run.__code__, Workers.run_beyond.__code__})
_RUNS_IN_THREAD_TOO: Final = "run_sync_in_worker_thread"


def _awaited(task: asyncio.Task[Any]) -> Iterator[Any]:
    """The coroutines in which a suspended task is, outermost first."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None)


def _in_thread(task: asyncio.Task[Any]) -> bool:
    """Whether a task waits for a thread, which cannot be cancelled: what it uses must not be taken away meanwhile."""
    codes = (getattr(coroutine, "cr_code", None) for coroutine in _awaited(task))
    return any(code is not None and (code in _RUNS_IN_THREAD or code.co_name == _RUNS_IN_THREAD_TOO) for code in codes)


class UntilClientLeaves(AbstractContextManager[None]):
    """While inside, the client's going away cancels the current task, and leaving raises `ClientDisconnect` in its place.

    A task that waits for a thread is cancelled when that has ended. As with `asyncio.timeout`, the task is cancelled once: what it
    awaits in `finally` blocks is not.

    Args:
        unless_started: once a response has begun on this exchange, nothing is cancelled any more.
    """

    __slots__ = ("_requested", "_task", "_unless_started")

    def __init__(self, unless_started: Exchange | None) -> None:
        self._unless_started = unless_started
        self._task: asyncio.Task[Any] | None = None
        self._requested = False

    @abstractmethod
    def _begin(self) -> None:
        """Arranges that `leave` is called; raises ClientDisconnect if the client has left already."""

    @abstractmethod
    def _end(self) -> None:
        """Takes that back."""

    def __enter__(self) -> None:
        self._begin()
        self._task = asyncio.current_task()

    def leave(self, _: Any = None) -> None:
        """The client has left."""
        task = self._task
        if task is None or self._requested or (self._unless_started is not None and self._unless_started.started):
            return
        if self._unless_started is not None and _in_thread(task):
            waits_for: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
            if waits_for is not None:
                waits_for.add_done_callback(self.leave)  # after the task itself, which goes on first
                return
        self._requested = True
        task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._end()
        task, self._task = self._task, None
        if not self._requested or task is None:
            return
        # As asyncio.timeout: somebody else may have cancelled the task too, and then it stays cancelled.
        if task.uncancel() <= 0 and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise ClientDisconnect from error


class Listening(UntilClientLeaves):
    """For servers that only say `http.disconnect` to whoever asks: a task asks, for as long as it lasts.

    It reads one message ahead at most, so that the body is still there for those inside, who have to receive through it.

    Args:
        receive: the server's.
        unless_started: see `UntilClientLeaves`.
    """

    __slots__ = ("_ahead", "_failure", "_gone", "_listener", "_news", "_over", "_receive", "_taken")

    def __init__(self, receive: Receive, unless_started: Exchange | None) -> None:
        super().__init__(unless_started)
        self._receive = receive
        self._ahead: Message | None = None
        self._failure: Exception | None = None
        self._gone: Message | None = None
        self._over = False
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    def _end(self) -> None:
        self._over = True
        self._news.set()
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    async def _listen(self) -> None:
        while True:
            try:
                message = await self._receive()
            except Exception as failure:
                self._failure = failure
                self._news.set()
                return
            if message["type"] == "http.disconnect":
                self._gone = message
                self._news.set()
                self.leave()
                return
            self._ahead = message
            self._taken.clear()
            self._news.set()
            if message.get("more_body", False):  # after the last part nothing but the disconnect can come
                await self._taken.wait()

    async def receive(self) -> Message:
        """ASGI `receive` in place of the server's."""
        while True:
            if self._ahead is not None:
                message, self._ahead = self._ahead, None
                self._taken.set()
                return message
            if self._failure is not None:
                raise self._failure
            if self._gone is not None:
                return self._gone
            if self._over:
                return await self._receive()
            self._news.clear()
            await self._news.wait()


Handle = Callable[[Exchange], Coroutine[Any, Any, None]]

CLIENT_CLOSED_REQUEST: Final = 499
"""What middleware and access logs see in place of a response that nobody waits for; nginx's number, in no RFC."""
_NOBODY: Final = Head(CLIENT_CLOSED_REQUEST, [])


def cancelled_with_client(handle: Handle) -> Handle:
    """A handler that is cancelled when its client goes away before the response has begun. On asyncio; elsewhere it runs on."""

    async def cancelled(ex: Exchange) -> None:
        if not on_asyncio():
            await handle(ex)
            return
        try:
            with ex.cancelled_on_disconnect(unless_started=ex):
                await handle(ex)
        except ClientDisconnect:
            if ex.started:
                raise
            with suppress(OSError):
                await ex.respond(_NOBODY, b"")

    return cancelled
