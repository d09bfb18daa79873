"""OpenAPI documents of applications, on FastAPI and on Tercel, compared byte by byte. `dump.py` makes them in each environment.

From FastAPI's document the requests are made that the running applications are asked: see `answers`.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.ecosystem.answers import Answers, compare_answers
from tools.ecosystem.catalogue import HERE, Application
from tools.ecosystem.places import SIDES, Place, prepare, unpacked
from tools.ecosystem.requesting import requests_of
from tools.environment import Problem

TIMEOUT_S = 300
"""For importing an application and making its document; the largest take half a minute."""


@dataclass
class Documents:
    """How an application's documents compare.

    Attributes:
        documents: how many FastAPI makes.
        equal: how many of them Tercel makes with the same bytes.
        operations: in those of FastAPI, to show how large the application is.
        problems: names of the others, with the first place where they differ.
        answers: how the answers of the running application compare; None if it is not run.
        unserved: why not.
        overrides: requirements of the application that were replaced.
    """

    documents: int = 0
    equal: int = 0
    operations: int = 0
    problems: list[str] = field(default_factory=list)
    version: str = ""
    answers: Answers | None = None
    unserved: str = ""
    overrides: Sequence[str] = ()
    date: str = ""
    reason: str = ""


def compare_application(application: Application) -> Documents:
    """Makes an application's documents on both sides and compares them.

    Raises:
        Problem: an environment could not be made, or the application does not start.
    """
    places = [prepare(application, side) for side in SIDES]
    original, tercel = (dump(place, application) for place in places)
    result = compare(original, tercel)
    if application.serve:
        document = original.get(application.serve)
        if document is None:
            raise Problem(f"{application.name}: {application.serve} is none of its targets, or has no document")
        result.answers = compare_answers(*places, application, requests_of(json.loads(document), application.prefix))
    result.unserved = application.unserved
    result.overrides = list(application.overrides)
    result.version = application.version
    result.reason = application.reason
    result.date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return result


def compare(original: Mapping[str, str | None], tercel: Mapping[str, str | None]) -> Documents:
    """Compares documents by name; those that FastAPI does not make are left out."""
    result = Documents()
    for name, document in original.items():
        if document is None:
            continue
        result.documents += 1
        result.operations += operations(json.loads(document))
        other = tercel.get(name)
        if other == document:
            result.equal += 1
        elif other is None:
            result.problems.append(f"{name}: no document on Tercel")
        else:
            one, two = json.loads(document), json.loads(other)
            order = ", and no other difference" if one == two else ""
            result.problems.append(f"{name}: {difference(one, two)}{order}")
    return result


def operations(document: Mapping[str, Any]) -> int:
    """How many operations a document describes."""
    return sum(len(methods) for methods in document.get("paths", {}).values())


def difference(original: Any, tercel: Any, place: str = "") -> str:
    """The first place where two JSON values differ, in a few words; the order of keys counts."""
    if isinstance(original, dict) and isinstance(tercel, dict):
        for key in original:
            if key not in tercel:
                return f"{place}/{key} is missing"
            if original[key] != tercel[key] or json.dumps(original[key]) != json.dumps(tercel[key]):
                return difference(original[key], tercel[key], f"{place}/{key}")
        more = [key for key in tercel if key not in original]
        return f"{place}/{more[0]} is too much" if more else f"{place}: the same keys in another order"
    if isinstance(original, list) and isinstance(tercel, list) and len(original) == len(tercel):
        for index, (one, other) in enumerate(zip(original, tercel, strict=True)):
            if json.dumps(one) != json.dumps(other):
                return difference(one, other, f"{place}/{index}")
    return f"{place} is {_short(tercel)}, not {_short(original)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def dump(place: Place, application: Application) -> dict[str, str | None]:
    """An application's documents by name, on one side.

    Raises:
        Problem: it does not start.
    """
    folder = place.folder
    if application.source:
        folder = unpacked(place) / application.source
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, str | None] = {}
    for number, target in enumerate(application.targets):
        result, log = place.folder / f"documents-{number}.json", place.folder / f"documents-{number}.log"
        result.unlink(missing_ok=True)
        _run(place, [str(result), target], folder, application.variables, log)
        if not result.exists():
            raise Problem(f"{application.name} on {place.side}: {target} does not start; see {log}")
        found.update(json.loads(result.read_text("utf-8")))
    return found


def _run(place: Place, arguments: list[str], folder: Path, variables: Mapping[str, str], log: Path) -> None:
    command = [str(place.python), str(HERE / "dump.py"), *arguments]
    home = place.folder / "home"
    home.mkdir(exist_ok=True)
    with log.open("wb") as output:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "HOME": str(home), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise Problem(f"{place.package.name} on {place.side}: not ready after {TIMEOUT_S} s; see {log}") from None
