"""Makes and finds the virtual environments that `make` works in, and writes the lock they are installed from.

Runs on any Python from 3.11 with nothing installed: it brings its own uv when there is none. It knows interpreters, `requirements/`
and `.cache/env/`, and nothing of what is run inside them; the Makefile says that.

    python3 tools/environment.py ensure dev          # prints the interpreter of an up-to-date environment
    python3 tools/environment.py ensure dev 3.11     # the same on Python 3.11
    python3 tools/environment.py lock [--upgrade]    # rewrites requirements/*.txt

The lock is `uv pip compile --universal --generate-hashes`: one file for every platform and Python, with hashes and without the name
of any package index, so that it installs the same from a mirror; CONTRIBUTING.md says why it is not a `uv.lock`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
REQUIREMENTS = ROOT / "requirements"
# What each environment holds beyond Tercel: the dependency groups of pyproject.toml. `dev` is locked first and pins the others.
ENVIRONMENTS = {"dev": "dev", "demo": "demo", "fuzz": "fuzz"}
# What the extensions are built from, with the editable install: they are built again when one of these changes.
BUILT_FROM = (
    "hatch_build.py",
    "tercel/server/_http1.pyx",
    "tercel/server/_frames.pyx",
    "tercel/server/_hub.pxi",
    "tercel/server/_waiting.pxi",
    "tercel/server/_pieces.pxi",
    "tercel/http/_reader.pyx",
    "tercel/http/_scalars.pxi",
    "tercel/http/_slots.pxi",
    "tercel/http/_writer.pyx",
)
OLDEST = (3, 11)
PREFERRED = "3.13"  # the version whose speed and behaviour the project states its figures for
UV = "uv>=0.9"
_MAKING_UV = threading.Lock()


class Problem(Exception):
    """What went wrong and what to do, in one or two lines for a person."""


def run(command: list[str], *, builds: bool = True) -> None:
    """Runs a command that must succeed; what it printed is shown only when it does not.

    Args:
        builds: whether Tercel, if it is installed, is built with its extension.

    Raises:
        Problem: the command does not exist or does not exit with 0.
    """
    # The certificates that the machine trusts, as pip does; uv's own list lacks those of a company's or a sandbox's proxy.
    environment = {"UV_SYSTEM_CERTS": "true", **os.environ}
    # TERCEL_PURE says what runs, not what is built: an environment serves both.
    environment.pop("TERCEL_PURE", None)
    if not builds:
        environment["TERCEL_PURE"] = "1"
    try:
        subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    except FileNotFoundError:
        raise Problem(f"{command[0]}: not found") from None
    except subprocess.CalledProcessError as error:
        raise Problem(f"failed: {' '.join(command)}\n{error.stdout}".rstrip()) from None


def version_of(python: str | Path) -> tuple[int, int] | None:
    """(major, minor) of an interpreter, or None if it does not start (a pyenv shim of a version that is not active, say)."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def find_python(wanted: str | None) -> str:
    """The interpreter for a wanted version ("3.11") or path; without one, Python 3.13 if it is here, else the running one.

    Raises:
        Problem: there is no such interpreter, or it is older than Tercel supports.
    """
    wanted = wanted or os.environ.get("PYTHON") or None
    if wanted is None:
        return _find_version(PREFERRED) or _supported(sys.executable)
    if wanted.replace(".", "").isdigit():
        found = _find_version(wanted)
        if found is None:
            raise Problem(f"Python {wanted} was not found on PATH or under pyenv. Install it, or choose another: PYTHON=python3")
        return _supported(found)
    path = shutil.which(wanted)
    if path is None:
        raise Problem(f"{wanted}: no such interpreter. PYTHON takes a version (3.12), a command (python3) or a path")
    return _supported(path)


