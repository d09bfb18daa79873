"""Processes: one that serves until a signal, or several that share a port, are replaced when they die and renewed on request.

Signals decide here when a server stops; what stopping means is `tercel.server.serving`'s. The child's side of a worker is
`tercel.server.worker`, watching files is `tercel.server.reload`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from tercel.server.asgi import AsgiApp
from tercel.server.config import ServerConfig
from tercel.server.lifespan import LifespanFailed
from tercel.server.logs import set_up_logs
from tercel.server.serving import Server
from tercel.server.sockets import BindError, bind_sockets, unlink_unix_socket, url_of

__all__ = ["EXIT_FAILURE", "EXIT_LIFESPAN", "EXIT_OK", "load_app", "run", "serve_until_signal"]

_log: Final = logging.getLogger("tercel.error")

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_LIFESPAN: Final = 3
"""The application could not be started; a process manager should not try again at once."""


def run(app: AsgiApp | str, config: ServerConfig | None = None) -> int:
    """Serve an application until SIGTERM or SIGINT. Returns the exit code: 0, 1 (could not listen or import), 3 (lifespan failed).

    The first signal stops gracefully within `graceful_timeout_s`, a second one at once; the application's shutdown code runs either
    way. With `workers` above 1, SIGHUP renews the workers one after the other.

    Args:
        app: an ASGI application, or `module:attribute`. Several workers and reload need the second, since each process imports it.
        config: the settings.

    Raises:
        ValueError: an application object together with several workers or reload.
    """
    config = config or ServerConfig()
    set_up_logs(config.log_level)
    if config.workers > 1 or config.reload:
        if not isinstance(app, str):
            raise ValueError("workers and reload need the application as 'module:attribute', since each process imports it")
        if config.reload:
            from tercel.server.reload import run_reloading

            return run_reloading(app, config)
        from tercel.server.workers import run_workers

        return run_workers(app, config)
    try:
        listeners = bind_sockets(config)
    except BindError as error:
        _log.error("%s", error)
        return EXIT_FAILURE
    try:
        if isinstance(app, str):
            app = load_app(app)
        return run_loop(lambda: serve_until_signal(app, config, listeners, _announce))
    finally:
        for listener in listeners:
            listener.close()


def load_app(name: str) -> AsgiApp:
    """Import `module:attribute` (the attribute may have dots). Raises what the import raises."""
    module_name, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in (attribute or "app").split("."):
        found = getattr(found, part)
    app: AsgiApp = found
    return app


def run_loop(main: Callable[[], Any]) -> int:
    """Run a coroutine that returns an exit code on uvloop, or on asyncio where uvloop does not exist."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        code: int = runner.run(main())
        return code


def _announce(server: Server) -> None:
    for url in server.urls:
        _log.info("Tercel running on %s", url)


async def serve_until_signal(
    app: AsgiApp,
    config: ServerConfig,
    listeners: list[socket.socket],
    ready: Callable[[Server], None],
    stop_requested: asyncio.Event | None = None,
) -> int:
    """Serve until a signal asks to stop. Returns the exit code.

    Args:
        app: the application.
        config: the settings.
        listeners: bound sockets.
        ready: called once connections are accepted.
        stop_requested: set by somebody else who may ask to stop, as a signal does.
    """
    loop = asyncio.get_running_loop()
    stopping = stop_requested or asyncio.Event()
    try:
        server = Server(app, config)
    except (BindError, ValueError) as error:
        _log.error("%s", error)
        return EXIT_FAILURE
    server.on_max_requests = stopping.set

    def on_signal() -> None:
        if stopping.is_set():
            _log.warning("Stopping at once")
            server.hurry()
        else:
            stopping.set()

    undo = _handle_signals(loop, on_signal)
    try:
        starting = asyncio.ensure_future(server.start(listeners))
        wanted = asyncio.ensure_future(stopping.wait())
        await asyncio.wait((starting, wanted), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            # A signal during start-up, which may never end.
            starting.cancel()
            await asyncio.wait((starting,))
            return EXIT_OK
        try:
            starting.result()
        except LifespanFailed as error:
            _log.error("%s; the server does not start", str(error)[:1].upper() + str(error)[1:])
            return EXIT_LIFESPAN
        finally:
            if starting.exception() is not None:
                wanted.cancel()
        ready(server)
        await wanted
        _log.info("Stopping")
        await server.stop()
        _log.info("Stopped")
        return EXIT_OK
    finally:
        undo()
        for listener in listeners:
            if config.uds is not None and config.workers == 1:
                _unlink(config.uds)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
