"""`make bench-scale`: one and two workers under 10 to 10,000 connections, and what an idle connection holds.

    python bench/scale.py --only "tercel fastapi" --rounds 2 --seconds 3

Every server answers the typed GET of W2 over connections that are kept open. With two workers the server has all cores and the load
shares them, so these rows compare servers with each other and not with the rows of one worker. Latencies are those of a server
under full load: with so many connections at once, most of a latency is waiting for the others. An idle connection is one that has
been answered once and asks nothing more. Read `bench/load.py` for how one workload is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.contenders import BASELINE, Contender, choose_contenders
from bench.environments import CACHE, ROOT, Failure, ensure_environment
from bench.load import REQUEST_TIMEOUT_S, run_wrk, verify
from bench.report import describe_machine, find_commit
from bench.servers import Server, choose_cores
from bench.workloads import Workload, choose_workloads

__all__ = ["Point", "Scaled", "make_contender", "make_report", "measure_idle"]

RESULTS = ROOT / "docs" / "benchmarks" / "scale.md"
PARTIAL = CACHE / "scale.md"
MEASURED: Final = "tercel fastapi"
WORKERS: Final = (1, 2)
CONNECTIONS: Final = (10, 64, 1000, 10_000)
IDLE: Final = 10_000
IDLE_TIMEOUT_S: Final = 120  # longer than opening the connections takes
SPARE_DESCRIPTORS: Final = 500
LONG_SECONDS: Final = 5.0  # with 10,000 connections: opening them is part of the run


@dataclass(frozen=True, slots=True)
class Point:
    """One measured run.

    Args:
        rate_per_s: requests.
        p50_ms, p99_ms, p999_ms: latencies.
        failed: connections that broke or were not answered within ten seconds, and answers with an error status.
    """

    rate_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    failed: int


@dataclass(slots=True)
class Scaled:
    """What one contender did with so many workers.

    Args:
        points: by number of connections, one for each round.
        start_mb: memory of all its processes before any load.
        idle_kb: memory of an idle connection, one for each round.
        faults: what went wrong.
    """

    points: dict[int, list[Point]] = field(default_factory=dict)
    start_mb: list[float] = field(default_factory=list)
    idle_kb: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def make_contender(contender: Contender, workers: int) -> Contender:
    """A contender with so many workers, that keeps idle connections for longer than a measurement.

    Raises:
        ValueError: nobody has said how its server is told.
    """
    if contender.command[:2] == ("-m", "uvicorn"):
        kept = ("--timeout-keep-alive", str(IDLE_TIMEOUT_S))
    elif contender.command[:2] == ("-m", "tercel"):
        kept = ("--keep-alive-timeout", str(IDLE_TIMEOUT_S))
    else:
        raise ValueError(f"{contender.name} cannot be scaled: only servers that are Tercel's or uvicorn can")
    command = (*contender.command, "--workers", str(workers), *kept)
    return replace(contender, name=f"{contender.name}-{workers}", command=command)


def raise_limit(descriptors: int) -> None:
    """Let this process, and servers and load that it starts, have so many open files.

    Raises:
        Failure: the system does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < descriptors:
        if hard != resource.RLIM_INFINITY and hard < descriptors:
            raise Failure(f"{descriptors:,} open files are needed and {hard:,} allowed (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))


# -- measuring -------------------------------------------------------------------------------------------------------------------


def measure_point(workload: Workload, port: int, connections: int, seconds: float) -> Point:
    """Throughput and latencies over so many connections.

    Raises:
        Failure: the load generator failed, or nothing was answered.
    """
    result: dict[str, Any] = run_wrk(workload, port, max(seconds, LONG_SECONDS) if connections >= IDLE else seconds, connections)
    if not result["count"]:
        raise Failure(f"nothing was answered over {connections:,} connections")
    return Point(
        rate_per_s=result["count"] / (result["elapsed_us"] / 1e6),
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        p999_ms=result["p999_us"] / 1e3,
        failed=result["errors"] + result["refused"],
    )


def measure_idle(server: Server, workload: Workload, count: int) -> float:
    """KB (10^3 bytes) by which the server's memory grows for each connection that was answered once and is left open.

    Raises:
        Failure: a connection was refused, or closed before all were open.
    """
    lines = [f"GET {workload.path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in workload.headers)]
    request = "\r\n".join([*lines, "", ""]).encode()
    before_mb = server.all_resident_mb()
    with ExitStack() as opened:
        connections: list[socket.socket] = []
        try:
            for _ in range(count):
                connection = socket.create_connection(("127.0.0.1", server.port), timeout=REQUEST_TIMEOUT_S)
                connections.append(opened.enter_context(connection))
                connection.sendall(request)
                if not connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                    raise Failure(f"idle connection {len(connections):,} was not answered with 200")
        except OSError as error:
            raise Failure(f"idle connection {len(connections) + 1:,} failed: {error}") from None
        after_mb = server.all_resident_mb()
        for connection in connections:
            if _is_closed(connection):
                raise Failure(f"the server closed idle connections before {count:,} were open")
    return (after_mb - before_mb) * 1e3 / count


def _is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection; the rest of an answer may still lie in it."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def measure_contender(
    contender: Contender, python: Path, workers: int, workload: Workload, seconds: float, cores: tuple[int, int], scaled: Scaled
) -> None:
    """One round of one contender: idle connections first, while its memory is fresh, then load over more and more of them."""
    everywhere = set(cores)
    os.sched_setaffinity(0, {cores[1]} if workers == 1 else everywhere)
    try:
        with Server(make_contender(contender, workers), python, cores[0] if workers == 1 else everywhere) as server:
            verify(workload, server.port)
            measure_point(workload, server.port, 10, 1)  # all workers have answered, and code that runs once has run
            scaled.start_mb.append(server.all_resident_mb())
            scaled.idle_kb.append(measure_idle(server, workload, IDLE))
            for connections in CONNECTIONS:
                scaled.points.setdefault(connections, []).append(measure_point(workload, server.port, connections, seconds))
                verify(workload, server.port)
    except Failure as failure:
        scaled.faults.append(str(failure))


# -- reporting -------------------------------------------------------------------------------------------------------------------


def make_report(
    found: dict[tuple[str, int], Scaled], titles: dict[str, str], cores: tuple[int, int], command: str, seconds: float
) -> str:
    """The report in Markdown.

    Args:
        found: by contender and number of workers.
        titles: of the contenders.
    """
    lines = [
        "# Scale",
        "",
        "Written by `make bench-scale`; do not edit. W2 over connections that are kept open; medians of the rounds.",
        "",
        f"- Machine: {describe_machine(cores)}",
        f"- Commit {find_commit()}, {time.strftime('%Y-%m-%d')}; `{command}` ({seconds:g} s each)",
        "- With two workers the server has all cores and the load shares them: these rows compare servers with each other, not "
        "with one worker.",
        "- Latencies are those under full load. Failed are connections that broke or waited for ten seconds, and error answers.",
        "",
        "| workers | connections | | per second | ratio | p50 ms | p99 ms | p99.9 ms | failed |",
        "|--:|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    workers_seen = sorted({workers for _, workers in found})
    for workers in workers_seen:
        for connections in CONNECTIONS:
            lines += [_row(found, name, title, workers, connections) for name, title in titles.items() if (name, workers) in found]
    lines += [
        "",
        f"Memory of all processes together, after a first second of load, and by how much it grows for each of {IDLE:,} idle "
        "connections that were answered once:",
        "",
        "| workers | | memory, MB | an idle connection, KB |",
        "|--:|---|--:|--:|",
    ]
    for (name, workers), scaled in sorted(found.items(), key=lambda item: (item[0][1], list(titles).index(item[0][0]))):
        idle = f"{median(scaled.idle_kb):.1f}" if scaled.idle_kb else "failed"
        start = f"{median(scaled.start_mb):.0f}" if scaled.start_mb else ""
        lines.append(f"| {workers} | {titles[name]} | {start} | {idle} |")
    faults = [
        f"- {titles[name]}, {workers} worker{'s' * (workers > 1)}: {fault}"
        for (name, workers), scaled in found.items()
        for fault in dict.fromkeys(scaled.faults)
    ]
    if faults:
        lines += ["", "## What did not work", "", *faults]
    return "\n".join(lines) + "\n"


def _row(found: dict[tuple[str, int], Scaled], name: str, title: str, workers: int, connections: int) -> str:
    points = found[name, workers].points.get(connections)
    head = f"| {workers} | {connections:,} | {title} |"
    if not points:
        return f"{head} failed | | | | | |"
    base = found[BASELINE, workers].points.get(connections, []) if (BASELINE, workers) in found else []
    pairs = list(zip(points, base, strict=False))
    ratio = f"{median(point.rate_per_s / other.rate_per_s for point, other in pairs):.1f}x" if pairs and name != BASELINE else ""
    return (
        f"{head} {median(point.rate_per_s for point in points):,.0f} | {ratio} | {median(point.p50_ms for point in points):.1f} "
        f"| {median(point.p99_ms for point in points):.1f} | {median(point.p999_ms for point in points):.1f} "
        f"| {sum(point.failed for point in points)} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 when everything was measured, 1 when something failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="bench/scale.py", description="Workers and connections.")
    parser.add_argument("--only", default=MEASURED, metavar="NAMES", help=f"contenders (default: {MEASURED})")
    parser.add_argument("--rounds", type=int, default=2, help="how often everything is measured (default: 2)")
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement, whole seconds (default: 2)")
    parser.add_argument("--output", type=Path, help="where the report goes (default of a complete run: docs/benchmarks/scale.md)")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1 or parsed.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    cores = choose_cores()
    try:
        contenders = choose_contenders(parsed.only.split())
        for contender in contenders:
            make_contender(contender, 1)
        if shutil.which("wrk") is None:
            raise Failure("wrk makes the load and is not installed. On Debian: apt-get install wrk")
        raise_limit(IDLE + SPARE_DESCRIPTORS)
    except (ValueError, Failure) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    (workload,) = choose_workloads(["W2"])
    found = {(contender.name, workers): Scaled() for workers in WORKERS for contender in contenders}
    pythons: dict[str, Path] = {}
    for contender in contenders:
        try:
            pythons[contender.name] = ensure_environment(contender)
        except Failure as failure:
            for workers in WORKERS:
                found[contender.name, workers].faults.append(str(failure))
    for number in range(parsed.rounds):
        for workers in WORKERS:
            for contender in contenders:
                if contender.name in pythons:
                    print(f"bench: round {number + 1}/{parsed.rounds}, {workers} workers, {contender.name}", file=sys.stderr)
                    scaled = found[contender.name, workers]
                    measure_contender(contender, pythons[contender.name], workers, workload, parsed.seconds, cores, scaled)
    names = " ".join(contender.name for contender in contenders)
    only = "" if parsed.only == MEASURED else f' ONLY="{names}"'
    command = f"make bench-scale{only} ROUNDS={parsed.rounds} SECONDS={parsed.seconds:g}"
    report = make_report(found, {contender.name: contender.title for contender in contenders}, cores, command, parsed.seconds)
    faulty = any(scaled.faults for scaled in found.values())
    output = parsed.output or (PARTIAL if faulty or only else RESULTS)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(report, "utf-8")
    print(report)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
