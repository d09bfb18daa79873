"""A server for the demo to talk to, which answers as a test wants it to, also badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Call", "Respond", "Upstream", "upstream"]


@dataclass
class Call:
    """A request as it arrived, and the means to answer it piece by piece."""

    path: str
    headers: dict[str, str]
    body: bytes
    handler: BaseHTTPRequestHandler

    def answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """A complete answer."""
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Content-Length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def begin(self, content_type: str) -> None:
        """An answer that ends with the connection."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()

    def write(self, data: bytes) -> None:
        """A piece of it.

        Raises:
            OSError: the demo has hung up.
        """
        self.handler.wfile.write(data)
        self.handler.wfile.flush()


Respond = Callable[[Call, "Upstream"], None]


@dataclass
class Upstream:
    """The running server."""

    url: str
    respond: Respond
    calls: list[Call] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)  # set once writing an answer has failed
    over: threading.Event = field(default_factory=threading.Event)  # set at the end, for answers that wait for ever


@contextmanager
def upstream(respond: Respond) -> Iterator[Upstream]:
    """A server that answers with `respond`, which may be replaced at any time, as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = Call(self.path, dict(self.headers.items()), body, self)
            running.calls.append(call)
            try:
                running.respond(call, running)
            except OSError:
                running.hung_up.set()
                self.close_connection = True

        do_GET = do_POST = _take

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests look at `calls`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Upstream(f"http://127.0.0.1:{server.server_port}", respond)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
