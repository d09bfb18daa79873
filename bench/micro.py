"""`make bench-micro`: the stages of a request one by one, each beside the same done by hand, in time and in instructions.

    python bench/micro.py --rounds 5

Instructions are counted by valgrind where it is installed: they are the same on a busy machine. Read `bench/micro_cases.py` for
what is measured; `bench/compare.py` measures two revisions with it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.contenders import CONTENDERS
from bench.environments import CACHE, Failure, ensure_environment, ensure_stage
from bench.report import describe_machine, find_commit
from bench.servers import choose_cores

__all__ = ["Figures", "count_instructions", "measure_times", "read_counts", "read_result"]

RESULTS = CACHE / "micro.md"
Figures = dict[str, dict[str, float]]
"""By stage, then `own` and `control`: nanoseconds, or instructions, of one round."""

COUNTED_ROUNDS: Final = 200
TIMEOUT_S: Final = 300.0  # valgrind takes ten seconds to import the framework on a quiet machine


def _run(python: Path, core: int, what: str, amount: str, before: Sequence[str] = ()) -> Any:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    command = ["taskset", "-c", str(core), *before, str(python), "-m", "bench.micro_cases", what, amount]
    try:
        done = subprocess.run(
            command,
            cwd=ensure_stage(),
            env={**kept, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"the stages were not measured within {TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        raise Failure(f"the stages could not be measured: {' '.join(done.stderr.split())[-300:]}")
    return read_result(done.stdout)


def read_result(text: str) -> Any:
    """What `bench/micro_cases.py` found, from what it printed.

    Raises:
        Failure: it printed no result.
    """
    for line in text.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise Failure("the stages were measured without a result")


def measure_times(python: Path, core: int, seconds: float) -> Figures:
    """Nanoseconds of each stage on both sides.

    Args:
        seconds: for each side of each stage.

    Raises:
        Failure: a stage could not be measured, or returned something wrong.
    """
    found: Figures = _run(python, core, "time", str(seconds))
    return found


def count_instructions(python: Path, core: int) -> Figures | None:
    """Instructions of each stage on both sides; None without valgrind.

    Raises:
        Failure: as for `measure_times`.
    """
    if shutil.which("valgrind") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p"]
        return read_counts(_run(python, core, "count", str(COUNTED_ROUNDS), tool), Path(folder))


def read_counts(processes: Mapping[str, Mapping[str, Sequence[Sequence[int]]]], folder: Path) -> Figures:
    """Instructions of one round: by how many two processes differ that ran different numbers of rounds.

    Args:
        processes: by stage and side, pairs of a number of rounds and a process id.
        folder: with what valgrind wrote, one file for each process.

    Raises:
        Failure: a file is missing or has no sum.
    """

    def total(pid: int) -> int:
        try:
            found = re.search(r"^summary: (\d+)", (folder / str(pid)).read_text("utf-8", "replace"), re.MULTILINE)
        except OSError:
            found = None
        if found is None:
            raise Failure(f"valgrind has counted nothing for process {pid}")
        return int(found[1])

    figures: Figures = {}
    for name, sides in processes.items():
        figures[name] = {}
        for side, ((few, first), (many, second)) in sides.items():
            figures[name][side] = (total(second) - total(first)) / (many - few)
    return figures


def take_medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return {name: {side: median(each[name][side] for each in rounds) for side in sides} for name, sides in rounds[0].items()}


def make_report(rounds: Sequence[Figures], counts: Figures | None, cores: tuple[int, int], command: str) -> str:
    """The report in Markdown."""
    times = take_medians(rounds)
    lines = [
        "# Stages of a request",
        "",
        f"Written by `{command}`. Each stage beside the same done by hand, on the same exchange, with the same verified answer; "
        "medians of the rounds.",
        "",
        f"- Machine: {describe_machine(cores)}",
        f"- Commit {find_commit()}, {time.strftime('%Y-%m-%d')}",
        "",
        "| stage | Tercel, ns | by hand, ns | ratio | Tercel, instructions | by hand | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, sides in times.items():
        own, control = sides["own"], sides["control"]
        row = f"| {name} | {own:,.0f} | {control:,.0f} | {own / control:.2f} |"
        if counts is None:
            row += " | | |"
        else:
            own, control = counts[name]["own"], counts[name]["control"]
            row += f" {own:,.0f} | {control:,.0f} | {own / control:.2f} |"
        lines.append(row)
    if counts is None:
        lines += ["", "Instructions are counted by valgrind, which is not installed here (Debian: `apt-get install valgrind`)."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 when everything was measured, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="bench/micro.py", description="The stages of a request beside the same done by hand.")
    parser.add_argument("--rounds", type=int, default=5, help="how often the times are taken (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each side of each stage in a round (default: 0.2)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the report goes (default: .cache/bench/micro.md)")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1 or parsed.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds positive")
    cores = choose_cores()
    try:
        python = ensure_environment(next(contender for contender in CONTENDERS if contender.name == "tercel"))
        counts = count_instructions(python, cores[0])
        rounds = [measure_times(python, cores[0], parsed.seconds) for _ in range(parsed.rounds)]
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    report = make_report(rounds, counts, cores, f"make bench-micro ROUNDS={parsed.rounds}")
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(report, "utf-8")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
