"""What is demanded of the suite, what is excused, and how a run compares. Pure but for reading and writing its two text files.

`demanded.txt` has one line per file of the suite: how many of its tests pass on the original and a digest of their sorted ids; ids
that do not pass there (skipped, mostly) follow with a minus sign. A line that differs on another Python is repeated with that.
`excused.txt` has one line per test, file or folder with the reason.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEMANDED = "demanded.txt"
EXCUSED = "excused.txt"
BASE = "3.13"
"""The Python whose lines stand without a version."""


def digest(ids: Iterable[str]) -> str:
    """Eight hexadecimal digits that differ when any of the ids does."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:8]


def file_of(test: str) -> str:
    return test.partition("::")[0]


@dataclass
class Comparison:
    """The result of a run; `problems` are lines for a person, empty when all is well."""

    passed: int = 0
    demanded: int = 0
    excused: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Ledger:
    """What is expected on one Python.

    Attributes:
        files: by path: how many tests pass on the original, and the digest of their ids.
        absent: ids that do not pass on the original.
        excuses: ids, files (`tests/test_x.py`) and folders (`tests/x/`) with their reasons.
    """

    files: dict[str, tuple[int, str]]
    absent: set[str]
    excuses: dict[str, str]

    @classmethod
    def read(cls, folder: Path, python: str) -> Ledger:
        """Reads both files for one version of Python.

        Raises:
            ValueError: an excuse without a reason.
        """
        files, absent = _parse((folder / DEMANDED).read_text("utf-8"), python)
        excuses = {}
        for line in (folder / EXCUSED).read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                test, _, reason = line.partition("  # ")
                if not reason:
                    raise ValueError(f"{EXCUSED}: no reason for {test}")
                excuses[test.strip()] = reason
        return cls(files, absent, excuses)

    def excuse_of(self, test: str) -> str | None:
        """The line of `excused.txt` that covers a test or a file."""
        path = file_of(test)
        folders = [f"{parent}/" for parent in Path(path).parents]
        return next((entry for entry in (test, path, *folders) if entry in self.excuses), None)

    def compare(self, outcomes: Mapping[str, str], paths: Sequence[str] = ()) -> Comparison:
        """How the outcomes of a run compare with what is demanded.

        Args:
            paths: what was run, as given to pytest; empty for all.
        """
        result = Comparison()
        by_file: dict[str, dict[str, str]] = defaultdict(dict)
        for test, outcome in outcomes.items():
            if test not in self.absent:
                by_file[file_of(test)][test] = outcome
        single = [path for path in paths if "::" in path]
        for path, (count, expected) in self.files.items():
            if paths and not any(path == file_of(given) or path.startswith(given.rstrip("/") + "/") for given in paths):
                continue
            if self.excuse_of(path) is not None:
                result.excused += count
                continue
            seen = by_file.get(path, {})
            if single and path in map(file_of, single):
                count = len(seen)
            elif digest(seen) != expected:
                result.problems.append(f"DIFFERS {path}: {len(seen)} tests ran, {count} pass on the original, or their ids differ")
            self._compare_file(seen, count, result)
        return result

    def _compare_file(self, seen: Mapping[str, str], count: int, result: Comparison) -> None:
        excused = {test for test in seen if test in self.excuses}
        result.excused += len(excused)
        result.demanded += count - len(excused)
        for test, outcome in seen.items():
            if test in excused:
                if outcome == "passed":
                    result.problems.append(f"PASSES  {test}: is excused without need; take its line out of {EXCUSED}")
            elif outcome == "passed":
                result.passed += 1
            else:
                result.problems.append(f"{outcome.upper():<7} {test}")


def _parse(text: str, python: str) -> tuple[dict[str, tuple[int, str]], set[str]]:
    files: dict[str, tuple[int, str]] = {}
    absent: dict[str, set[str]] = defaultdict(set)
    chosen: dict[str, str] = {}
    version, path = BASE, ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("-"):
            absent[f"{path} {version}"].add(path + "::" + line[1:].strip())
            continue
        path, count, ids, *rest = line.split()
        version = rest[0] if rest else BASE
        if version in (BASE, python):
            files[path] = int(count), ids
            chosen[path] = version
    return files, set().union(*(absent[f"{path} {version}"] for path, version in chosen.items()))


_HEADER = """\
# What passes on FastAPI 0.165.0 itself: file, number of tests, digest of their ids [, Python if it differs there].
# A line with a minus sign is a test that does not pass there. Written by `python3 -m tools.conformance record`; facts, not code.
"""


def write_demanded(folder: Path, python: str, outcomes: Mapping[str, str]) -> None:
    """Writes what passed on the original, over what is known of the same files; lines of other Pythons stay where they differ."""
    mine = _lines(outcomes)
    target = folder / DEMANDED
    known = _sections(target.read_text("utf-8")) if target.exists() else {}
    known.setdefault(python, {}).update(mine)
    base = known.get(BASE, mine)
    lines: list[str] = []
    for path in sorted({path for version in known.values() for path in version}):
        said = base.get(path)
        if said is not None:
            lines += [f"{path} {said[0]}", *said[1:]]
        for version in sorted(known):
            other = known[version].get(path)
            if version != BASE and other is not None and other != said:
                lines += [f"{path} {other[0]} {version}", *other[1:]]
    target.write_text(_HEADER + "\n".join(lines) + "\n", "utf-8")


def _lines(outcomes: Mapping[str, str]) -> dict[str, list[str]]:
    """By file: the count and the digest, then one line per test that does not pass."""
    by_file: dict[str, dict[str, str]] = defaultdict(dict)
    for test, outcome in outcomes.items():
        by_file[file_of(test)][test] = outcome
    lines = {}
    for path, tests in by_file.items():
        passed = [test for test, outcome in tests.items() if outcome == "passed"]
        failed = sorted(test.partition("::")[2] for test in tests if test not in passed)
        lines[path] = [f"{len(passed)} {digest(passed)}", *(f"- {test}" for test in failed)]
    return lines


def _sections(text: str) -> dict[str, dict[str, list[str]]]:
    """The lines of each version; those of the base stand in for a version that does not differ, so they are not repeated here."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(dict)
    version, path = BASE, ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("-"):
            sections[version][path].append(line)
        else:
            path, count, ids, *rest = line.split()
            version = rest[0] if rest else BASE
            sections[version][path] = [f"{count} {ids}"]
    return sections
