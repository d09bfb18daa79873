"""The supervisor's side of workers: starts them, replaces the dead and the silent, renews them on SIGHUP, stops them on SIGTERM.

It never imports the application. Each worker has a slot with listening sockets of its own (SO_REUSEPORT) that stay open here, so
that a worker's end loses no connection that is waiting in its backlog; another accepts from them until there is a new one. Read
`tercel.server.child` for a worker, `tercel.server.standins` for those others.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from tercel.server.child import SignalPipe, Worker
from tercel.server.config import ServerConfig
from tercel.server.process import EXIT_FAILURE, EXIT_OK
from tercel.server.sockets import BindError, bind_shared, shares_sockets, unlink_unix_socket, url_of
from tercel.server.standins import StandIns
from tercel.server.worker import HURRY, TICK_S

__all__ = ["Supervisor", "run_workers"]

_log: Final = logging.getLogger("tercel.error")

# A worker that dies sooner than this after it was ready has not recovered from whatever killed the one before.
_STABLE_AFTER_S: Final = 10.0
_BACKOFF_FIRST_S: Final = 0.5
_BACKOFF_MAX_S: Final = 30.0
# On top of a worker's own deadlines, before it is killed.
_KILL_MARGIN_S: Final = 5.0
_POLL_S: Final = 0.5
# A terminal's SIGINT reaches the workers as well, perhaps before it reaches this process.
_LEAVING_PAUSE_S: Final = 0.1


class _Slot:
    """A place for a worker, with its sockets."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self.listeners = listeners
        self.worker: Worker | None = None
        self.successor: Worker | None = None
        self.deaths = 0
        self.start_at_s = 0.0
        self.renew = False


