"""One client for both protocols: HTTP and WebSocket, over ASGI through TestClient or over a socket of a real server.

`Client` and `Socket` are what tests see; `AsgiClient` and `DirectClient` are the two ways there. Over a socket, what an application
raises is only seen in the log of the server, which `ErrorLog` collects. This module must not know which engine runs, nor anything
of pytest beyond `raises`. The fixtures that open clients are in `tests/conftest.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import ssl
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

WAIT_S = 20.0  # how long anything that must happen may take; only a failing test ever waits that long
ERROR_LOGGERS = ("tercel.error", "uvicorn.error")  # where servers report what an application raised


# -- errors that a server logs -------------------------------------------------------------------------------------------------


class ErrorLog(logging.Handler):
    """Collects the exceptions that a server logged, since over a socket that is all one sees of them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.caught: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.caught.put(record.exc_info[1])

    def take(self, error_type: type[BaseException]) -> BaseException:
        """Wait for a logged exception and return it.

        Raises:
            AssertionError: nothing was logged in `WAIT_S` seconds, or something else was.
        """
        try:
            error = self.caught.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError(f"the server logged no error, {error_type.__name__} was expected") from None
        assert isinstance(error, error_type), f"the server logged {error!r}, {error_type.__name__} was expected"
        return error

    def drain(self) -> list[BaseException]:
        """What nobody has taken."""
        errors = []
        while not self.caught.empty():
            errors.append(self.caught.get())
        return errors


@contextlib.contextmanager
def collecting_errors() -> Generator[ErrorLog]:
    """Attach an `ErrorLog` to the loggers of the servers."""
    log = ErrorLog()
    for name in ERROR_LOGGERS:
        logging.getLogger(name).addHandler(log)
    try:
        yield log
    finally:
        for name in ERROR_LOGGERS:
            logging.getLogger(name).removeHandler(log)


# -- clients -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Close:
    """How a server closed a WebSocket; `code` is None where the application failed before it said one."""

    code: int | None
    reason: str


