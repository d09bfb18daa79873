"""The child's side of a worker: what a supervisor starts with `python -m tercel.server.worker FD`.

FD is one end of a socket pair. The supervisor sends a line of JSON that says what to serve, then single letters; the worker sends
single letters back. When the supervisor is gone the worker stops. Read `tercel.server.workers` for the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import sys
import threading
import time
from typing import Any, Final

from tercel.server.asgi import AsgiApp
from tercel.server.config import ServerConfig
from tercel.server.logs import set_up_logs
from tercel.server.process import EXIT_FAILURE, ServingProcess, import_failed, load_app, run_loop
from tercel.server.serving import Server

__all__ = ["HURRY", "READY", "STOP", "TICK", "TICK_S", "main"]

# Supervisor to worker.
STOP: Final = b"S"
HURRY: Final = b"H"
# Worker to supervisor.
READY: Final = b"R"
TICK: Final = b"."
TICK_S: Final = 1.0
"""Between two signs of life of a worker's event loop."""

_ORPHAN_MARGIN_S: Final = 2.0

_log: Final = logging.getLogger("tercel.error")


def main(control_fd: int) -> int:
    """Serve what the supervisor says. Returns the exit code."""
    control = socket.socket(fileno=control_fd)
    line, letters = _read_order(control)
    if not line:
        return EXIT_FAILURE
    order: dict[str, Any] = json.loads(line)
    sys.path[:] = order["path"]
    settings: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in order["config"].items()}
    config = ServerConfig(**settings)
    set_up_logs(config.log_level)
    listeners = [socket.socket(fileno=fd) for fd in order["fds"]]
    try:
        app = load_app(order["app"])
    except Exception as error:
        import_failed(order["app"], error)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_FAILURE
    patience_s = config.graceful_timeout_s + config.lifespan_shutdown_timeout_s + _ORPHAN_MARGIN_S
    threading.Thread(target=_end_as_orphan, args=(control, patience_s), name="Tercel orphan watch", daemon=True).start()
    return run_loop(_serve(app, config, listeners, control, letters))


def _read_order(control: socket.socket) -> tuple[bytes, bytes]:
    """The line, and the letters that came behind it already; nothing when the supervisor is gone."""
    data = b""
    while b"\n" not in data:
        piece = control.recv(65_536)
        if not piece:
            return b"", b""
        data += piece
    line, _, letters = data.partition(b"\n")
    return line, letters


def _end_as_orphan(control: socket.socket, patience_s: float) -> None:
    """Ends the process once the supervisor is gone and it has not stopped by itself: nobody else notices that its loop hangs."""
    if not hasattr(select, "poll"):
        return
    gone = select.poll()
    gone.register(control, 0)  # only the other end's closing
    while not gone.poll():
        pass
    time.sleep(patience_s)
    os._exit(EXIT_FAILURE)


async def _serve(app: AsgiApp, config: ServerConfig, listeners: list[socket.socket], control: socket.socket, letters: bytes) -> int:
    loop = asyncio.get_running_loop()
    control.setblocking(False)

    def ready(_: Server) -> None:
        tell(READY)
        loop.call_later(TICK_S, tick)

    def tick() -> None:
        tell(TICK)
        loop.call_later(TICK_S, tick)

    def tell(letter: bytes) -> None:
        # A full buffer means a supervisor that does not read; a broken one is noticed by the reader below.
        with contextlib.suppress(OSError):
            control.send(letter)

    def heard() -> None:
        try:
            letters = control.recv(64)
        except BlockingIOError:
            return
        except OSError:
            letters = b""
        if not letters:
            loop.remove_reader(control)
            _log.warning("The supervisor is gone: stopping")
            process.request_stop()
        obey(letters)

    def obey(letters: bytes) -> None:
        if HURRY in letters:
            process.hurry()
        elif STOP in letters:
            process.request_stop()

    process = ServingProcess(app, config, listeners, ready)
    obey(letters)
    loop.add_reader(control, heard)
    try:
        return await process.run()
    finally:
        loop.remove_reader(control)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
