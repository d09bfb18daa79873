"""`make autobahn`: the Autobahn test suite's fuzzing client against Tercel's WebSockets, case by case.

    python3 -m tools.autobahn                 # groups 1 to 7 and 10: what RFC 6455 says
    python3 -m tools.autobahn "12.1.* 9.*"    # others; 12 and 13 are permessage-deflate

The suite runs on Python 2.7 only; where there is none this says so and ends with 77. It is installed with `pip --target` from
requirements.txt (versions and hashes) into `.cache/autobahn`, and runs for `LIMIT_S` at most. A case has to be OK, NON-STRICT or
INFORMATIONAL, its closing too,
in one of `TRIES` runs. Needs no package itself; `tools.autobahn.echo` runs in the development environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.environment import CACHE, ROOT

HERE = Path(__file__).resolve().parent
HOME = CACHE / "autobahn"
REQUIRED = [*(f"{group}.*" for group in range(1, 8)), "10.*"]
LIMIT_S = 900
TRIES = 3
NO_PYTHON = 77
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}

Outcomes = dict[str, dict[str, str]]
"""Behavior and closing of each case."""

# Without `site`'s processing of a folder, its namespace packages are not found.
START = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(f"autobahn: {text}", file=sys.stderr, flush=True)


def find_python27() -> str | None:
    """An interpreter of Python 2.7 that runs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    wanted = [os.environ.get("PYTHON27"), *sorted(map(str, pyenv.glob("2.7*/bin/python"))), shutil.which("python2.7")]
    for python in filter(None, wanted):
        found = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if found.stdout.strip() == "(2, 7)":
            return python
    return None


def install(python27: str) -> Path:
    """The folder with the suite, installed if it is not."""
    lock = HERE / "requirements.txt"
    stamp = HOME / "installed"
    state = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        say(f"installing {lock.relative_to(ROOT)}")
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir(parents=True)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        command = [python27, "-m", "pip", "install", *options, "--target", str(HOME / "packages"), "-r", str(lock)]
        subprocess.run(command, check=True, timeout=LIMIT_S, stderr=subprocess.DEVNULL)
        stamp.write_text(state)
    return HOME / "packages"


def run_cases(python27: str, packages: Path, url: str, cases: list[str]) -> Outcomes:
    """What became of each case."""
    reports = HOME / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    spec = HOME / "spec.json"
    server = {"agent": "tercel", "url": url}
    spec.write_text(json.dumps({"outdir": str(reports), "servers": [server], "cases": cases, "exclude-cases": []}))
    command = [python27, "-W", "ignore", "-c", START, str(packages), "-m", "fuzzingclient", "-s", str(spec)]
    log = HOME / "log.txt"
    with log.open("w") as output:
        subprocess.run(command, cwd=HOME, stdout=output, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=True)
    outcomes: Outcomes = json.loads((reports / "index.json").read_text())["tercel"]
    return outcomes


def judge(outcomes: Outcomes) -> list[str]:
    """A line for each case that did not pass."""
    return [
        f"{case}: {outcome['behavior']}, closing {outcome['behaviorClose']}"
        for case, outcome in sorted(outcomes.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        if outcome["behavior"] not in GOOD or outcome["behaviorClose"] not in GOOD
    ]


def confirm(outcomes: Outcomes, run: Callable[[list[str]], Outcomes]) -> Outcomes:
    """The outcomes when a case that failed was run up to `TRIES` times.

    Some wait a second for an answer, in which a busy machine may stand still; what is wrong with the server fails every time.

    Args:
        outcomes: of the first time.
        run: runs some cases again.
    """
    for _ in range(TRIES - 1):
        failed = [line.partition(":")[0] for line in judge(outcomes)]
        if not failed:
            break
        say(f"once more: {' '.join(failed)}")
        outcomes = {**outcomes, **run(failed)}
    return outcomes


def main() -> int:
    """Run the cases. Returns the exit code."""
    cases = " ".join(sys.argv[1:]).split() or REQUIRED
    python27 = find_python27()
    if python27 is None:
        say("there is no Python 2.7 here, without which the Autobahn test suite does not run (PYTHON27 names one)")
        return NO_PYTHON
    packages = install(python27)
    py = subprocess.run(
        [sys.executable, "tools/environment.py", "ensure", "dev", *filter(None, [os.environ.get("PYTHON")])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    server = subprocess.Popen([py, "-m", "tools.autobahn.echo"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not re.fullmatch(r"ws://127\.0\.0\.1:\d+", url):
            say("the server did not start")
            return 1
        say(f"{' '.join(cases)} against {url}, {LIMIT_S} s at most")
        outcomes = confirm(run_cases(python27, packages, url, cases), partial(run_cases, python27, packages, url))
    finally:
        server.terminate()
        code = server.wait(30)
    bad = judge(outcomes)
    for line in bad:
        print(line)
    counts = sorted({outcome["behavior"] for outcome in outcomes.values()})
    told = ", ".join(f"{sum(outcome['behavior'] == name for outcome in outcomes.values())} {name}" for name in counts)
    print(f"{len(outcomes)} cases: {told}; {len(bad)} failed")
    return 1 if bad or code or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
