"""The settings of the server: one frozen object, every number with its unit in its name and its reason beside it.

This module knows nothing of sockets or protocols; it only says what the rest of the package obeys. Read `tercel.server.serving`
next for the object that is made from it, and `tercel.server.supervisor` for the process around that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ServerConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything an operator may decide about a server.

    Where it listens: `fd` wins over `uds`, `uds` wins over `host` and `port`.

    Raises:
        ValueError: a number is negative or zero where that has no meaning, or two settings contradict each other.
    """

    # -- where to listen ---------------------------------------------------------------------------------------------------

    host: str = "127.0.0.1"
    """Address or name to bind. The default answers only this machine: to be reachable is a decision."""
    port: int = 8000
    """TCP port; 0 lets the kernel choose a free one."""
    uds: str | None = None
    """Path of a Unix domain socket. A stale socket file at that path is replaced, any other file is an error."""
    fd: int | None = None
    """Number of an inherited, bound (and usually listening) stream socket, as systemd and process managers pass one."""
    uds_mode: int = 0o666
    """Permissions of the socket file, so that a proxy under another user may connect; the folder's permissions still protect it."""
    backlog: int = 65_535
    """Connections the kernel completes before they are accepted; silently capped by `net.core.somaxconn` (4096 on Linux). As many
    as it gives: what waits costs a few hundred bytes, and a client that finds no room tries again after 0.2 s, 0.4 s, 0.8 s, ..."""

    # -- TLS ---------------------------------------------------------------------------------------------------------------

    tls_certfile: str | None = None
    """PEM file with the certificate chain; switches TLS on."""
    tls_keyfile: str | None = None
    """PEM file with the private key; None when it is in `tls_certfile`."""
    tls_keyfile_password: str | None = None
    tls_ca_certs: str | None = None
    """PEM file with the authorities that may sign client certificates."""
    tls_client_certs: Literal["none", "optional", "required"] = "none"
    """Whether a client has to show a certificate signed by `tls_ca_certs`."""
    tls_ciphers: str | None = None
    """OpenSSL cipher list for TLS 1.2; None keeps the interpreter's, which is maintained. TLS 1.0 and 1.1 are never offered."""
    tls_handshake_timeout_s: float = 10.0
    """As `head_timeout_s`: a handshake is a few round trips, more is a client that holds a connection for nothing."""

    # -- the application ---------------------------------------------------------------------------------------------------

    root_path: str = ""
    """The prefix a proxy strips before it forwards; becomes `root_path` of every scope."""
    lifespan: Literal["auto", "on", "off"] = "auto"
    """`auto` goes on without lifespan when the application does not implement it, `on` makes that an error."""
    lifespan_shutdown_timeout_s: float = 30.0
    """Longest wait for the application's shutdown code; a pool that hangs on closing must not keep the process for ever."""

    # -- behind a proxy ----------------------------------------------------------------------------------------------------

    proxy_headers: bool = True
    """Believe what the addresses in `forwarded_allow_ips`, and only they, say in `forwarded_fields`."""
    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks (`10.0.0.0/8`) of trusted proxies; `*` trusts everybody. A peer on a Unix socket is trusted whenever
    `proxy_headers` is on, since it has no address and file permissions decide who may connect."""
    forwarded_fields: tuple[str, ...] = ("x-forwarded-for", "x-forwarded-proto")
    """Fields of a trusted proxy that are believed. Also known: `x-forwarded-host` (becomes the host), `x-forwarded-prefix` (becomes
    `root_path`), `forwarded` (RFC 7239: for, proto, host). Name only those your proxy sets itself: others it passes on as the
    client wrote them."""

    # -- what is told to whom ----------------------------------------------------------------------------------------------

    access_log: bool = True
    """One line per response on the logger `tercel.access`, level INFO."""
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    server_header: bool = False
    """Send `server: tercel`. Off, since it costs bytes and tells a scanner what to try (RFC 9110 §17.12)."""
    date_header: bool = True
    """Send `date` (RFC 9110 §6.6.1: an origin server with a clock must)."""

    # -- time --------------------------------------------------------------------------------------------------------------

    head_timeout_s: float = 10.0
    """From the connection (or the first byte of a further request) to the complete head. Real clients send a head in one segment;
    ten seconds allow for a lost packet on a bad line and end a slowloris."""
    keep_alive_timeout_s: float = 15.0
    """How long an idle connection is kept. Longer than uvicorn's 5 s, so that a browser's next click reuses it; a load balancer in
    front should have a shorter one than the server, or it sends into a closing connection."""
    body_timeout_s: float = 30.0
    """Longest pause between two pieces of a request body while the application is reading; the time in which the application does
    not read does not count."""
    write_timeout_s: float = 30.0
    """Longest time in which a client takes nothing of what waits for it; then the connection is dropped. Also TCP_USER_TIMEOUT."""
    linger_timeout_s: float = 2.0
    """After a response that ends the connection while the client may still be sending: how long its bytes are discarded, so that
    the reset they would cause does not destroy the response (RFC 9112 §9.6)."""
    half_closed_timeout_s: float = 1.0
    """A client that closes its side of the connection may wait for the rest (RFC 9112 §9.6) or have left; a piece that is sent to
    one that has left is answered by a reset. How long a stream may send nothing before such a client is taken to have left."""
    graceful_timeout_s: float = 30.0
    """From SIGTERM to the end of patience with requests in flight. Equal to the grace period Kubernetes gives by default, minus
    nothing: set it lower there when the application's own shutdown takes long."""

    # -- size --------------------------------------------------------------------------------------------------------------

    max_head_bytes: int = 65_536
    """Request line and header fields together, and a trailer section; 431 above. Room for large cookies and tokens."""
    max_headers: int = 128
    """Header fields in one request; 431 above. Browsers behind three proxies send about forty."""
    max_target_bytes: int = 16_384
    """Request target; 414 above. Twice what common proxies pass on."""
    max_body_bytes: int | None = None
    """Request body; 413 above, before it is read when Content-Length says so. None: no limit, as FastAPI; set one in production."""
    max_connections: int | None = None
    """Open connections in one process; at the limit accepting pauses and clients wait in the backlog. None: as many as the
    process may have file descriptors."""
    max_connections_per_address: int | None = None
    """Open connections from one address in one process (for IPv6 from one /64); one more is closed at once. Trusted proxies are not
    counted, since many clients come through them. None: no limit, as many people may share an address."""
    look_ahead_bytes: int = 65_536
    """Bytes kept of pipelined requests behind the one being answered; then reading pauses."""
    body_buffer_bytes: int = 65_536
    """Body bytes kept for an application that does not read them yet; then reading pauses."""
    discard_body_bytes: int = 65_536
    """Rest of a request body that nobody read which is discarded to keep the connection; a longer one costs the connection."""
    write_high_water_bytes: int = 65_536
    """Bytes waiting towards one client at which the writing coroutine suspends. Bounds memory per slow reader."""
    write_low_water_bytes: int = 16_384
    """Bytes at which it goes on: early enough that the socket does not run dry."""
    gather_bytes: int = 16_384
    """Small stream writes are gathered until the coroutine suspends or this many bytes are held. A system call costs about as much
    as copying 16 KiB, so more gains nothing and delays the first byte."""

    # -- WebSocket ---------------------------------------------------------------------------------------------------------

    ws_max_message_bytes: int = 16_777_216
    """One message, all fragments together; the connection is closed with 1009 above. As uvicorn's default."""
    ws_max_fragments: int = 131_072
    """Frames of one message; the connection is closed with 1008 above. Nobody needs more than a few, but tests of the protocol send
    65,536; empty ones without end would cost time and no bytes that another limit counts."""
    ws_compression: bool = False
    """Take offers of permessage-deflate (RFC 7692), without context takeover; messages are counted inflated. Off, since it costs
    time in the event loop for each message and gains little on short ones."""
    ws_queue_bytes: int = 262_144
    """Received message bytes that wait for the application; above, `ws_queue_policy` says what happens."""
    ws_queue_messages: int = 256
    """The same for their number, since a hundred thousand empty messages are not free either."""
    ws_queue_policy: Literal["wait", "close"] = "wait"
    """What happens when a queue of a WebSocket is full. `wait`: reading pauses, which the client feels as back-pressure, or the
    sending coroutine waits (at `write_high_water_bytes`) until the client reads or `write_timeout_s` is over. `close`: who sends
    too much is closed with 1008, and who does not read is dropped with the next message, so that no broadcast waits for it."""
    ws_ping_interval_s: float | None = 20.0
    """Time between pings; shorter than the idle timeout of common proxies (60 s). None: no pings."""
    ws_pong_timeout_s: float = 20.0
    """A peer that sends nothing at all for this long after a ping is dead and is dropped (the application sees 1006)."""
    ws_close_timeout_s: float = 5.0
    """How long the peer may take to complete the closing handshake before the connection is cut (RFC 6455 §7.1.1)."""
    ws_unaware_timeout_s: float = 2.0
    """While the server stops: how long the endpoint of a WebSocket that is over may go on without having noticed, since it waits
    for something else (a queue, an event, a pause); then it is cancelled, and its `finally` runs. Nothing it sends would arrive."""
    ws_allowed_origins: tuple[str, ...] | None = None
    """Origins (`https://example.org`) that may open a WebSocket; others get 403. None: every origin, as FastAPI. Set it when
    cookies authenticate sockets, since the same-origin policy does not protect them (RFC 6455 §10.2)."""

    # -- processes ---------------------------------------------------------------------------------------------------------

    workers: int = 1
    """Processes that share the port through SO_REUSEPORT. One process uses one core."""
    worker_silence_timeout_s: float = 60.0
    """A worker whose event loop has not moved for this long is killed and replaced. Above any sensible blocking call. Time in
    which its supervisor stood still too, as in a container that is paused, does not count."""
    max_requests: int | None = None
    """A process stops gracefully after so many responses (its supervisor replaces it); a remedy for leaks in libraries."""
    reload: bool = False
    """Restart when a source file changes; needs the `reload` extra (watchfiles)."""
    reload_dirs: tuple[str, ...] = (".",)
    """Folders to watch."""
    reload_includes: tuple[str, ...] = ("*.py",)
    """File name patterns that cause a restart."""
    reload_excludes: tuple[str, ...] = (".*", "*~", "*.tmp", "node_modules", "__pycache__")
    """File and folder name patterns that never do."""

    def __post_init__(self) -> None:
        for name in (
            "head_timeout_s",
            "keep_alive_timeout_s",
            "body_timeout_s",
            "write_timeout_s",
            "linger_timeout_s",
            "half_closed_timeout_s",
            "tls_handshake_timeout_s",
            "ws_pong_timeout_s",
            "ws_close_timeout_s",
            "ws_unaware_timeout_s",
            "worker_silence_timeout_s",
            "max_head_bytes",
            "max_headers",
            "max_target_bytes",
            "look_ahead_bytes",
            "body_buffer_bytes",
            "write_high_water_bytes",
            "gather_bytes",
            "ws_max_message_bytes",
            "ws_max_fragments",
            "ws_queue_bytes",
            "ws_queue_messages",
            "backlog",
            "workers",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        for name in ("max_connections", "max_connections_per_address", "max_requests", "ws_ping_interval_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be greater than 0, or None for no limit")
        if self.max_body_bytes is not None and self.max_body_bytes < 0:
            raise ValueError("max_body_bytes must not be negative; None is no limit")
        for name in ("graceful_timeout_s", "lifespan_shutdown_timeout_s", "write_low_water_bytes", "discard_body_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.write_low_water_bytes > self.write_high_water_bytes:
            raise ValueError("write_low_water_bytes must not exceed write_high_water_bytes")
        if not 0 <= self.port <= 65_535:
            raise ValueError("port must be between 0 and 65535")
        if self.tls_keyfile is not None and self.tls_certfile is None:
            raise ValueError("tls_keyfile needs tls_certfile")
        if self.tls_client_certs != "none" and self.tls_ca_certs is None:
            raise ValueError("tls_client_certs needs tls_ca_certs")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise ValueError("root_path must start with a slash and not end with one, or be empty")
        if self.reload and self.workers > 1:
            raise ValueError("reload and workers exclude each other: development uses one process")
