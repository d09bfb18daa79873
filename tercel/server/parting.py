"""What becomes of an endpoint whose WebSocket is over: whether it has noticed, and its end when the server stops.

While the server runs, an endpoint that waits for a queue or an event after its client has left goes on, as on other servers. When
the server stops nothing would ever end it. A mixin of `tercel.server.websocket`; knows a task and a clock, no frames.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from tercel.http.exchange import Message
from tercel.server.stream import client_gone

if TYPE_CHECKING:
    from tercel.server.serving import Server
    from tercel.server.websocket import WebSocketSession

__all__ = ["PARTING_SLOTS", "Parting"]

PARTING_SLOTS: Final = ("_closed_by_app", "_server", "_told", "task")


class Parting:
    """The methods; whoever mixes them in calls `init_parting` and has the attributes of `PARTING_SLOTS`.

    Attributes:
        task: the application's, while it runs.
    """

    if not TYPE_CHECKING:
        # Empty, so that it goes together with picows' listener, which has a layout of its own.
        __slots__ = ()

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None
    _server: Server
    _told: bool
    _closed_by_app: bool

    def init_parting(self, server: Server) -> None:
        """Set the attributes to those of a new connection."""
        self._server = server
        self.task = None
        self._told = self._closed_by_app = False

    def _tell(self, disconnect: Message) -> Message:
        """The message for whoever receives; it knows from then on."""
        self._told = True
        return dict(disconnect)

    def _refuse_data(self) -> OSError:
        """The error for whoever sends. Others may, as in a chat room: what they are told the endpoint does not know."""
        if asyncio.current_task(self.loop) is self.task:
            self._told = True
        return client_gone()

    def _end_soon(self) -> None:
        """The server stops: an endpoint that does not notice in `ws_unaware_timeout_s` is ended."""
        self.loop.call_later(self._server.config.ws_unaware_timeout_s, self._end_unaware)

    def _end_unaware(self) -> None:
        if self.task is not None and not (self._told or self._closed_by_app):
            self.task.cancel()

    def task_ended(self) -> None:
        """The application does nothing more."""
        self.task = None
        self._server.left_behind.discard(cast("WebSocketSession", self))
