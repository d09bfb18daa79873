"""What is run, and what is not: `suites.toml`, `applications.toml` and `left-out.toml`. Reads and checks the files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tools.environment import Problem

HERE = Path(__file__).resolve().parent
DEFAULT_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Package:
    """A distribution on the package index, with what its environment holds beside it.

    Attributes:
        name: of the entry.
        distribution: as the index has it; the entry's name if it is not said.
        version: pinned.
        sha256: of the source distribution; empty where only what pip installs is used.
        extras: of the distribution, installed too.
        needs: further requirements, as pip takes them.
        python: the version that it is run on.
        variables: environment variables.
        overrides: requirements that replace those of other packages, where they exclude this FastAPI or what it needs.
        note: for the table: what is left out of the suite, and why.
    """

    name: str
    version: str
    distribution: str = ""
    sha256: str = ""
    extras: Sequence[str] = ()
    needs: Sequence[str] = ()
    python: str = "3.13"
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    note: str = ""

    @property
    def requirements(self) -> list[str]:
        """What its environment is made from, FastAPI and Tercel apart."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return [f"{self.distribution or self.name}{extras}=={self.version}", *self.needs]


@dataclass(frozen=True)
class Suite(Package):
    """A package whose source distribution carries its tests.

    Attributes:
        paths: what pytest is given, in the source distribution.
        arguments: further ones for pytest.
        timeout_s: for one run of the suite.
        folder: where pytest starts, in the source distribution.
        without: folders of the source distribution that are removed: the package's own code, where it would hide the installed one.
        excused: test ids that need not pass on Tercel, with the reason.
        own: a folder beside this file whose tests are run instead, for packages that bring none; there is nothing to download then.
    """

    paths: Sequence[str] = ("tests",)
    arguments: Sequence[str] = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    folder: str = "."
    without: Sequence[str] = ()
    excused: Mapping[str, str] = field(default_factory=dict)
    own: str = ""

    @property
    def requirements(self) -> list[str]:
        """What its environment is made from, FastAPI and Tercel apart."""
        return list(self.needs) if self.own else super().requirements


@dataclass(frozen=True)
class Application(Package):
    """An application whose OpenAPI document is compared, and its answers if it starts without a database server or a network.

    Attributes:
        targets: where the applications are: `module:attribute`, `module:factory()`, or a folder whose programs each may have one.
        serve: the application whose answers are compared, written like a target; empty if none is.
        unserved: why not, if it is not.
        prefix: where in the served application the one of the document is mounted.
        source: the folder of the source distribution that is put on the path; none if the package has the application.
        reason: why its documents may differ; empty if they must not.
    """

    targets: Sequence[str] = ()
    serve: str = ""
    unserved: str = ""
    prefix: str = ""
    source: str = ""
    reason: str = ""


Entry = TypeVar("Entry", Suite, Application)


def read(kind: type[Entry], path: Path) -> dict[str, Entry]:
    """The entries of a catalogue by name.

    Raises:
        Problem: an entry with a key that nobody knows, without one that is needed, or with a name that occurs twice.
    """
    known = {each.name for each in fields(kind)}
    entries: dict[str, Entry] = {}
    for name, given in tomllib.loads(path.read_text("utf-8")).items():
        values: dict[str, Any] = {"name": name, **given}
        unknown = sorted(set(values) - known)
        if unknown:
            raise Problem(f"{path.name}: {name} has unknown keys: {', '.join(unknown)}")
        if "version" not in values:
            raise Problem(f"{path.name}: {name} has no version")
        entries[name] = kind(**values)
    return entries


def read_suites() -> dict[str, Suite]:
    """The suites by name; each has the hash of its source distribution, or is our own.

    Raises:
        Problem: see `read`; or a suite without a hash.
    """
    suites = read(Suite, HERE / "suites.toml")
    for suite in suites.values():
        if not suite.sha256 and not suite.own:
            raise Problem(f"suites.toml: {suite.name} has no sha256")
    return suites


def read_applications() -> dict[str, Application]:
    """The applications by name.

    Raises:
        Problem: see `read`.
    """
    return read(Application, HERE / "applications.toml")


def read_left_out() -> dict[str, list[str]]:
    """Packages without a suite that could be run, with their versions, by reason."""
    return tomllib.loads((HERE / "left-out.toml").read_text("utf-8"))


def select(entries: Mapping[str, Entry], only: str) -> list[Entry]:
    """The entries that are named, in the catalogue's order; all if none is named.

    Args:
        only: names with blanks between them.

    Raises:
        Problem: a name that is not in the catalogue.
    """
    wanted = only.split()
    unknown = [name for name in wanted if name not in entries]
    if unknown:
        raise Problem(f"not in the catalogue: {', '.join(unknown)}. There are: {', '.join(entries)}")
    return [entry for name, entry in entries.items() if not wanted or name in wanted]