class Supervisor:
    """Keeps workers running until a signal.

    Args:
        app: `module:attribute`.
        config: the settings; each worker gets them as they are.
        slots: the listening sockets of each worker.
        announce: called once all workers accept connections for the first time.
    """

    def __init__(self, app: str, config: ServerConfig, slots: list[list[socket.socket]], announce: Callable[[], None]) -> None:
        self._app = app
        self._config = config
        self._slots = [_Slot(listeners) for listeners in slots]
        # Whoever accepts from sockets that all share accepts for the others anyway.
        self._stand_ins = None if shares_sockets(config) else StandIns(self._slots)
        self._retired: list[Worker] = []
        self._announce = announce
        self._announced = False
        self._stop_signals = 0
        self._exit_code = EXIT_OK
        self._patience_s = config.graceful_timeout_s + config.lifespan_shutdown_timeout_s + _KILL_MARGIN_S

    # -- the loop ----------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Supervise until everything has stopped. Returns the exit code."""
        with SignalPipe() as signals:
            while True:
                now_s = time.monotonic()
                self._reap(now_s)
                if self._stop_signals:
                    if not self._all_workers():
                        return self._exit_code
                else:
                    self._let_go(now_s)
                    self._fill(now_s)
                    self._renew()
                    if self._stand_ins is not None:
                        self._stand_ins.arrange(now_s)
                self._kill_overdue(now_s)
                timeout_s = self._timeout_s(now_s)
                self._heed(signals.wait(self._all_workers(), timeout_s))
                self._excuse(time.monotonic() - now_s - timeout_s)
                if (
                    not self._announced
                    and not self._stop_signals
                    and all(slot.worker is not None and slot.worker.ready for slot in self._slots)
                ):
                    self._announced = True
                    self._announce()

    def _timeout_s(self, now_s: float) -> float:
        waiting = [slot.start_at_s - now_s for slot in self._slots if slot.worker is None]
        return max(min([_POLL_S, *waiting]), 0.01)

    def _all_workers(self) -> list[Worker]:
        found = list(self._retired)
        for slot in self._slots:
            found += [worker for worker in (slot.worker, slot.successor) if worker is not None]
        return found

    def _heed(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stop(EXIT_OK)
            elif number == getattr(signal, "SIGHUP", None) and not self._stop_signals:
                _log.info("SIGHUP: renewing the workers one after the other")
                for slot in self._slots:
                    slot.renew = True

    def stop(self, exit_code: int) -> None:
        """Ask all workers to stop; asked a second time, at once; a third time, kill them."""
        self._stop_signals += 1
        if self._stop_signals == 1:
            self._exit_code = exit_code
            _log.info("Stopping %d workers", len(self._all_workers()))
            # Whoever connects from now on is refused: a worker closes its copy with the order to stop.
            for slot in self._slots:
                for listener in slot.listeners:
                    listener.close()
        for worker in self._all_workers():
            if self._stop_signals == 1:
                worker.stop(self._patience_s)
            elif self._stop_signals == 2:
                worker.tell(HURRY)
            else:
                worker.process.kill()

    # -- births and deaths -------------------------------------------------------------------------------------------------

    def _fill(self, now_s: float) -> None:
        for slot in self._slots:
            if slot.worker is None and slot.successor is None and now_s >= slot.start_at_s:
                slot.worker = Worker(self._app, self._config, slot.listeners)

    def _let_go(self, now_s: float) -> None:
        """Replace those that stop by themselves, without waiting for what they have in flight."""
        for slot in self._slots:
            if slot.worker is not None and slot.worker.leaving:
                _log.info("Worker %d is stopping and is replaced", slot.worker.pid)
                self._retire(slot)
                slot.start_at_s = now_s + _LEAVING_PAUSE_S

    def _retire(self, slot: _Slot) -> None:
        if slot.worker is not None:
            slot.worker.stop(self._patience_s)
            self._retired.append(slot.worker)
        slot.worker, slot.successor, slot.renew = slot.successor, None, False

    def _reap(self, now_s: float) -> None:
        for worker in list(self._retired):
            if worker.dead:
                self._retired.remove(worker)
                code = worker.bury()
                if code != EXIT_OK and self._announced:
                    _log.error("Worker %d %s while it was stopping", worker.pid, _how(code))
        for slot in self._slots:
            if slot.worker is not None and slot.worker.dead:
                dead, slot.worker = slot.worker, slot.successor
                slot.successor, slot.renew = None, False  # whoever comes now is new
                self._bury(slot, dead, now_s)
            if slot.successor is not None and slot.successor.dead:
                dead, slot.successor = slot.successor, None
                slot.renew = False
                dead.bury()
                _log.error("The successor of worker %s did not start; the old one stays", slot.worker and slot.worker.pid)

    def _bury(self, slot: _Slot, dead: Worker, now_s: float) -> None:
        code = dead.bury()
        if self._stop_signals:
            if code != EXIT_OK and self._announced:
                _log.error("Worker %d %s while it was stopping", dead.pid, _how(code))
            return
        others_serve = any(other.worker is not None and other.worker.ready for other in self._slots)
        if not dead.ready and not self._announced and (code >= 0 or not others_serve):
            # The first start failed, and so would every other; unless somebody killed this one, and another has started.
            self.stop(code if code > 0 else EXIT_FAILURE)
            return
        if code == EXIT_OK:
            # It has served its `max_requests`, or somebody has sent it a signal; and it had nothing in flight.
            _log.info("Worker %d has ended and is replaced", dead.pid)
            slot.start_at_s = now_s
            return
        stable = dead.ready and now_s - dead.started_s >= _STABLE_AFTER_S
        slot.deaths = 1 if stable else slot.deaths + 1
        delay_s = 0.0 if slot.deaths == 1 else min(_BACKOFF_FIRST_S * 2 ** (slot.deaths - 2), _BACKOFF_MAX_S)
        slot.start_at_s = now_s + delay_s
        _log.error("Worker %d %s and is replaced%s", dead.pid, _how(code), f" in {delay_s:g} s" if delay_s else "")

    def _renew(self) -> None:
        for slot in self._slots:
            if slot.successor is not None:
                if not slot.successor.ready:
                    return
                # The successor accepts from the same sockets: nothing is refused while the old one ends.
                self._retire(slot)
        for slot in self._slots:
            if slot.renew and slot.worker is not None:
                slot.successor = Worker(self._app, self._config, slot.listeners)
                return

    def _excuse(self, late_s: float) -> None:
        """Blame no worker for a time in which this process stood still itself, as a whole container does while it is paused.

        Args:
            late_s: how much longer than it was meant to a wait has taken; negative when something ended it.
        """
        if late_s > TICK_S:
            now_s = time.monotonic()
            for worker in self._all_workers():
                worker.heard_s = min(worker.heard_s + late_s, now_s)

    def _kill_overdue(self, now_s: float) -> None:
        for worker in self._all_workers():
            if now_s >= worker.kill_at_s:
                _log.error("Worker %d did not stop in time and is killed", worker.pid)
                worker.process.kill()
                worker.kill_at_s = math.inf
            elif worker.ready and not worker.stopping:
                silent_s = now_s - worker.heard_s
                if silent_s >= self._config.worker_silence_timeout_s:
                    _log.error("Worker %d has given no sign of life for %.0f s and is killed", worker.pid, silent_s)
                    worker.process.kill()
                    worker.heard_s = now_s


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def run_workers(app: str, config: ServerConfig) -> int:
    """Serve with `config.workers` processes until a signal. Returns the exit code.

    Args:
        app: `module:attribute`.
        config: the settings.
    """
    try:
        slots = bind_shared(config)
    except BindError as error:
        _log.error("%s", error)
        return EXIT_FAILURE
    tls = config.tls_certfile is not None

    def announce() -> None:
        for listener in slots[0]:
            _log.info("Tercel running on %s with %d workers", url_of(listener, tls), config.workers)

    try:
        return Supervisor(app, config, slots, announce).run()
    finally:
        if config.uds is not None:
            unlink_unix_socket(config.uds)
        for listeners in slots:
            for listener in listeners:
                listener.close()
