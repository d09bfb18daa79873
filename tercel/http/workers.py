"""Worker threads that take short calls in runs, where anyio changes threads twice for each.

A function that has proved quick is put into a queue that one thread, the runner, works off; it wakes the event loop once for all
that it has finished meanwhile. A function that takes longer, or is not known yet, gets a thread of its own at once, as with anyio;
and what waits behind a quick function that is slow for once gets threads after a millisecond.

Everything else is as `anyio.to_thread.run_sync` has it for a task that is in none of anyio's cancel scopes: calls borrow places of
anyio's default limiter, `anyio.from_thread` works inside, threads end with the loop's main task, with the process or when they have
been idle. This needs names inside anyio; without them there are no workers. Knows nothing of who calls. Read `tercel.http.threads`
next.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from importlib.metadata import version
from inspect import signature
from time import monotonic
from typing import Any, Final
from weakref import WeakSet

from anyio import CancelScope, CapacityLimiter, WouldBlock
from anyio.to_thread import current_default_thread_limiter

__all__ = ["THREAD_NAME", "Workers", "workers_here"]

THREAD_NAME: Final = "Tercel worker thread"

IDLE_S: Final = 10.0
"""A thread without work ends after this time, as anyio's do."""
QUICK_S: Final = 0.00005
"""A function whose calls take less joins the queue: one thread does them sooner than the event loop could give each its own."""
STALLED_S: Final = 0.001
"""So long the queue waits for one call."""
_MOST_FUNCTIONS: Final = 4096
_ANYIO: Final = (4, 15)
"""The first version that these threads were tried with; scopes and limiters of earlier ones differ in details."""


