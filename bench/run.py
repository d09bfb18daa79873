"""`make bench`: measures Tercel against its peers, all in one run on one machine, and writes what it found.

    python bench/run.py --only "tercel fastapi" --work "W1 H12" --rounds 3 --seconds 3

In each round every contender's server is started afresh on one core; then, workload by workload, each is woken, verified, measured
from the other core and verified again, in an order that rotates from round to round. A contender that cannot be installed, does not
start or answers wrongly is shown as such and never dropped; only Tercel, its limit and FastAPI must work. Read `bench/workloads.py`
for what is asked, `bench/contenders.py` for who is asked, `bench/load.py` for how it is measured and `bench/report.py` for what
becomes of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.contenders import CONTENDERS, Contender, choose_contenders
from bench.environments import CACHE, ROOT, Failure, ensure_environment, read_versions
from bench.goals import replace_summary
from bench.load import measure, require_tools, verify, verify_refusals
from bench.picture import draw_all, draw_overview
from bench.report import make_history_line, make_report
from bench.results import Cell, Run
from bench.servers import Server, choose_cores
from bench.workloads import WORKLOADS, Workload, choose_workloads

RESULTS = ROOT / "docs" / "benchmarks" / "results.md"
HISTORY = ROOT / "bench" / "history.jsonl"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Measures Tercel against its peers, all in one run, with every answer verified.",
        epilog="A run of some contenders or workloads only writes .cache/bench/results.md unless --output names a file.",
    )
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of: {' '.join(c.name for c in CONTENDERS)} (default: all)")
    parser.add_argument("--work", default="", metavar="NAMES", help=f"of: {' '.join(w.name for w in WORKLOADS)} H12 (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=4, help="how often everything is measured (default: 4, which takes about twenty minutes)"
    )
    parser.add_argument("--seconds", type=float, default=1, help="length of one measurement, whole seconds for HTTP (default: 1)")
    parser.add_argument("--output", type=Path, help="where the report goes (default of a complete run: docs/benchmarks/results.md)")
    parser.add_argument("--check", action="store_true", help="verify the answers of every contender, measure nothing")
    history = parser.add_mutually_exclusive_group()
    history.add_argument("--history", action="store_true", help="append a run of some contenders to bench/history.jsonl too")
    history.add_argument("--no-history", action="store_true", help="do not append a complete run either")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1 or parsed.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    return parsed


def make_command(parsed: argparse.Namespace) -> str:
    """What a person types for the same run."""
    words = ["make bench"]
    words += [f'{name}="{value}"' for name, value in (("ONLY", parsed.only), ("WORK", parsed.work)) if value]
    return " ".join([*words, f"ROUNDS={parsed.rounds}", f"SECONDS={parsed.seconds:g}"])


def say(text: str) -> None:
    """A line of progress; standard output is for the report."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prepare(run: Run) -> dict[str, Path]:
    """Interpreters by contender; what cannot be installed becomes a fault of all its cells."""
    pythons: dict[str, Path] = {}
    for contender in run.contenders:
        try:
            pythons[contender.name] = ensure_environment(contender)
        except Failure as failure:
            note_fault(run, contender.name, str(failure))
            continue
        run.versions[contender.name] = read_versions(pythons[contender.name], contender.shown)
    return pythons


def note_fault(run: Run, contender: str, fault: str) -> None:
    """Put a fault into all cells of a contender that have none yet."""
    say(f"{contender}: {fault}")
    for workload in run.workloads:
        cell = run.cells[contender, workload.name]
        cell.fault = cell.fault or fault


def run_round(run: Run, number: int, pythons: dict[str, Path]) -> None:
    """Start all servers, measure every workload on each, stop them."""
    servers: dict[str, Server] = {}
    try:
        for contender in run.contenders:
            if contender.name in pythons:
                start(run, contender, pythons, servers)
        names = list(servers)
        for place, workload in enumerate(run.workloads):
            turn = (number + place) % len(names) if names else 0
            for name in names[turn:] + names[:turn]:
                cell, server = run.cells[name, workload.name], servers[name]
                if cell.fault is not None or not server.contender.takes(workload.name):
                    continue
                server.wake()
                try:
                    measure_cell(run, number, workload, server)
                finally:
                    server.sleep()
                if not server.alive:
                    # What it did to this workload is noted; the others are asked for all the same.
                    start(run, server.contender, pythons, servers)
    finally:
        for server in servers.values():
            server.stop()


