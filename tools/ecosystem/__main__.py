"""`make ecosystem`: other packages' test suites on FastAPI and on Tercel in the same run, compared by test id.

    python3 -m tools.ecosystem                          # every suite; the table goes to docs/ecosystem.md
    python3 -m tools.ecosystem --only "cadwyn svcs"     # some; the other rows stay as they were
    python3 -m tools.ecosystem openapi [--only ...]     # documents and answers of real applications, compared
    python3 -m tools.ecosystem lock [--only ...]        # pins what the environments hold
    python3 -m tools.ecosystem page                     # writes the page again from the results

What passes on FastAPI has to pass on Tercel. Each package has environments of its own under `.cache/ecosystem`, both from the same
lock; the logs of pytest are beside them. Read `catalogue` for what is run, `comparison` for how it is compared.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, TypeVar

from tools.ecosystem import documents, page
from tools.ecosystem.catalogue import Application, Suite, read_applications, read_suites, select
from tools.ecosystem.comparison import Comparison, compare, confirm, rerun
from tools.ecosystem.places import SIDES, Place, prepare, say, unpacked, write_lock
from tools.environment import Problem
from tools.suites import run_pytest

TEST_TIMEOUT_S = 120
"""For a single test that waits for what never comes; the slowest that pass take a quarter of it on two cores."""
RERUN_AT_MOST = 60
"""More differences than this are no accident of timing, so they are not run again."""
SHOWN = 25
"""Lost tests of one suite on the terminal; all of them are in results.json."""

Entry = TypeVar("Entry", Suite, Application)


def run_side(place: Place, suite: Suite, tests: Sequence[str] = ()) -> dict[str, str]:
    """Runs a suite, or some of its tests, on one side.

    Raises:
        Problem: pytest did not start.
    """
    folder = unpacked(place, list(suite.without)) / suite.folder
    arguments = ["--continue-on-collection-errors", f"--timeout={TEST_TIMEOUT_S}", f"--rootdir={folder}"]
    arguments += [*suite.arguments, *(tests or suite.paths)]
    log = place.folder / ("again.log" if tests else "pytest.log")
    try:
        return run_pytest(
            place.python,
            folder,
            arguments,
            place.folder / "outcomes.json",
            environment={"TERCEL_ENGINE": os.environ.get("ENGINE") or "compiled", **suite.variables},
            log=log,
            timeout_s=suite.timeout_s,
        )
    except Problem as problem:
        raise Problem(f"{suite.name} on {place.side}: {problem}; see {log}") from None


def run_suite(suite: Suite) -> tuple[Comparison, dict[str, Any]]:
    """Runs a suite on both sides, and what differs once more.

    Raises:
        Problem: an environment could not be made, pytest did not start, or nothing passes on FastAPI: then nothing is compared.
    """
    began = time.monotonic()
    places = [prepare(suite, side) for side in SIDES]
    original, tercel = (run_side(place, suite) for place in places)
    if "passed" not in original.values():
        raise Problem(f"no test passes on FastAPI; see {places[0].folder / 'pytest.log'}")
    result = compare(original, tercel, suite.excused)
    again = rerun(result.lost)
    if 0 < len(again) <= RERUN_AT_MOST:
        result = confirm(result, *(run_side(place, suite, again) for place in places))
    facts = {
        "version": suite.version,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.monotonic() - began),
        "note": suite.note,
        **places[0].versions(),
    }
    return result, facts


def each(entries: Sequence[Entry], work: Callable[[Entry], bool], jobs: int) -> bool:
    """Does the work for every entry, some at a time; whether all of it went well."""

    def one(entry: Entry) -> bool:
        try:
            return work(entry)
        except Problem as problem:
            say(f"{entry.name}: {problem}")
            return False

    with ThreadPoolExecutor(jobs) as pool:
        return all(list(pool.map(one, entries)))


def suites(arguments: argparse.Namespace) -> int:
    """Runs the suites that are asked for, prints what is lost, and writes the page; 0 when nothing is lost."""

    def work(suite: Suite) -> bool:
        result, facts = run_suite(suite)
        page.record("suites", suite.name, {**facts, **asdict(result)})
        for test, outcome in list(result.lost.items())[:SHOWN]:
            print(f"{outcome.upper():<7} {suite.name} {test}", flush=True)
        if len(result.lost) > SHOWN:
            print(f"... and {len(result.lost) - SHOWN} more of {suite.name}", flush=True)
        unsteady = f", {len(result.unsteady)} unsteady" if result.unsteady else ""
        print(f"ecosystem: {suite.name} {suite.version}: {result.kept} of {result.passed} kept{unsteady}", flush=True)
        return not result.lost

    catalogue = read_suites()
    well = each(select(catalogue, arguments.only), work, arguments.jobs)
    page.write(catalogue, read_applications())
    return 0 if well else 1


def openapi(arguments: argparse.Namespace) -> int:
    """Compares documents and answers of the applications that are asked for; 0 when all that must be equal is."""

    def work(application: Application) -> bool:
        result = documents.compare_application(application)
        page.record("applications", application.name, asdict(result))
        for line in result.problems:
            print(f"DIFFERS {application.name} {line}", flush=True)
        print(f"ecosystem: {application.name}: {result.equal} of {result.documents} documents are equal", flush=True)
        answers = result.answers
        for line in answers.problems if answers else []:
            print(f"DIFFERS {application.name} {line}", flush=True)
        if answers:
            print(f"ecosystem: {application.name}: {answers.equal} of {answers.requests} requests are answered alike", flush=True)
        well = not result.problems and not (answers and answers.problems)
        return (well or bool(application.reason)) and result.documents > 0

    catalogue = read_applications()
    well = each(select(catalogue, arguments.only), work, arguments.jobs)
    page.write(read_suites(), catalogue)
    return 0 if well else 1


def lock(arguments: argparse.Namespace) -> int:
    """Pins what the environments of the entries that are asked for hold."""
    entries = {**read_suites(), **{f"{name}": entry for name, entry in read_applications().items()}}
    wanted = arguments.only.split() or list(entries)
    unknown = [name for name in wanted if name not in entries]
    if unknown:
        raise Problem(f"not in the catalogues: {', '.join(unknown)}")
    for name in wanted:
        say(f"locking {name}")
        write_lock(replace(entries[name]))
    return 0


def write_page(_: argparse.Namespace) -> int:
    """Writes the page from the results that there are."""
    page.write(read_suites(), read_applications())
    return 0


def main() -> int:
    """Runs the command line; 0 when nothing is lost, 1 when something is, 2 when something could not be run."""
    commands = {"suites": suites, "openapi": openapi, "lock": lock, "page": write_page}
    parser = argparse.ArgumentParser(prog="python3 -m tools.ecosystem", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="?", default="suites", choices=commands)
    parser.add_argument("--only", default=os.environ.get("ONLY") or "", help="names with blanks between them")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("WORKERS") or "2"), help="packages at the same time (2)")
    arguments = parser.parse_args()
    os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # see tools/environment.py
    try:
        return commands[arguments.command](arguments)
    except Problem as problem:
        say(str(problem))
        return 2


if __name__ == "__main__":
    sys.exit(main())
