"""The results, kept in `results.json`, and the page `docs/ecosystem.md` that is written from them. Runs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tools.ecosystem.catalogue import HERE, Application, Suite, read_left_out
from tools.environment import ROOT

RESULTS = HERE / "results.json"
PAGE = ROOT / "docs" / "ecosystem.md"
_LOCK = threading.Lock()

Results = dict[str, dict[str, dict[str, Any]]]

HEAD = """\
# The ecosystem

<!-- Written by `make ecosystem` and `make ecosystem-openapi`; what is edited here is lost. -->

Other people's test suites, as their source distributions carry them, run once on FastAPI and once on Tercel: in two environments
from the same lock, where `tercel dropin install` has put Tercel in FastAPI's place in the second. Tests are compared by id, and
**what passes on FastAPI has to pass on Tercel**. A suite is not changed, and no test is left out because of Tercel; what a suite
needs and is not here (a database server, a network) fails on both sides.

```console
$ make ecosystem                           # all of them: the better part of an hour on two cores
$ make ecosystem ONLY="cadwyn svcs"        # some of them; the other rows stay as they are
$ make ecosystem-openapi                   # real applications: their OpenAPI documents and answers
```

`tools/ecosystem/suites.toml` says what is run, with the version and the hash of every source distribution; the files in
`tools/ecosystem/locks` pin what the environments hold.
"""

APPLICATIONS = """\
## Applications

What others have built on FastAPI and published. First `app.openapi()` as JSON, keys in the order in which they come, compared byte
by byte. Then, where an application starts without a database server or a network, the application itself: it is served by uvicorn
with FastAPI and by `tercel run`, and asked what its document describes, rightly and wrongly (broken JSON, missing and wrong fields,
parameters and bodies). Status, header fields and body have to be equal. Ids, times, durations and addresses are masked; FastAPI is
asked in two runs, and where its own two answers differ, only the status counts (*unsteady*).

| application | version | documents | operations | equal on Tercel | requests | answered alike | unsteady | date |
|---|---|--:|--:|--:|--:|--:|--:|---|"""


def read() -> Results:
    """The results of earlier runs, by kind and name."""
    if not RESULTS.exists():
        return {"suites": {}, "applications": {}}
    found: Results = json.loads(RESULTS.read_text("utf-8"))
    return found


def record(kind: str, name: str, result: Mapping[str, Any]) -> None:
    """Keeps a result in place of an earlier one."""
    with _LOCK:
        results = read()
        results[kind][name] = dict(result)
        ordered = {part: dict(sorted(entries.items())) for part, entries in results.items()}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


def write(suites: Mapping[str, Suite], applications: Mapping[str, Application]) -> None:
    """Writes the page; results of what is no longer in the catalogue are left out."""
    results = read()
    PAGE.write_text(text(results, suites, applications, read_left_out()), "utf-8")


def text(
    results: Results,
    suites: Mapping[str, Suite],
    applications: Mapping[str, Application],
    left_out: Mapping[str, Sequence[str]],
) -> str:
    """The page for some results, in the catalogue's order.

    Args:
        left_out: packages that have no row, by reason.
    """
    ran = {name: results["suites"][name] for name in suites if name in results["suites"]}
    dumped = {name: results["applications"][name] for name in applications if name in results["applications"]}
    parts = [HEAD, *_suites(ran), *_details(ran), *_left_out(left_out), *_documents(dumped)]
    return "\n".join(parts)


def _suites(ran: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["## Test suites", ""]
    lines += [
        "| package | version | tests | pass on FastAPI | of these on Tercel | differences | Starlette, pydantic, Python | date |"
    ]
    lines += ["|---|---|--:|--:|--:|--:|---|---|"]
    for name, each in ran.items():
        versions = ", ".join(each[part] for part in ("starlette", "pydantic", "python"))
        differences = len(each["lost"]) + len(each["excused"])
        numbers = f"{each['total']} | {each['passed']} | {each['kept']} | {differences or 'none'}"
        lines.append(f"| {name} | {each['version']} | {numbers} | {versions} | {each['date']} |")
    total, passed, kept = (sum(each[part] for each in ran.values()) for part in ("total", "passed", "kept"))
    lines += [f"| **{len(ran)} suites** | | {total} | {passed} | {kept} | {passed - kept or 'none'} | | |"]
    return [*lines, ""]


def _details(ran: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, each in ran.items():
        told = [f"- `{test}`: {outcome} on Tercel" for test, outcome in each["lost"].items()]
        told += [f"- `{test}`: {reason}" for test, reason in each["excused"].items()]
        told += [
            f"- `{test}`: failed once and passed when it was run again, or the other way round on FastAPI"
            for test in each["unsteady"]
        ]
        told += [f"- passes on Tercel only: `{test}`" for test in each["gained"]]
        if each["note"]:
            told.insert(0, each["note"])
            told[1:1] = [""] if len(told) > 1 else []
        if told:
            lines += [f"**{name}**", "", *told, ""]
    return ["### Notes", "", *lines] if lines else []


def _left_out(packages: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"- {reason}: {', '.join(names)}" for reason, names in packages.items()]
    return ["### Without a row of their own", "", *lines, ""] if lines else []


def _documents(dumped: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not dumped:
        return []
    lines = [APPLICATIONS]
    for name, each in dumped.items():
        numbers = f"{each['documents']} | {each['operations']} | {each['equal']}"
        asked = each["answers"]
        answered = f"{asked['requests']} | {asked['equal']} | {asked['unsteady']}" if asked else "| |"
        lines.append(f"| {name} | {each['version']} | {numbers} | {answered} | {each['date']} |")
    lines.append("")
    for name, each in dumped.items():
        lines += [f"- **{name}**: {line}" for line in _told(each)]
    return [*lines, ""] if lines[-1] else lines


def _told(each: Mapping[str, Any]) -> list[str]:
    """What is to be said of one application."""
    told = [each["reason"]] if each["reason"] else []
    told += [f"FastAPI and Starlette against its own requirements: `{'`, `'.join(each['overrides'])}`"] if each["overrides"] else []
    told += [f"not served: {each['unserved']}"] if each["unserved"] else []
    problems = [*each["problems"], *(each["answers"] or {"problems": []})["problems"]]
    return [*told, *(f"`{problem}`" for problem in problems)]
