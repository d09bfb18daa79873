"""Starts an application under a server and tells what a client sees of it, so that two servers can be compared.

What cannot be equal is left out: dates, the server's name, times in signed cookies. Lengths of compressed bodies differ between
versions of zlib, so those are compared unpacked. This module must not know pytest.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.processes import Watched

__all__ = ["FOLDER", "look", "serving", "tries_of"]

FOLDER = Path(__file__).parent / "applications"
ANSWER_S = 30
SHOWN_BYTES = 4000
_LISTENING = r"http://127\.0\.0\.1:\d+"
_NOT_COMPARED = {"date", "server", "connection", "keep-alive"}


@contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
    """Runs a server and yields its port once it has said where it listens.

    Raises:
        AssertionError: it ended, or said nothing, with what it printed.
    """
    server = Watched(command, folder=FOLDER, environment=environment)
    try:
        yield int(server.saw(_LISTENING).rpartition(":")[2].split()[0])
        server.stop()
    finally:
        server.close()


def tries_of(name: str) -> list[Any]:
    """What is tried on an application, in order: method, path, fields, body; for a socket `WS`, path, fields, messages."""
    tries: list[Any] = importlib.import_module(f"tests.dropin.tries.{name}").TRIES
    return tries


def look(port: int, tries: Sequence[Any]) -> list[Any]:
    """What a client sees of each try, in JSON."""
    return [_socket(port, *each[1:]) if each[0] == "WS" else _request(port, *each) for each in tries]


def _request(port: int, method: str, path: str, headers: Any = (), body: str | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True, skip_host=any(name == "host" for name, _ in fields))
        for name, value in fields:
            connection.putheader(name, value)
        data = None if body is None else body.encode("latin-1" if max(map(ord, body), default=0) < 256 else "utf-8")
        if data is not None:
            connection.putheader("content-length", str(len(data)))
        connection.endheaders(data)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        return {"broken off": type(error).__name__}
    finally:
        connection.close()
    return _shown(port, response.status, response.getheaders(), content)


def _shown(port: int, status: int, headers: list[tuple[str, str]], content: bytes) -> Any:
    compressed = any(name.lower() == "content-encoding" for name, _ in headers)
    if compressed and content:
        content = gzip.decompress(content)
    kept = sorted(
        [name.lower(), ", ".join(sorted(value.split(", "))) if name.lower() == "allow" else _masked(port, value)]
        for name, value in headers
        if name.lower() not in _NOT_COMPARED and not (compressed and name.lower() == "content-length")
    )
    text = _masked(port, content.decode("utf-8", "backslashreplace"))
    if len(text) > SHOWN_BYTES:
        text = f"{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return {"status": status, "headers": kept, "body": text}


def _masked(port: int, text: str) -> str:
    text = text.replace(f"127.0.0.1:{port}", "ADDRESS")
    text = re.sub(r"(--|boundary=)[0-9a-f]{26}", r"\1BOUNDARY", text)
    return re.sub(r"(session=[\w=-]+)\.[\w.-]+", r"\1.SIGNED", text)


def _socket(port: int, path: str, headers: Mapping[str, str] | None = None, send: Sequence[Any] = ()) -> Any:
    seen: list[Any] = []
    subprotocols: Any = None
    extra = dict(headers or {})
    if "sec-websocket-protocol" in extra:
        subprotocols = extra.pop("sec-websocket-protocol").split(", ")
    try:
        with connect(
            f"ws://127.0.0.1:{port}{path}",
            additional_headers=extra,
            subprotocols=subprotocols,
            compression=None,
            open_timeout=ANSWER_S,
            proxy=None,
        ) as socket:
            seen.append(["open", socket.subprotocol])
            try:
                for message in send:
                    socket.send(message)
                while True:
                    message = socket.recv(timeout=ANSWER_S)
                    seen.append(message if isinstance(message, str) else ["bytes", message.decode("latin-1")])
            except ConnectionClosed as closed:
                seen.append(["closed", closed.rcvd.code if closed.rcvd else None, closed.rcvd.reason if closed.rcvd else None])
    except InvalidStatus as refused:
        response = refused.response
        names = [name for name, _ in response.headers.raw_items()]
        kept = [name for name in names if name.lower().startswith("x-")]
        # Of a socket that was closed before it was accepted, ASGI says the status and leaves the body to the server.
        body = "" if response.status_code == 403 else (response.body or b"").decode("latin-1")
        seen.append(["refused", response.status_code, sorted(kept), body])
    return seen


def main() -> None:
    """`python -m tests.dropin.compare NAME PYTHON`: what the original shows of an application, as JSON."""
    import json
    import os

    name, python = sys.argv[1:]
    command = [python, "-m", "uvicorn", f"{name}:app", "--port", "0", "--no-access-log"]
    with serving(command, os.environ) as port:
        print(json.dumps(look(port, tries_of(name)), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
