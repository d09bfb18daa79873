"""How a response comes up to a middleware function, while what made it waits until it was sent.

Handlers that do nothing after their response run `InPlace`, in the task of the function: they have ended when it comes up. Whatever
stays open until the response was sent (generators, streams, ASGI applications) runs `Apart`, in a task of its own, since cancel
scopes and timeouts that it holds must not lie across the function's. This module must not know functions or routes. Read
`tercel.serve.middleware` next.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, Final

from anyio import CancelScope
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tercel.compile.support import respond_with
from tercel.http.exchange import Exchange, Head, Message
from tercel.http.log import logger
from tercel.serve.captured import NextResponse
from tercel.serve.passage import Journey, MiddlewareRequest, Passage

__all__ = ["Apart", "InPlace"]

Handle = Callable[[Exchange, Exception], Awaitable[None]]

_UNSET: Final = object()


class InPlace(Passage):
    """For what does nothing after its response: it runs in the task of the function, and its response waits here.

    Args:
        handle: answers what is raised after the response has come up, by the exception handlers of the application; None outside
            of those.
    """

    __slots__ = ("_handle", "_parts")

    def __init__(self, journey: Journey, outer: Exchange, request: MiddlewareRequest, handle: Handle | None = None) -> None:
        super().__init__(journey, outer, request)
        self._handle = handle

    async def respond(self, head: Head, body: bytes) -> None:
        self._begin(NextResponse(head, body, info=self.info))

    async def start(self, head: Head) -> None:
        self._parts: list[bytes] = []
        self._begin(NextResponse(head, b"", info=self.info))

    async def write(self, data: bytes) -> None:
        self._parts.append(data)

    async def finish(self) -> None:
        assert self.response is not None
        self.response.whole = b"".join(self._parts)

    async def take(self, response: Response) -> bool:
        if type(response) is NextResponse:
            if response.background is not None:
                await self.afterwards(response.background)
                response.background = None  # of the function that returned it; the one around may have one of its own
            self._begin(response)
            return True
        apart = Apart(self.journey, self.outer, self.request)
        apart.entry, apart.path_params, apart.view = self.entry, self.path_params, self.view
        self._begin(await apart.handed_over(self._sending(apart, response)))
        return True

    async def _sending(self, apart: Apart, response: Response) -> None:
        try:
            await respond_with(apart, response)
        except Exception as exc:
            if self._handle is None or not apart.started:
                raise
            await self._handle(apart, exc)

    async def afterwards(self, task: Callable[[], Awaitable[None]], always: bool = False) -> None:
        waiting = self.journey.waiting
        last = waiting[-1] if waiting else None
        if not isinstance(last, _Tasks) or last.passage is not self:
            last = _Tasks(self, self._handle)
            waiting.append(last)
        last.tasks.append((task, always))


class _Tasks:
    """What a passage does when its response was sent, in order; where none is sent, only that which leaves something."""

    __slots__ = ("_handle", "passage", "tasks")

    def __init__(self, passage: InPlace, handle: Handle | None) -> None:
        self.passage = passage
        self.tasks: list[tuple[Callable[[], Awaitable[None]], bool]] = []
        self._handle = handle

    async def settle(self) -> None:
        if self.tasks:
            task, _ = self.tasks.pop(0)
            try:
                await self._run(task)
            finally:
                await self.settle()

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as exc:
            if self._handle is None:
                raise
            await self._handle(self.passage, exc)

    async def abandon(self, reason: BaseException) -> None:
        for task, always in self.tasks:
            if always:
                try:
                    await task()
                except Exception as exc:
                    logger.error("What a request had opened could not be left, after middleware had ended it", exc_info=exc)


class Apart(Passage):
    """For what stays open until its response was sent: it runs in a task of its own, which waits while the response is above."""

    __slots__ = (
        "_broken",
        "_ended",
        "_error",
        "_failure",
        "_gave",
        "_lifted",
        "_loop",
        "_news",
        "_over",
        "_released",
        "_scope",
        "_sent",
        "_task",
        "_told",
    )

    interruptible = True

    def __init__(self, journey: Journey, outer: Exchange, request: MiddlewareRequest) -> None:
        super().__init__(journey, outer, request)
        self._loop = asyncio.get_running_loop()
        self._scope = CancelScope()  # around all of the work, so that what is shielded in it is not interrupted
        self._gave: deque[tuple[Any, asyncio.Future[None]]] = deque()
        self._news: list[asyncio.Future[None]] = []
        self._sent: asyncio.Future[None] | None = None
        self._ended = False  # everything of the response has been given
        self._released = False  # nobody will take anything any more
        self._broken = False  # it was cancelled from here
        self._told = False  # what it raised was raised above already
        self._error: Exception | None = None  # of sending, for whoever waits below
        self._over = False  # the work has ended
        self._failure: BaseException | None = None  # with this
        self._lifted: list[tuple[ContextVar[Any], Any, Token[Any]]] = []

    # -- below, in the task of its own -------------------------------------------------------------------------------------------

    async def respond(self, head: Head, body: bytes) -> None:
        self._begin(NextResponse(head, body, info=self.info))
        await self._end()

    async def start(self, head: Head) -> None:
        self._begin(NextResponse(head, None, self._pieces(), info=self.info))
        self._wake()

    async def write(self, data: bytes) -> None:
        await self._give(data)

    async def finish(self) -> None:
        await self._end()

    def _hold(self) -> None:
        self._loop.call_soon(self._start_held)

    def _start_held(self) -> None:
        held, self._held = self._held, None
        if held is not None and self.response is None:
            self._begin(NextResponse(held, None, self._pieces(), info=self.info))
            self._wake()

    async def _send_other(self, message: Message) -> None:
        if message["type"] != "http.response.pathsend":
            await super()._send_other(message)
            return
        self._start_held()
        with suppress(OSError):
            await self._give(message)
        await self._end()

    async def _give(self, piece: Any) -> None:
        """Waits until a piece of the body is taken.

        Raises:
            OSError: it never will be, since the client is gone, or another response was sent.
        """
        if self._released:
            if not self._has_length():
                raise self._error or ConnectionResetError("the response was dropped")
            await asyncio.sleep(0)
            return
        taken = self._loop.create_future()
        self._gave.append((piece, taken))
        self._wake()
        await taken

    async def _end(self) -> None:
        """Waits, with everything given, until a response was sent."""
        self._ended = True
        self._wake()
        if not self._released:
            if self._sent is None:
                self._sent = self._loop.create_future()
            await self._sent
        elif self._error is not None:
            raise self._error

    def _has_length(self) -> bool:
        """The body will come to an end by itself."""
        return self.response is not None and any(name == b"content-length" for name, _ in self.response.head.headers)

    # -- above, in the task of the function --------------------------------------------------------------------------------------

    async def handed_over(self, work: Coroutine[Any, Any, None]) -> NextResponse:
        """Starts to work and returns the response when it begins. What ends without one raises.

        Context variables that were set below are set above as well, as if it had been a call, until the work has ended.
        """
        context = copy_context()
        above = asyncio.current_task()
        cancelled = 0 if above is None else above.cancelling()
        self._task = _start(self._to_its_end(work), self._loop, context)
        self._task.add_done_callback(self._wake)
        self.journey.waiting.append(self)
        if above is not None and above.cancelling() > cancelled:
            self._scope.cancel()  # by the work itself while it ran in place: it ends at its next pause, not one later
        del above  # which may come to know an exception whose traceback has this frame
        try:
            while self.response is None and not self._is_over():
                await self._something()
        except asyncio.CancelledError:
            await self._stop()
            raise
        for variable, value in context.items():
            if variable.get(_UNSET) is not value:
                self._lifted.append((variable, value, variable.set(value)))
        if self.response is None:
            self._raise()
            raise RuntimeError("No response returned.")
        return self.response

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            with self._scope:
                await work
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            self._failure = failure
        finally:
            self._over = True
            self._wake()

    def _is_over(self) -> bool:
        return self._over or self._task.done()  # that also where it was cancelled before it began

    async def _pieces(self) -> AsyncIterator[Any]:
        while True:
            while self._gave:
                piece, taken = self._gave.popleft()
                if not taken.done():
                    taken.set_result(None)
                yield piece
            if self._ended or self._released:
                return
            if self._is_over():
                self._raise()
                return
            await self._something()

    async def settle(self) -> None:
        """A response was sent, this one or another: lets the work go on, and raises what it raises.

        A body of unknown length that nobody took to its end is ended like one whose client left.
        """
        if not self._is_over():
            if not self._ended and not self._has_length():
                self._broken = True
                self._scope.cancel()
            self._release(None)
            try:
                await self._until_done()
            except asyncio.CancelledError:
                await self._stop()
                raise
        self._take_back()
        if not self._broken:
            self._raise()
        else:
            self._report()

    async def abandon(self, reason: BaseException) -> None:
        """No response will be sent: ends the work; with the error where the client is gone and the work waits to hear of it."""
        if not self._is_over():
            waits = self._gave or (self._sent is not None and not self._sent.done())
            if isinstance(reason, OSError | ClientDisconnect) and waits:
                self._release(reason)
                with suppress(asyncio.CancelledError):
                    await self._until_done()
            await self._stop()
        self._take_back()
        self._error = self._sent = None  # whose traceback knows this
        self._report()

    def _take_back(self) -> None:
        """Puts context variables back, where they are still as they were set from below."""
        while self._lifted:
            variable, value, token = self._lifted.pop()
            if variable.get(_UNSET) is value:
                with suppress(ValueError):  # `call_next` was called in a task of its own, whose context is gone
                    variable.reset(token)

    async def _stop(self) -> None:
        """Cancels the work and waits until it has ended, whatever happens meanwhile."""
        if not self._is_over():
            self._broken = True
            self._scope.cancel()
            self._release(None)
            with CancelScope(shield=True):
                while not self._is_over():
                    with suppress(asyncio.CancelledError):
                        await self._something()

    async def _until_done(self) -> None:
        while not self._is_over():
            await self._something()

    def _release(self, error: Exception | None) -> None:
        self._released = True
        self._error = error
        waiting = [taken for _, taken in self._gave]
        self._gave.clear()
        for taken in waiting:
            if not taken.done():
                if error is None and self._has_length():
                    taken.set_result(None)
                else:
                    taken.set_exception(error or ConnectionResetError("the response was dropped"))
        if self._sent is not None and not self._sent.done():
            if error is None:
                self._sent.set_result(None)
            else:
                self._sent.set_exception(error)

    def _raise(self) -> None:
        """Raises what the work raised, unless that was done before."""
        if self._told:
            return
        self._told = True
        failure, self._failure = self._failure, None
        if self._task.cancelled():
            raise asyncio.CancelledError
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # whose traceback has this frame

    def _report(self) -> None:
        """Logs what the work raised while it was being ended, which nobody else will hear of."""
        failure, self._failure = self._failure, None
        if isinstance(failure, Exception) and not isinstance(failure, OSError | ClientDisconnect):
            logger.error("A request that middleware had ended failed while it was being cleaned up", exc_info=failure)

    # -- between the two ---------------------------------------------------------------------------------------------------------

    async def _something(self) -> None:
        """Waits until something has come up, or the work has ended."""
        news = self._loop.create_future()
        self._news.append(news)
        await news

    def _wake(self, _task: Any = None) -> None:
        for news in self._news:
            if not news.done():
                news.set_result(None)
        self._news.clear()


if sys.version_info >= (3, 12):

    def _start(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: Context) -> asyncio.Task[None]:
        """A task that runs at once, in place, until it first waits."""
        return asyncio.Task(work, loop=loop, eager_start=True, context=context)

else:

    def _start(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: Context) -> asyncio.Task[None]:
        """A task; before 3.12 there are none that run at once."""
        return loop.create_task(work, context=context)
