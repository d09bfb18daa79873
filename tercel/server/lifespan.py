"""The ASGI lifespan protocol: start the application before the first request, end it after the last.

Knows the application and nothing of connections. Read `tercel.server.serving` for when it is run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Literal

from tercel.http.exchange import Message, Scope
from tercel.server.asgi import AsgiApp

__all__ = ["Lifespan", "LifespanFailed"]

_log: Final = logging.getLogger("tercel.error")


class LifespanFailed(Exception):
    """The application could not be started; the argument says why."""


class Lifespan:
    """Runs the lifespan of one application in a task of its own, as the protocol wants.

    Args:
        app: the application.
        mode: see `ServerConfig.lifespan`.

    Attributes:
        state: what the application put into `scope["state"]`; each request gets a shallow copy.
    """

    def __init__(self, app: AsgiApp, mode: Literal["auto", "on", "off"]) -> None:
        self._app = app
        self._mode = mode
        self.state: dict[str, Any] = {}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def startup(self) -> None:
        """Run the application's start-up code.

        Raises:
            LifespanFailed: it said so or raised, or does not know the protocol although the mode is `on`.
        """
        if self._mode == "off":
            return
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._stopped = loop.create_future()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run(), name="tercel lifespan")
        await self._started

    async def shutdown(self, timeout_s: float | None) -> bool:
        """Run the application's shutdown code. Returns False when it failed or was cut off; the reason is logged."""
        if self._task is None or self._stopped is None or self._task.done():
            return True
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._stopped)
                await asyncio.wait([self._task])
        except TimeoutError:
            _log.error("The application's shutdown did not end within %s seconds and was cut off", timeout_s)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
            return False
        except LifespanFailed as error:
            _log.error("The application's shutdown failed: %s", error)
            return False
        return True

    async def _run(self) -> None:
        assert self._started is not None
        assert self._stopped is not None
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        error: BaseException | None = None
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as raised:
            error = raised
        except asyncio.CancelledError:
            error = LifespanFailed("it was cancelled")
        if not self._started.done():
            if self._mode == "on":
                _log.error("The application does not support the lifespan protocol", exc_info=error)
                self._started.set_exception(LifespanFailed("the application does not support the lifespan protocol"))
            else:
                # An application that raises on a scope it does not know is one without lifespan (ASGI specification).
                _log.debug("No lifespan: the application does not support the protocol", exc_info=error)
                self._started.set_result(None)
        elif error is not None and not isinstance(error, LifespanFailed) and self._started.exception() is None:
            # Applications that say "failed" raise afterwards; the message has been reported then.
            _log.error("Exception in the application's lifespan", exc_info=error)
            self._finish_stopped(LifespanFailed(str(error) or type(error).__name__))
        self._finish_stopped(None)

    def _finish_stopped(self, error: LifespanFailed | None) -> None:
        assert self._stopped is not None
        if not self._stopped.done():
            if error is None:
                self._stopped.set_result(None)
            else:
                self._stopped.set_exception(error)
                self._stopped.exception()  # a failure before anybody waits is logged already

    async def _send(self, message: Message) -> None:
        assert self._started is not None
        assert self._stopped is not None
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            if not self._started.done():
                self._started.set_result(None)
        elif kind == "lifespan.startup.failed":
            if not self._started.done():
                text = str(message.get("message", "")).rstrip()
                if text:
                    _log.error("%s", text)
                self._started.set_exception(LifespanFailed("the application's startup failed"))
        elif kind == "lifespan.shutdown.complete":
            self._finish_stopped(None)
        elif kind == "lifespan.shutdown.failed":
            self._finish_stopped(LifespanFailed(str(message.get("message", "")).rstrip() or "no reason given"))
        else:
            raise RuntimeError(f"ASGI message {kind!r} does not fit a lifespan")
