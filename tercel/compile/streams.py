"""Endpoints that yield: server-sent events, JSON Lines and raw streams, on any exchange.

The generator runs in the task of its request, so that context variables, cancellation and tracebacks are what its author expects.
An exception before its first item still becomes an ordinary error response; afterwards what was yielded is delivered before the
connection is aborted. A client that goes away cancels the generator, and its `finally` runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import lru_cache
from threading import Lock
from typing import Any, Final, cast

import anyio
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange, Head
from tercel.http.sse import KEEPALIVE_COMMENT, PING_INTERVAL_S
from tercel.http.threads import in_thread, in_thread_beyond_limit, iterate_in_threadpool

__all__ = ["PlannedStream", "send_streaming_response", "settings", "stream_response"]

_CHECKPOINT_ITEMS = 32
"""Items of a generator that never suspends between two checkpoints: enough for chunks to be gathered, few enough to stay fair."""


class _Settings:
    """Times that tests and applications may change while running.

    Attributes:
        ping_interval_s: silence after which an event stream sends a comment, so that proxies keep it open; a function, read per
        stream.
        first_event_grace_s: how long the head of an event stream waits for the first event or error. Longer than a database needs
        to
            refuse somebody, shorter than a person notices.
        burst_s: events that follow each other faster than this are gathered until the generator suspends or the next checkpoint;
            before others the loop gets a turn, in which what was held goes out.
    """

    def __init__(self) -> None:
        self.ping_interval_s: Callable[[], float] = lambda: PING_INTERVAL_S
        self.first_event_grace_s = 0.25
        self.burst_s = 0.002


settings = _Settings()
_END: Final = object()
_streaming_call = StreamingResponse.__call__
_streaming_send = StreamingResponse.stream_response


def _head(response: Response) -> Head:
    return Head(response.status_code, response.raw_headers)


# -- items ------------------------------------------------------------------------------------------------------------------------


def _as_it_is(item: Any) -> Any:
    return item


async def _items(generator: Any, encode: Callable[[Any], Any] = _as_it_is) -> AsyncGenerator[Any]:
    """The encoded items of a generator of either kind, with checkpoints, closed in the end."""
    if hasattr(generator, "__aiter__"):
        source: Any = generator
    else:
        source = _closing_in_thread(generator)
    count = 0
    async with aclosing(source):
        async for item in source:
            yield encode(item)
            count += 1
            if count % _CHECKPOINT_ITEMS == 0:
                await anyio.lowlevel.checkpoint()


async def _closing_in_thread(items: Iterable[Any]) -> AsyncGenerator[Any]:
    """Items that are taken in a thread each; a generator is closed in the end, when no thread is in it any more."""
    iterator = iter(items)
    running = Lock()

    def step() -> Any:
        with running:
            return next(iterator, _END)

    def close() -> None:
        with running:
            iterator.close()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

    try:
        while (item := await in_thread(step)) is not _END:
            yield item
    finally:
        if hasattr(iterator, "close"):
            await in_thread_beyond_limit(close)  # streams that end must not wait for a place among those that run


def _body_items(response: StreamingResponse) -> Any:
    """The body of a response; Starlette's generator around what is taken in a thread is replaced by one that closes that."""
    iterator: Any = response.body_iterator
    if getattr(iterator, "ag_code", None) is iterate_in_threadpool.__code__ and iterator.ag_frame is not None:
        return _closing_in_thread(iterator.ag_frame.f_locals["iterator"])
    return iterator


async def _eager_items(generator: Any, encode: Callable[[Any], Any] = _as_it_is) -> AsyncGenerator[Any]:
    """The same with a checkpoint after every item: over ASGI that is where cancellation arrives."""
    async with aclosing(_items(generator, encode)) as items:
        async for item in items:
            yield item
            await anyio.lowlevel.checkpoint()


# -- event streams -----------------------------------------------------------------------------------------------------------------


