"""Whom a request comes from when a proxy stands in between: X-Forwarded-For and X-Forwarded-Proto, from trusted peers only.

Pure; knows no connection. Read `tercel.server.http1` for where it is asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["ForwardedFields"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Client = tuple[str, int | None] | None

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class ForwardedFields:
    """The decision whom to believe, made from the settings once.

    Args:
        enabled: believe anybody at all.
        trusted: addresses and networks of proxies; `*` is everybody.

    Raises:
        ValueError: one of them is neither an address, a network nor `*`.
    """

    __slots__ = ("_enabled", "_everybody", "_networks")

    def __init__(self, enabled: bool, trusted: Iterable[str]) -> None:
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

    def read(self, headers: Sequence[tuple[bytes, bytes]], client: Client, scheme: str) -> tuple[Client, str]:
        """Client and scheme of a request that came through a trusted peer; the given ones where it says nothing usable.

        Each proxy appends the address it saw, so the list is read from its end, and the first entry that is no trusted proxy is the
        client: everything in front of that entry the client may have written itself.
        """
        hops: list[str] = []
        for name, value in headers:
            if name == b"x-forwarded-for":
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
