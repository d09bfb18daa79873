"""What an application may know of the connection under an exchange or a WebSocket, and do to it.

Streams, chat rooms and long polls need it: how much a client has not taken yet, whether the server is about to stop, a way to drop
a client. It is `exchange.connection` and `scope["extensions"]["tercel"]`. Knows of the connection what `Controllable` says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tercel.http.exchange import Exchange

__all__ = ["ConnectionHandle", "Controllable", "Draining", "PerRequest"]


class PerRequest:
    """What every request asks of its server, in slots: the compiled protocol reads them where they are."""

    __slots__ = ("access_log", "draining", "handler", "idle_deadline_s", "response_count", "tail", "watches_responses")


class Draining:
    """Whether a server has begun to stop, for everybody who wants to end cleanly before it does.

    Attributes:
        begun: True from the first signal on: no new connections, requests in flight are answered.
    """

    __slots__ = ("_callbacks", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._callbacks: dict[int, Callable[[], None]] = {}

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once when draining begins; at once when it has begun. Returns a function that forgets the callback."""
        if self.begun:
            callback()
            return lambda: None
        key = id(callback)
        while key in self._callbacks:
            key += 1
        self._callbacks[key] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    def begin(self) -> list[Exception]:
        """Tell everybody. Returns what the callbacks raised."""
        self.begun = True
        errors: list[Exception] = []
        callbacks = list(self._callbacks.values())
        self._callbacks.clear()
        for callback in callbacks:
            try:
                callback()
            except Exception as error:
                errors.append(error)
        return errors


class Controllable(Protocol):
    """What a connection lets a handle do."""

    def bytes_buffered(self) -> int: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...

    def drain_subscribed(self, change: int) -> None:
        """One callback for the end of the server more (1) or less (-1)."""
        ...


class ConnectionHandle:
    """A connection as its application may see and use it."""

    __slots__ = ("_connection", "_draining")

    def __init__(self, connection: Controllable, draining: Draining) -> None:
        self._connection = connection
        self._draining = draining

    @property
    def bytes_buffered(self) -> int:
        """Bytes written and not yet taken by the client's side of the network."""
        return self._connection.bytes_buffered()

    @property
    def draining(self) -> bool:
        """The server has begun to stop; whoever streams should come to an end."""
        return self._draining.begun

    def on_drain(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in the event loop's thread, when the server begins to stop; at once when it has.

        A WebSocket or an event stream whose application has asked for this is left to it until the end of the grace period; other
        WebSockets are closed with 1012 at once (RFC 6455 §7.4.1, IANA: service restart), other event streams are ended.

        Returns:
            A function that takes the request back; call it when the stream or socket ends, or the callback is kept.
        """
        connection: Controllable | None = self._connection
        self._connection.drain_subscribed(1)
        forget = self._draining.subscribe(callback)

        def unsubscribe() -> None:
            nonlocal connection
            if connection is not None:
                connection.drain_subscribed(-1)
                connection = None
                forget()

        return unsubscribe

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        """See `Exchange.cancelled_on_disconnect`; for the HTTP request that is being answered, from within its handler."""
        connection: Any = self._connection
        manager: AbstractContextManager[None] = connection.exchange.cancelled_on_disconnect(unless_started)
        return manager

    def pause_reading(self) -> None:
        """Take nothing more from the client until `resume_reading`; it feels that as back-pressure."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._connection.resume_reading()

    def abort(self) -> None:
        """Drop the connection now; what is buffered is lost, and writing raises OSError."""
        self._connection.abort()
