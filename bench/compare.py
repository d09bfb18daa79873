"""`make bench-compare BASE=rev`: this checkout and another revision of Tercel, measured in one run, in turns.

    python bench/compare.py main~5 --work "W1 H12" --rounds 7

The other revision is checked out under `.cache/bench/` and installed into an environment of its own, with the extension, as this
one is. In each round both are measured one right after the other, first the one, then in the next round first the other; ratios
are taken within a round. Workloads, applications and stages are those of this checkout for both. Read `bench/load.py` for how a
workload and `bench/micro.py` for how a stage is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.contenders import CONTENDERS, Contender
from bench.environments import CACHE, ROOT, Failure, ensure_environment
from bench.load import measure, require_tools, verify, verify_refusals
from bench.micro import count_instructions, measure_times
from bench.report import describe_machine, find_commit
from bench.servers import Server, choose_cores
from bench.workloads import Workload, choose_workloads

__all__ = ["Comparison", "check_out", "make_report"]

RESULTS = CACHE / "compare.md"
DEFAULT_WORK: Final = "W1 W2 W3 W4 W5 H12"
MICRO_SECONDS: Final = 0.1
SAME: Final = 0.005  # instructions differ by as much from run to run
COUNTED: Final = "instructions"
ENOUGH_ROUNDS: Final = 3  # of what is timed; on a busy machine, one or two prove nothing


@dataclass(slots=True)
class Comparison:
    """What was found for one thing that was measured.

    Args:
        name: of the workload or the stage.
        unit: of the figures.
        more_is_better: whether a greater figure is the better one.
        base: figures of the other revision, by round.
        new: those of this checkout.
        fault: what went wrong, and ended it.
    """

    name: str
    unit: str
    more_is_better: bool
    base: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    fault: str | None = None

    @property
    def ratios(self) -> list[float]:
        """New to base, by round: above 1 the new one is faster, whatever the unit."""
        pairs = zip(self.new, self.base, strict=True)
        return [new / base if self.more_is_better else base / new for new, base in pairs]


# -- two checkouts ---------------------------------------------------------------------------------------------------------------


def check_out(revision: str) -> tuple[str, Path]:
    """The commit of a revision, and a folder in which it is checked out.

    Raises:
        Failure: git knows no such revision.
    """
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise Failure(f"git knows no revision {revision!r}")
    folder = CACHE / "revisions" / commit[:12]
    if not (folder / "pyproject.toml").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _git("worktree", "prune")
        folder.parent.mkdir(parents=True, exist_ok=True)
        _git("worktree", "add", "--detach", str(folder), commit)
        if not (folder / "pyproject.toml").exists():
            raise Failure(f"{revision} could not be checked out into {folder.relative_to(ROOT)}")
    return commit[:12], folder


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def find_protocol(python: Path) -> str:
    """`compiled` or `pure`: what the server of an environment reads requests with.

    Raises:
        Failure: Tercel cannot be imported there.
    """
    program = (
        "from tercel.server.protocols import connection_class as found; from tercel.server.http1 import HttpConnection as pure; "
        "print('pure' if found() is pure else 'compiled')"
    )
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, cwd=CACHE)
    if done.returncode != 0:
        raise Failure(f"Tercel cannot be imported: {done.stderr.strip()[-200:]}")
    return done.stdout.strip()


# -- measuring -------------------------------------------------------------------------------------------------------------------


def compare_workloads(
    workloads: Sequence[Workload], pythons: tuple[Path, Path], rounds: int, seconds: float, cores: tuple[int, int]
) -> list[Comparison]:
    """Each workload on both servers, in turns; both run, and one sleeps while the other is measured."""
    tercel = next(contender for contender in CONTENDERS if contender.name == "tercel")
    comparisons = [Comparison(workload.name, "per second", True) for workload in workloads]
    sides: tuple[Contender, Contender] = (replace(tercel, name="tercel-base"), replace(tercel, name="tercel-new"))
    for number in range(rounds):
        with Server(sides[0], pythons[0], cores[0]) as base, Server(sides[1], pythons[1], cores[0]) as new:
            base.sleep()
            new.sleep()
            for workload, comparison in zip(workloads, comparisons, strict=True):
                if comparison.fault is None:
                    pair = _take_turns(number, lambda server, work=workload: _measure_one(work, server, seconds), base, new)
                    _note(comparison, pair, number, rounds)
    return comparisons


def _measure_one(workload: Workload, server: Server, seconds: float) -> float:
    server.wake()
    try:
        verify(workload, server.port)
        verify_refusals(workload, server.port)
        sample = measure(workload, server, seconds)
        verify(workload, server.port)
    finally:
        server.sleep()
    return sample.rate_per_s


def _take_turns(number: int, measured: Callable[[Server], float], base: Server, new: Server) -> tuple[float, float] | Failure:
    """The figures of base and new; which of them is first changes from round to round."""
    try:
        if number % 2:
            found_new = measured(new)
            return measured(base), found_new
        return measured(base), measured(new)
    except Failure as failure:
        return failure


def _note(comparison: Comparison, pair: tuple[float, float] | Failure, number: int, rounds: int) -> None:
    if isinstance(pair, Failure):
        comparison.fault = str(pair)
        shown = comparison.fault
    else:
        comparison.base.append(pair[0])
        comparison.new.append(pair[1])
        shown = f"{comparison.ratios[-1]:.3f}"
    print(f"bench: round {number + 1}/{rounds} {comparison.name:8} {shown}", file=sys.stderr, flush=True)


def compare_stages(pythons: tuple[Path, Path], rounds: int, core: int) -> list[Comparison]:
    """Each stage of a request in both environments: time in turns, and instructions where valgrind is installed.

    Raises:
        Failure: the stages of one of them could not be measured.
    """
    found: dict[str, Comparison] = {}
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        figures = {side: measure_times(pythons[side], core, MICRO_SECONDS) for side in order}
        for name in figures[0]:
            comparison = found.setdefault(name, Comparison(name, "ns", False))
            _note(comparison, (figures[0][name]["own"], figures[1][name]["own"]), number, rounds)
    base, new = (count_instructions(python, core) for python in pythons)
    counted = []
    if base is not None and new is not None:
        counted = [Comparison(name, COUNTED, False, [base[name]["own"]], [new[name]["own"]]) for name in base]
    return [*found.values(), *counted]


# -- reporting -------------------------------------------------------------------------------------------------------------------


def make_report(comparisons: Sequence[Comparison], facts: Sequence[str]) -> str:
    """The report in Markdown.

    Args:
        facts: lines about the machine and the two sides.
    """
    lines = [
        "# Two revisions",
        "",
        "Ratios are new to base, taken within each round: above 1 the new one is faster. In brackets the lowest and the highest; "
        "where they lie on both sides of 1, nothing is proved.",
        "",
        *(f"- {fact}" for fact in facts),
        "",
        "| | | base | new | ratio | |",
        "|---|---|--:|--:|--:|---|",
    ]
    for comparison in comparisons:
        if comparison.fault is not None or not comparison.new:
            lines.append(f"| {comparison.name} | {comparison.unit} | | | failed | {comparison.fault or 'not measured'} |")
            continue
        ratios = comparison.ratios
        low, high = min(ratios), max(ratios)
        spread = f" ({low:.3f} to {high:.3f})" if len(ratios) > 1 else ""
        if comparison.unit != COUNTED and len(ratios) < ENOUGH_ROUNDS:
            verdict = "too few rounds to tell"
        elif abs(median(ratios) - 1) < SAME or low <= 1 <= high:
            verdict = "no difference shown"
        else:
            verdict = "faster" if low > 1 else "slower"
        lines.append(
            f"| {comparison.name} | {comparison.unit} | {median(comparison.base):,.0f} | {median(comparison.new):,.0f} "
            f"| {median(ratios):.3f}{spread} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 when everything was measured, 1 when something failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="bench/compare.py", description="Two revisions of Tercel, measured in one run.")
    parser.add_argument("base", help="the other revision, as git knows it")
    parser.add_argument("--work", default=DEFAULT_WORK, metavar="NAMES", help=f"workloads, or none (default: {DEFAULT_WORK})")
    parser.add_argument("--rounds", type=int, default=5, help="how often both are measured (default: 5)")
    parser.add_argument("--seconds", type=float, default=1, help="length of one measurement (default: 1)")
    parser.add_argument("--no-micro", action="store_true", help="leave out the stages of a request")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the report goes (default: .cache/bench/compare.md)")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1 or parsed.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    cores = choose_cores()
    try:
        workloads = [] if parsed.work == "none" else choose_workloads(parsed.work.split())
        require_tools(workloads)
        commit, folder = check_out(parsed.base)
    except (ValueError, Failure) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    try:
        tercel = next(contender for contender in CONTENDERS if contender.name == "tercel")
        pythons = (ensure_environment(tercel, folder, f"-{commit}"), ensure_environment(tercel))
        protocols = [find_protocol(python) for python in pythons]
        os.sched_setaffinity(0, {cores[1]})
        comparisons = compare_workloads(workloads, pythons, parsed.rounds, parsed.seconds, cores) if workloads else []
        if not parsed.no_micro:
            comparisons += compare_stages(pythons, parsed.rounds, cores[0])
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    facts = [
        f"Base: {parsed.base} ({commit}), {protocols[0]} protocol. New: {find_commit()}, {protocols[1]} protocol",
        f"Machine: {describe_machine(cores)}",
        f"{time.strftime('%Y-%m-%d')}; {parsed.rounds} rounds of {parsed.seconds:g} s; applications of this checkout on both",
    ]
    report = make_report(comparisons, facts)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(report, "utf-8")
    print(report)
    return 1 if any(comparison.fault for comparison in comparisons) else 0


if __name__ == "__main__":
    sys.exit(main())
