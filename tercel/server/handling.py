"""Starts the handler of an exchange and sees to it that exactly one response leaves, whatever the handler does.

Knows exchanges and tasks; of the connection only that a response can be broken off. Read `tercel.server.http1` for who calls it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect

from tercel.http.exchange import BodyTooLarge
from tercel.server.wire import plain_text

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange
    from tercel.server.http1 import HttpConnection

__all__ = ["EAGER", "settle", "settle_exit", "start_task"]

_log: Final = logging.getLogger("tercel.error")

_INTERNAL_ERROR: Final = plain_text(500, "Internal Server Error")
_TOO_LARGE: Final = plain_text(413, "Content Too Large")

EAGER: Final = sys.version_info >= (3, 12)
"""Tasks can start in place."""

if sys.version_info >= (3, 12):

    def start_task(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        """Start a task that runs at once, in place, until it first suspends; done already when it never does."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

    def _context_of(task: asyncio.Task[Any]) -> Context:
        return task.get_context()

    def _start_again(context: Context, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def start_task(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        """Start a task in the next iteration of the loop: before 3.12 there are no eager ones."""
        return loop.create_task(coroutine)

    def _context_of(task: asyncio.Task[Any]) -> Context:
        raise AssertionError("exchanges are rescued only where tasks have a context that can be asked for")

    def _start_again(context: Context, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        raise AssertionError("exchanges are rescued only where tasks have a context that can be asked for")


def settle(exchange: HttpExchange, connection: HttpConnection, task: asyncio.Task[None]) -> None:
    """Look at how a handler has ended, and answer in its place when it did not.

    A callback of the task instead of a coroutine around the handler: it costs nothing while the handler runs.
    """
    exchange.task_ended()
    error = None if task.cancelled() else task.exception()
    try:
        if isinstance(error, Exception) and exchange.rescue is not None:
            _rescue(exchange, connection, task, error)
            return
        exchange.view = None
        if error is not None:  # SystemExit too, from an endpoint that calls `sys.exit`
            _handler_failed(exchange, connection, error)
        elif task.cancelled():
            _handler_cancelled(exchange, connection, task)
        elif not exchange.finished:
            _handler_left(exchange, connection)
    finally:
        # The frames of its traceback know this one, from which the task was started that answered.
        del task, error


def settle_exit(exchange: HttpExchange, connection: HttpConnection, error: SystemExit) -> None:
    """As `settle`, for a handler that called `sys.exit` before it first suspended.

    asyncio lets that out of the task's constructor: there is no task to look at, and asyncio has said so in the log.
    """
    exchange.task_ended()
    exchange.view = None
    _handler_failed(exchange, connection, error)


def _rescue(exchange: HttpExchange, connection: HttpConnection, failed: asyncio.Task[None], error: Exception) -> None:
    """Let the application answer what its handler raised, where the handler ran: with the context variables it set."""
    rescue = exchange.rescue
    assert rescue is not None
    exchange.rescue = None
    try:
        task = _start_again(_context_of(failed), rescue(exchange, error), connection.loop)
    except SystemExit as exit:
        settle_exit(exchange, connection, exit)
        return
    finally:
        del failed, error  # as in `settle`
    if task.done():
        settle(exchange, connection, task)
    else:
        task.add_done_callback(partial(settle, exchange, connection))
        connection.server.keep_task(task)
    del task


def _handler_cancelled(exchange: HttpExchange, connection: HttpConnection, task: asyncio.Task[None]) -> None:
    if not task.cancelling() and not exchange.started and not connection.gone:
        _log.error("The application was cancelled by itself at %s %s", exchange.method, _printable(exchange))
        _answer(exchange, connection, 500)
    else:
        connection.break_off(exchange)


def _handler_failed(exchange: HttpExchange, connection: HttpConnection, error: BaseException) -> None:
    if isinstance(error, (OSError, ClientDisconnect)) and (connection.gone or exchange.given_up or exchange.dismissed):
        # The client went away, which is no fault of the application.
        connection.break_off(exchange)
        return
    if isinstance(error, BodyTooLarge) and not exchange.started:
        exchange.close_after()
        _answer(exchange, connection, 413)
        return
    _log.error("Exception in the application for %s %s", exchange.method, _printable(exchange), exc_info=error)
    if not exchange.started:
        _answer(exchange, connection, 500)
    elif not exchange.finished:
        connection.break_off(exchange)


def _handler_left(exchange: HttpExchange, connection: HttpConnection) -> None:
    if connection.gone:
        connection.break_off(exchange)
    elif not exchange.started:
        _log.error("The application ended without a response to %s %s", exchange.method, _printable(exchange))
        _answer(exchange, connection, 500)
    else:
        _log.error("The application ended without completing its response to %s %s", exchange.method, _printable(exchange))
        connection.break_off(exchange)


def _answer(exchange: HttpExchange, connection: HttpConnection, status: int) -> None:
    if connection.lost:
        connection.break_off(exchange)
        return
    head, body = _INTERNAL_ERROR if status == 500 else _TOO_LARGE
    exchange.respond_now(head, body)


def _printable(exchange: HttpExchange) -> str:
    # As it was sent: percent-encoded, so that no path can write a line of its own into the log.
    return exchange.raw_path.decode("latin-1")
