"""Where packages come from and where they run: source distributions, locks, and two environments for each, FastAPI's and Tercel's.

Knows pip and uv through `tools.suites`, and nothing of what is run. The two environments are installed from the same lock; in the
second one `tercel dropin install` puts Tercel in FastAPI's place, as a user would.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tools.ecosystem.catalogue import HERE, Application, Package, Suite
from tools.environment import CACHE, REQUIREMENTS, ROOT, Problem, find_python, find_uv, run
from tools.suites import Environment, download, unpack

HOME = CACHE / "ecosystem"
LOCKS = HERE / "locks"
FASTAPI = "0.165.0"
ALWAYS = [f"fastapi=={FASTAPI}", "pytest-timeout"]
SIDES = ("original", "tercel")
_MAKING_PIP = threading.Lock()


def say(text: str) -> None:
    """A line for the person at the terminal; the result goes to standard output."""
    print(f"ecosystem: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Place:
    """One package on one side.

    Attributes:
        package: what is run.
        side: `original` or `tercel`.
        python: the interpreter of its environment.
    """

    package: Package
    side: str
    python: Path

    @property
    def folder(self) -> Path:
        """Where this side's files are: its own copy of the source distribution, and the log."""
        return HOME / self.package.name / self.side

    def versions(self) -> dict[str, str]:
        """Versions of what matters, as the environment's metadata has them."""
        code = (
            "import importlib.metadata as m, json, platform; d = {'python': platform.python_version()};"
            "[d.__setitem__(n, m.version(n)) for n in ('fastapi', 'starlette', 'pydantic')]; print(json.dumps(d))"
        )
        done = subprocess.run([str(self.python), "-c", code], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found


def lock_of(package: Package) -> Path:
    """The file that pins what a package's environment holds."""
    return LOCKS / f"{package.name}.txt"


def write_lock(package: Package) -> None:
    """Pins everything that a package's environment holds, FastAPI and Tercel's own dependencies included.

    Raises:
        Problem: the requirements contradict each other.
    """
    lines = [*package.requirements, *ALWAYS]
    asked = HOME / f"{package.name}.in"
    HOME.mkdir(parents=True, exist_ok=True)
    asked.write_text("".join(line + "\n" for line in lines), "utf-8")
    command = [find_uv(), "pip", "compile", "--quiet", "--universal", "--python-version", package.python, "--no-emit-index-url"]
    command += ["--no-header", "--no-annotate", "--no-emit-package", "tercel", str(asked), str(REQUIREMENTS / "base.in")]
    if isinstance(package, Application):
        command += ["--generate-hashes", "--only-binary", ":all:", "--no-binary", "tercel"]
    if package.overrides:
        replaced = HOME / f"{package.name}.overrides"
        replaced.write_text("".join(line + "\n" for line in package.overrides), "utf-8")
        command += ["--override", str(replaced)]
    run([*command, "--output-file", str(lock_of(package))])
    text = lock_of(package).read_text("utf-8")
    if f"fastapi=={FASTAPI}" not in text:
        raise Problem(f"{package.name}: its lock does not have FastAPI {FASTAPI}")


def prepare(package: Package, side: str) -> Place:
    """The environment of a package with FastAPI, or with Tercel in its place.

    Raises:
        Problem: there is no lock, no interpreter, or an installation failed.
    """
    lock = lock_of(package)
    if not lock.exists():
        raise Problem(f"{package.name} has no lock. Write one: python3 -m tools.ecosystem lock --only {package.name}")
    python = find_python(package.python)
    then = [["--no-build-isolation", "--editable", str(ROOT)]] if side == "tercel" else []
    environment = Environment(HOME / package.name / f"env-{side}", lock, hashed="--hash=" in lock.read_text("utf-8"), then=then)
    inside = environment.ensure(python, say)
    if side == "tercel":
        # Each time, so that the shim belongs to the code that is here now.
        run([str(inside), "-m", "tercel", "dropin", "install"])
    return Place(package, side, inside)


def source_of(package: Package) -> Path:
    """The archive of a package's source distribution, fetched on first use.

    Raises:
        Problem: it cannot be fetched, or has another hash.
    """
    target = HOME / package.name / "sdist"
    found = sorted(target.glob("*.tar.gz"))
    if found:
        return found[0]
    say(f"downloading {package.name} {package.version}")
    target.mkdir(parents=True, exist_ok=True)
    requirement = target / "requirement.txt"
    pinned = f"{package.distribution or package.name}=={package.version}"
    requirement.write_text(f"{pinned} \\\n    --hash=sha256:{package.sha256}\n", "utf-8")
    download(_pip(), requirement, target, isolated=True)
    (archive,) = target.glob("*.tar.gz")
    return archive


def unpacked(place: Place, without: list[str] | None = None) -> Path:
    """A fresh copy of the source distribution, or of our own tests, for one side, since tests leave files.

    The empty configuration around it keeps pytest from going on to this repository's own, for suites that have none.
    """
    target = place.folder / "source"
    if isinstance(place.package, Suite) and place.package.own:
        shutil.rmtree(target, ignore_errors=True)
        folder = Path(shutil.copytree(HERE / place.package.own, target / place.package.own))
    else:
        folder = unpack(source_of(place.package), target, without=without or [])
    (folder.parent / "pytest.ini").touch()
    return folder


def _pip() -> Path:
    """An interpreter with pip, which can fetch source distributions and uv cannot."""
    home = HOME / "pip"
    inside = home / "bin" / "python"
    with _MAKING_PIP:
        if inside.exists():
            return inside
        run([find_uv(), "venv", "--quiet", "--seed", "--no-python-downloads", "--python", find_python(None), str(home)])
    return inside
