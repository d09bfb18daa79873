"""The same bytes for the pure protocol and for the compiled one, and all there is to compare: answers, application, state, log.

`both` returns two values that must be equal. Read `tests/property/test_protocols.py` and `tools/fuzz/targets.py` for who asks.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tercel.http.exchange import Head
from tests.protocol.feeding import Protocol, feed
from tests.protocol.peer import TEXT, config, direct_app

FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "forwarded")
CREATED = Head(201, [(b"content-length", b"2"), (b"x-one", b"1")])
EMPTY = Head(204, [])
# What a path asks of the application.
WAYS = [
    b"",
    b"before",
    b"later",
    b"boom",
    b"stream",
    b"own",
    b"empty",
    b"twice",
    b"nothing",
    b"big",
    b"pause",
    b"later/pause",
    b"wrong",
    b"before/later/own",
]
NAMES = (b"host", b"x-token", b"content-length", b"x-a:b", b"", b"X-TOKEN", b"x-empty")


class Application:
    """Answers in the way that the path asks for, and writes down all that it was told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def handle(self, ex: Any) -> None:
        self.seen.append(
            (
                [(ex.header(name), ex.text_of(name)) for name in NAMES],
                (ex.method, ex.path, ex.raw_path, ex.query_string, ex.root_path, ex.http_version),
                (ex.client, ex.scheme, ex.path_params, ex.started, ex.finished, ex.disconnected, ex.keep_alive),
                ex.headers,
                [(ex.header(name), ex.text_of(name)) for name in NAMES],
                {key: value for key, value in ex.scope.items() if key not in ("extensions", "state")},
            )
        )
        if ex.path.startswith("/before"):
            await self._answer(ex)
        self.seen.append(await ex.body())
        if ex.path.startswith("/later"):
            await asyncio.sleep(0)
        if not ex.started:
            await self._answer(ex)
        self.seen.append(
            (
                ex.started,
                ex.finished,
                getattr(ex, "status", None),
                getattr(ex, "sent_body_bytes", None),
                ex.keep_alive,
                ex.known_body,
            )
        )

    def look_at(self, connection: Any) -> None:
        """What is left in the connection decides about the next request, about the time limits and about draining."""
        names = (
            "_state",
            "_ahead",
            "_consuming",
            "_client_closes",
            "_used",
            "_discarded_bytes",
            "_left_bytes",
        )
        self.seen.append({name: getattr(connection, name) for name in (*names, "_paused_by_app", "lost", "gone")})
        self.seen.append((connection.exchange is None, connection._ready is None))
        self.seen.append((connection.deadline == connection.server.idle_deadline_s, connection.server.response_count))

    async def _answer(self, ex: Any) -> None:
        if "pause" in ex.path:
            ex.connection.pause_reading()
        if "boom" in ex.path:
            raise ValueError("as asked")
        if "stream" in ex.path:
            await ex.start(TEXT)
            await ex.write(b"one")
            await ex.write(b"two")
            await ex.finish()
        elif "own" in ex.path:
            await ex.respond(CREATED, b"ok")
        elif "empty" in ex.path:
            await ex.respond(EMPTY, b"")
        elif "twice" in ex.path:
            await ex.respond(TEXT, b"first")
            with pytest.raises(RuntimeError, match="started already"):
                await ex.respond(TEXT, b"second")
        elif "big" in ex.path:
            await ex.respond(TEXT, b"x" * 70_000)
        elif "wrong" in ex.path:
            with pytest.raises((TypeError, ValueError)):
                await ex.respond(Head(200, [(b"x", b"a\r\nb")]), b"")
            await ex.respond(TEXT, b"mended")
        elif "nothing" not in ex.path:
            await ex.respond(TEXT, ex.method.encode() + b" " + ex.path.encode("utf-8", "replace"))


class _Log(logging.Handler):
    """Keeps what is logged, in a form that can be compared: times differ."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append((record.name, re.sub(r"[\d.]+ms$", "", record.getMessage()), repr(error)))


@contextmanager
def logged() -> Iterator[list[tuple[str, str, str]]]:
    """What the server logs within the block, which nobody else sees."""
    handler = _Log()
    loggers = [logging.getLogger(name) for name in ("tercel.error", "tercel.access")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield handler.lines
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def both(data: bytes, cuts: list[int], **options: Any) -> tuple[tuple[bytes, list[Any]], tuple[bytes, list[Any]]]:
    """What client, application and log saw with the pure protocol, and with the compiled one."""
    results = []
    protocols: list[Protocol] = ["pure", "compiled"]
    for protocol in protocols:
        app = Application()
        with logged() as lines:
            written = feed(direct_app(app.handle), config(date_header=False, **options), data, cuts, protocol, app.look_at)
        results.append((written, [*app.seen, lines]))
    return results[0], results[1]
