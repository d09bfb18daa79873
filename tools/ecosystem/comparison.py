"""How a suite's outcomes on Tercel compare with those on FastAPI. Pure: outcomes in, a comparison out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_CHANGING = re.compile(
    r"(?<=0x)[0-9a-f]{6,}"  # the address of an object
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{24,}"  # a random token
    r"|(?<![0-9])[0-9]{10}\.[0-9]+"  # the time
)


def steady(outcomes: Mapping[str, str]) -> dict[str, str]:
    """The outcomes with ids that are the same in every run: what changes in the parameters is replaced by a star.

    Ids that become the same are counted, in the order in which the tests ran.
    """
    result: dict[str, str] = {}
    for test, outcome in outcomes.items():
        name, bracket, parameters = test.partition("[")
        fixed = known = name + bracket + _CHANGING.sub("*", parameters)
        number = 1
        while fixed in result:
            number += 1
            fixed = f"{known}#{number}"
        result[fixed] = outcome
    return result


def rerun(lost: Mapping[str, str]) -> list[str]:
    """What pytest is given to run lost tests once more: their functions, since parameters may have other ids the next time."""
    return list(dict.fromkeys(test.partition("[")[0] for test, outcome in lost.items() if outcome != "missing" and "::" in test))


@dataclass
class Comparison:
    """The result for one suite.

    Attributes:
        total: tests that ran on FastAPI.
        passed: those that pass there: what is demanded.
        kept: those of them that pass on Tercel.
        lost: ids with their outcome on Tercel, for those that do not (`missing` if it did not run).
        gained: ids that pass on Tercel only.
        unsteady: ids that failed in the first run on Tercel and passed in the second.
        excused: ids with reasons, for tests that need not pass.
    """

    total: int
    passed: int
    kept: int
    lost: dict[str, str] = field(default_factory=dict)
    gained: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    excused: dict[str, str] = field(default_factory=dict)


def compare(original: Mapping[str, str], tercel: Mapping[str, str], excuses: Mapping[str, str] | None = None) -> Comparison:
    """Compares two runs by test id.

    Args:
        original: outcomes on FastAPI by test id.
        tercel: outcomes on Tercel.
        excuses: reasons by test id, or by the part of an id before `[`.
    """
    before, after = steady(original), steady(tercel)
    demanded = [test for test, outcome in before.items() if outcome == "passed"]
    lost = {test: after.get(test, "missing") for test in demanded if after.get(test) != "passed"}
    reasons = excuses or {}
    excused = {test: reasons.get(test) or reasons.get(test.partition("[")[0]) for test in lost}
    named = {test: reason for test, reason in excused.items() if reason is not None}
    return Comparison(
        total=len(before),
        passed=len(demanded),
        kept=len(demanded) - len(lost),
        lost={test: outcome for test, outcome in lost.items() if test not in named},
        gained=[test for test, outcome in after.items() if outcome == "passed" and before.get(test) != "passed"],
        excused=named,
    )


def confirm(first: Comparison, original: Mapping[str, str], tercel: Mapping[str, str]) -> Comparison:
    """The comparison after the tests that differed were run once more on both.

    A test that passes on Tercel the second time, or fails on FastAPI the second time, is unsteady: it says nothing about Tercel.
    """
    before, after = steady(original), steady(tercel)
    unsteady = [test for test in first.lost if after.get(test) == "passed" or before.get(test) != "passed"]
    return Comparison(
        total=first.total,
        passed=first.passed,
        kept=first.kept + sum(after.get(test) == "passed" for test in unsteady),
        lost={test: outcome for test, outcome in first.lost.items() if test not in unsteady},
        gained=first.gained,
        unsteady=unsteady,
        excused=first.excused,
    )