class _EventStream:
    """Writes events as they come, comments when none come, and the head in time."""

    def __init__(self, ex: Exchange, head: Head) -> None:
        self.ex = ex
        self.head = head
        self.lock = anyio.Lock()
        self.begun = False
        self.last_write_s = 0.0

    async def begin(self) -> None:
        if not self.begun:
            self.begun = True
            await self.ex.start(self.head)

    async def write(self, data: bytes) -> None:
        now_s = anyio.current_time()
        # What need not wait needs no lock either: it cannot come between the parts of another write.
        if self.begun and now_s - self.last_write_s < settings.burst_s and self.ex.write_at_once(data):
            self.last_write_s = now_s
            return
        async with self.lock:
            await self.begin()
            await self.ex.write(data)
            self.last_write_s = anyio.current_time()

    async def keep_alive(self, interval_s: float) -> None:
        await anyio.sleep(min(settings.first_event_grace_s, interval_s))
        async with self.lock:
            await self.begin()
        while True:
            wait_s = self.last_write_s + interval_s - anyio.current_time()
            if wait_s > 0:
                await anyio.sleep(wait_s)
            else:
                await self.write(KEEPALIVE_COMMENT)

    async def run(self, items: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        self.last_write_s = anyio.current_time()
        failure: BaseException | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self.keep_alive, settings.ping_interval_s())
            try:
                async for item in items:
                    await self.write(encode(item))
                async with self.lock:
                    await self.begin()
            except Exception as error:  # carried out of the group, which would wrap it
                failure = error
            finally:
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        await self.ex.finish()


async def _send_events(ex: Exchange, head: Head, generator: Any, encode: Callable[[Any], bytes]) -> None:
    items = _items(generator) if ex.native else _eager_items(generator)
    async with aclosing(items):
        await _EventStream(ex, head).run(items, encode)


async def _send_items(ex: Exchange, head: Head, generator: Any, encode: Callable[[Any], bytes]) -> None:
    """A head with the first item, then the rest; nothing is sent before the generator has got that far."""
    items = _items(generator, encode) if ex.native else _eager_items(generator, encode)
    async with aclosing(items):
        first = await anext(items, None)
        await ex.start(head)
        if first is not None:
            if not ex.write_at_once(first):
                await ex.write(first)
            await ex.write_each(items, bytes)
        await ex.finish()


# -- cancellation ------------------------------------------------------------------------------------------------------------------


