"""What one request costs from the bytes that arrive to the bytes that leave, without a network: the micro benchmark "protocol".

    python bench/protocol.py                          # microseconds per request, protocol against protocol in turns
    python bench/protocol.py --instructions           # instructions per request by callgrind: the same twice on any machine
    python bench/protocol.py --profile H12-W2         # where the instructions go, function by function

A connection of Tercel's server is fed the requests of `bench/workloads.py` from a fake transport, in one process, so that neither
sockets nor a load generator are in the figures. The application is the benchmark's, or (`--bare`) a handler that answers four bytes
at once: then what remains is the protocol alone. Read `bench/run.py` for figures with a network.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.workloads import WORKLOADS, Workload, choose_workloads

MEASURED: Final = "W1 W2 W3 W4 H12"
_BATCH: Final = 2_000


class Sink:
    """A transport without a socket: counts what is written and keeps the last of it."""

    def __init__(self) -> None:
        self.last = b""
        self.count = 0

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.last = data
        self.count += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A client and a server on the loopback address."""
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Nothing is buffered here."""

    def get_write_buffer_size(self) -> int:
        """Nothing is buffered here."""
        return 0

    def pause_reading(self) -> None:
        """Nobody reads here."""

    def resume_reading(self) -> None:
        """Nobody reads here."""

    def close(self) -> None:
        """A benchmark's connection is never closed.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"the server closed the connection after {self.last[:200]!r}")


class Bare:
    """An application that is nothing but a handler."""

    def __init__(self) -> None:
        from tercel.http.exchange import Head

        self._head = Head(200, [(b"content-type", b"text/plain")])

    def direct_handler(self) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """For Tercel's server."""
        return self.answer

    async def answer(self, ex: Any) -> None:
        """Four bytes."""
        await ex.respond(self._head, b"done")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Never called: the server takes the direct way."""
        raise NotImplementedError


def request_bytes(workload: Workload) -> bytes:
    """The request as wrk sends it."""
    lines = [f"{workload.method} {workload.path} HTTP/1.1", "Host: 127.0.0.1:8000"]
    lines += [f"{name}: {value}" for name, value in workload.headers]
    if workload.body:
        lines.append(f"Content-Length: {len(workload.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + workload.body


class Feeder:
    """One connection with its protocol, fed with the same request again and again.

    Args:
        app: the application.
        protocol: "pure" or "compiled".
        workload: what is asked.
    """

    def __init__(self, app: Any, protocol: str, workload: Workload) -> None:
        from tercel.server import Server, ServerConfig
        from tercel.server.protocols import connection_class

        self.data = request_bytes(workload)
        self.sink = Sink()
        self.server = Server(app, ServerConfig(port=0, access_log=False))
        self.connection = connection_class(protocol)(self.server)
        self.connection.connection_made(cast("asyncio.Transport", self.sink))

    async def verify(self, workload: Workload, bare: bool) -> None:
        """See that the answer is right and comes in place.

        Raises:
            RuntimeError: it is not, or does not.
        """
        for _ in range(3):
            self.connection.data_received(self.data)
            await asyncio.sleep(0)
        count = self.sink.count
        self.connection.data_received(self.data)
        if self.sink.count != count + 1:
            raise RuntimeError(f"{workload.name} was not answered in place; Python 3.12 or newer is needed")
        head, _, body = self.sink.last.partition(b"\r\n\r\n")
        found = re.search(rb"\r\ncontent-type: ([^\r]*)", head)
        fault = None
        if not bare:
            fault = workload.find_fault(int(head.split()[1]), found[1].decode() if found else "", body)
        elif body != b"done":
            fault = f"{body!r}"
        if fault:
            raise RuntimeError(f"{workload.name}: {fault}")

    def run(self, count: int) -> float:
        """Microseconds per request of a number of requests."""
        receive, data = self.connection.data_received, self.data
        began = time.perf_counter()
        for _ in range(count):
            receive(data)
        return (time.perf_counter() - began) / count * 1e6


def make_app(bare: bool) -> Any:
    """The benchmark's application, or none to speak of."""
    if bare:
        return Bare()
    from bench.apps.fastapi_app import app

    return app


def protocols() -> list[str]:
    """What there is to compare in this environment."""
    from tercel.server.protocols import compiled_connection

    return ["pure"] if compiled_connection() is None else ["pure", "compiled"]


