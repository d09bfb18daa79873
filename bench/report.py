"""What a run found, as tables for people and as one line of `bench/history.jsonl` for comparisons over time.

Knows results and names; starts nothing.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from statistics import median

from bench.contenders import BASELINE
from bench.environments import ROOT
from bench.goals import make_goal_table
from bench.load import CONNECTIONS, Sample
from bench.results import Cell, Run

__all__ = ["describe_machine", "find_commit", "make_history_line", "make_report"]

_PER_CPU: Callable[[Sample], float] = attrgetter("rate_per_cpu_s")


def find_commit() -> str:
    """The checked-out commit, with a plus sign if what is measured differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", "tercel", "bench/apps", "pyproject.toml")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+" if changed else "")


def describe_machine(cores: tuple[int, int]) -> str:
    """Processor, number of cores and how far the two that were used are apart."""
    info = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())
    count = sum(line.startswith("processor") for line in info)
    server, load = cores
    if server == load:
        shared = "server and load share one core, so the figures are too low for fast servers"
    else:
        siblings = Path(f"/sys/devices/system/cpu/cpu{server}/topology/thread_siblings_list")
        threads = siblings.read_text().strip() if siblings.exists() else ""
        same = str(load) in threads.replace("-", ",").split(",")
        shared = f"server on core {server}, load on core {load}" + (" (two threads of one physical core)" if same else "")
    return f"{model}, {count} logical cores; {shared}; Linux {platform.release().partition('-')[0]}"


