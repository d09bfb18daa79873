"""The child's side of a worker: what a supervisor starts with `python -m tercel.server.worker FD`.

FD is one end of a socket pair. The supervisor sends a line of JSON that says what to serve, then orders, a line each; the worker
sends single letters back. When the supervisor is gone the worker stops. Read `tercel.server.workers` for the other end.
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
from tercel.server.process import EXIT_FAILURE, ServingProcess, end_process, import_failed, load_app, run_loop
from tercel.server.serving import Server

__all__ = ["HURRY", "LEAVING", "LEND", "READY", "RETURN", "STOP", "TICK", "TICK_S", "main"]

# Supervisor to worker: the first words of lines.
STOP: Final = b"stop"
HURRY: Final = b"hurry"
LEND: Final = b"lend"
"""With a slot's number and how many of its sockets come with the line (SCM_RIGHTS): accept from these too."""
RETURN: Final = b"return"
"""With the number: no more."""
# Worker to supervisor.
READY: Final = b"R"
LEAVING: Final = b"L"
"""It accepts nothing more, and ends when what is in flight has."""
TICK: Final = b"."
TICK_S: Final = 1.0
"""Between two signs of life of a worker's event loop."""

_ORPHAN_MARGIN_S: Final = 2.0
# As many as the kernel passes with a message (SCM_MAX_FD).
_MOST_FDS: Final = 253

_log: Final = logging.getLogger("tercel.error")


def main(control_fd: int) -> int:
    """Serve what the supervisor says. Returns the exit code."""
    control = socket.socket(fileno=control_fd)
    line, data = _read_order(control)
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
    threads = set(threading.enumerate())
    return end_process(run_loop(_serve(app, config, listeners, control, data)), threads)


def _read_order(control: socket.socket) -> tuple[bytes, bytes]:
    """The first line, and what came behind it already; nothing when the supervisor is gone."""
    data = b""
    while b"\n" not in data:
        piece = control.recv(65_536)
        if not piece:
            return b"", b""
        data += piece
    line, _, data = data.partition(b"\n")
    return line, data


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


class _Supervised:
    """The supervisor as its worker hears it.

    Args:
        control: this end of the socket pair.
        data: orders that came before the event loop ran.
    """

    def __init__(self, control: socket.socket, data: bytes) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._data = data
        self._fds: list[int] = []
        self._borrowed: dict[bytes, list[socket.socket]] = {}
        self._server: Server | None = None
        self._process: ServingProcess | None = None

    async def serve(self, app: AsgiApp, config: ServerConfig, listeners: list[socket.socket]) -> int:
        """Serve until it is time to stop. Returns the exit code."""
        self._control.setblocking(False)
        self._process = ServingProcess(app, config, listeners, self._on_ready, lambda: self._tell(LEAVING))
        self._obey()
        self._loop.add_reader(self._control, self._hear)
        try:
            return await self._process.run()
        finally:
            self._loop.remove_reader(self._control)

    def _on_ready(self, server: Server) -> None:
        self._server = server
        self._tell(READY)
        self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._tell(TICK)
        self._loop.call_later(TICK_S, self._tick)

    def _tell(self, letter: bytes) -> None:
        # A full buffer means a supervisor that does not read; a broken one is noticed by the reader.
        with contextlib.suppress(OSError):
            self._control.send(letter)

    def _hear(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, 4096, _MOST_FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._loop.remove_reader(self._control)
            _log.warning("The supervisor is gone: stopping")
            assert self._process is not None
            self._process.request_stop()
        self._data += data
        self._fds += fds
        self._obey()

    def _obey(self) -> None:
        """Do what the complete lines say."""
        assert self._process is not None
        while b"\n" in self._data:
            line, _, self._data = self._data.partition(b"\n")
            order, *words = line.split()
            if order == HURRY:
                self._process.hurry()
            elif order == STOP:
                self._process.request_stop()
            elif order == LEND:
                self._borrow(words[0], int(words[1]))
            elif order == RETURN and self._server is not None:
                self._server.give_back(self._borrowed.pop(words[0], []))

    def _borrow(self, slot: bytes, count: int) -> None:
        listeners = [socket.socket(fileno=fd) for fd in self._fds[:count]]
        del self._fds[:count]
        assert self._server is not None, "lent to a worker that is not ready"
        self._borrowed[slot] = listeners
        self._server.borrow(listeners)


async def _serve(app: AsgiApp, config: ServerConfig, listeners: list[socket.socket], control: socket.socket, data: bytes) -> int:
    return await _Supervised(control, data).serve(app, config, listeners)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
