"""Whom a request comes from when a proxy stands in between, and what it was for: from trusted peers only, from agreed fields only.

Pure; knows no connection. Read `tercel.server.http1` for where it is asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from tercel.server.request_head import is_host

if TYPE_CHECKING:
    from tercel.server.exchange import HttpExchange

__all__ = ["ForwardedFields"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Client = tuple[str, int | None] | None

Headers = Sequence[tuple[bytes, bytes]]

_FIELDS: Final = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "forwarded")
# A path of ordinary segments: no empty ones, no dots alone, nothing encoded.
_PREFIX: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9\-._~]+)+")
# RFC 7239 §4: one pair of a forwarded element; the value is a token or quoted.
_PAIR: Final = re.compile(rb"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z:\[\]]+)|"((?:[^"\\]|\\.)*)")""")
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class ForwardedFields:
    """The decision whom to believe, made from the settings once.

    Args:
        enabled: believe anybody at all.
        trusted: addresses and networks of proxies; `*` is everybody.
        fields: the fields that are believed; others the proxy passes on as the client wrote them.

    Attributes:
        mark: what a head in lower case contains if it has one of the fields.

    Raises:
        ValueError: one of them is neither an address, a network nor `*`, or no such field is known.
    """

    __slots__ = ("_enabled", "_everybody", "_fields", "_networks", "mark")

    def __init__(
        self, enabled: bool, trusted: Iterable[str], fields: Iterable[str] = ("x-forwarded-for", "x-forwarded-proto")
    ) -> None:
        self._fields = frozenset(field.strip().lower().encode() for field in fields)
        for field in self._fields:
            if field.decode() not in _FIELDS:
                raise ValueError(f"forwarded_fields: {field.decode()!r} is not one of {', '.join(_FIELDS)}")
        self.mark = b"forwarded" if b"forwarded" in self._fields else b"\r\nx-forwarded-"
        names = [name.strip() for name in trusted if name.strip()]
        self._enabled = enabled
        self._everybody = "*" in names
        self._networks: list[_Network] = []
        for name in names:
            if name == "*":
                continue
            try:
                self._networks.append(ipaddress.ip_network(name, strict=False))
            except ValueError:
                raise ValueError(f"forwarded_allow_ips: {name!r} is neither an address, a network nor *") from None

    def trusts(self, peer: Client) -> bool:
        """Whether what this peer says about its client is believed; a peer without address came through a Unix socket."""
        if not self._enabled:
            return False
        return peer is None or self._trusts_host(peer[0])

    def _trusts_host(self, host: str) -> bool:
        if self._everybody:
            return True
        address = _parse(host)
        return address is not None and any(address in network for network in self._networks)

    def apply(self, exchange: HttpExchange) -> None:
        """Make of an exchange with a trusted peer what the peer says of it."""
        headers = exchange.headers
        exchange.client, exchange.scheme = self.read(headers, exchange.client, exchange.scheme)
        host, prefix = self.read_place(headers)
        if host is not None:
            exchange.headers = [(b"host", host), *(field for field in headers if field[0] != b"host")]
        if prefix:
            exchange.root_path = prefix.decode() + exchange.root_path
            exchange.path = prefix.decode() + exchange.path
            exchange.raw_path = prefix + exchange.raw_path

    def read_place(self, headers: Headers) -> tuple[bytes | None, bytes]:
        """The host that the client asked for, or None, and the prefix that the proxy has taken from the path, or nothing."""
        host: bytes | None = None
        prefix = b""
        for name, value in headers:
            if name not in self._fields:
                continue
            if name == b"forwarded":
                said = _parse_forwarded(value)
                value = said[-1].get(b"host", b"") if said else b""
            last = value.rpartition(b",")[2].strip()
            if name == b"x-forwarded-prefix":
                prefix = last.rstrip(b"/") if _PREFIX.fullmatch(last.rstrip(b"/")) else b""
            elif name in (b"x-forwarded-host", b"forwarded") and last and is_host(last):
                host = last
        return host, prefix

    def read(self, headers: Headers, client: Client, scheme: str) -> tuple[Client, str]:
        """Client and scheme of a request that came through a trusted peer; the given ones where it says nothing usable.

        Each proxy appends the address it saw, so the list is read from its end, and the first entry that is no trusted proxy is the
        client: everything in front of that entry the client may have written itself.
        """
        hops: list[str] = []
        for name, value in headers:
            if name not in self._fields:
                continue
            if name == b"forwarded":
                said = _parse_forwarded(value)
                hops += [element.get(b"for", b"").decode("latin-1") for element in said]
                value = said[-1].get(b"proto", b"") if said else b""
                scheme = _SCHEMES.get(value.decode("latin-1").lower(), scheme)
            elif name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                # A list has one entry per proxy; the last was written by the one that is trusted.
                scheme = _SCHEMES.get(value.decode("latin-1").rpartition(",")[2].strip().lower(), scheme)
        for index in range(len(hops) - 1, -1, -1):
            host, port = _split_port(hops[index].strip())
            address = _parse(host)
            if address is None:
                # Nonsense, or "unknown": what stands in front of it is not worth more.
                break
            client = (str(address), port)
            if not self._trusts_host(host) or index == 0:
                break
        return client, scheme


def _parse_forwarded(value: bytes) -> list[dict[bytes, bytes]]:
    """The elements of a Forwarded field (RFC 7239 §4), names in lower case; nothing when it is malformed."""
    elements: list[dict[bytes, bytes]] = [{}]
    position = 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is not None:
            quoted = match[3]
            elements[-1][match[1].lower()] = match[2] if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
            position = match.end()
        elif value[position] == 44:  # ","
            elements.append({})
            position += 1
        elif value[position] in b"; \t":
            position += 1
        else:
            return []
    return elements


def _parse(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # An IPv4 client on a dual-stack socket appears as ::ffff:a.b.c.d.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _split_port(entry: str) -> tuple[str, int]:
    """Host and port of an entry; some proxies add the port. 0 where there is none, as in uvicorn."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
