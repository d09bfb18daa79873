"""One process that serves: its event loop, its signals, its exit code.

Used by `tercel.server.supervisor` for the only process and by `tercel.server.worker` for one of several. What stopping means is
`tercel.server.serving`'s.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tercel.http.workers import THREAD_NAME
from tercel.server.asgi import AsgiApp
from tercel.server.config import ServerConfig
from tercel.server.lifespan import LifespanFailed
from tercel.server.serving import Server
from tercel.server.sockets import BindError

__all__ = ["EXIT_FAILURE", "EXIT_LIFESPAN", "EXIT_OK", "ServingProcess", "end_process", "import_failed", "load_app", "run_loop"]

_log: Final = logging.getLogger("tercel.error")

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_LIFESPAN: Final = 3
"""The application could not be started: nothing a restart would mend."""

_WORKER_THREADS: Final = (THREAD_NAME, "AnyIO worker thread")
_IDLE_THREADS_END_S: Final = 0.5
"""Threads without work have been told to end, and do so in no time."""


def load_app(name: str) -> AsgiApp:
    """Import `module:attribute`; the attribute may have dots and is `app` when left out. Raises what the import raises."""
    module_name, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in (attribute or "app").split("."):
        found = getattr(found, part)
    app: AsgiApp = found
    return app


def import_failed(name: str, error: Exception) -> None:
    """Log that an application can not be imported, with the traceback from the application's own code on."""
    traceback = error.__traceback__
    ours = (os.path.dirname(__file__) + os.sep, os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(ours):
        traceback = traceback.tb_next
    _log.error("The application %s can not be imported", name, exc_info=error.with_traceback(traceback))


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on uvloop, or on asyncio where uvloop does not exist. Returns its result."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform == "win32":
        # The default there can not watch a listening socket.
        factory = asyncio.SelectorEventLoop
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        serving = loop.create_task(main)
        while True:
            try:
                return loop.run_until_complete(serving)
            except SystemExit:
                # asyncio lets it out of whichever task raised it. An endpoint that calls `sys.exit` is one that fails, and does not
                # end the server for everybody: its own task is answered for like any other.
                if serving.done():
                    raise


def end_process(code: int, threads_before: set[threading.Thread]) -> int:
    """End this process at once if worker threads of synchronous endpoints are still busy, which nothing can cancel.

    The interpreter would wait for them, beyond every grace period. What is registered with `atexit` runs.

    Args:
        code: the exit code.
        threads_before: threads that are not the server's.

    Returns:
        The exit code, for a process that can end in the usual way.
    """
    deadline_s = time.monotonic() + _IDLE_THREADS_END_S
    busy = [thread for thread in threading.enumerate() if thread.name in _WORKER_THREADS and thread not in threads_before]
    for thread in busy:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    stuck = sum(thread.is_alive() for thread in busy)
    if stuck:
        _log.warning("%d synchronous calls have not returned: the process ends without them", stuck)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    return code


class ServingProcess:
    """Serves until asked to stop, by a signal or by a supervisor.

    Args:
        app: the application.
        config: the settings.
        listeners: bound sockets.
        ready: called when everything has started, and the first connection is about to be accepted.
        leaving: called when it begins to stop, for whatever reason.
    """

    def __init__(
        self,
        app: AsgiApp,
        config: ServerConfig,
        listeners: list[socket.socket],
        ready: Callable[[Server], None],
        leaving: Callable[[], None] | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._listeners = listeners
        self._ready = ready
        self._leaving = leaving
        self._stop = asyncio.Event()
        self._server: Server | None = None

    def request_stop(self) -> None:
        """Stop gracefully; asking again changes nothing."""
        self._stop.set()

    def hurry(self) -> None:
        """Stop now: what is in flight is cut off, the application's shutdown code still runs, for a second at most."""
        self._stop.set()
        if self._server is not None:
            self._server.hurry()

    def _on_signal(self) -> None:
        if self._stop.is_set():
            _log.warning("Second signal: stopping at once")
            self.hurry()
        else:
            self.request_stop()

    async def run(self) -> int:
        """Serve. Returns the exit code."""
        undo = _handle_signals(self._on_signal)
        try:
            return await self._run()
        finally:
            undo()

    async def _run(self) -> int:
        try:
            server = self._server = Server(self._app, self._config)
        except (BindError, ValueError) as error:
            _log.error("%s", error)
            return EXIT_FAILURE
        server.on_max_requests = self.request_stop
        server.on_started = self._ready
        starting = asyncio.ensure_future(server.start(self._listeners))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            # A signal during start-up, which may never end by itself.
            starting.cancel()
            await asyncio.wait((starting,))
            return EXIT_OK
        try:
            starting.result()
        except (LifespanFailed, BindError) as error:
            stop.cancel()
            _log.error("Tercel does not start: %s", error)
            return EXIT_LIFESPAN if isinstance(error, LifespanFailed) else EXIT_FAILURE
        await stop
        if self._leaving is not None:
            self._leaving()
        _log.info("Stopping")
        await server.stop()
        _log.info("Stopped")
        return EXIT_OK


def _handle_signals(callback: Callable[[], None]) -> Callable[[], None]:
    """Call back on SIGTERM and SIGINT. Returns a function that undoes it."""
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        signals.append(signal.SIGBREAK)
        before = [(number, signal.getsignal(number)) for number in signals]
        for number in signals:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))

        def undo_windows() -> None:
            for number, handler in before:
                signal.signal(number, handler)

        return undo_windows
    added: list[signal.Signals] = []
    for number in signals:
        # Only the main thread may; elsewhere whoever embeds the server stops it.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, callback)
            added.append(number)

    def undo() -> None:
        for number in added:
            loop.remove_signal_handler(number)

    return undo
