"""`make bench-startup`: from the start of a process to its first answer with 10, 100 and 1,000 routes, and what one request costs.

    python bench/startup.py --rounds 5

Each round starts every contender's server afresh, in turn, and asks for its last route until it answers 200; then for the first
OpenAPI document. Memory is the resident size after the first answer. Tercel is also asked, in one process and without a socket,
how long finding a route takes among 10 to 10,000. Read `bench/apps/many_app.py` for the routes.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.contenders import CONTENDERS, Contender
from bench.environments import ROOT, Failure, ensure_environment, ensure_stage
from bench.report import describe_machine, find_commit
from bench.servers import Server, choose_cores

RESULTS = ROOT / "docs" / "benchmarks" / "startup.md"
COUNTS = (10, 100, 1000)
MEASURED = ("fastapi", "tercel", "starlette")

_MATCH = """
import sys, time
from bench.apps import many_app
for count in (10, 100, 1000, 10000):
    many_app.COUNT = count
    table = many_app.make_app()._freeze().table
    path = f"/group{count // 10 - 1}/read3/7"
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(2000):
            table.match_http("GET", path, None)
        times.append((time.perf_counter() - begun) / 2000)
    print(count, min(times) * 1e6)
"""


def make_contender(name: str, count: int) -> Contender:
    """A contender that serves `many_app` with so many routes."""
    contender = next(contender for contender in CONTENDERS if contender.name == name)
    command = tuple("bench.apps.many_app:app" if word.startswith("bench.apps.") else word for word in contender.command)
    return replace(contender, command=command, variables={"BENCH_PACKAGE": name, "BENCH_ROUTES": str(count)})


def measure(name: str, count: int, python: Path, core: int) -> tuple[float, float, float | None]:
    """Seconds from spawn to the first 200, resident MB after it, and seconds for the first document, if there is one.

    Raises:
        Failure: the server does not start or does not answer rightly.
    """
    begun = time.perf_counter()
    with Server(make_contender(name, count), python, core) as server:
        status, _ = _ask(server.port, f"/group{count // 10 - 1}/plain1")
        first_s = time.perf_counter() - begun
        if status != 200:
            raise Failure(f"status {status} instead of 200")
        memory_mb = server.resident_mb()
        document_s = None
        if name != "starlette":
            begun = time.perf_counter()
            status, body = _ask(server.port, "/openapi.json")
            document_s = time.perf_counter() - begun
            if status != 200 or body.count(b"operationId") != count:
                raise Failure(f"the document of {count} routes has {body.count(b'operationId')} operations (status {status})")
        return first_s, memory_mb, document_s


def _ask(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"no answer: {error!r}") from None
    finally:
        connection.close()


def measure_matching(python: Path, core: int) -> dict[int, float]:
    """Microseconds to find the last group's route, by number of routes.

    Raises:
        Failure: the measuring process failed.
    """
    variables = {**os.environ, "BENCH_PACKAGE": "tercel", "BENCH_ROUTES": "10"}
    command = ["taskset", "-c", str(core), str(python), "-c", _MATCH]
    done = subprocess.run(command, cwd=ensure_stage(), env=variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"finding routes could not be measured: {done.stderr.strip()[-300:]}")
    return {int(count): float(time_us) for count, time_us in (line.split() for line in done.stdout.splitlines())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 when everything was measured, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="bench/startup.py", description="Start-up time and memory by number of routes.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is started (default: 5)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the report goes (default: docs/benchmarks/startup.md)")
    parsed = parser.parse_args(arguments)
    cores = choose_cores()
    found: dict[tuple[str, int], list[tuple[float, float, float | None]]] = {}
    faults: list[str] = []
    pythons = {name: ensure_environment(make_contender(name, 10)) for name in MEASURED}
    os.sched_setaffinity(0, {cores[1]})
    for _ in range(parsed.rounds):
        for count in COUNTS:
            for name in MEASURED:
                try:
                    found.setdefault((name, count), []).append(measure(name, count, pythons[name], cores[0]))
                except Failure as failure:
                    faults.append(f"{name} with {count} routes: {failure}")
    lines = _make_report(parsed.rounds, cores, found)
    try:
        times_us = measure_matching(pythons["tercel"], cores[0])
        lines += ["", "Finding a route in Tercel's table, in microseconds: "]
        lines[-1] += ", ".join(f"{time_us:.2f} among {count:,}" for count, time_us in times_us.items()) + "."
    except Failure as failure:
        faults.append(str(failure))
    if faults:
        lines += ["", "## What did not work", "", *(f"- {fault}" for fault in sorted(set(faults)))]
    text = "\n".join(lines) + "\n"
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(text, "utf-8")
    print(text)
    return 1 if faults else 0


def _make_report(
    rounds: int, cores: tuple[int, int], found: dict[tuple[str, int], list[tuple[float, float, float | None]]]
) -> list[str]:
    lines = [
        "# Start-up",
        "",
        "Written by `make bench-startup`; do not edit. Medians, from the start of the process to its first answer.",
        "",
        f"- Machine: {describe_machine(cores)}",
        f"- Commit {find_commit()}, {time.strftime('%Y-%m-%d')}; `make bench-startup ROUNDS={rounds}`",
        "",
        "| routes | | to the first 200, ms | ratio to FastAPI | memory, MB | ratio | first OpenAPI document, ms |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for count in COUNTS:
        base = found.get(("fastapi", count))
        for name in MEASURED:
            samples = found.get((name, count))
            if not samples:
                lines.append(f"| {count:,} | {name} | failed | | | | |")
                continue
            first_s, memory_mb = median(sample[0] for sample in samples), median(sample[1] for sample in samples)
            documents = [sample[2] for sample in samples if sample[2] is not None]
            times = sizes = ""
            if base:
                times = f"{first_s / median(sample[0] for sample in base):.2f}"
                sizes = f"{memory_mb / median(sample[1] for sample in base):.2f}"
            document = f"{median(documents) * 1e3:.0f}" if documents else ""
            lines.append(f"| {count:,} | {name} | {first_s * 1e3:.0f} | {times} | {memory_mb:.0f} | {sizes} | {document} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
