"""What the server calls: an application's direct handler, or a handler that runs an ASGI application.

Knows an exchange's scope, `receive` and `send`, no connection. The messages themselves are `tercel.server.exchange`'s for HTTP,
`tercel.server.websocket`'s and `tercel.server.lifespan`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tercel.http.exchange import Exchange, Message, Scope

__all__ = ["AsgiApp", "Handler", "Receive", "Send", "asgi_handler", "handler_for"]

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


def handler_for(app: AsgiApp) -> Handler:
    """What answers HTTP exchanges: the application's own direct handler when it has one, otherwise ASGI."""
    direct_handler = getattr(app, "direct_handler", None)
    if direct_handler is not None:
        handler: Handler = direct_handler()
        return handler
    return asgi_handler(app)


def asgi_handler(app: AsgiApp) -> Handler:
    """A handler that runs an ASGI application for each exchange."""

    async def handle(exchange: Exchange) -> None:
        await app(exchange.scope, exchange.receive, exchange.send)

    return handle
