"""One running server in one event loop: listeners, connections, clock, time limits, draining; and `serving` to run it in a test.

Knows connections as things that can be ticked, drained and aborted. Processes and signals are `tercel.server.supervisor`'s; what a
connection does is `tercel.server.http1`'s and `tercel.server.websocket`'s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from tercel.http.exchange import Scope
from tercel.server.acceptor import Acceptor, Guests
from tercel.server.asgi import AsgiApp, handler_for
from tercel.server.config import ServerConfig
from tercel.server.exchange import HttpExchange
from tercel.server.forwarded import ForwardedFields
from tercel.server.handle import Draining, PerRequest
from tercel.server.handling import start_task
from tercel.server.handshake import check_opening
from tercel.server.http1 import HttpConnection
from tercel.server.lifespan import Lifespan
from tercel.server.logs import log_response
from tercel.server.protocols import connection_class
from tercel.server.sockets import bind_sockets, listen, shares_sockets, tls_context, unlink_unix_socket, url_of
from tercel.server.wire import tail_lines

if TYPE_CHECKING:
    from tercel.server.websocket import WebSocketSession

__all__ = ["Server", "serving"]

_log: Final = logging.getLogger("tercel.error")

# WebSockets told to go, between two turns of the loop.
_DRAIN_BATCH: Final = 100
# After the grace period: for `finally` blocks of cancelled handlers.
_CANCEL_WAIT_S: Final = 1.0


class _Ticking(Protocol):
    deadline: float
    write_paused: bool

    def tick(self, now_s: float) -> None: ...

    def end_after_answer(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class Server(PerRequest):
    """Serves one application on the running event loop.

    Args:
        app: an ASGI application; HTTP goes to its `direct_handler()` when it has one.
        config: the settings.

    Attributes:
        state: what the application's lifespan left in its state.
        draining: whether the server has begun to stop.
        connections: what is open, WebSockets included.
        left_behind: WebSockets that are over while their endpoints go on.
        response_count: responses completed.
        watches_responses: somebody wants to know of each response's end.
        websocket_hub: what compiled WebSockets are read by; see `tercel.server.frames`.
        idle_deadline_s: until when a connection that becomes idle now is kept; renewed with every tick, since reading the clock for
            each response is not free.
    """

    def __init__(self, app: AsgiApp, config: ServerConfig | None = None) -> None:
        self.config = config or ServerConfig()
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.handler = handler_for(app)
        self._connection_class = connection_class()
        self.forwarded = ForwardedFields(self.config.proxy_headers, self.config.forwarded_allow_ips, self.config.forwarded_fields)
        self.draining = Draining()
        self.connections: set[_Ticking] = set()
        self.left_behind: set[WebSocketSession] = set()
        self.response_count = 0
        self.on_max_requests: Callable[[], None] | None = None
        self.on_started: Callable[[Server], None] | None = None
        access = logging.getLogger("tercel.access")
        self.access_log = access if self.config.access_log and access.isEnabledFor(logging.INFO) else None
        self.watches_responses = self.access_log is not None or self.config.max_requests is not None
        self._lifespan = Lifespan(app, self.config.lifespan)
        self.state = self._lifespan.state
        self._tls = tls_context(self.config)
        self._listeners: list[socket.socket] = []
        self._acceptor: Acceptor | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._joining: dict[HttpConnection, asyncio.Task[None]] = {}
        limit = self.config.max_connections_per_address
        self._guests = None if limit is None else Guests(limit)
        self._hosts: dict[_Ticking, str] = {}
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._date_timer: asyncio.TimerHandle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._tick_s = self._tick_interval_s()
        self.idle_deadline_s = self._idle_deadline_s()
        self.tail = self.tail_server = self.tail_date = b""
        self.websocket_hub: Any = None

    # -- where it is -------------------------------------------------------------------------------------------------------

    @property
    def urls(self) -> list[str]:
        """Where it listens."""
        return [url_of(listener, self._tls is not None) for listener in self._listeners]

    @property
    def url(self) -> str:
        """Where it listens, first of all."""
        return self.urls[0]

    @property
    def port(self) -> int:
        """The TCP port; the kernel's choice when the settings say 0."""
        name = self._listeners[0].getsockname()
        if not isinstance(name, tuple):
            raise RuntimeError("a Unix socket has no port")
        return int(name[1])

    # -- start and stop ----------------------------------------------------------------------------------------------------

    async def start(self, listeners: list[socket.socket] | None = None) -> None:
        """Run the application's start-up, then accept connections.

        Args:
            listeners: bound sockets to accept from, or None to bind what the settings say. They are closed by `stop`.

        Raises:
            LifespanFailed: the application could not be started.
            BindError: the address can not be listened on.
        """
        await self._lifespan.startup()
        try:
            self._listeners = bind_sockets(self.config) if listeners is None else listeners
            for listener in self._listeners:
                listener.setblocking(False)
                listen(listener, self.config)
        except BaseException:
            await self._lifespan.shutdown(self.config.lifespan_shutdown_timeout_s)
            raise
        self._refresh_date()
        self._tick_timer = self.loop.call_later(self._tick_s, self._tick)
        self._acceptor = Acceptor(self._listeners, self.config.max_connections, self._accepted, shared=shares_sockets(self.config))
        if self.on_started is not None:
            # Before a connection that waits already can occupy the loop.
            self.on_started(self)
        self._acceptor.start()

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop in order: accept nothing, answer what is in flight, tell streams and sockets, end the application.

        Args:
            grace_s: how long to wait for what is in flight; None is the setting. What is left then is cancelled.
        """
        grace_s = self.config.graceful_timeout_s if grace_s is None else grace_s
        try:
            if self._acceptor is not None:
                self._acceptor.end()
            for error in self.draining.begin():
                _log.error("Exception in a callback for the end of the server", exc_info=error)
            for connection in self.connections:
                connection.end_after_answer()
            await self._drain_connections()
            await self._wait_idle(grace_s)
            await self._cut_off()
        finally:
            for timer in (self._date_timer, self._tick_timer):
                if timer is not None:
                    timer.cancel()
            await self._lifespan.shutdown(1.0 if self._hurry.is_set() else self.config.lifespan_shutdown_timeout_s)

    def hurry(self) -> None:
        """End the grace period now; `stop` goes on with what comes behind it."""
        self._hurry.set()
        self._changed.set()

    async def _drain_connections(self) -> None:
        # One turn of the loop: requests that have arrived are read before connections that look idle are closed.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self._joining:
            self.loop.call_later(self.config.linger_timeout_s, self._end_joining)
        for number, connection in enumerate((*self.connections, *self.left_behind), start=1):
            connection.drain()
            if number % _DRAIN_BATCH == 0:
                await asyncio.sleep(0)

    async def _wait_idle(self, grace_s: float) -> None:
        try:
            async with asyncio.timeout(grace_s):
                while (self.connections or self._tasks) and not self._hurry.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            _log.warning(
                "The grace period of %s s is over: %d connections and %d handlers are cut off",
                grace_s,
                len(self.connections),
                len(self._tasks),
            )

    async def _cut_off(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_WAIT_S)
        for connection in tuple(self.connections):
            connection.abort()
        # Transports call `connection_lost` in the next iteration.
        await asyncio.sleep(0)

    # -- accepting ---------------------------------------------------------------------------------------------------------

    def borrow(self, listeners: list[socket.socket]) -> None:
        """Accept from another worker's sockets too, until they are given back or this server stops."""
        assert self._acceptor is not None, "it has not started"
        for listener in listeners:
            listener.setblocking(False)
            self._acceptor.add(listener)

    def give_back(self, listeners: list[socket.socket]) -> None:
        """Accept from borrowed sockets no more, and close them."""
        assert self._acceptor is not None, "it has not started"
        for listener in listeners:
            self._acceptor.remove(listener)

    def _accepted(self, client: socket.socket) -> None:
        connection = self._connection_class(self)
        task = start_task(self._adopt(client, connection), self.loop)
        if not task.done():
            self.keep_task(task)
            if self._tls is not None:
                self._joining[connection] = task
                task.add_done_callback(lambda _: self._joining.pop(connection))

    def _end_joining(self) -> None:
        """Wait no longer for TLS handshakes: the server stops."""
        for connection, task in self._joining.items():
            if connection not in self.connections:
                task.cancel()

    async def _adopt(self, client: socket.socket, connection: HttpConnection) -> None:
        try:
            if client.family != getattr(socket, "AF_UNIX", None):
                # RFC 896's delay helps nobody who writes whole responses.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._guests is not None:
                    self._welcome(connection, client.getpeername()[0], self._guests)
            timeout_s = None if self._tls is None else self.config.tls_handshake_timeout_s
            await self.loop.connect_accepted_socket(lambda: connection, client, ssl=self._tls, ssl_handshake_timeout=timeout_s)
        except (TimeoutError, OSError, asyncio.CancelledError) as error:
            # A failed TLS handshake, or a client that left in between: the client's affair.
            _log.debug("A connection could not be set up: %s", error)
            client.close()
            self._left(connection)

    def _welcome(self, connection: HttpConnection, host: str, guests: Guests) -> None:
        if self.forwarded.trusts((host, 0)):
            return
        if not guests.arrive(host):
            raise ConnectionRefusedError(f"too many connections from {host}")
        self._hosts[connection] = host

    # -- what connections report -------------------------------------------------------------------------------------------

    def opened(self, connection: HttpConnection) -> None:
        """A connection is there."""
        self.connections.add(connection)
        if self.draining.begun:
            connection.drain()

    def closed(self, connection: _Ticking) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._left(connection)

    def _left(self, connection: _Ticking) -> None:
        if self._guests is not None and connection in self._hosts:
            self._guests.leave(self._hosts.pop(connection))
        if self._acceptor is not None:
            self._acceptor.left()
        self._changed.set()

    def upgraded(self, connection: HttpConnection, session: WebSocketSession, exchange: HttpExchange) -> None:
        """A connection has become a WebSocket."""
        self.connections.discard(connection)
        self.connections.add(session)
        if connection in self._hosts:
            self._hosts[session] = self._hosts.pop(connection)
        if self.access_log is not None:
            log_response(self.access_log, exchange, self.loop.time())
        if self.draining.begun:
            self.loop.call_soon(session.drain)

    def open_websocket(self, connection: HttpConnection, exchange: HttpExchange) -> None:
        """Run the application for a request that wants to become a WebSocket.

        Raises:
            Rejected: its handshake is invalid.
        """
        from tercel.server.websocket import WebSocketSession  # picows: 20 ms and 3 MB for those who use it

        config = self.config
        opening = check_opening(exchange.headers, config.ws_allowed_origins, compression=config.ws_compression)
        session = WebSocketSession(connection, exchange, opening)
        # Not in place: the application may accept at once, and the connection is in the middle of reading.
        session.task = self.loop.create_task(_run_websocket(self.app, session, session.make_scope(opening)))
        self.keep_task(session.task)

    def keep_task(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a handler that has not ended: the event loop itself only has weak references."""
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def response_ended(self, exchange: HttpExchange) -> None:
        """An exchange has ended; called only when `watches_responses`."""
        if self.access_log is not None:
            log_response(self.access_log, exchange, self.loop.time())
        limit = self.config.max_requests
        if limit is not None and self.response_count == limit and self.on_max_requests is not None:
            self.on_max_requests()

    # -- time --------------------------------------------------------------------------------------------------------------

    def _refresh_date(self) -> None:
        now_s = time.time()
        config = self.config
        self.tail, self.tail_server, self.tail_date = tail_lines(
            date=config.date_header, server=config.server_header, timestamp_s=now_s
        )
        self._date_timer = self.loop.call_later(1.0 - now_s % 1.0 + 0.001, self._refresh_date)

    def _tick_interval_s(self) -> float:
        config = self.config
        limits = [
            config.head_timeout_s,
            config.keep_alive_timeout_s,
            config.body_timeout_s,
            config.write_timeout_s,
            config.linger_timeout_s,
            config.ws_pong_timeout_s,
            config.ws_close_timeout_s,
        ]
        if config.ws_ping_interval_s is not None:
            limits.append(config.ws_ping_interval_s)
        # Limits are kept to within a quarter of the shortest, and never worse than a second.
        return max(min(1.0, min(limits) / 4), 0.01)

    def _idle_deadline_s(self) -> float:
        # For connections that become idle until the next tick; never earlier than promised.
        return self.loop.time() + self._tick_s + self.config.keep_alive_timeout_s

    def _tick(self) -> None:
        # One pass over all connections instead of a timer for each: setting a timer for every request costs more than the request
        # line, and ten thousand comparisons cost a millisecond.
        now_s = self.loop.time()
        self.idle_deadline_s = self._idle_deadline_s()
        for connection in [c for c in self.connections if now_s >= c.deadline or c.write_paused]:
            connection.tick(now_s)
        self._tick_timer = self.loop.call_later(self._tick_s, self._tick)


async def _run_websocket(app: AsgiApp, session: WebSocketSession, scope: Scope) -> None:
    """Run the application for one WebSocket to its end. Raises nothing but cancellation."""
    try:
        await session.stepped(app(scope, session.receive, session.send))
    except asyncio.CancelledError:
        session.close(1012, "service restart")
        session.task_ended()
        raise
    except (Exception, SystemExit) as error:
        session.app_ended(error)
    else:
        session.app_ended(None)


@asynccontextmanager
async def serving(app: AsgiApp, config: ServerConfig | None = None) -> AsyncIterator[Server]:
    """Serve an application within a block, on real sockets, its lifespan run: for tests and for programs that embed a server.

    ```python
    async with serving(app, ServerConfig(port=0)) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/")).status_code == 200
    ```

    Args:
        app: an ASGI application.
        config: the settings; None is any free port of the loopback address without an access log.

    Raises:
        LifespanFailed: the application could not be started.
        BindError: the address can not be listened on.
    """
    server = Server(app, config or ServerConfig(port=0, access_log=False))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        if server.config.uds is not None:
            unlink_unix_socket(server.config.uds)
