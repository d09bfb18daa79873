"""Tercel's own server: HTTP/1.1 and WebSocket over asyncio or uvloop, for any ASGI application.

It imports nothing of tercel but this folder and `tercel.http`, and could be a package of its own. Start with `config` (what can be
set), then `serving` (one running server), `http1` (bytes to requests), `exchange` (one request and its response), `websocket`,
and `supervisor` (processes, signals, reload).
"""

from __future__ import annotations

from tercel.server.config import ServerConfig
from tercel.server.serving import Server, serving
from tercel.server.supervisor import run

__all__ = ["Server", "ServerConfig", "run", "serving"]