@dataclass(frozen=True)
class Refusal:
    """How a server refused a WebSocket before accepting it; `close` is what ASGI said, None over a socket."""

    status_code: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    close: Close | None = None

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Socket(ABC):
    """A WebSocket as a client sees it."""

    subprotocol: str | None
    headers: dict[str, str]

    @abstractmethod
    def send_text(self, text: str) -> None:
        """Send a text message."""

    @abstractmethod
    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""

    @abstractmethod
    def receive(self) -> str | bytes | Close:
        """The next message, or how the server closed."""

    @abstractmethod
    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side."""

    def send_json(self, value: Any) -> None:
        """Send a value as a JSON text message."""
        self.send_text(json.dumps(value))

    def receive_text(self) -> str:
        """The next message, which must be text."""
        message = self.receive()
        assert isinstance(message, str), f"not a text message: {message!r}"
        return message

    def receive_bytes(self) -> bytes:
        """The next message, which must be binary."""
        message = self.receive()
        assert isinstance(message, bytes), f"not a binary message: {message!r}"
        return message

    def receive_json(self) -> Any:
        """The next message, decoded."""
        message = self.receive()
        assert isinstance(message, str), f"not a text message: {message!r}"
        return json.loads(message)

    def receive_close(self) -> Close:
        """How the server closed, which must be the next thing that it does."""
        message = self.receive()
        assert isinstance(message, Close), f"not a close: {message!r}"
        return message


class Client(ABC):
    """An HTTP and WebSocket client of one running application; see `client`."""

    protocol: str
    http: Any  # an httpx.Client

    @abstractmethod
    def expect_error(
        self, error_type: type[BaseException], method: str, url: str, *, answers: int | tuple[int, ...] = 500, **options: Any
    ) -> BaseException:
        """Make a request during which the application raises to its server; returns what it raised.

        Over a socket the status of the answer must be `answers`, or one of them, and its body may be cut short.
        """

    @abstractmethod
    @contextlib.contextmanager
    def websocket(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        raises: type[BaseException] | None = None,
    ) -> Generator[Socket]:
        """Open a WebSocket; with `raises`, the application must raise that to its server."""

    @abstractmethod
    def refused(self, path: str, *, headers: dict[str, str] | None = None) -> Refusal:
        """Try to open a WebSocket, which the server must refuse."""

    @abstractmethod
    def close(self) -> None:
        """Stop the application; when it returns, everything that the application had begun is over."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """A request and its response, an `httpx.Response`; redirects are not followed."""
        return self.http.request(method, url, **options)

    def get(self, url: str, **options: Any) -> Any:
        """`request("GET", …)`."""
        return self.http.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        """`request("POST", …)`."""
        return self.http.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Any:
        """`request("PUT", …)`."""
        return self.http.request("PUT", url, **options)

    def delete(self, url: str, **options: Any) -> Any:
        """`request("DELETE", …)`."""
        return self.http.request("DELETE", url, **options)

    def stream(self, method: str, url: str, **options: Any) -> Any:
        """A context manager with a response whose body has not been read."""
        return self.http.stream(method, url, **options)


class AsgiSocket(Socket):
    """A `Socket` over Starlette's WebSocketTestSession."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.subprotocol = session.accepted_subprotocol
        self.headers = {key.decode(): value.decode() for key, value in session.extra_headers or []}

    def send_text(self, text: str) -> None:
        self.session.send_text(text)

    def send_bytes(self, data: bytes) -> None:
        self.session.send_bytes(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.session.close(code, reason)

    def receive(self) -> str | bytes | Close:
        from anyio import ClosedResourceError, EndOfStream

        try:
            message = self.session.receive()
        except (EndOfStream, ClosedResourceError):
            return Close(None, "")
        if message["type"] == "websocket.close":
            return Close(message.get("code", 1000), message.get("reason") or "")
        text = message.get("text")
        return message["bytes"] if text is None else text


class AsgiClient(Client):
    """A `Client` over Starlette's TestClient."""

    protocol = "asgi"

    def __init__(self, app: Any, *, raise_errors: bool, root_path: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Starlette announces httpx2; which of the two is installed is not the suite's business
            from tercel.testclient import TestClient
        self.http = TestClient(app, raise_server_exceptions=raise_errors, root_path=root_path, follow_redirects=False)
        self.http.__enter__()
        self._open = True

    def expect_error(
        self, error_type: type[BaseException], method: str, url: str, *, answers: int | tuple[int, ...] = 500, **options: Any
    ) -> BaseException:
        with pytest.raises(error_type) as caught:
            self.http.request(method, url, **options)
        return caught.value

    @contextlib.contextmanager
    def websocket(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        raises: type[BaseException] | None = None,
    ) -> Generator[Socket]:
        with (
            pytest.raises(raises) if raises else contextlib.nullcontext(),
            self.http.websocket_connect(path, subprotocols=subprotocols, headers=dict(headers or {})) as session,
        ):
            yield AsgiSocket(session)

    def refused(self, path: str, *, headers: dict[str, str] | None = None) -> Refusal:
        from starlette.testclient import WebSocketDenialResponse
        from starlette.websockets import WebSocketDisconnect

        with pytest.raises(WebSocketDisconnect) as caught, self.http.websocket_connect(path, headers=dict(headers or {})):
            pass
        error = caught.value
        if isinstance(error, WebSocketDenialResponse):
            return Refusal(error.status_code, dict(error.headers), error.content)
        return Refusal(403, close=Close(error.code, error.reason))

    def close(self) -> None:
        if self._open:
            self._open = False
            self.http.__exit__(None, None, None)


class DirectSocket(Socket):
    """A `Socket` over a connection of the websockets library."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.subprotocol = connection.subprotocol
        self.headers = {key.lower(): value for key, value in connection.response.headers.raw_items()}

    def send_text(self, text: str) -> None:
        self.connection.send(text)

    def send_bytes(self, data: bytes) -> None:
        self.connection.send(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.connection.close(code, reason)

    def receive(self) -> str | bytes | Close:
        from websockets.exceptions import ConnectionClosed

        try:
            message: str | bytes = self.connection.recv(timeout=WAIT_S)
        except ConnectionClosed as closed:
            return Close(1006, "") if closed.rcvd is None else Close(closed.rcvd.code, closed.rcvd.reason)
        return message


class DirectServers:
    """Runs servers on an event loop in a thread of its own, one server for each application."""

    def __init__(self) -> None:
        self.loop = self._make_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="direct-servers", daemon=True)
        self._thread.start()

    @staticmethod
    def _make_loop() -> asyncio.AbstractEventLoop:
        try:
            import uvloop
        except ImportError:
            return asyncio.new_event_loop()
        return uvloop.new_event_loop()

    def start(self, app: Any, options: dict[str, Any]) -> tuple[int, Callable[[], None]]:
        """Serve an application on a free port of the loopback interface; returns the port and what stops it."""
        from tercel.server import ServerConfig, serving

        config = ServerConfig(**{"host": "127.0.0.1", "port": 0, "access_log": False, "graceful_timeout_s": 5.0, **options})
        port: Future[int] = Future()
        stop = asyncio.Event()

        async def serve() -> None:
            try:
                async with serving(app, config) as server:
                    port.set_result(server.port)
                    await stop.wait()
            except BaseException as error:
                if port.done():
                    raise
                port.set_exception(error)

        served = asyncio.run_coroutine_threadsafe(serve(), self.loop)

        def stop_and_wait() -> None:
            self.loop.call_soon_threadsafe(stop.set)
            served.result(WAIT_S * 2)

        return port.result(WAIT_S), stop_and_wait

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()


TLS_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would load the certificates of the system for each client


class DirectClient(Client):
    """A `Client` over a socket of Tercel's own server."""

    protocol = "direct"

    def __init__(self, app: Any, servers: DirectServers, *, raise_errors: bool, options: dict[str, Any]) -> None:
        import httpx

        self._raise_errors = raise_errors
        self._stack = contextlib.ExitStack()
        self.errors = self._stack.enter_context(collecting_errors())
        try:
            self.port, stop = servers.start(app, options)
        except BaseException:
            self._stack.close()
            raise
        self._stack.callback(self._check_errors)
        self._stack.callback(stop)
        self.http = self._stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{self.port}",
                headers={"host": "testserver", "user-agent": "testclient"},
                verify=TLS_UNUSED,
                trust_env=False,
                timeout=WAIT_S * 2,
            )
        )

    def _check_errors(self) -> None:
        if self._raise_errors and (errors := self.errors.drain()):
            raise AssertionError(f"the application raised to its server: {errors!r}") from errors[0]

    def expect_error(
        self, error_type: type[BaseException], method: str, url: str, *, answers: int | tuple[int, ...] = 500, **options: Any
    ) -> BaseException:
        import httpx

        options["headers"] = {**dict(options.get("headers") or {}), "connection": "close"}
        with contextlib.suppress(httpx.RemoteProtocolError), self.http.stream(method, url, **options) as response:
            assert response.status_code in (answers if isinstance(answers, tuple) else (answers,)), (
                f"answered {response.status_code}"
            )
            response.read()
        return self.errors.take(error_type)

    @contextlib.contextmanager
    def websocket(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        raises: type[BaseException] | None = None,
    ) -> Generator[Socket]:
        with self._connect(path, headers, subprotocols) as connection:
            yield DirectSocket(connection)
        if raises:
            self.errors.take(raises)

    def _connect(self, path: str, headers: dict[str, str] | None, subprotocols: list[str] | None = None) -> Any:
        from websockets.sync.client import connect

        given = {"cookie": "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())} if self.http.cookies else {}
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers={**given, **(headers or {})},
            subprotocols=subprotocols,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
            open_timeout=WAIT_S,
            close_timeout=WAIT_S,
        )

    def refused(self, path: str, *, headers: dict[str, str] | None = None) -> Refusal:
        from websockets.exceptions import InvalidStatus

        with pytest.raises(InvalidStatus) as caught, self._connect(path, headers):
            pass
        response = caught.value.response
        raw = {key.lower(): value for key, value in response.headers.raw_items()}
        return Refusal(response.status_code, raw, bytes(response.body))

    def close(self) -> None:
        self._stack.close()
