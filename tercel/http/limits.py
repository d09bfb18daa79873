"""Limits on request bodies and forms: their declaration, and recognising that one was exceeded.

The counting itself is Starlette's `RequestBodyLimitMiddleware`, since the counter is shared between an application, its middleware
and what it mounts.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter, with_config
from starlette import formparsers
from starlette.exceptions import HTTPException
from starlette.middleware import body_limit
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY, RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict

from tercel.http.handlers import http_exception_handler

__all__ = [
    "AppBodyLimitMiddleware",
    "FormLimits",
    "body_limit_error",
    "is_strange_charset",
    "nearest_limit",
    "validate_form_limits",
    "validate_max_body_size",
    "with_body_limit",
]

# Names of Starlette's that are private to it; without them a limit still answers 413, by way of HTTPException.
_sent: tuple[type[Exception], ...] = tuple(filter(None, [getattr(body_limit, "_RequestBodyLimitResponseSent", None)]))
_exceeded: tuple[type[Exception], ...] = (*filter(None, [getattr(body_limit, "_RequestBodyTooLarge", None)]), *_sent)


@with_config(ConfigDict(strict=True, extra="forbid"))
class FormLimits(TypedDict, total=False):
    """Limits on one form: number of fields, number of files, bytes of one part that is not a file."""

    max_fields: NonNegativeInt
    max_files: NonNegativeInt
    max_part_size: NonNegativeInt


_form_limits = TypeAdapter(FormLimits)


def validate_form_limits(limits: Mapping[str, int] | FormLimits | None) -> FormLimits:
    """The limits as declared.

    Raises:
        pydantic.ValidationError: an unknown name, a negative number, or something that is not a number.
    """
    return {} if limits is None else _form_limits.validate_python(limits)


def validate_max_body_size(max_body_size: int | None) -> None:
    """Raises ValueError unless it is None (no limit) or a number of bytes; 0 allows only empty bodies."""
    if max_body_size is None:
        return
    if type(max_body_size) is not int or max_body_size < 0:  # True and False are integers, but not meant
        raise ValueError("max_body_size must be a non-negative integer or None")


def nearest_limit(*limits: int | None) -> int | None:
    """The first limit that was given, nearest first."""
    return next((limit for limit in limits if limit is not None), None)


def body_limit_error(exc: Exception) -> Exception | None:
    """The limit's own exception inside `exc`, also in a group that holds nothing else; None for every other failure."""
    if isinstance(exc, ExceptionGroup):
        _, other = exc.split(_exceeded)
        if other is not None:
            return None
        found: Any = exc.subgroup(_sent) or exc
        while isinstance(found, ExceptionGroup):
            found = found.exceptions[0]
        exc = found
    return exc if isinstance(exc, _exceeded) else None


_parser: Any = formparsers  # where it has the function from is its own affair

# Decoders that yield lone surrogates, which no response can hold, or that fail in a way Starlette's parser does not expect.
_STRANGE_CHARSETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def is_strange_charset(content_type: str) -> bool:
    """Whether the charset parameter of a form's content type names a codec of Python's that is no encoding of forms."""
    if "charset" not in content_type.lower():
        return False
    charset = _parser.parse_options_header(content_type)[1].get(b"charset", b"")
    try:
        return codecs.lookup(charset.decode("latin-1")).name.replace("_", "-") in _STRANGE_CHARSETS
    except (LookupError, ValueError):  # taken as Latin-1; a NUL in the name is a ValueError
        return False


class _Ungroup:
    """Takes the limit's exception out of the groups that task groups of middleware make of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ExceptionGroup as group:
            if scope["type"] == "http" and (error := body_limit_error(group)):
                raise error from group
            raise


def with_body_limit(app: ASGIApp, max_body_size: int | None) -> ASGIApp:
    """The application behind a limit of so many bytes on request bodies; the application itself for None."""
    return app if max_body_size is None else RequestBodyLimitMiddleware(_Ungroup(app), max_body_size=max_body_size)


class AppBodyLimitMiddleware:
    """The limit of a whole application, outside of its middleware, with 413 in FastAPI's shape.

    Args:
        max_body_size: bytes, or None for no limit.
    """

    def __init__(self, app: ASGIApp, max_body_size: int | None) -> None:
        self.app = with_body_limit(app, max_body_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if MAX_BODY_SIZE_SCOPE_KEY not in scope:
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as exc:
            error = body_limit_error(exc)
            if started or not isinstance(error, HTTPException):
                raise
            response = await http_exception_handler(Request(scope, receive), error)
            await response(scope, receive, send)
