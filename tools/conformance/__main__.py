"""`make conformance`: FastAPI's own test suite, run on Tercel through the import hook, compared by test id with what is demanded.

    python3 -m tools.conformance                    # all of it; environment variables PYTHON and ENGINE choose where
    python3 -m tools.conformance tests/test_sse.py  # a part
    python3 -m tools.conformance record [PATH ...]  # runs the original and rewrites demanded.txt for this Python
    python3 -m tools.conformance original           # prints the interpreter of an environment with the original
    python3 -m tools.conformance lock               # rewrites requirements.txt

The suite is downloaded (version and hash in sdist.txt) into `.cache/conformance`, without FastAPI's own code, so that nothing of it
can be what passes. `demanded.txt` says what passes on the original, `excused.txt` which of it is not asked for, and why. Runs on
any Python from 3.11 with nothing installed. Read `ledger` next for how results are compared.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.conformance.ledger import DEMANDED, Ledger, write_demanded
from tools.environment import CACHE, ROOT, Problem, find_uv, run, version_of
from tools.suites import Environment, download, interpreter, run_pytest, unpack

HERE = Path(__file__).resolve().parent
HOME = CACHE / "conformance"
SUITE = "fastapi-0.165.0"
# Not in the lock: Tercel is installed from here, FastAPI must not be there, the others measure or check what is not tested.
LEFT_OUT = ["tercel", "fastapi", "mypy", "pytest-codspeed", "pytest-cov", "pytest-sugar", "ruff", "ty"]
# Neither on the original nor here: they measure, with one of the packages left out.
NEVER_RUN = ("tests/benchmarks", "tests/memory_benchmarks")


def say(text: str) -> None:
    """A line for the person at the terminal; the result goes to standard output."""
    print(f"conformance: {text}", file=sys.stderr, flush=True)


def ensure_environment(wanted: str | None, *, original: bool = False) -> Path:
    """The interpreter of an environment with the suite's dependencies and Tercel, or with FastAPI itself instead.

    Raises:
        Problem: no interpreter, or an installation that failed.
    """
    python, number = interpreter(wanted)
    subject = ["--require-hashes", "--requirement", str(HERE / "sdist.txt")] if original else ["--editable", str(ROOT)]
    home = CACHE / "env" / f"{'original' if original else 'conformance'}-{number}"
    then = [["--no-build-isolation", *subject]]
    return Environment(home, HERE / "requirements.txt", hashed=True, then=then).ensure(python, say)


def fetch(python: Path) -> Path:
    """The source distribution, fetched on first use.

    Raises:
        Problem: it cannot be fetched, or has another hash.
    """
    archive = HOME / f"{SUITE}.tar.gz"
    if not archive.exists():
        say(f"downloading {SUITE}")
        download(python, HERE / "sdist.txt", HOME, isolated=False)
    return archive


def ready(archive: Path, *, with_fastapi: bool) -> Path:
    """The folder of the suite; FastAPI's own code is in it only where the original is to be run."""
    target = HOME / ("original" if with_fastapi else "suite")
    if target.exists():
        return target / SUITE
    return unpack(archive, target, without=[] if with_fastapi else ["fastapi"])


def run_suite(
    python: Path, folder: Path, paths: list[str], *, hook: bool, engine: str, workers: str, excused: Iterable[str] = ()
) -> dict[str, str]:
    """Runs the suite with its own configuration and returns test ids with their outcomes.

    Args:
        hook: on Tercel, in place of FastAPI.
        excused: tests that are expected to fail; files and folders that are not run.

    Raises:
        Problem: pytest did not get to the end.
    """
    arguments = ["-n", workers, *(f"--ignore={path}" for path in NEVER_RUN)]
    arguments += [f"--expect-failure={path}" if "::" in path else f"--ignore={path.rstrip('/')}" for path in excused]
    # On the original a slow machine must not change the facts.
    arguments += ["-p", "tercel.dropin"] if hook else ["-o", "timeout=180"]
    results = HOME / f"outcomes-{os.getpid()}.json"
    return run_pytest(python, folder, [*arguments, *(paths or ["tests"])], results, environment={"TERCEL_ENGINE": engine})


def compare(arguments: argparse.Namespace) -> int:
    """Runs the suite on Tercel and prints what is missing; 0 when nothing is."""
    python = ensure_environment(arguments.python)
    number = ".".join(map(str, version_of(python) or ()))
    ledger = Ledger.read(HERE, number)
    folder = ready(fetch(python), with_fastapi=False)
    outcomes = run_suite(
        python, folder, arguments.paths, hook=True, engine=arguments.engine, workers=arguments.workers, excused=ledger.excuses
    )
    result = ledger.compare(outcomes, arguments.paths)
    for line in result.problems:
        print(line)
    print(f"conformance: {result.passed} passed of {result.demanded} demanded ({result.excused} excused)")
    return 1 if result.problems else 0


def record(arguments: argparse.Namespace) -> int:
    """Runs the original and writes down what passes on it."""
    python = ensure_environment(arguments.python, original=True)
    number = ".".join(map(str, version_of(python) or ()))
    folder = ready(fetch(python), with_fastapi=True)
    outcomes = run_suite(python, folder, arguments.paths, hook=False, engine="compiled", workers=arguments.workers)
    write_demanded(HERE, number, outcomes)
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    say(f"{passed} of {len(outcomes)} tests pass on the original, Python {number}; written to {DEMANDED}")
    return 0


def original(arguments: argparse.Namespace) -> int:
    """Prints the interpreter of an environment with FastAPI itself."""
    print(ensure_environment(arguments.python, original=True))
    return 0


def lock(arguments: argparse.Namespace) -> int:
    """Rewrites requirements.txt from requirements.in and the suite's own test group."""
    uv = find_uv()
    HOME.mkdir(parents=True, exist_ok=True)
    bare = HOME / "pip"
    run([uv, "venv", "--quiet", "--clear", "--seed", "--no-python-downloads", "--python", sys.executable, str(bare)])
    run([uv, "pip", "install", "--quiet", "--python", str(bare / "bin" / "python"), "pdm-backend"])
    group = ready(fetch(bare / "bin" / "python"), with_fastapi=True) / "pyproject.toml"
    command = [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
    ]
    command += ["--no-annotate", "--no-header", *(part for name in LEFT_OUT for part in ("--no-emit-package", name))]
    command += ["--group", f"{group}:tests"]
    command += [str((HERE / "requirements.in").relative_to(ROOT)), "--output-file", str(HERE / "requirements.txt")]
    run([*command, *(["--upgrade"] if arguments.upgrade else [])])
    return 0


def main() -> int:
    """Runs the command line; 0 when nothing demanded failed."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.conformance", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "what", nargs="*", metavar="[record | original | lock] PATH", help="what to do, and with which part of the suite"
    )
    parser.add_argument("--python", default=os.environ.get("PYTHON") or None, help="version, command or path")
    parser.add_argument("--engine", default=os.environ.get("ENGINE") or "compiled", choices=["compiled", "interpreted"])
    parser.add_argument("--workers", default=os.environ.get("WORKERS") or "2", help="processes that run tests (2)")
    parser.add_argument("--upgrade", action="store_true", help="with lock: newer versions too")
    arguments = parser.parse_args()
    os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # see tools/environment.py
    command = {"record": record, "original": original, "lock": lock}.get(arguments.what[0] if arguments.what else "", compare)
    arguments.paths = arguments.what if command is compare else arguments.what[1:]
    try:
        return command(arguments)
    except Problem as problem:
        say(str(problem))
        return 2


if __name__ == "__main__":
    sys.exit(main())