async def _until_disconnect(ex: Exchange, work: Callable[[], Awaitable[None]]) -> None:
    """Runs work and cancels it when the client goes away."""
    if ex.notices_leaving:
        with ex.cancelled_on_disconnect():
            await work()
        return
    spec_version = ex.scope.get("asgi", {}).get("spec_version", "2.0")
    if tuple(int(part) for part in spec_version.split(".")) >= (2, 4):
        # ASGI 2.4: sending to a client that is gone raises OSError, and the application may read the body while it streams.
        try:
            await work()
        except OSError as error:
            raise ClientDisconnect() from error
        return
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:

        async def listen() -> None:
            while (await ex.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(listen)
        try:
            await work()
        except Exception as error:
            failure = error
        finally:
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


# -- responses ---------------------------------------------------------------------------------------------------------------------


class _Sending:
    """Sends a generator's items itself: the head with the first of them, cancelled when the client goes away.

    Attributes:
        generator: what the endpoint returned when it was called.
        encode: one item -> bytes.
        events: server-sent events, with comments in times of silence.
    """

    generator: Any
    encode: Callable[[Any], bytes]
    events = False
    background: BackgroundTask | None

    async def send_to(self, ex: Exchange) -> None:
        """Streams to an exchange, then runs the background task."""
        send = _send_events if self.events else _send_items
        head = _head(cast(Response, self))
        await _until_disconnect(ex, lambda: send(ex, head, self.generator, self.encode))
        if self.background is not None:
            await self.background()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.send_to(ASGIExchange(scope, receive, send))


@lru_cache(maxsize=256)
def _sending(response_class: type[StreamingResponse]) -> type[StreamingResponse]:
    """The class, sending as `_Sending` does."""
    return type(response_class.__name__, (_Sending, response_class), {"__module__": response_class.__module__})


def _raw_response(response_class: type[Response], generator: Any, arguments: dict[str, Any]) -> Response:
    """The response of a class of the user's around a generator; one that sends in a way of its own is left to do so."""
    content = _eager_items(generator) if hasattr(generator, "__aiter__") else generator
    plain = (
        issubclass(response_class, StreamingResponse)
        and response_class.__call__ is _streaming_call
        and response_class.stream_response is _streaming_send
    )
    if not plain:
        return response_class(content=content, **arguments)
    response: Any = _sending(cast("type[StreamingResponse]", response_class))(content=content, **arguments)  # type: ignore[arg-type]
    response.generator = generator
    response.encode = lambda chunk: chunk.encode(response.charset) if isinstance(chunk, str) else bytes(chunk)
    return cast(Response, response)


class PlannedStream(_Sending, StreamingResponse):
    """The response of a generator endpoint: its status and headers may be changed before it is sent; its items follow the plan.

    Args:
        generator: what the endpoint returned when it was called.
        encode: one item -> bytes.
        events: server-sent events, with comments in times of silence.
    """

    def __init__(
        self,
        generator: Any,
        encode: Callable[[Any], bytes],
        *,
        events: bool,
        media_type: str,
        status_code: int = 200,
        background: BackgroundTask | None = None,
    ) -> None:
        self.generator = generator
        self.encode = encode
        self.events = events
        super().__init__(self._encoded(), status_code=status_code, media_type=media_type, background=background)
        if events:
            self.headers["Cache-Control"] = "no-cache"
            self.headers["X-Accel-Buffering"] = "no"

    async def _encoded(self) -> AsyncIterator[bytes]:
        """For code that iterates over `body_iterator` itself, as middleware does with any streaming response."""
        async with aclosing(_eager_items(self.generator, self.encode)) as items:
            async for item in items:
                yield item


def stream_response(renderer: Any, generator: Any, injected: Response | None, background: BackgroundTask | None) -> Response:
    """The response of a generator endpoint, with what the injected response adds."""
    arguments = renderer.response_arguments(injected, background)
    response: Response
    if renderer.stream == "sse":
        response = PlannedStream(generator, renderer.event, events=True, media_type="text/event-stream", **arguments)
    elif renderer.stream == "jsonl":
        response = PlannedStream(generator, renderer.line, events=False, media_type="application/jsonl", **arguments)
    else:
        response = _raw_response(renderer.response_class, generator, arguments)
    if injected is not None:
        response.headers.raw.extend(injected.headers.raw)
    return response


async def send_streaming_response(ex: Exchange, response: Response) -> bool:
    """Streams a response on Tercel's own server until the client leaves; False for classes that send in ways of their own."""
    kind = type(response)
    if isinstance(response, _Sending) and getattr(kind, "__call__", None) is _Sending.__call__:  # noqa: B004
        await response.send_to(ex)
        return True
    if (
        not isinstance(response, StreamingResponse)
        or kind.__call__ is not _streaming_call
        or getattr(kind, "stream_response", None) is not _streaming_send
    ):
        return False
    await _until_disconnect(ex, lambda: _send_body_iterator(ex, response))
    if response.background is not None:
        await response.background()
    return True


async def _send_body_iterator(ex: Exchange, response: StreamingResponse) -> None:
    await ex.start(_head(response))
    iterator = _body_items(response)
    try:
        await ex.write_each(
            iterator, lambda chunk: bytes(chunk) if isinstance(chunk, bytes | memoryview) else chunk.encode(response.charset)
        )
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
    await ex.finish()
