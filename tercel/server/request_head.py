"""What llhttp leaves open about a request head: the form of the target, the host, the framing of the body.

Pure; raises `Rejected` with the status a bad head is answered with. Read `tercel.server.head_reader` next, which calls it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

__all__ = [
    "Rejected",
    "Target",
    "check_host",
    "explain_syntax_error",
    "find_field",
    "is_host",
    "known_hosts",
    "may_become_request_line",
    "parse_target",
    "read_framing",
]


class Rejected(Exception):
    """The request is answered by the server itself and the connection closed.

    Args:
        status: the status code.
        reason: one line for the client, without anything it sent.
        headers: further fields of the answer.
    """

    def __init__(self, status: int, reason: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or []


class Target(NamedTuple):
    """A request target (RFC 9112 §3.2), taken apart."""

    path: str
    raw_path: bytes
    query_string: bytes
    authority: bytes | None


# RFC 9112 §3.2.2: the absolute form; userinfo is refused (RFC 9110 §4.2.4).
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]*)((?:[/?][^#]*)?)", re.IGNORECASE)
# RFC 9110 §7.2 and RFC 3986 §3.2.2: a registered name, an address, an address in brackets; then a port. `_` is not in the grammar
# of host names but in use; a comma is in that of registered names, but where it appears somebody has joined two Host fields to one.
_HOST: Final = re.compile(rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")


def parse_target(target: bytes, method: str) -> Target:
    """Path, query and authority of a request target.

    The path is decoded as percent-encoded UTF-8 with U+FFFD for what is none; `%2F` becomes a slash there, as in every ASGI server,
    and stays visible in `raw_path`. Dot segments are left alone: only the application knows what they mean to it.

    Raises:
        Rejected: 400, no valid target for this method.
    """
    authority: bytes | None = None
    # RFC 9112 §3.2: a fragment is no part of a target.
    if 35 in target:  # "#"; searching a number is faster
        raise Rejected(400, "the request target has a fragment")
    if target[:1] != b"/":
        if target == b"*":
            if method != "OPTIONS":
                raise Rejected(400, "the request target * belongs to OPTIONS")
            return Target("*", b"*", b"", None)
        match = _ABSOLUTE.fullmatch(target)
        if match is None or not match[1] or not is_host(match[1]):
            raise Rejected(400, "the request target is malformed")
        authority = match[1]
        target = match[2]
        if target[:1] != b"/":
            # RFC 9110 §4.2.3: an empty path means the same as "/".
            target = b"/" + target
    raw_path, _, query_string = target.partition(b"?")
    path = raw_path.decode("latin-1")
    if "%" in path:
        path = unquote(path)
    return Target(path, raw_path, query_string, authority)


def is_host(value: bytes) -> bool:
    """True for what a Host field may carry (an empty one included)."""
    return _HOST.fullmatch(value) is not None


# Hosts found valid before. A server sees few; bounded for those who send many.
known_hosts: set[bytes] = set()
_KNOWN_HOSTS_MAX: Final = 1024


def check_host(value: bytes) -> None:
    """Check the value of a Host field, white space around it included, and remember it.

    Raises:
        Rejected: 400.
    """
    if not is_host(value.strip()):
        raise Rejected(400, "the Host field is malformed")
    if len(known_hosts) < _KNOWN_HOSTS_MAX:
        known_hosts.add(value)


def find_field(head: bytes, lowered: bytes, name: bytes) -> bytes | None:
    """The first value of a field in a head that llhttp has accepted, or None. Searching costs less than taking all fields apart.

    Args:
        head: the head.
        lowered: the same in lower case.
        name: in lower case.
    """
    found = lowered.find(b"\r\n%b:" % name)
    if found < 0:
        return None
    start = found + len(name) + 3
    return head[start : head.find(b"\r\n", start)].strip()


def read_framing(head: bytes, lowered: bytes, version: str) -> tuple[int, bool]:
    """What a head says about the body: its length (-1 for a chunked one), and whether the client waits for `100 Continue`.

    Raises:
        Rejected: 400, 417 or 501.
    """
    coding = find_field(head, lowered, b"transfer-encoding")
    if coding is not None:
        # RFC 9112 §6.1: it came with HTTP/1.1; in a 1.0 message the framing is to be treated as faulty.
        if version == "1.0":
            raise Rejected(400, "Transfer-Encoding in an HTTP/1.0 request")
        # llhttp has made sure that the last coding is chunked, once, and that there is no Content-Length beside it.
        if coding.lower() != b"chunked":
            raise Rejected(501, "the transfer coding is not implemented")
        length_bytes = -1
    else:
        # llhttp has refused signs, lists and duplicates.
        length_bytes = int(find_field(head, lowered, b"content-length") or 0)
        if length_bytes > 0x7FFF_FFFF_FFFF_FFFF:
            raise Rejected(400, "Content-Length is out of range")
    expectation = find_field(head, lowered, b"expect")
    if expectation is None:
        return length_bytes, False
    # RFC 9110 §10.1.1: any other expectation may be answered with 417.
    if expectation.lower() != b"100-continue":
        raise Rejected(417, "the expectation is not known")
    return length_bytes, version == "1.1"


_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) [\x21-\x7e]+ HTTP/([0-9])\.([0-9])")
_KNOWN_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"))


# What may still become a request line.
_LINE_PREFIX: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: [\x21-\x7e]*(?: H?T?T?P?/?[0-9]?\.?[0-9]?\r?)?)?")


def may_become_request_line(line: bytes) -> bool:
    """True for the beginning of something with the form of a request line, whatever its method and version are."""
    return _LINE_PREFIX.fullmatch(line) is not None


def explain_syntax_error(head: bytes, message: str) -> Rejected:
    """The answer to a head that llhttp refused: 501 for a method or 505 for a version nobody implements, otherwise 400.

    Args:
        head: the head as far as it was received.
        message: llhttp's.
    """
    match = _REQUEST_LINE.match(head.split(b"\r\n", 1)[0])
    if match is not None:
        if match[2] != b"1" or match[3] not in b"01":
            return Rejected(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        # RFC 9110 §15.6.2: a method the server does not know at all.
        if "method" in message.lower() and match[1] not in _KNOWN_METHODS:
            return Rejected(501, "the method is not implemented")
    return Rejected(400, "the request is malformed")