def _find_version(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    installed = sorted(pyenv.glob(f"{version}*/bin/python"), key=lambda path: [part.zfill(4) for part in path.parts[-3].split(".")])
    for candidate in [f"python{version}", *map(str, reversed(installed)), sys.executable]:
        number = version_of(candidate)
        if number is not None and ".".join(map(str, number)) == ".".join(version.split(".")[:2]):
            return candidate
    return None


def _supported(python: str) -> str:
    number = version_of(python)
    if number is None or number < OLDEST:
        shown = "does not start" if number is None else f"is Python {number[0]}.{number[1]}"
        raise Problem(f"{python} {shown}; Tercel needs 3.11 or newer. Choose another: make ... PYTHON=python3.13")
    return python


def find_uv() -> str:
    """The uv on PATH if it starts, else one of our own, installed on first use into `.cache/uv`; threads wait for one another."""
    if shutil.which("uv") and subprocess.run(["uv", "--version"], capture_output=True).returncode == 0:
        return "uv"
    home = CACHE / "uv"
    folder = home / ("Scripts" if os.name == "nt" else "bin")
    with _MAKING_UV:
        if not (folder / "uv").exists() and not (folder / "uv.exe").exists():
            say("installing uv into .cache/uv")
            try:
                run([sys.executable, "-m", "venv", "--clear", str(home)])
            except Problem as problem:
                advice = "`python3 -m venv` does not work here. On Debian: apt-get install python3-venv"
                raise Problem(f"{problem}\n{advice}") from None
            run([str(folder / "python"), "-m", "pip", "install", "--quiet", UV])
    return str(folder / "uv")


def declared_digest() -> str:
    """A digest of what pyproject.toml asks for: when it differs from the one in a lock, that lock is out of date."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    metadata = project["project"]
    asked = [
        metadata["requires-python"],
        metadata["dependencies"],
        metadata["optional-dependencies"],
        project["dependency-groups"],
        (REQUIREMENTS / "base.in").read_text("utf-8"),
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def ensure(name: str, wanted: str | None) -> Path:
    """The interpreter of environment `name`, which is made or brought up to date if it has to be.

    Raises:
        Problem: no interpreter, a stale lock, or an installation that failed.
    """
    lock = REQUIREMENTS / f"{name}.txt"
    if f"sha256:{declared_digest()}" not in lock.read_text("utf-8").splitlines()[0]:
        raise Problem(f"requirements/{name}.txt does not belong to this pyproject.toml. Run `make lock` and commit the result")
    python = find_python(wanted)
    number = ".".join(map(str, version_of(python) or ()))
    home = CACHE / "env" / f"{name}-{number}"
    inside = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = home / "installed"
    sources = b"".join((ROOT / source).read_bytes() for source in ("pyproject.toml", *BUILT_FROM))
    state = hashlib.sha256(lock.read_bytes() + sources + str(ROOT).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == state and version_of(inside) is not None:
        return inside
    say(f"preparing {home.relative_to(ROOT)} (Python {number})")
    uv = find_uv()
    if version_of(inside) is None:
        run([uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python, str(home)])
    stamp.unlink(missing_ok=True)
    # The lock also holds what builds Tercel itself, so nothing that is not locked is fetched.
    run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(inside), str(lock)])
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", str(inside)]
    run([*install, "--reinstall-package", "tercel", "--editable", str(ROOT)])
    if subprocess.run([str(inside), "-c", "import tercel.server.compiled"], cwd=ROOT, capture_output=True).returncode != 0:
        say("the server's protocol is pure Python here: no C compiler, no header files of this Python, or the build failed")
    stamp.write_text(state)
    return inside


def lock(upgrade: bool) -> None:
    """Rewrites `requirements/*.txt`; keeps every pinned version that still fits unless `upgrade` is true."""
    uv = find_uv()
    for name, group in ENVIRONMENTS.items():
        target = REQUIREMENTS / f"{name}.txt"
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", ".".join(map(str, OLDEST))]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-package", "tercel", "--no-header"]
        command += ["--group", group, "requirements/base.in", "--output-file", str(target)]
        if name != "dev":
            command += ["--constraints", "requirements/dev.txt"]
        elif upgrade:
            command += ["--upgrade"]
        run(command)
        body = "".join(line + "\n" for line in target.read_text("utf-8").splitlines() if not line.startswith("# written by"))
        target.write_text(f"# written by `make lock` from pyproject.toml sha256:{declared_digest()}\n{body}", "utf-8")
        pins = sum(line[:1].isalnum() for line in body.splitlines())
        say(f"requirements/{name}.txt: {pins} packages")


def say(text: str) -> None:
    """A line for the person at the terminal; standard output is for the path that `ensure` prints."""
    print(f"environment: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Runs the command line; 0 when it worked, 1 with a message when not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("ensure", help="print the interpreter of an up-to-date environment")
    one.add_argument("name", choices=ENVIRONMENTS)
    one.add_argument("python", nargs="?", help="version, command or path (default: $PYTHON, else 3.13, else the running one)")
    commands.add_parser("lock", help="rewrite requirements/*.txt").add_argument("--upgrade", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.command == "lock":
            lock(arguments.upgrade)
        else:
            print(ensure(arguments.name, arguments.python))
    except Problem as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
