"""Reload in development: one worker, restarted when a source file changes, which survives errors in the source.

The listening socket stays open here, so that a browser that reloads too early waits instead of being refused. Built on
`tercel.server.child`; needs watchfiles.
"""

from __future__ import annotations

import fnmatch
import logging
import math
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, Final

from tercel.server.child import SignalPipe, Worker
from tercel.server.config import ServerConfig
from tercel.server.process import EXIT_FAILURE, EXIT_OK
from tercel.server.sockets import BindError, bind_sockets, unlink_unix_socket, url_of
from tercel.server.worker import HURRY

__all__ = ["SourceFilter", "run_reloading"]

_log: Final = logging.getLogger("tercel.error")

# Somebody is waiting to see a change: open streams and sockets get less time than in production.
_PATIENCE_S: Final = 1.0
_POLL_S: Final = 0.5


class SourceFilter:
    """Whether a changed file is a reason to restart.

    Args:
        includes: patterns of file names.
        excludes: patterns of file and folder names; stronger than `includes`.
        roots: the watched folders; only what is below them is looked at for exclusion.
    """

    def __init__(self, includes: tuple[str, ...], excludes: tuple[str, ...], roots: tuple[str, ...]) -> None:
        self._includes = includes
        self._excludes = excludes
        self._roots = [os.path.realpath(root) for root in roots]

    def __call__(self, change: Any, path: str) -> bool:
        """For watchfiles."""
        parts = self._below_root(os.path.realpath(path)).split(os.sep)
        if any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in self._excludes):
            return False
        return any(fnmatch.fnmatch(parts[-1], pattern) for pattern in self._includes)

    def _below_root(self, path: str) -> str:
        for root in self._roots:
            if path.startswith(root + os.sep):
                return path[len(root) + 1 :]
        return path


class _Watch(threading.Thread):
    """Watches files and wakes the supervisor through its signal pipe."""

    def __init__(self, config: ServerConfig, pipe: SignalPipe) -> None:
        super().__init__(name="tercel reload", daemon=True)
        self._config = config
        self._pipe = pipe
        self._ended = threading.Event()
        self.changed: list[str] = []

    def run(self) -> None:
        from watchfiles import watch

        config = self._config
        accept = SourceFilter(config.reload_includes, config.reload_excludes, config.reload_dirs)
        for changes in watch(*config.reload_dirs, watch_filter=accept, stop_event=self._ended, raise_interrupt=False):
            self.changed += sorted({path for _, path in changes})
            self._pipe.wake()

    def take(self) -> list[str]:
        """The files changed since the last call."""
        changed, self.changed = self.changed, []
        return changed

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()


class _Reloader:
    """One worker at a time."""

    def __init__(self, app: str, config: ServerConfig, listeners: list[socket.socket]) -> None:
        self._app = app
        self._config = config
        self._listeners = listeners
        self._worker: Worker | None = None
        self._stopping = False
        self._announced = False
        self._hurry_at_s = math.inf

    def run(self) -> int:
        """Serve and restart until a signal. Returns the exit code."""
        with SignalPipe() as pipe:
            watch = _Watch(self._config, pipe)
            watch.start()
            self._start()
            try:
                while not (self._stopping and self._worker is None):
                    self._step(pipe, watch)
            finally:
                watch.end()
        return EXIT_OK

    def _start(self) -> None:
        self._hurry_at_s = math.inf
        self._worker = Worker(self._app, self._config, self._listeners)

    def _step(self, pipe: SignalPipe, watch: _Watch) -> None:
        for number in pipe.wait([] if self._worker is None else [self._worker], _POLL_S):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._on_stop()
        changed = watch.take()
        if changed and not self._stopping:
            names = ", ".join(os.path.relpath(path) for path in changed[:3])
            _log.info("%s changed: restarting", names + (" …" if len(changed) > 3 else ""))
            if self._worker is None:
                self._start()
            else:
                self._stop_worker()
        worker = self._worker
        if worker is None:
            return
        if worker.ready and not self._announced:
            self._announced = True
            for listener in self._listeners:
                _log.info("Tercel running on %s (restarts on changes)", url_of(listener, self._config.tls_certfile is not None))
        if time.monotonic() >= self._hurry_at_s:
            self._hurry_at_s = math.inf
            worker.tell(HURRY)
        if time.monotonic() >= worker.kill_at_s:
            worker.process.kill()
        if worker.dead:
            self._bury(worker)

    def _on_stop(self) -> None:
        if self._stopping:
            self._hurry_at_s = 0.0
        self._stopping = True
        if self._worker is not None:
            self._stop_worker()

    def _stop_worker(self) -> None:
        assert self._worker is not None
        if not self._worker.stopping:
            self._hurry_at_s = time.monotonic() + _PATIENCE_S
            self._worker.stop(_PATIENCE_S + self._config.lifespan_shutdown_timeout_s)

    def _bury(self, worker: Worker) -> None:
        code = worker.bury()
        self._worker = None
        if self._stopping:
            return
        if worker.stopping:
            self._start()
        elif code == 0:
            # Ctrl-C reaches the worker as well; the supervisor's own signal is on its way.
            _log.info("The application has ended; waiting for a change or a signal")
        else:
            _log.error("The application did not start or has died; waiting for a change")


def run_reloading(app: str, config: ServerConfig) -> int:
    """Serve with one worker that is restarted when a source file changes, until a signal. Returns the exit code.

    Args:
        app: `module:attribute`.
        config: the settings.
    """
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        _log.error("Reload needs watchfiles: install it with `pip install 'tercel[reload]'`, or start without reload")
        return EXIT_FAILURE
    missing = [folder for folder in config.reload_dirs if not Path(folder).is_dir()]
    if missing:
        _log.error("Can not watch %s: no such folder", ", ".join(missing))
        return EXIT_FAILURE
    try:
        listeners = bind_sockets(config)
    except BindError as error:
        _log.error("%s", error)
        return EXIT_FAILURE
    try:
        return _Reloader(app, config, listeners).run()
    finally:
        if config.uds is not None:
            unlink_unix_socket(config.uds)
        for listener in listeners:
            listener.close()
