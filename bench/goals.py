"""What Tercel set out to reach on each workload, and whether a run reached it: a table for the report, numbers for the README.

The minimum is a ratio to FastAPI on uvicorn; the goal behind it is to be ahead of every peer. Knows a run's figures, nothing of how
they were measured.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from bench.results import Run

__all__ = ["GOALS", "make_goal_table", "make_summary", "replace_summary"]

GOALS: Final = {
    "W1": 10.0,
    "W2": 10.0,
    "W3": 8.0,
    "W4": 14.0,
    "W5": 4.0,  # 2.3 by pydantic alone
    "W6": 3.0,
    "W7": 10.0,
    "W8": 35.0,
    "W9": 8.0,
    "W10": 4.0,
    "H12-W2": 10.0,
    "H12-W4": 14.0,
}
"""The least ratio to FastAPI."""

LIMIT_SHARE: Final = {"W1": 0.8, "W2": 0.8, "W3": 0.8, "W4": 0.8}
"""The least share of the hand-written handlers' rate on the same server."""

ASGI_GOALS: Final = {"W1": 3.0, "W2": 3.0, "W3": 3.0, "W4": 3.0}
"""The least ratio under uvicorn."""

_SHOWN: Final = (
    ("H12-W2", "three validated parameters, with a browser's twelve headers"),
    ("H12-W4", "three levels of dependencies, with a browser's twelve headers"),
    ("W3", "a nested body with a response model"),
)
_BLOCK: Final = re.compile(r"(<!-- BENCH: begin.*?-->\n).*?(<!-- BENCH: end -->)", re.DOTALL)


def make_goal_table(run: Run) -> list[str]:
    """Lines of Markdown; empty unless Tercel was measured against the baseline."""
    lines = [
        "| | Tercel | at least | reached | in pure Python | fastest peer | ahead of it | share of the limit | under uvicorn |",
        "|---|--:|--:|---|--:|---|---|--:|--:|",
    ]
    for workload in run.workloads:
        name = workload.name
        ratio = run.ratio("tercel", name)
        if ratio is None or name not in GOALS:
            continue
        peer = run.toughest_peer(name)
        lead = run.ratio("tercel", name, to=peer.name) if peer else None
        share, under = run.ratio("tercel", name, to="limit"), run.ratio("tercel-uvicorn", name)
        pure = run.ratio("tercel-pure", name)
        lines.append(
            f"| {name} | {ratio:.1f}x | {GOALS[name]:g}x | {_yes(ratio >= GOALS[name])} | {_with_goal(pure, None, '{:.1f}x')} "
            f"| {f'{peer.short} {run.ratio(peer.name, name):.1f}x' if peer else ''} "
            f"| {f'{_yes(lead >= 1)} ({lead:.2f})' if lead else ''} "
            f"| {_with_goal(share, LIMIT_SHARE.get(name), '{:.0%}')} | {_with_goal(under, ASGI_GOALS.get(name), '{:.1f}x')} |"
        )
    return lines if len(lines) > 2 else []


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def _with_goal(value: float | None, goal: float | None, form: str) -> str:
    if value is None:
        return ""
    shown = form.format(value)
    return shown if goal is None else f"{shown} ({'reached' if value >= goal else '**not** ' + form.format(goal)})"


def make_summary(run: Run) -> str:
    """The block of the README: the picture, three numbers, and where they come from."""
    numbers = []
    for name, what in _SHOWN:
        ratio = run.ratio("tercel", name)
        numbers.append(f"- **{'—' if ratio is None else f'{ratio:.1f}x'}** {what} ({name})")
    return "\n".join(
        [
            "![Requests per second of Tercel and its fastest peer, as multiples of FastAPI](docs/benchmarks/overview.svg)",
            "",
            "Requests per second as a multiple of FastAPI on uvicorn, one worker on one core, measured in the same run:",
            "",
            *numbers,
            "",
            f"From `{run.command}` on {run.started:%Y-%m-%d}; all contenders, machine and versions are in "
            "[the results](docs/benchmarks/results.md), the method is in [benchmarks](docs/benchmarks/README.md).",
            "",
        ]
    )


def replace_summary(readme: Path, run: Run) -> bool:
    """Write the block between the markers of a README; False if it has none."""
    text = readme.read_text("utf-8")
    summary = make_summary(run)
    changed, count = _BLOCK.subn(lambda found: f"{found[1]}{summary}{found[2]}", text)
    if count:
        readme.write_text(changed, "utf-8")
    return bool(count)
