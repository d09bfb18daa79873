"""`run`: serve an application with one process, with several workers, or reloading, until a signal. Returns an exit code.

Decides which of the three it is. One process is `tercel.server.process`, several are `tercel.server.workers`, reloading is
`tercel.server.reload`.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Final

from tercel.server.asgi import AsgiApp
from tercel.server.config import ServerConfig
from tercel.server.logs import set_up_logs
from tercel.server.process import EXIT_FAILURE, EXIT_LIFESPAN, EXIT_OK, ServingProcess, import_failed, load_app, run_loop
from tercel.server.serving import Server
from tercel.server.sockets import BindError, bind_sockets, unlink_unix_socket

__all__ = ["EXIT_FAILURE", "EXIT_LIFESPAN", "EXIT_OK", "run"]

_log: Final = logging.getLogger("tercel.error")


def run(app: AsgiApp | str, config: ServerConfig | None = None) -> int:
    """Serve an application until SIGTERM or SIGINT.

    The first signal stops gracefully within `graceful_timeout_s`, a second one at once; the application's shutdown code runs either
    way. With several workers, SIGHUP renews them one after the other without refusing a connection.

    Args:
        app: an ASGI application, or `module:attribute`. Several workers and reload need the second, since each process imports it.
        config: the settings.

    Returns:
        The exit code: 0 after a signal, 1 when it can not listen or import, 3 when the application's start-up failed.

    Raises:
        ValueError: an application object together with several workers or reload.
    """
    config = config or ServerConfig()
    set_up_logs(config.log_level)
    if config.workers > 1 or config.reload:
        if not isinstance(app, str):
            raise ValueError("workers and reload need the application as 'module:attribute', since each process imports it")
        return _run_processes(app, config)
    return _run_here(app, config)


def _run_processes(app: str, config: ServerConfig) -> int:
    if sys.platform == "win32":
        _log.error("Workers and reload need a system that passes sockets to child processes; on Windows use one worker, no reload")
        return EXIT_FAILURE
    if config.reload:
        from tercel.server.reload import run_reloading

        return run_reloading(app, config)
    from tercel.server.workers import run_workers

    return run_workers(app, config)


def _run_here(app: AsgiApp | str, config: ServerConfig) -> int:
    if isinstance(app, str):
        try:
            app = load_app(app)
        except Exception as error:
            import_failed(str(app), error)
            return EXIT_FAILURE
    try:
        # Before the application is started: a port in use is no reason to open and close its database. But whoever can connect
        # takes a server for ready, so that clients are refused until it is.
        listeners = bind_sockets(config, listening=False)
    except BindError as error:
        _log.error("%s", error)
        return EXIT_FAILURE
    unix = [listener.getsockname() for listener in listeners if config.uds is not None]
    try:
        return run_loop(_serve(app, config, listeners))
    finally:
        for path in unix:
            unlink_unix_socket(path)
        for listener in listeners:
            listener.close()


async def _serve(app: AsgiApp, config: ServerConfig, listeners: list[socket.socket]) -> int:
    return await ServingProcess(app, config, listeners, _announce).run()


def _announce(server: Server) -> None:
    for url in server.urls:
        _log.info("Tercel running on %s", url)
