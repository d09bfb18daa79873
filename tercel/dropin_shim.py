"""The shim distribution: a distribution named `fastapi` in the current environment whose package gives way to Tercel.

The other way in besides the import hook. `importlib.metadata`, the resolvers of pip and uv, and subprocesses all see FastAPI
0.165.0 installed, as version `0.165.0+tercel.<version of Tercel>`. Every change is prepared beside the environment's packages and
done by renaming, with a journal from which an interrupted change is undone: an environment is never left half changed. This module
must not know how names are looked up; read `tercel.dropin` for that.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tercel.dropin import FASTAPI_MODULES

__all__ = ["Found", "HookDistribution", "ShimError", "find", "install", "uninstall"]

NAME = "fastapi"
FASTAPI_VERSION = "0.165.0"
_WORK = ".tercel-dropin"
"""The folder, in site-packages, of a change in progress. Nothing imports from it."""

_EXTRAS = {
    "standard": ["tercel[standard]", "fastapi-cli[standard]>=0.0.32", "uvicorn[standard]>=0.12.0"],
    "standard-no-fastapi-cloud-cli": [
        "tercel[standard]",
        "fastapi-cli[standard-no-fastapi-cloud-cli]>=0.0.32",
        "uvicorn[standard]>=0.12.0",
    ],
    "all": ["tercel[standard,orjson]", "fastapi-cli[standard]>=0.0.32", "uvicorn[standard]>=0.12.0", "pyyaml>=5.3.1"],
    "opentelemetry": ["opentelemetry-sdk>=1.44.0", "opentelemetry-exporter-otlp-proto-http>=1.44.0"],
}
"""FastAPI's extras, so that a requirement on `fastapi[standard]` is met by the same packages."""


class ShimError(Exception):
    """The environment was left as it is; the message says why, its further lines what to do."""


@dataclass(frozen=True)
class Found:
    """A distribution named `fastapi`.

    Attributes:
        version: as its metadata has it.
        folder: where it is installed.
        tercel: the version of Tercel that it stands for; None for any other distribution of this name.
        replaced: the version that the shim took the place of, if there was one.
    """

    version: str
    folder: Path
    tercel: str | None
    replaced: str | None
    distribution: importlib.metadata.Distribution


def site_packages() -> Path:
    """Where the current interpreter's packages are."""
    return Path(sysconfig.get_paths()["purelib"])


def find() -> Found | None:
    """What the current environment has under the name `fastapi`, or None."""
    distribution = next((one for one in importlib.metadata.distributions(name=NAME) if type(one) is not HookDistribution), None)
    if distribution is None:
        return None
    told = distribution.read_text("tercel.json")
    note = {} if told is None else json.loads(told)
    folder = Path(str(distribution.locate_file(""))).resolve()
    return Found(distribution.version, folder, note.get("tercel"), note.get("replaced"), distribution)


class HookDistribution(importlib.metadata.Distribution):
    """What `importlib.metadata` says of `fastapi` where the import hook is in place, whatever is installed: version 0.165.0."""

    def read_text(self, filename: str) -> str | None:
        """The metadata and the name of the package; there are no other files."""
        if filename == "METADATA":
            return _metadata(FASTAPI_VERSION, importlib.metadata.version("tercel"))
        return f"{NAME}\n" if filename == "top_level.txt" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Below the folder of the facades."""
        return Path(__file__).parent / "compat" / path


# -- what is written ---------------------------------------------------------------------------------------------------------------


def shim_version(tercel: str) -> str:
    """The version of the shim, valid by the rules for local version identifiers."""
    return f"{FASTAPI_VERSION}+tercel.{re.sub('[^a-z0-9]+', '.', tercel.lower()).strip('.')}"


def _metadata(version: str, tercel: str) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {NAME}",
        f"Version: {version}",
        "Summary: Gives programs that import fastapi Tercel instead.",
        "License-Expression: MIT",
        "Requires-Python: >=3.11",
        f"Requires-Dist: tercel=={tercel}",
    ]
    for extra, requirements in _EXTRAS.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement}; extra == "{extra}"' for requirement in requirements]
    return "\n".join(lines) + "\n"


_PACKAGE = '''\
"""FastAPI's name for Tercel: at run time this package gives way to `tercel.compat.fastapi`; the rest is for type checkers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tercel.compat.fastapi import *
else:
    from tercel.dropin import take_place

    take_place(__name__)