def start(run: Run, contender: Contender, pythons: dict[str, Path], servers: dict[str, Server]) -> None:
    """Start a contender's server, in place of one that has ended, and let it sleep; what fails becomes a fault of all its cells."""
    try:
        server = Server(contender, pythons[contender.name], run.cores[0])
    except Failure as failure:
        note_fault(run, contender.name, str(failure))
        return
    servers[contender.name] = server
    server.sleep()


def measure_cell(run: Run, number: int, workload: Workload, server: Server) -> None:
    """Verify, measure, verify; a sample or a fault."""
    name = server.contender.name
    cell = run.cells[name, workload.name]
    try:
        verify(workload, server.port)
        verify_refusals(workload, server.port)
        sample = measure(workload, server, run.seconds)
        verify(workload, server.port)
    except Failure as failure:
        cell.fault = f"the server ended: {server.last_words() or failure}" if server.has_ended() else str(failure)
        say(f"round {number + 1}/{run.rounds} {workload.name:7} {name:18} {cell.fault}")
    else:
        cell.samples[number] = sample
        say(f"round {number + 1}/{run.rounds} {workload.name:7} {name:18} {sample.rate_per_s:10,.0f}/s")


def check(run: Run, pythons: dict[str, Path]) -> int:
    """Verify every answer of every contender without any load; 0 when all are right."""
    for contender in run.contenders:
        if contender.name not in pythons:
            continue
        try:
            with Server(contender, pythons[contender.name], run.cores[0]) as server:
                for workload in run.workloads:
                    if not contender.takes(workload.name):
                        continue
                    try:
                        verify(workload, server.port)
                        verify_refusals(workload, server.port)
                    except Failure as failure:
                        run.cells[contender.name, workload.name].fault = str(failure)
        except Failure as failure:
            note_fault(run, contender.name, str(failure))
        faults = {work.name: run.cells[contender.name, work.name].fault for work in run.workloads}
        say(f"{contender.name:18} " + ("ok" if not any(faults.values()) else f"{sum(map(bool, faults.values()))} wrong"))
        for name, fault in faults.items():
            if fault:
                say(f"    {name}: {fault}")
    return 1 if any(cell.fault for cell in run.cells.values()) else 0


def publish(run: Run, parsed: argparse.Namespace) -> None:
    """Write the report and its pictures; of a complete run also the README's block and the line of history."""
    complete = not parsed.only and not parsed.work
    output = parsed.output or (RESULTS if complete else CACHE / "results.md")
    output.parent.mkdir(parents=True, exist_ok=True)
    pictures = {"overview.svg": draw_overview(run), "all.svg": draw_all(run)}
    for name, picture in pictures.items():
        (output.parent / name).write_text(picture, "utf-8")
    report = make_report(run, list(pictures))
    output.write_text(report, "utf-8")
    print(report)
    say(f"written to {output.relative_to(ROOT) if output.is_relative_to(ROOT) else output}")
    if complete and output == RESULTS:
        replace_summary(ROOT / "README.md", run)
    if parsed.history or (complete and not parsed.no_history):
        with HISTORY.open("a", encoding="utf-8") as history:
            history.write(make_history_line(run) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when all that must work was measured, whatever the peers did; 1 when Tercel, its limit or the reference failed, or when
        `--check` found any answer wrong, since the peers' applications are the benchmark's; 2 for wrong usage.
    """
    parsed = parse(arguments)
    try:
        contenders = choose_contenders(parsed.only.split())
        workloads = choose_workloads(parsed.work.split())
        require_tools(workloads)
    except (ValueError, Failure) as problem:
        say(str(problem))
        return 2
    run = Run(contenders, workloads, parsed.rounds, parsed.seconds, make_command(parsed), choose_cores())
    run.cells = {(contender.name, workload.name): Cell() for contender in contenders for workload in workloads}
    pythons = prepare(run)
    os.sched_setaffinity(0, {run.cores[1]})
    if parsed.check:
        return check(run, pythons)
    for number in range(run.rounds):
        run_round(run, number, pythons)
    publish(run, parsed)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
