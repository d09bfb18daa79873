"""Bytes of response heads: status lines, header fields that cannot split a response, the date that changes once a second.

Pure functions and constants, plus `Clock`; knows no connection. Read `tercel.server.exchange` next, which decides what is sent.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from tercel.http.exchange import Head

__all__ = ["CONTINUE", "RenderedHead", "plain_text", "render", "status_forbids_body", "tail_lines"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9110 §5.6.2: a field name is a token.
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 §5.5: CR, LF and NUL in a value are dangerous; other controls but HTAB have no meaning.
_FORBIDDEN_IN_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}

# Field names already found to be tokens, with their lower-case form. Bounded, since an application may echo a client's names.
_known_names: dict[bytes, bytes] = {}
_KNOWN_NAMES_MAX: Final = 1024

# Fields the server decides about itself, or has to know of.
_OWN: Final = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"server"))


RenderedHead = tuple[bytes, int | None, bool, bool, bool]
"""A head as bytes, without the fields that depend on the connection: status line and fields, each ended by CRLF, no empty line; the
application's content-length or None; whether it sent `connection: close`, a date, a server field of its own."""


def status_forbids_body(status: int) -> bool:
    """True for a final status whose response ends with its head (RFC 9110 §6.4.1)."""
    return status == 204 or status == 304


def render(head: Head) -> RenderedHead:
    """The bytes of a head; kept in `head.wire` when nothing of it depends on the connection.

    Raises:
        ValueError: a status outside 200 to 999, or a field that would split the response or is no field at all; names it.
        TypeError: a name or value that is not bytes.
    """
    status = head.status
    line = _STATUS_LINES.get(status)
    # RFC 9110 §15.2: a 1xx response is interim, it can not be the answer.
    if line is None or status < 200:
        if type(status) is not int or not 200 <= status <= 999:
            raise ValueError(f"response status must be an integer from 200 to 999, not {status!r}")
        line = b"HTTP/1.1 %d \r\n" % status
    parts = [line]
    content_length: int | None = None
    wants_close = has_date = has_server = own = False
    try:
        # All values at once; who it was is looked for when there is one.
        if _FORBIDDEN_IN_VALUE.search(b"".join([value for _, value in head.headers])) is not None:
            raise _bad_value(head)
    except TypeError:
        raise _bad_value(head) from None
    for name, value in head.headers:
        lower = _known_names.get(name) or _check_name(name)
        if lower in _OWN:
            own = True
            if lower == b"content-length":
                content_length = _parse_length(value, content_length)
                continue
            if lower == b"date":
                has_date = True
            elif lower == b"server":
                has_server = True
            else:
                # RFC 9110 §7.6.1: these belong to the connection, which is the server's.
                if lower == b"connection" and value.lower().find(b"close") >= 0:
                    wants_close = True
                continue
        parts.append(b"%b: %b\r\n" % (name, value))
    wire = b"".join(parts)
    if not own and not status_forbids_body(status) and status != 205:
        head.wire = wire
    return wire, content_length, wants_close, has_date, has_server


def _bad_value(head: Head) -> Exception:
    for name, value in head.headers:
        if type(value) is not bytes:
            return TypeError(f"response header {_show(name)} has the value {value!r}, which must be bytes")
        if _FORBIDDEN_IN_VALUE.search(value) is not None:
            return ValueError(f"response header {_show(name)} has a control character in its value {value!r}")
    raise AssertionError("all values are good")


def _check_name(name: bytes) -> bytes:
    if not isinstance(name, bytes):
        raise TypeError(f"response header name {name!r} must be bytes")
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"response header name {name!r} has characters that RFC 9110 does not allow")
    lower = name.lower()
    if len(_known_names) < _KNOWN_NAMES_MAX:
        _known_names[name] = lower
    return lower


def _parse_length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or len(value) > 19:
        raise ValueError(f"response header content-length must be a number, not {value!r}")
    length = int(value)
    if before is not None and before != length:
        raise ValueError(f"response header content-length was given twice, as {before} and as {length}")
    return length


def _show(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else repr(name)


def tail_lines(*, date: bool, server: bool, timestamp_s: float) -> tuple[bytes, bytes, bytes]:
    """The lines each response ends its head with: (all, those beside an own date, those beside an own server field)."""
    date_line = b"date: %b\r\n" % formatdate(timestamp_s, usegmt=True).encode() if date else b""
    server_line = b"server: tercel\r\n" if server else b""
    return date_line + server_line, server_line, date_line


def plain_text(status: int, text: str) -> tuple[Head, bytes]:
    """A head and a body for an answer the server gives on its own."""
    return Head(status, [(b"content-type", b"text/plain; charset=utf-8")]), text.encode()