'''


def _files(tercel: str, replaced: str | None, has_script: bool) -> Iterator[tuple[str, str]]:
    """The files of the shim: path in site-packages and text."""
    yield f"{NAME}/__init__.py", _PACKAGE
    yield f"{NAME}/py.typed", ""
    for module, stand_in in FASTAPI_MODULES.items():
        is_package = any(other.startswith(module + ".") for other in FASTAPI_MODULES)
        path = f"{NAME}/{module.replace('.', '/')}" + ("/__init__.py" if is_package else ".py")
        yield path, f'"""For type checkers; at run time `{NAME}.{module}` is `{stand_in}`."""\n\nfrom {stand_in} import *\n'
    info = _info_folder(tercel)
    yield f"{info}/METADATA", _metadata(shim_version(tercel), tercel)
    yield f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tercel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    yield f"{info}/INSTALLER", "tercel\n"
    yield f"{info}/tercel.json", json.dumps({"tercel": tercel, "replaced": replaced}) + "\n"
    if has_script:
        yield f"{info}/entry_points.txt", "[console_scripts]\nfastapi = fastapi.cli:main\n"


def _info_folder(tercel: str) -> str:
    return f"{NAME}-{shim_version(tercel)}.dist-info"


def _stage(target: Path, tercel: str, replaced: str | None, scripts: Iterable[str]) -> None:
    """Writes the shim into a folder as it will be in site-packages, with its RECORD."""
    record = [f"{script},," for script in scripts]
    for path, text in _files(tercel, replaced, bool(record)):
        data = text.encode()
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(data)}")
    info = _info_folder(tercel)
    (target / info / "RECORD").write_text("\n".join([*record, f"{info}/RECORD,,"]) + "\n", "utf-8")


# -- changing an environment -------------------------------------------------------------------------------------------------------

Move = tuple[Path, Path]


class _Change:
    """Renames that are all done or all undone.

    Args:
        site: the site-packages folder that is changed; the work is done in a folder inside it, on the same file system.
    """

    def __init__(self, site: Path) -> None:
        self.site = site
        self.work = site / _WORK
        self.new = self.work / "new"
        self.old = self.work / "old"
        self.journal = self.work / "journal.json"

    def begin(self) -> None:
        """Takes the working folder; undoes what an interrupted change left there."""
        self.undo_interrupted()
        try:
            self.work.mkdir()
        except OSError as error:
            raise ShimError(f"{self.site} cannot be changed: {error.strerror}") from None
        self.new.mkdir()
        self.old.mkdir()

    def undo_interrupted(self) -> None:
        """Puts back what a change that was killed had moved."""
        if self.journal.exists():
            moves = [(Path(source), Path(target)) for source, target in json.loads(self.journal.read_text("utf-8"))]
            self._undo(moves)
        shutil.rmtree(self.work, ignore_errors=True)

    def make(self, moves: list[Move], rename: Callable[[Path, Path], None] = os.replace) -> None:
        """Does all moves, or none.

        Raises:
            ShimError: one of them failed; those before it are undone.
        """
        self.journal.write_text(json.dumps([[str(source), str(target)] for source, target in moves]), "utf-8")
        try:
            for source, target in moves:
                target.parent.mkdir(parents=True, exist_ok=True)
                rename(source, target)
        except BaseException as error:
            self._undo(moves)
            shutil.rmtree(self.work, ignore_errors=True)
            if isinstance(error, OSError):
                raise ShimError(f"{error.filename or self.site} cannot be moved: {error.strerror}") from None
            raise
        # From here on the change counts: without its journal the working folder is only rubbish.
        self.journal.unlink()
        shutil.rmtree(self.work, ignore_errors=True)

    def _undo(self, moves: list[Move]) -> None:
        for source, target in reversed(moves):
            if target.exists() and not source.exists():
                source.parent.mkdir(parents=True, exist_ok=True)
                os.replace(target, source)


def _require_changeable(site: Path, found: Found | None) -> None:
    """Refuses environments that belong to somebody else."""
    externally = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and externally.exists():
        raise ShimError(
            f"this Python is managed by the operating system ({externally})",
            "Work in a virtual environment: python3 -m venv .venv",
        )
    if found is not None and found.folder != site.resolve():
        raise ShimError(
            f"{NAME} {found.version} lies in {found.folder}, outside of this environment's {site}",
            "Remove it there first, with the tool that installed it.",
        )
    if found is not None and found.distribution.files is None:
        raise ShimError(
            f"{NAME} {found.version} has no list of its files, so it was not installed by pip or uv",
            "Remove it first, with the tool that installed it.",
        )


def _parts(found: Found) -> tuple[list[Path], list[str]]:
    """What a distribution consists of: top-level folders and files in site-packages, and paths of scripts outside of it."""
    inside: dict[Path, None] = {}
    outside: list[str] = []
    for file in found.distribution.files or ():
        if ".." in file.parts or file.is_absolute():
            outside.append(str(file))
        else:
            inside[found.folder / file.parts[0]] = None
    return [path for path in inside if path.exists()], outside


def _claimed_by_others(scripts: list[str]) -> set[str]:
    """Those of some scripts that another distribution lists too."""
    claimed: set[str] = set()
    for distribution in importlib.metadata.distributions(path=[str(site_packages())]):
        if re.sub("[-_.]+", "-", distribution.name or "").lower() != NAME:
            claimed.update({str(file) for file in distribution.files or ()}.intersection(scripts))
    return claimed


def install() -> Found:
    """Puts the shim into the current environment, in place of FastAPI or of an earlier shim if one is there.

    Raises:
        ShimError: the environment cannot be changed, and has not been.
    """
    site, tercel = site_packages(), importlib.metadata.version("tercel")
    change = _Change(site)
    change.undo_interrupted()
    found = find()
    _require_changeable(site, found)
    change.begin()
    parts, scripts = ([], []) if found is None else _parts(found)
    replaced = None if found is None else found.replaced if found.tercel else found.version
    # The script `fastapi` calls `fastapi.cli:main`, which the shim has as well: it stays, and is the shim's from now on.
    _stage(change.new, tercel, replaced, [script for script in scripts if (site / script).exists()])
    moves = [(part, change.old / part.name) for part in parts]
    moves += [(part, site / part.name) for part in sorted(change.new.iterdir())]
    change.make(moves)
    importlib.invalidate_caches()
    done = find()
    assert done is not None
    return done


def uninstall() -> Found:
    """Removes the shim from the current environment and returns what it was.

    Raises:
        ShimError: there is no shim, or it cannot be removed; nothing has changed.
    """
    site = site_packages()
    change = _Change(site)
    change.undo_interrupted()
    found = find()
    if found is None or found.tercel is None:
        there = f"it has the original FastAPI {found.version}" if found else "nothing is installed under the name fastapi"
        raise ShimError(f"this environment has no shim: {there}")
    _require_changeable(site, found)
    change.begin()
    parts, scripts = _parts(found)
    kept = _claimed_by_others(scripts)
    moves = [(part, change.old / part.name) for part in parts]
    gone = [script for script in scripts if script not in kept and (site / script).exists()]
    moves += [(site / script, change.old / "scripts" / Path(script).name) for script in gone]
    change.make(moves)
    importlib.invalidate_caches()
    return found
