"""`docs/server-differences.md` from what the servers answered. Knows no server."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypedDict

from tools.differential.reasons import REASONS

__all__ = ["PAGE", "RESULTS", "Results", "answered_alike", "render"]

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "server-differences.md"
RESULTS: Final = Path(__file__).with_name("results.json")

_HEAD: Final = """\
# What servers answer

The same byte streams, sent to Tercel's server and to {servers},
all with their default settings and the same ASGI application. `make differential` asks them and writes this page; a test holds
Tercel to its column. The streams are those that Tercel's suites hold to be malformed, and some that are odd but good.

A good request follows each stream on the same connection. *kept* means that it was answered too, *closed* that the connection
ended without it, *waits* that nothing happened for four seconds; `200 (5 B)` that the application got a body of five bytes;
several numbers are several responses.
"""


class Results(TypedDict):
    """What was answered, by case and server."""

    versions: dict[str, str]
    answers: dict[str, dict[str, str]]


def answered_alike(answers: dict[str, str]) -> bool:
    """Whether all servers agree about a stream."""
    return len(set(answers.values())) == 1


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _table(titles: list[str], rows: dict[str, dict[str, str]]) -> str:
    lines = _row("sent", *titles) + "|---|" + "---|" * len(titles) + "\n"
    return lines + "".join(_row(name, *(answers[title] for title in titles)) for name, answers in rows.items())


def render(results: Results) -> str:
    """The page: streams that are answered differently in groups, each with its reason, and those that all answer alike.

    Raises:
        KeyError: a stream is answered differently and has no reason.
    """
    answers = results["answers"]
    titles = list(next(iter(answers.values())))
    versions = results["versions"]
    servers = ", ".join(f"{name} {versions[name]}" for name in ("uvicorn", "granian")) + f" and hypercorn {versions['hypercorn']}"
    groups: dict[str, dict[str, dict[str, str]]] = {}
    alike: dict[str, list[str]] = {}
    for name, answered in answers.items():
        if answered_alike(answered):
            alike.setdefault(next(iter(answered.values())), []).append(name)
        else:
            groups.setdefault(REASONS[name], {})[name] = answered
    page = _HEAD.format(servers=servers) + "\n## Where they differ\n"
    for reason, rows in groups.items():
        page += f"\n{reason}\n\n{_table(titles, rows)}"
    page += "\n## Where all agree\n\n" + _row("answer", "sent") + "|---|---|\n"
    return page + "".join(_row(answer, "; ".join(names)) for answer, names in alike.items())
