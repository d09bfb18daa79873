"""Running other projects' test suites: source distributions fetched by hash, environments, and pytest with outcomes by test id.

What `tools.conformance` and `tools.ecosystem` share. It knows package indexes (through pip and uv), archives and pytest, and not
what is compared with what. Runs on any Python from 3.11 with nothing installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.environment import ROOT, Problem, find_python, find_uv, run, version_of

PLUGIN = Path(__file__).resolve().parent / "plugin"
GRACE_S = 30.0
"""How long pytest has, after it was interrupted, to write down what it knows: enough for a teardown that hangs in a few sockets."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what has to be in it.

    Attributes:
        home: its folder.
        lock: the requirements that it is synchronised with; what else is in it goes.
        hashed: whether every line of the lock has hashes.
        then: further `uv pip install` arguments, one installation each.
    """

    home: Path
    lock: Path
    hashed: bool
    then: Sequence[Sequence[str]] = ()

    def ensure(self, python: str, say: object = None) -> Path:
        """The interpreter of the environment, which is made or brought up to date if it has to be.

        Args:
            say: a function that is given a line before something takes long.

        Raises:
            Problem: an installation that failed.
        """
        inside, stamp = self.home / "bin" / "python", self.home / "installed"
        asked = [self.lock.read_text("utf-8"), (ROOT / "pyproject.toml").read_text("utf-8"), str(ROOT), python, repr(self.then)]
        state = hashlib.sha256("\0".join(asked).encode()).hexdigest()
        if stamp.exists() and stamp.read_text() == state and version_of(inside) is not None:
            return inside
        if callable(say):
            say(f"preparing {self.home.relative_to(ROOT)} (Python {number_of(python)})")
        uv = find_uv()
        if version_of(inside) != version_of(python):
            run([uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python, str(self.home)])
        stamp.unlink(missing_ok=True)
        hashes = ["--require-hashes"] if self.hashed else []
        run([uv, "pip", "sync", "--quiet", *hashes, "--python", str(inside), str(self.lock)])
        for arguments in self.then:
            # Such an environment has nothing to build with. Tercel is installed from its folder, where the development environment
            # leaves the extension.
            run([uv, "pip", "install", "--quiet", "--no-deps", "--python", str(inside), *arguments], builds=False)
        stamp.write_text(state)
        return inside


def number_of(python: str | Path) -> str:
    """`3.13` for an interpreter of that version; empty if it does not start."""
    return ".".join(map(str, version_of(python) or ()))


def interpreter(wanted: str | None) -> tuple[str, str]:
    """An interpreter by version, command or path (None: the preferred one), and its version.

    Raises:
        Problem: there is none.
    """
    python = find_python(wanted)
    return python, number_of(python)


def download(python: Path, requirement: Path, target: Path, *, isolated: bool) -> None:
    """Fetches a source distribution into a folder.

    Args:
        python: an interpreter with pip.
        requirement: a requirements file with one version and its hash.
        isolated: whether pip makes the project's build environment itself, to read its metadata; else `python` has it.

    Raises:
        Problem: it cannot be fetched, or has another hash.
    """
    name = requirement.read_text("utf-8").rpartition("==")[0].splitlines()[-1]
    pip = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
    hashes = ["--require-hashes", "--requirement", str(requirement), "--dest", str(target)]
    run([*pip, *([] if isolated else ["--no-build-isolation"]), *hashes])


def unpack(archive: Path, target: Path, *, without: Sequence[str] = ()) -> Path:
    """The folder that an archive holds, unpacked anew in `target`, less some of its folders; `target` is whole or not there."""
    fresh = target.with_name(f"{target.name}.new")
    for folder in (fresh, target):
        shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(fresh, filter="data")
    (inner,) = fresh.iterdir()
    for folder in without:
        shutil.rmtree(inner / folder)
    fresh.rename(target)
    return target / inner.name


def run_pytest(
    python: Path,
    folder: Path,
    arguments: Sequence[str],
    results: Path,
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    timeout_s: float | None = None,
) -> dict[str, str]:
    """Runs pytest with the suite's own configuration and returns test ids with their outcomes.

    Args:
        folder: where pytest starts.
        results: a file for the outcomes, removed again.
        environment: variables beside those of this process.
        log: where to write what pytest prints; the terminal if there is none.
        timeout_s: after this pytest is interrupted, and what it has run until then counts.

    Raises:
        Problem: pytest did not get to the end.
    """
    # The suite's cache is not written, and its decorations of the terminal are left out.
    command = [str(python), "-m", "pytest", "-q", "-p", "outcomes", f"--outcomes={results}", "--tb=short", "-rfE"]
    command += ["-p", "no:sugar", "-p", "no:cacheprovider", "--maxfail=100000", *arguments]
    given = environment or {}
    path = os.pathsep.join([str(PLUGIN), *filter(None, [given.get("PYTHONPATH") or os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **given, "PYTHONPATH": path}
    results.unlink(missing_ok=True)
    code = _run_bounded(command, folder, variables, log, timeout_s)
    try:
        outcomes: dict[str, str] = json.loads(results.read_text("utf-8"))
    except FileNotFoundError:
        raise Problem(f"pytest stopped with exit code {code} before it had run the tests") from None
    finally:
        results.unlink(missing_ok=True)
    if code not in (0, 1) and timeout_s is None:
        raise Problem(f"pytest stopped with exit code {code}")
    return outcomes


def _run_bounded(command: list[str], folder: Path, environment: dict[str, str], log: Path | None, timeout_s: float | None) -> int:
    """The exit code of a command that is interrupted when its time is over, and killed with its children if that does not help."""
    with open(log or os.devnull, "wb") as file:
        output = None if log is None else file
        bounded = timeout_s is not None
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL if bounded else None,
            stdout=output,
            stderr=output,
            start_new_session=bounded,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                return process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                return -signal.SIGKILL
        finally:
            if bounded:
                _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what a suite has left running: it was started in a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
