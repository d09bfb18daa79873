"""One call of an application in a task of its own, which ends in time or is named in an error.

A test must not leave tasks behind: they would go on inside the next test. So whoever starts an application waits for its end within
a deadline; past it the task is cancelled and the error says where it was waiting. Knows tasks and exceptions, no protocol. Read
`tercel.testing.transport` next for HTTP, `tercel.testing.websocket` for WebSockets.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from types import FrameType
from typing import Any

import anyio
import starlette
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

import tercel

__all__ = ["ASGIApp", "ApplicationStillRunning", "ClientLeft", "Message", "RunningApplication", "Scope"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_CANCEL_S = 1.0
"""How long a cancelled task may take to end: `finally` blocks, not work."""

_NOT_OF_USER = tuple(os.path.dirname(module.__file__ or "") + os.sep for module in (anyio, asyncio, starlette, tercel))
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep


class ApplicationStillRunning(AssertionError):
    """The application went on after what it was called for was over, past the deadline, and was cancelled."""


class ClientLeft(OSError):
    """The client is gone: what `send` raises in the application from then on (ASGI specification 3.0, HTTP 2.4)."""


class RunningApplication:
    """The application at work on one request, WebSocket or lifespan.

    Args:
        app: what is called.
        scope, receive, send: what it is called with.
        what: shown in errors, such as `GET /items`.

    Attributes:
        task: ends when the application returns.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        what: str,
    ) -> None:
        self.what = what
        self._delivered: BaseException | None = None

        async def run() -> None:
            await app(scope, receive, send)

        self.task = asyncio.get_running_loop().create_task(run(), name=f"application: {what}")
        self.task.add_done_callback(_retrieve)

    @property
    def ended(self) -> bool:
        return self.task.done()

    def error(self) -> BaseException | None:
        """What the application raised, None when it returned or still runs."""
        if not self.task.done():
            return None
        if self.task.cancelled():
            return RuntimeError(f"The application cancelled the task of {self.what}.")
        return self.task.exception()

    def raise_error(self, *, client_left: bool = False) -> None:
        """Raises in the test what the application raised, once.

        Args:
            client_left: what follows from that alone is no error: `ClientDisconnect`, `WebSocketDisconnect`, failed sends.
        """
        error = self.error()
        if error is None or error is self._delivered or (client_left and _is_disconnect(error)):
            return
        self._delivered = error
        raise error

    async def finish(self, deadline_s: float) -> None:
        """Waits for the application to return.

        Raises:
            ApplicationStillRunning: it did not within the deadline; by then it is cancelled.
        """
        await asyncio.wait([self.task], timeout=deadline_s)
        if self.task.done():
            return
        where = _waiting_at(self.task)
        self.task.cancel()
        await asyncio.wait([self.task], timeout=_CANCEL_S)
        stubborn = "" if self.task.done() else " It was cancelled and runs even so."
        raise ApplicationStillRunning(f"The application still runs {deadline_s:g} s after {self.what} was over{where}.{stubborn}")


def _retrieve(task: asyncio.Task[None]) -> None:
    """Tells asyncio that somebody looks at what the task raised."""
    if not task.cancelled():
        task.exception()


def _is_disconnect(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_disconnect(part) for part in error.exceptions)
    return isinstance(error, ClientDisconnect | ClientLeft | WebSocketDisconnect)


def _frames(awaited: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first, as far as Python shows them."""
    while awaited is not None:
        for prefix in ("cr", "ag", "gi"):
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
                awaited = getattr(awaited, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await")
                break
        else:  # one step of an asynchronous generator does not say which generator it is a step of
            awaited = next(filter(inspect.isasyncgen, gc.get_referents(awaited)), None)


def _is_of_user(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    if file.startswith(_NOT_OF_USER):
        return False
    return not file.startswith(_STANDARD_LIBRARY) or "site-packages" in file


def _waiting_at(task: asyncio.Task[Any]) -> str:
    """Where a task is suspended: in the innermost frame of the user's, else in the innermost that there is."""
    frames = list(_frames(task.get_coro()))
    if not frames:
        return ""
    frame = ([frame for frame in frames if _is_of_user(frame)] or frames)[-1]
    return f", waiting in {frame.f_code.co_name}() at {frame.f_code.co_filename}:{frame.f_lineno}"
