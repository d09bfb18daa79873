"""What an idle connection costs: resident memory of a server's process, divided by the connections that were opened meanwhile.

    python -m tools.soak.idle                          # both protocols; fresh, kept alive, WebSockets; 10,000 of each
    python -m tools.soak.idle --count 1000 --check 10  # exit code 1 above 10 KiB

The server has a process of its own, the connections' other ends are in this one. Read `docs/server.md` for the figures.
"""

from __future__ import annotations

import argparse
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attacks.attacker import OPENING
from tools.soak.__main__ import Running, running

__all__ = ["KINDS", "OPTIONS", "idle_kib", "many_files", "memory_kib"]

KINDS = ("fresh", "kept alive", "WebSocket")
# Descriptors that a process has for other things.
SPARE_FILES = 200
WAIT_S = 60.0
_REQUEST = b"GET /items/1 HTTP/1.1\r\nHost: idle\r\n\r\n"
OPTIONS = ("--head-timeout", "600", "--keep-alive-timeout", "600", "--ws-ping-interval", "0")


@contextmanager
def many_files() -> Iterator[int]:
    """This process and those it starts may have as many descriptors as the system lets them; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def _connect(port: int, data: bytes) -> socket.socket:
    client = socket.socket()
    client.settimeout(WAIT_S)
    client.connect(("127.0.0.1", port))
    if data:
        client.sendall(data)
    return client


def idle_kib(server: Running, kind: str, count: int) -> float:
    """KiB of the server's memory for each of so many connections of a kind; they are closed again.

    Args:
        server: runs `tools.soak.service`.
        kind: of `KINDS`.
        count: of connections; below the descriptors that both processes may have.
    """
    data = {"fresh": b"", "kept alive": _REQUEST, "WebSocket": OPENING.format(target="/echo", fields="").encode()}[kind]
    # What the first one needs once is not an idle connection's.
    with _connect(server.port, _REQUEST) as first:
        assert first.recv(1000).startswith(b"HTTP/1.1 200")
    for warm in [_connect(server.port, data) for _ in range(20)]:
        if data:
            warm.recv(1000)
        warm.close()
    before_kib = memory_kib(server.process.pid)
    clients = [_connect(server.port, data) for _ in range(count)]
    try:
        if data:
            status = b"HTTP/1.1 101" if kind == "WebSocket" else b"HTTP/1.1 200"
            assert all(client.recv(1000).startswith(status) for client in clients)
        # All of them were accepted when the last one's answer is here.
        with _connect(server.port, _REQUEST) as last:
            assert last.recv(1000).startswith(b"HTTP/1.1 200")
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) >= count
        return (memory_kib(server.process.pid) - before_kib) / count
    finally:
        for client in clients:
            client.close()


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000, help="connections of each kind")
    parser.add_argument("--check", type=float, help="KiB; exit code 1 when one costs more")
    chosen = parser.parse_args()
    most = 0.0
    with many_files() as limit:
        count = min(chosen.count, limit - SPARE_FILES)
        for protocol in ("compiled", "pure"):
            for kind in KINDS:
                with running(protocol, "tools.soak.service:app", *OPTIONS) as server:
                    found = idle_kib(server, kind, count)
                most = max(most, found)
                print(f"{protocol:8} {kind:10} {found:6.2f} KiB for each of {count}", flush=True)
    return int(chosen.check is not None and most > chosen.check)


if __name__ == "__main__":
    sys.exit(main())