def make_report(run: Run, pictures: Sequence[str] = ()) -> str:
    """The report in Markdown.

    Args:
        pictures: files beside it.
    """
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench`; do not edit. [Benchmarks](README.md) says what is measured and how.",
        "",
        f"- Machine: {describe_machine(run.cores)}",
        f"- Python {platform.python_version()}, one worker; {CONNECTIONS} connections kept alive",
        f"- Date: {run.started:%Y-%m-%d %H:%M} UTC, commit {find_commit()}",
        f"- Command: `{run.command}` ({run.rounds} round{'s' * (run.rounds > 1)} of {run.seconds:g} s, interleaved)",
        "- Every answer was verified before and after each measurement: status, content type, body, a connection that is kept; "
        "wrong input has to be refused.",
        "",
        *_pictures(pictures),
        "Thousands of requests per second (W6: messages), median of the rounds; in brackets the median ratio to "
        "FastAPI on uvicorn in the same round.",
        "",
        *_main_table(run),
        "",
        *_goals(run),
        "## Workloads",
        "",
        *(f"- {workload.name}: {workload.title} (`{workload.method} {workload.path}`)" for workload in run.workloads),
        "",
        "## Details",
        "",
        "Spread is fastest minus slowest round over the median. Per CPU second is the rate divided by the share of its core that "
        "the server got, with its ratio to FastAPI: what still can be compared when something else disturbs the machine. Latencies "
        "are those of a server under full load, not of one request alone. `>` marks figures where the load generator used nearly "
        "all of its core and the server did not: it could do more.",
        "",
        *_detail_table(run),
    ]
    measured = [key for key, cell in run.cells.items() if cell.rate_per_s is not None]
    if disturbed := [f"{work} {name}" for name, work in measured if _is_disturbed(run.cells[name, work])]:
        named = ", ".join(disturbed) if len(disturbed) <= 6 else f"{len(disturbed)} of {len(measured)} measurements"
        lines += ["", f"Neither core was busy during: {named}.", _DISTURBED]
    notes = [f"- {contender.title}: {contender.note}" for contender in run.contenders if contender.note]
    if notes:
        lines += ["", "## What is different", "", *notes]
    if faults := _list_faults(run):
        lines += ["", "## What did not work", "", *faults]
    lines += ["", "## Versions", ""]
    for contender in run.contenders:
        if versions := run.versions.get(contender.name):
            lines.append(f"- {contender.title}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(lines) + "\n"


def _pictures(pictures: Sequence[str]) -> list[str]:
    return [line for name in pictures for line in (f"![{name.partition('.')[0]}]({name})", "")]


def _goals(run: Run) -> list[str]:
    table = make_goal_table(run)
    if not table:
        return []
    explained = (
        "Ratios to FastAPI. Ahead of a peer and the share of the limit (hand-written handlers on the same server) are Tercel's "
        "rate divided by theirs, in the same rounds. Servers without a framework are no peers."
    )
    return ["## Goals", "", explained, "", *table, ""]


def _is_generator_bound(cell: Cell) -> bool:
    """Whether the load generator, not the server, was the limit in most rounds."""
    bound = [sample.load_cpu > 0.95 and sample.server_cpu < 0.95 for sample in cell.samples.values()]
    return sum(bound) * 2 > len(bound)


_DISTURBED = "Something else used the machine, or the server waited; do not quote these figures."


def _is_disturbed(cell: Cell) -> bool:
    """Whether neither the server nor the load generator got a whole core, in most rounds."""
    idle = [sample.load_cpu < 0.85 and sample.server_cpu < 0.85 for sample in cell.samples.values()]
    return sum(idle) * 2 > len(idle)


def _main_table(run: Run) -> list[str]:
    lines = ["| | " + " | ".join(workload.name for workload in run.workloads) + " |"]
    lines.append("|---|" + "--:|" * len(run.workloads))
    for contender in run.contenders:
        row = [contender.title]
        for workload in run.workloads:
            cell = run.cells[contender.name, workload.name]
            rate = cell.rate_per_s
            if rate is None:
                row.append("failed" if cell.fault else "")
                continue
            ratio = run.ratio(contender.name, workload.name)
            text = f"{'> ' if _is_generator_bound(cell) else ''}{_thousands(rate)}"
            row.append(text if ratio is None or contender.name == BASELINE else f"{text} ({ratio:.1f}x)")
        lines.append("| " + " | ".join(row) + " |")
    return lines


def _thousands(rate_per_s: float) -> str:
    value = rate_per_s / 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _detail_table(run: Run) -> list[str]:
    lines = ["| | | per second | spread | per CPU second | p50 ms | p99 ms | server core | load core |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for workload in run.workloads:
        for contender in run.contenders:
            cell = run.cells[contender.name, workload.name]
            if cell.rate_per_s is None:
                continue
            samples = cell.samples.values()
            ratio = run.ratio(contender.name, workload.name, _PER_CPU)
            times = "" if ratio is None or contender.name == BASELINE else f" ({ratio:.1f}x)"
            lines.append(
                f"| {workload.name} | {contender.title} | {cell.rate_per_s:,.0f} | {cell.spread:.0%} "
                f"| {median(map(_PER_CPU, samples)):,.0f}{times} "
                f"| {median(s.p50_ms for s in samples):.2f} | {median(s.p99_ms for s in samples):.2f} "
                f"| {median(s.server_cpu for s in samples):.0%} | {median(s.load_cpu for s in samples):.0%} |"
            )
    return lines


def _list_faults(run: Run) -> list[str]:
    """One line for each thing that went wrong, with the workloads to which it happened."""
    faults: dict[tuple[str, str], list[str]] = {}
    for contender in run.contenders:
        for workload in run.workloads:
            fault = run.cells[contender.name, workload.name].fault
            if fault is not None:
                faults.setdefault((contender.title, fault), []).append(workload.name)
    return [f"- {title}, {', '.join(names)}: {fault}" for (title, fault), names in faults.items()]


def make_history_line(run: Run) -> str:
    """The run as one line of JSON: rates per second, and ratios to the baseline."""

    def collect(pick: Mapping[tuple[str, str], float | None]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for (contender, workload), value in pick.items():
            if value is not None:
                found.setdefault(contender, {})[workload] = round(value, 2)
        return found

    line = {
        "date": run.started.isoformat(timespec="seconds"),
        "commit": find_commit(),
        "python": platform.python_version(),
        "machine": describe_machine(run.cores),
        "rounds": run.rounds,
        "seconds": run.seconds,
        "rates_per_s": collect({key: cell.rate_per_s for key, cell in run.cells.items()}),
        "rates_per_cpu_s": collect(
            {
                key: median(sample.rate_per_cpu_s for sample in cell.samples.values())
                for key, cell in run.cells.items()
                if cell.rate_per_s is not None
            }
        ),
        "ratios": collect({key: run.ratio(*key) for key in run.cells if key[0] != BASELINE}),
    }
    return json.dumps(line, sort_keys=True)
