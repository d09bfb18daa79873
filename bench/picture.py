"""The results as two pictures: Tercel beside the fastest peer for each workload, and every contender on every workload.

Bars are ratios to FastAPI on uvicorn, on a linear scale from zero. Plain SVG with one style sheet that follows the reader's light
or dark setting; the background is drawn, since a picture may stand on any page. Knows a run's figures, not how they came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from bench.contenders import BASELINE, Contender
from bench.results import Run
from bench.workloads import Workload

__all__ = ["draw_all", "draw_overview"]

_STYLE: Final = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .name { font-weight: 600; }
  .note { fill: #59636e; font-size: 11px; }
  .wrong { fill: #b3261e; font-size: 11px; }
  .paper { fill: #ffffff; }
  .own { fill: #0b62d6; }
  .peer { fill: #98a1ab; }
  .control { fill: #cfd5dc; }
  .limit { fill: none; stroke: #0b62d6; stroke-width: 1.5; stroke-dasharray: 3 2; }
  .base { fill: #4d5661; }
  .line { stroke: #4d5661; stroke-width: 1; stroke-dasharray: 2 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9da7b1; }
    .wrong { fill: #ff8b82; }
    .paper { fill: #0d1117; }
    .own { fill: #4c9aff; }
    .peer { fill: #6b7580; }
    .control { fill: #3a424c; }
    .limit { stroke: #4c9aff; }
    .base { fill: #b6bfc9; }
    .line { stroke: #b6bfc9; }
  }
"""


@dataclass(frozen=True, slots=True)
class _Bar:
    """One bar: whose, how long, and how it looks; no ratio where something went wrong."""

    title: str
    ratio: float | None
    look: str


def draw_overview(run: Run) -> str:
    """Tercel, the fastest peer and the hand-written limit for each workload, with FastAPI as the line at one."""
    rows = [(workload, _leaders(run, workload)) for workload in run.workloads]
    longest = max((bar.ratio or 0 for _, bars in rows for bar in bars), default=1.0)
    left, width, bar_height, gap = 284, 900, 15, 12
    scale = (width - left - 190) / max(longest, 1.0)
    top = 62
    lines = []
    y = top
    for workload, bars in rows:
        height = max(1, len(bars)) * bar_height
        middle = y + height / 2
        lines.append(_text(12, middle - 1, workload.name, "name"))
        lines.append(_text(12, middle + 13, workload.title, "note"))
        for place, bar in enumerate(bars):
            lines += _bar(left, y + place * bar_height, bar_height - 3, bar, scale)
        y += max(height, 30) + gap
    lines.append(f'<line class="line" x1="{left + scale:.1f}" x2="{left + scale:.1f}" y1="{top - 6}" y2="{y - gap + 4}"/>')
    head = [
        _text(12, 24, "Requests per second, as a multiple of FastAPI on uvicorn", "title"),
        _text(
            12,
            42,
            "Longer is better. The dotted line is FastAPI; the dashed outline is hand-written code on Tercel's server.",
            "note",
        ),
    ]
    return _picture(width, y + 6, [*head, *lines], "Tercel and the fastest peer, compared with FastAPI, for each workload")


def draw_all(run: Run) -> str:
    """Every contender on every workload, one panel for each workload with a scale of its own."""
    columns, panel, left, bar_height = 2, 470, 178, 14
    head = [
        _text(12, 24, "Requests per second, as a multiple of FastAPI on uvicorn", "title"),
        _text(12, 42, "Longer is better; each panel has its own scale. Faint bars are servers without a framework.", "note"),
    ]
    lines: list[str] = []
    panel_height = 30 + len(run.contenders) * bar_height + 18
    for place, workload in enumerate(run.workloads):
        x, y = 12 + place % columns * panel, 66 + place // columns * panel_height
        bars = _order([_make_bar(run, contender, workload) for contender in run.contenders if contender.takes(workload.name)])
        scale = (panel - left - 80) / max([bar.ratio or 0 for bar in bars] + [1.0])
        lines.append(_text(x, y, f"{workload.name}  {workload.title}", "name"))
        for number, bar in enumerate(bars):
            at = y + 10 + number * bar_height
            lines.append(_text(x + left - 8, at + bar_height - 4, bar.title, "note", anchor="end"))
            lines += _bar(x + left, at, bar_height - 3, bar, scale, named=False)
    height = 66 + -(-len(run.workloads) // columns) * panel_height
    return _picture(columns * panel + 12, height, [*head, *lines], "Every contender on every workload, compared with FastAPI")


def _leaders(run: Run, workload: Workload) -> list[_Bar]:
    names = {contender.name: contender for contender in run.contenders}
    bars = [_make_bar(run, names["tercel"], workload)] if "tercel" in names else []
    peer = run.toughest_peer(workload.name)
    if peer is not None:
        bars.append(_make_bar(run, peer, workload))
    if "limit" in names:
        bars.append(_make_bar(run, names["limit"], workload))
    return bars


def _make_bar(run: Run, contender: Contender, workload: Workload) -> _Bar:
    look = "base" if contender.name == BASELINE else contender.kind
    return _Bar(contender.short, run.ratio(contender.name, workload.name), look)


def _order(bars: Sequence[_Bar]) -> list[_Bar]:
    return sorted(bars, key=lambda bar: -(bar.ratio or 0.0))


def _bar(x: float, y: float, height: float, bar: _Bar, scale: float, named: bool = True) -> list[str]:
    label = f"{bar.title} " if named else ""
    if bar.ratio is None:
        return [_text(x + 4, y + height - 1, f"{label}no valid result", "wrong")]
    length = max(bar.ratio * scale, 1.0)
    value = f"{bar.ratio:.1f}x" if bar.ratio < 99.95 else f"{bar.ratio:.0f}x"
    return [
        f'<rect class="{bar.look}" x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{height:.1f}" rx="1.5"/>',
        _text(x + length + 5, y + height - 1, f"{label}{value}", "note"),
    ]


def _text(x: float, y: float, text: str, look: str, anchor: str = "start") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(width: float, height: float, lines: Sequence[str], description: str) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img">',
            f"<title>{escape(description)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="6"/>',
            *lines,
            "</svg>",
            "",
        ]
    )