class _Call:
    """One call: what is to be done, what came of it, and who waits. It borrows a place of the limiter in its own name."""

    __slots__ = ("arguments", "context", "error", "fn", "future", "keywords", "result", "seconds")

    def __init__(
        self, fn: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.fn = fn
        self.arguments = arguments
        self.keywords = keywords
        self.context = copy_context()
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.seconds = -1.0  # how long it took; negative as long as it has not run

    @property
    def kind(self) -> int:
        """Its function in the record of durations. When that is gone, another may inherit its number, for a few calls."""
        return id(getattr(self.fn, "__code__", self.fn.__class__))

    def settle(self) -> None:
        """Tells who waits; on the event loop."""
        future, error = self.future, self.error
        self.error = None  # whose traceback holds what holds this call
        if future.cancelled():
            return
        if error is None:
            future.set_result(self.result)
            return
        if isinstance(error, StopIteration):  # no future takes it
            stopped, error = error, RuntimeError("coroutine raised StopIteration")
            error.__cause__ = stopped
        future.set_exception(error)


class _Worker(threading.Thread):
    """One thread: does the call that it is given, then what is in the queue, and rests while that is empty.

    Args:
        workers: to whom it belongs.
        call: its first; None to begin with the queue.
    """

    def __init__(self, workers: Workers, call: _Call | None) -> None:
        # From 3.14 on a thread may inherit the context of who starts it, and would keep what one request has put there.
        options: dict[str, Any] = {"context": Context()} if sys.version_info >= (3, 14) else {}
        super().__init__(name=THREAD_NAME, **options)
        self.workers = workers
        self.call = call
        self.began = 0.0  # in monotonic seconds; zero between calls
        self.signal = threading.Lock()
        self.signal.acquire()

    def run(self) -> None:
        workers = self.workers
        call, self.call = self.call, None
        with workers.claim():
            while call is not None or (call := self._next()) is not None:
                if not call.future.cancelled():
                    self.began = monotonic()
                    try:
                        call.result = call.context.run(call.fn, *call.arguments, **call.keywords)
                    except BaseException as error:
                        call.error = error
                    call.seconds = monotonic() - self.began
                    self.began = 0.0
                call = workers.finished(call)

    def _next(self) -> _Call | None:
        """The next call, when there is one; None when this thread is to end."""
        workers = self.workers
        while True:
            with workers.lock:
                if workers.queue:
                    return workers.queue.popleft()
                if workers.runner is self:
                    workers.runner = None
                if workers.closed:
                    return None
                workers.idle.append(self)
            if not self.signal.acquire(timeout=IDLE_S):
                with workers.lock:
                    if self in workers.idle:
                        workers.idle.remove(self)
                        return None
                self.signal.acquire()  # chosen for work just now
            if self.call is not None:
                call, self.call = self.call, None
                return call


class Workers:
    """The worker threads of the running event loop. All methods are for the loop's thread, unless they say otherwise.

    Raises:
        ImportError, AttributeError, TypeError: anyio is not as it is known here.
    """

    def __init__(self) -> None:
        from anyio._backends._asyncio import AsyncIOBackend, _root_task, find_root_task
        from anyio._core._eventloop import claim_worker_thread, threadlocals

        if tuple(map(int, version("anyio").split(".")[:2])) < _ANYIO:
            raise ImportError("anyio is older than the versions that the worker threads were tried with")
        loop = asyncio.get_running_loop()
        signature(claim_worker_thread).bind(AsyncIOBackend, loop)  # fails here rather than in a thread
        self._backend = AsyncIOBackend
        self._claim = claim_worker_thread
        self._locals = threadlocals
        # What `from_thread` takes for the scope around the caller. Nobody can cancel it, nor those that anyio makes for each call.
        self._scope = CancelScope(shield=True)
        # None in a thread, where no library runs; what users of sniffio see.
        self._library = getattr(sys.modules.get("sniffio"), "current_async_library_cvar", None)

        self.loop = loop
        self._limiter: CapacityLimiter = current_default_thread_limiter()
        self._context = Context()  # for callbacks, which would keep that of the request that comes first
        self._new: list[_Call] = []
        self._ticking = False
        self._usual_s: dict[int, float] = {}

        self.lock = threading.Lock()  # for what follows
        self.queue: deque[_Call] = deque()
        self.idle: list[_Worker] = []
        self.runner: _Worker | None = None
        self.closed = False
        self._done: list[_Call] = []
        self._called = False

        find_root_task()
        main = _root_task.get(None)  # none where the loop runs for ever, and what was found is the caller
        if main is not None:
            main.add_done_callback(self.close, context=Context())
        _add_open(self)

    async def run(self, fn: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """What `fn` returns, called in a thread with a place of the limiter and a copy of the context.

        Cancelling does not wait for a call that has begun, and it is not made if it has not.
        """
        call = _Call(fn, arguments, keywords, self.loop)
        limiter = self._limiter
        if limiter.available_tokens > 0:
            try:
                limiter.acquire_on_behalf_of_nowait(call)
            except WouldBlock:  # others wait already
                await limiter.acquire_on_behalf_of(call)
        else:
            await limiter.acquire_on_behalf_of(call)
        try:
            self._submit(call)
            return await call.future
        finally:
            limiter.release_on_behalf_of(call)
            del call  # an exception's traceback holds this frame

    async def run_beyond(self, fn: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """The same without a place of the limiter, for what gives back that for which others hold theirs."""
        call = _Call(fn, arguments, {}, self.loop)
        try:
            self._submit(call)
            return await call.future
        finally:
            del call

    def _submit(self, call: _Call) -> None:
        if self._library is not None and self._library.get() is not None:
            call.context.run(self._library.set, None)
        if not self._new:
            self.loop.call_soon(self._begin, context=self._context)
        self._new.append(call)

    def _begin(self) -> None:
        """Hands over what was submitted in one iteration of the loop."""
        new, self._new = self._new, []
        quick: list[_Call] = []
        for call in new:
            if self._usual_s.get(call.kind, QUICK_S) < QUICK_S:
                quick.append(call)
            elif not call.future.cancelled():
                self._send(call)
        if not quick:
            return
        with self.lock:
            self.queue.extend(quick)
            running = self.runner is not None
        if not running:
            self._send(None)
        if not self._ticking:
            self._ticking = True
            self.loop.call_later(STALLED_S, self._tick, context=self._context)

    def _send(self, call: _Call | None) -> None:
        """Gives a thread one call; or the queue, and it becomes the runner."""
        with self.lock:
            worker = self.idle.pop() if self.idle else None
            starts = worker is None
            if worker is None:
                worker = _Worker(self, call)
            else:
                worker.call = call
            if call is None:
                self.runner = worker
        if not starts:
            worker.signal.release()
            return
        try:
            worker.start()
        except RuntimeError as error:  # no more threads
            self._fail(call, error)

    def _fail(self, call: _Call | None, error: RuntimeError) -> None:
        """A thread could not be started: neither for this call nor, without one, for the queue."""
        failed = [] if call is None else [call]
        if call is None:
            with self.lock:
                self.runner = None
                failed += self.queue
                self.queue.clear()
        for call in failed:
            call.error = error
            call.settle()

    def _tick(self) -> None:
        """Gives what is in the queue threads, if the runner has been at one call for too long."""
        with self.lock:
            waiting = len(self.queue)
            began = 0.0 if self.runner is None else self.runner.began
        if not waiting:
            self._ticking = False
            return
        if began and monotonic() - began > STALLED_S / 2:
            for _ in range(waiting):
                self._send(None)
        self.loop.call_later(STALLED_S, self._tick, context=self._context)

    def claim(self) -> AbstractContextManager[Any]:
        """Makes the current thread, which is a worker's, known to `anyio.from_thread`."""
        self._locals.current_cancel_scope = self._scope
        return self._claim(self._backend, self.loop)

    def finished(self, call: _Call) -> _Call | None:
        """Reports a call from its thread and takes the next one, if there is one in the queue."""
        with self.lock:
            self._done.append(call)
            called, self._called = self._called, True
            following = self.queue.popleft() if self.queue else None
        if not called:
            try:
                self.loop.call_soon_threadsafe(self._deliver, context=self._context)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise
        return following

    def _deliver(self) -> None:
        """Tells those who wait what came of their calls."""
        with self.lock:
            done, self._done = self._done, []
            self._called = False
        usual_s = self._usual_s
        if len(usual_s) > _MOST_FUNCTIONS:
            usual_s.clear()
        for call in done:
            if call.seconds >= 0:
                # Slow until some calls were quick, and again with the second that is not: a thread may be interrupted in one.
                kind = call.kind
                before_s = usual_s.get(kind, 3 * QUICK_S)
                usual_s[kind] = before_s + (min(call.seconds, 4 * QUICK_S) - before_s) / 8
            call.settle()

    def close(self, _: Any = None) -> None:
        """Ends the threads: those that are at work when they have done it. For any thread."""
        with self.lock:
            self.closed = True
            idle, self.idle = self.idle, []
        for worker in idle:
            worker.signal.release()
        if getattr(_here, "workers", None) is self:
            del _here.workers


_here = threading.local()
_missing: list[Exception] = []
_open: WeakSet[Workers] = WeakSet()
_opening = threading.Lock()


def _add_open(workers: Workers) -> None:
    with _opening:
        _open.add(workers)


def _close_all() -> None:
    """Before the interpreter waits for all threads, as `concurrent.futures` has it."""
    with _opening:
        remaining = list(_open)
    for workers in remaining:
        workers.close()


getattr(threading, "_register_atexit", atexit.register)(_close_all)


def workers_here() -> Workers | None:
    """The worker threads of the running event loop of asyncio; None where anyio does not have what they need."""
    workers: Workers | None = getattr(_here, "workers", None)
    if workers is None or workers.loop is not asyncio.get_running_loop():
        if _missing:
            return None
        try:
            workers = _here.workers = Workers()
        except (ImportError, AttributeError, TypeError) as error:
            _missing.append(error.with_traceback(None))
            return None
    return workers
