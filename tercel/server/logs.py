"""Logging of the server: the loggers `tercel.access` and `tercel.error`, and how they look on a terminal.

Applications configure the two names as they like; `set_up_logs` is what `tercel run` does when nobody has. Knows exchanges as
things with a method and a status.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange

__all__ = ["log_response", "set_up_logs"]

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(message)s"


def set_up_logs(level: str) -> None:
    """Send the server's loggers to standard error, unless the application has given them handlers before.

    Args:
        level: of `ServerConfig.log_level`.
    """
    logger = logging.getLogger("tercel")
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        logger.propagate = False


def log_response(logger: logging.Logger, exchange: HttpExchange, now_s: float) -> None:
    """One line about a response: client, request line, status, body bytes, milliseconds.

    Target and method are printed as they were sent, which is printable ASCII (the parser takes nothing else), so that no request
    can forge a line.
    """
    client = exchange.client
    target = exchange.raw_path
    if exchange.query_string:
        target += b"?" + exchange.query_string
    logger.info(
        '%s "%s %s HTTP/%s" %d %d %.1fms',
        "-" if client is None else f"{client[0]}:{client[1]}",
        exchange.method,
        target.decode("latin-1") or "-",
        exchange.http_version,
        exchange.status,
        exchange.sent_body_bytes,
        (now_s - exchange.began_s) * 1000,
    )
