"""What an exception becomes: the handler by status code or class, the response of a server error, and what is raised on.

The rules are Starlette's (`ExceptionMiddleware` around the router, again around each route, `ServerErrorMiddleware` outside of
all), without those classes in between. Read `tercel.serve.dispatch` for who calls this.

Whoever raises an exception on is a frame of its traceback. Such a frame forgets it: otherwise the two, and with them all that the
frames below know, as half an upload, would wait for the garbage collector.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from starlette._utils import is_async_callable
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from tercel.compile.scopes import leaving_late
from tercel.compile.support import json_invalid, limited, request_of, respond_with, too_large
from tercel.http.exchange import BodyTooLarge, Exchange
from tercel.http.threads import in_thread

__all__ = ["Handlers", "answer_exception", "answer_server_error", "find_in_scope", "handle_by", "handle_exception"]

ExceptionHandler = Callable[[Any, Any], Any]

_READING_JSON: Final = Request.json.__code__


class Handlers:
    """The exception handlers of an application. Integrations add to the dicts, which are in every scope, while requests run.

    Args:
        declared: by status code or exception class, as in `FastAPI(exception_handlers=)`.
        debug: server errors show a traceback.
    """

    def __init__(self, declared: Mapping[Any, ExceptionHandler], debug: bool) -> None:
        self.by_status: dict[int, ExceptionHandler] = {}
        # As Starlette's middleware has it: with entries for its own exceptions.
        self.by_class: dict[type[BaseException], ExceptionHandler | None] = {HTTPException: None, WebSocketException: None}
        server_error: ExceptionHandler | None = None
        for key, handler in declared.items():
            if key in (500, Exception):
                server_error = handler
            elif isinstance(key, int):
                self.by_status[key] = handler
            else:
                self.by_class[key] = handler
        self.server_error = server_error
        self.errors = ServerErrorMiddleware(_nothing, handler=server_error, debug=debug)

    def find(self, exc: Exception) -> ExceptionHandler | None:
        """The handler of an exception; a status code's before a class's, the nearest class first."""
        if isinstance(exc, HTTPException):
            handler = self.by_status.get(exc.status_code)
            if handler is not None:
                return handler
        return _nearest(self.by_class, exc)


def _nearest(by_class: Mapping[Any, ExceptionHandler | None], exc: Exception) -> ExceptionHandler | None:
    for cls in type(exc).__mro__:
        if cls in by_class:
            return by_class[cls]
    return None


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """The application inside a `ServerErrorMiddleware` that is only asked for responses."""


async def _call(handler: ExceptionHandler, request: Any, exc: Exception) -> Any:
    if is_async_callable(handler):
        return await handler(request, exc)
    return await in_thread(handler, request, exc)


Find = Callable[[Exception], ExceptionHandler | None]


def find_in_scope(scope: Mapping[str, Any]) -> Find:
    """Looks handlers up where Starlette's `ExceptionMiddleware` puts them, for routes behind ASGI middleware."""
    by_class, by_status = scope.get("starlette.exception_handlers", ({}, {}))

    def find(exc: Exception) -> ExceptionHandler | None:
        handler = by_status.get(exc.status_code) if isinstance(exc, HTTPException) else None
        return handler or _nearest(by_class, exc)

    return find


def _as_bad_body(ex: Exchange, exc: Exception) -> Exception | None:
    """What a declared body would have raised, where `await request.json()` raised what left the endpoint; else None.

    None also where the application has a handler for `Exception` or 500, which then decides, as on FastAPI. See "A body that
    `request.json()` cannot read is not a server error" in docs/differences.md.
    """
    if ex.started or not isinstance(exc, ValueError | RecursionError):
        return None
    if not any(frame.f_code is _READING_JSON for frame, _ in traceback.walk_tb(exc.__traceback__)):
        return None
    declared = getattr(request_of(ex).scope.get("app"), "exception_handlers", {})
    if Exception in declared or 500 in declared:
        return None
    return json_invalid(exc) if isinstance(exc, json.JSONDecodeError) else limited(ex, exc)


async def handle_by(find: Find, ex: Exchange, exc: Exception) -> None:
    """Answers with the handler of an exception; raises it where there is none.

    Raises:
        RuntimeError: there is a handler, but the response has begun.
        ClientDisconnect: the same, for a body that the client did not send to its end.
    """
    try:
        if isinstance(exc, BodyTooLarge):
            exc = too_large()
        handler = find(exc)
        if handler is None and (refused := _as_bad_body(ex, exc)) is not None and (handler := find(refused)) is not None:
            exc = refused
        if handler is None:
            raise exc
        if ex.started:
            if isinstance(exc.__cause__, ClientDisconnect):
                _raise_cause(exc)  # half a body: the server has answered it, and nobody is left to be told more
            raise RuntimeError("Caught handled exception, but response already started.") from exc
        response = await _call(handler, request_of(ex), exc)
        if response is not None:
            await respond_with(ex, response)
        exc.__traceback__ = None  # an instance that is raised again would accumulate tracebacks
    finally:
        _untie(exc)
        del exc  # see the module


def _raise_cause(exc: Exception) -> NoReturn:
    cause = exc.__cause__
    assert cause is not None
    try:
        raise cause
    finally:
        _untie(cause)
        del cause, exc


def _untie(exc: BaseException) -> None:
    """Undo that an exception, raised again, has as its context the one that it is the cause of."""
    context = exc.__context__
    if context is not None and context.__cause__ is exc:
        exc.__context__ = None


async def handle_exception(handlers: Handlers, ex: Exchange, exc: Exception) -> None:
    """Answers an exception that left a route by its handler, or by that of the exception which that handler raised.

    Raises:
        Exception: what no handler took.
    """
    work = _handle_twice(handlers, ex, exc)
    del exc
    await (work if ex.view is None else leaving_late(ex.view.scope, work))


async def _handle_twice(handlers: Handlers, ex: Exchange, exc: Exception) -> None:
    remaining: Exception | None = None
    try:
        try:
            await handle_by(handlers.find, ex, exc)
            return
        except Exception as error:
            if error is exc:
                raise
            remaining = error
        await handle_by(handlers.find, ex, remaining)
    finally:
        del exc, remaining


async def answer_exception(handlers: Handlers, ex: Exchange, exc: Exception) -> None:
    """Answers an exception that left a route: by its handler, once more if that handler raised, else as a server error.

    Raises:
        Exception: what no handler took, after it was answered with 500, so that the server can log it.
    """
    work = handle_exception(handlers, ex, exc)
    del exc
    try:
        await work
    except Exception as remaining:
        await answer_server_error(handlers, ex, remaining)
        raise


async def answer_server_error(handlers: Handlers, ex: Exchange, exc: Exception) -> None:
    """500: a traceback in debug mode, else the handler for `Exception` or 500, else plain text. Nothing once a response began."""
    if ex.started:
        return
    errors = handlers.errors
    response: Response
    if errors.debug:
        response = errors.debug_response(request_of(ex), exc)
    elif errors.handler is None:
        response = PlainTextResponse("Internal Server Error", status_code=500)
    else:
        response = await _call(errors.handler, request_of(ex), exc)
    await respond_with(ex, response)
