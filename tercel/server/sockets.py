"""Listening sockets: TCP, Unix, inherited; what can go wrong with them in words an operator can act on.

Knows the settings and the operating system only. Read `tercel.server.serving` for who accepts from them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import socket
import ssl
import stat
import sys

from tercel.server.config import ServerConfig

__all__ = [
    "BindError",
    "address_of",
    "bind_shared",
    "bind_sockets",
    "listen",
    "shares_sockets",
    "tls_context",
    "unlink_unix_socket",
    "url_of",
]


class BindError(Exception):
    """The server can not listen where it should; the argument says why and what to do."""


def bind_sockets(config: ServerConfig, *, shared: bool = False, listening: bool = True) -> list[socket.socket]:
    """Sockets that listen where the settings say.

    Args:
        config: the settings.
        shared: several processes bind the same address (SO_REUSEPORT) and the kernel spreads connections over them.
        listening: whether a TCP socket takes connections at once. Otherwise it only holds its address, and clients are refused
            until `listen` is called on it.

    Raises:
        BindError: with the reason in words.
    """
    if config.fd is not None:
        return [_inherit(config.fd)]
    if config.uds is not None:
        return [_bind_unix(config.uds, config)]
    return _bind_tcp(config, shared, listening)


def _inherit(fd: int) -> socket.socket:
    try:
        # A duplicate: closing it leaves the descriptor to whoever passed it.
        inherited = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        raise BindError(f"file descriptor {fd} is not an open socket: {error.strerror}") from None
    if inherited.type != socket.SOCK_STREAM:
        inherited.close()
        raise BindError(f"file descriptor {fd} is not a stream socket")
    inherited.setblocking(False)
    return inherited


def _bind_unix(path: str, config: ServerConfig) -> socket.socket:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = 0
    if mode:
        if not stat.S_ISSOCK(mode):
            raise BindError(f"{path} exists and is not a socket; remove it or choose another --uds path")
        if _answers(path):
            raise BindError(f"another process is listening on {path}; stop it or choose another --uds path")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        os.chmod(path, config.uds_mode)
        listener.listen(config.backlog)
    except OSError as error:
        listener.close()
        raise BindError(f"can not listen on {path}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _bind_tcp(config: ServerConfig, shared: bool, listening: bool) -> list[socket.socket]:
    host, port = config.host, config.port
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise BindError(f"the host name {host!r} can not be resolved: {error}") from None
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            if port == 0 and listeners:
                # The port the kernel chose for the first address.
                address = (address[0], listeners[0].getsockname()[1], *address[2:])
            listeners.append(_bind(family, address, config, shared))
            if listening:
                listeners[-1].listen(config.backlog)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise BindError(_explain(error, host, port)) from None
    return listeners


def _bind(family: int, address: object, config: ServerConfig, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # Lets a restart bind while connections of the process before are still in TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Inherited by accepted connections: a silent peer that has vanished is noticed in the end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Inherited as well: the kernel gives up on a peer that acknowledges nothing.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.write_timeout_s * 1000))
        listener.bind(address)  # type: ignore[arg-type]
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def listen(listener: socket.socket, config: ServerConfig) -> None:
    """Has a socket take connections, if it does not yet.

    Raises:
        BindError: another process took the address in the meantime.
    """
    if listener.getsockopt(socket.SOL_SOCKET, getattr(socket, "SO_ACCEPTCONN", 30)) == 0:
        try:
            listener.listen(config.backlog)
        except OSError as error:
            raise BindError(_explain(error, config.host, config.port)) from None


def _explain(error: OSError, host: str, port: int) -> str:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another process; stop it or choose another --port"
    if error.errno == errno.EACCES:
        return f"no permission to listen on {where}; ports below 1024 need privileges, choose another --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; choose another --host"
    return f"can not listen on {where}: {error.strerror or error}"


def shares_sockets(config: ServerConfig) -> bool:
    """Whether several workers accept from the same sockets: a Unix or inherited one, or where SO_REUSEPORT does not spread."""
    return config.workers > 1 and (config.fd is not None or config.uds is not None or sys.platform != "linux")


def bind_shared(config: ServerConfig) -> list[list[socket.socket]]:
    """For each worker sockets of its own on the same addresses, over which the kernel spreads connections (SO_REUSEPORT).

    Where that does not exist, or does not spread (it does on Linux), and for a Unix or inherited socket, the workers share sockets.

    Raises:
        BindError: with the reason in words.
    """
    # Without SO_REUSEPORT first: with it, two servers would share a port and neither would notice.
    probe = bind_sockets(config)
    if shares_sockets(config):
        return [probe] * config.workers
    port = probe[0].getsockname()[1]
    for listener in probe:
        listener.close()
    fixed = dataclasses.replace(config, port=port)
    return [bind_sockets(fixed, shared=True) for _ in range(config.workers)]


def unlink_unix_socket(path: str) -> None:
    """Remove the file of a Unix socket that was listened on."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)


def url_of(listener: socket.socket, tls: bool) -> str:
    """Where a listener is reached, as a URL a person can click on."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name if isinstance(name, str) else name.decode(errors='replace')}"
    host, port = name[0], name[1]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """The TLS settings, or None without a certificate.

    Raises:
        BindError: a file is missing or is not what it should be.
    """
    if config.tls_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a handshake costs a server more than its client; OpenSSL 3 allows none anyway
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(config.tls_certfile, config.tls_keyfile, config.tls_keyfile_password)
        if config.tls_ca_certs is not None:
            context.load_verify_locations(config.tls_ca_certs)
        if config.tls_ciphers is not None:
            context.set_ciphers(config.tls_ciphers)
    except FileNotFoundError:
        names = (config.tls_certfile, config.tls_keyfile, config.tls_ca_certs)
        missing = [name for name in names if name is not None and not os.path.exists(name)]
        raise BindError(f"TLS file not found: {', '.join(missing)}") from None
    except ssl.SSLError as error:
        raise BindError(f"TLS can not be set up from {config.tls_certfile}: {error.reason or error}") from None
    except OSError as error:
        raise BindError(f"TLS can not be set up: {error}") from None
    context.verify_mode = {
        "none": ssl.CERT_NONE,
        "optional": ssl.CERT_OPTIONAL,
        "required": ssl.CERT_REQUIRED,
    }[config.tls_client_certs]
    return context


def address_of(address: object, unix: bool = False) -> tuple[str, int | None] | None:
    """Host and port of a socket address; for a Unix socket's own address (path, None)."""
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    if unix and isinstance(address, (str, bytes)) and address:
        return (address if isinstance(address, str) else address.decode(errors="replace")), None
    return None