async def compare(workloads: list[Workload], bare: bool, rounds: int) -> None:
    """Print the least time of each protocol; they take turns, so that both meet the same machine."""
    names = protocols()
    app = make_app(bare)
    print(f"{'':10}" + "".join(f"{name:>12}" for name in names) + ("     ratio" if len(names) > 1 else "") + "   (us per request)")
    for workload in workloads:
        feeders = [Feeder(app, name, workload) for name in names]
        for feeder in feeders:
            await feeder.verify(workload, bare)
        best = [float("inf")] * len(feeders)
        for _ in range(rounds):
            for number, feeder in enumerate(feeders):
                best[number] = min(best[number], feeder.run(_BATCH))
        row = f"{workload.name:10}" + "".join(f"{value:12.2f}" for value in best)
        print(row + (f"{best[0] / best[-1]:9.2f}x" if len(best) > 1 else ""), flush=True)


# -- instructions ----------------------------------------------------------------------------------------------------------------


async def feed_under_valgrind(workload: Workload, bare: bool, protocol: str, count: int) -> None:
    """The child's part: make everything ready, switch counting on, feed, switch it off."""
    feeder = Feeder(make_app(bare), protocol, workload)
    await feeder.verify(workload, bare)
    feeder.run(200)
    gc.collect()
    gc.disable()
    control = ["callgrind_control"]
    subprocess.run([*control, "--instr=on", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
    feeder.run(count)
    subprocess.run([*control, "--dump", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
    os._exit(0)  # what the interpreter does at its end is not counted


def run_valgrind(workload: Workload, bare: bool, protocol: str, count: int, folder: Path) -> None:
    """Run this program under callgrind; the profile is left in the folder."""
    child = [sys.executable, __file__, "--child", json.dumps([protocol, count]), "--work", workload.name]
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/{protocol}"]
    # Without a fixed seed the order in sets and dicts, and with it the count, differs from run to run.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    done = subprocess.run([*command, *child, *(["--bare"] if bare else [])], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-4000:])


def count_instructions(workload: Workload, bare: bool, protocol: str) -> float:
    """Instructions per request; what the switching costs is taken out by counting twice."""
    totals = []
    for count in (500, 1500):
        with tempfile.TemporaryDirectory() as folder:
            run_valgrind(workload, bare, protocol, count, Path(folder))
            dumps = sorted(Path(folder).glob(f"{protocol}*"), key=lambda path: path.stat().st_size)
            totals.append(
                max(int(found[1]) for path in dumps if (found := re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.M)))
            )
    return (totals[1] - totals[0]) / 1000


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="bench/protocol.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--work", default=MEASURED, metavar="NAMES", help=f"of: {' '.join(w.name for w in WORKLOADS)} (default: {MEASURED})"
    )
    parser.add_argument("--bare", action="store_true", help="a handler that answers four bytes in place of the application")
    parser.add_argument("--rounds", type=int, default=15, help="of 2,000 requests each (default: 15); the best counts")
    parser.add_argument("--instructions", action="store_true", help="count instructions with valgrind instead of time")
    parser.add_argument("--profile", metavar="PROTOCOL", help="where the instructions of pure or compiled go (valgrind)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    workloads = choose_workloads(parsed.work.split())
    if parsed.child:
        protocol, count = json.loads(parsed.child)
        asyncio.run(feed_under_valgrind(workloads[0], parsed.bare, protocol, count))
        return
    if (parsed.instructions or parsed.profile) and shutil.which("callgrind_control") is None:
        parser.error("valgrind counts instructions and is not installed. On Debian: apt-get install valgrind")
    if parsed.profile:
        with tempfile.TemporaryDirectory() as folder:
            run_valgrind(workloads[0], parsed.bare, parsed.profile, 1000, Path(folder))
            profile = max(Path(folder).glob("*"), key=lambda path: path.stat().st_size)
            subprocess.run(["callgrind_annotate", "--threshold=90", str(profile)], check=True)
    elif parsed.instructions:
        names = protocols()
        print(f"{'':10}" + "".join(f"{name:>12}" for name in names) + "   (instructions per request)")
        for workload in workloads:
            counts = [count_instructions(workload, parsed.bare, name) for name in names]
            print(f"{workload.name:10}" + "".join(f"{count:12,.0f}" for count in counts), flush=True)
    else:
        asyncio.run(compare(workloads, parsed.bare, parsed.rounds))


if __name__ == "__main__":
    main()
