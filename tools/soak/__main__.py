"""`make soak`: a server in a process of its own, a hundred thousand requests of every kind, and then nothing may be left of them.

    python -m tools.soak                                  # both protocols, and the framework under uvicorn
    python -m tools.soak --requests 20000 compiled        # compiled, pure, uvicorn

The load comes three times: a fifth to fill every cache, then twice two fifths. Descriptors, tasks, linecache entries and objects of
Tercel's classes have to be the same after the second and the third; threads, garbage-collected objects, allocated blocks and
resident memory within noise (`tools/soak/census.py`). Exit code 1 when something has grown. Runs in the development environment.
Read `tools/soak/visits.py` for what clients do.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.environment import ROOT
from tools.soak.census import NOISE_OBJECTS, Census, growth
from tools.soak.visits import VISITS, Visitor, visit

__all__ = ["SERVERS", "Running", "running", "soak"]

SERVERS = ("compiled", "pure", "uvicorn")
CLIENTS = 16
START_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 20.0
_COUNTS = 4
# What uvicorn answers otherwise than is expected here, or not at all. A generator that never awaits occupies its event loop for
# ever once the client has left, since sending to nobody returns at once there.
OWN_VISITS = {
    *("WebSockets with violations", "WebSockets with a bad key", "malformed requests", "half-closed clients", "clients that leave"),
    "aborted downloads",
}


class Running:
    """A server's process and where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    async def census(self) -> Census:
        """What is in it: the least of several counts, as it is alive."""
        counts = []
        for _ in range(_COUNTS):
            await asyncio.sleep(0.05)
            counts.append(await self._census())
        least = {name: min(getattr(one, name) for one in counts) for name in ("files", "threads", "tasks", "objects", "blocks")}
        return dataclasses.replace(counts[-1], **least)

    async def settled(self, before: Census, requests: int, noise_objects: int = NOISE_OBJECTS) -> Census:
        """A census in which nothing has grown since an earlier one, or what still has after `SETTLE_TIMEOUT_S`.

        Connections linger for some seconds behind a client that left; what is still there then was leaked. For the arguments see
        `tools.soak.census.growth`.
        """
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        after = await self.census()
        while growth(before, after, requests, noise_objects) and time.monotonic() < deadline_s:
            after = await self.census()
        return after

    async def _census(self) -> Census:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = Visitor(reader, writer)
        client.ask("/census", "Connection: close")
        found = Census(**json.loads(await client.answer()))
        writer.close()
        await writer.wait_closed()
        return found


@contextmanager
def running(server: str, app: str = "tools.soak.service:app", *options: str) -> Iterator[Running]:
    """A server for the block, in a process of its own.

    Args:
        server: `compiled` and `pure` are `tercel run` with that protocol; `uvicorn` serves the same application over ASGI.
        app: what is served.
        options: further ones of its command line.
    """
    command = [sys.executable, "-m", "uvicorn", app, "--log-level", "info", "--no-access-log"]
    if server != "uvicorn":
        command = [sys.executable, "-m", "tercel", "run", app, "--no-access-log"]
    environment = {**os.environ, "TERCEL_PURE": str(int(server == "pure")), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen([*command, "--port", "0", *options], cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while not (found := re.search(r"running on http://[^:]+:(\d+)", log.read_text(errors="replace"))):
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError(f"{server} does not start:\n{log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.05)
            yield Running(process, int(found[1]), log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _load(port: int, requests: int, kinds: Sequence[str]) -> int:
    """Visits of all kinds in a random order, `CLIENTS` at a time, until there were so many requests. Returns how many."""
    done = 0
    order = random.Random(requests)

    async def client() -> None:
        nonlocal done
        while done < requests:
            kind = order.choice(kinds)
            try:
                done += await visit(kind, port)
            except (OSError, EOFError, AssertionError, TimeoutError) as error:
                raise RuntimeError(f"a visit failed: {kind}: {error!r}") from error

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())
    return done


async def soak(running: Running, requests: int, kinds: Sequence[str]) -> tuple[Census, Census, int]:
    """Load a server. Returns the census in front of the last two fifths, the one behind them, and how many requests they were."""
    await _load(running.port, requests // 5, kinds)
    await _load(running.port, requests * 2 // 5, kinds)
    before = await running.census()
    count = await _load(running.port, requests * 2 // 5, kinds)
    return before, await running.settled(before, count), count


def kinds_for(server: str) -> list[str]:
    """The visits that a server answers as expected; the most usual one as often as ten others."""
    return [*["ordinary requests"] * 9, *(kind for kind in VISITS if server != "uvicorn" or kind not in OWN_VISITS)]


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=", ".join(SERVERS))
    parser.add_argument("--requests", type=int, default=100_000, help="for each server")
    chosen = parser.parse_args()
    unknown = set(chosen.servers) - set(SERVERS)
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}. There are {', '.join(SERVERS)}")
    leaks = 0
    for server in chosen.servers or SERVERS:
        began_s = time.monotonic()
        with running(server) as process:
            before, after, count = asyncio.run(soak(process, chosen.requests, kinds_for(server)))
        grown = growth(before, after, count)
        leaks += len(grown)
        print(f"{server}: {chosen.requests} requests in {time.monotonic() - began_s:.0f} s; before and after the last {count}:")
        for name in ("rss_kib", "files", "threads", "tasks", "lines", "objects", "blocks"):
            print(f"  {name:8} {getattr(before, name):>9} {getattr(after, name):>9}")
        for line in grown:
            print(f"  GROWN {line}")
        sys.stdout.flush()
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
