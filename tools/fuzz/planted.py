"""Bugs planted into a copy of the protocols, one at a time: each has to be found by `tests/property/test_protocols.py`.

    python -m tools.fuzz.planted            # all; in the development environment, with a C compiler for those in the extension
    python -m tools.fuzz.planted 0 3        # some

Exit code 1 when one was not found. A test that cannot fail proves nothing; this is the proof that it can.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.environment import ROOT

PURE = "tercel/server/http1.py"
EXCHANGE = "tercel/server/exchange.py"
COMPILED = "tercel/server/_http1.pyx"
PLANTED: list[tuple[str, str, str, str]] = [
    ("an idle connection stays paused", PURE, "self._paused_by_app = False\n        self.deadline", "self.deadline"),
    ("the deadline of an idle connection is not renewed", PURE, "        self.deadline = self.server.idle_deadline_s\n", ""),
    ("a connection counts as unused", PURE, "        self._used = True\n", ""),
    ("sent bytes are not counted", EXCHANGE, "            self.sent_body_bytes = length\n", ""),
    ("responses are not counted", COMPILED, "    server.response_count += 1\n", ""),
    ("the second Host is taken", COMPILED, "            if out.host != NULL:\n                return False\n", ""),
    ("a control character passes", COMPILED, "at[0] >= 32 and at[0] != 127", "at[0] >= 31 and at[0] != 127"),
    ("DEL passes", COMPILED, "at[0] >= 32 and at[0] != 127", "at[0] >= 32"),
    ("Expect is overlooked", COMPILED, 'return not same(name, b"expect", 6)', "return True"),
    ("one field more than allowed", COMPILED, "at[0] != 58 or left == 0", "at[0] != 58 or left < 0"),
    ("an encoded path is not decoded", COMPILED, "        path = unquote(path)\n", "        pass\n"),
    ("white space behind a value is kept", COMPILED, "while stop > at and (", "while False and ("),
]
LIMIT_S = 240


def found(number: int) -> bool:
    """Whether the tests fail with this bug in the sources."""
    _, path, good, bad = PLANTED[number]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("tercel", "tests", "bench", "tools"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "hatch_build.py"):
            shutil.copy2(ROOT / name, copy / name)
        source = copy / path
        text = source.read_text()
        if good not in text:
            raise SystemExit(f"planted bug {number} fits the sources no more: {good!r} is not in {path}")
        source.write_text(text.replace(good, bad, 1))
        if path == COMPILED:
            _build(copy)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/property/test_protocols.py"]
        # The copy comes before the sources that are installed.
        done = subprocess.run(
            command, cwd=copy, env={"PYTHONPATH": folder, "PATH": "/usr/bin:/bin"}, capture_output=True, timeout=LIMIT_S
        )
        return done.returncode == 1


_BUILD = """
import hatch_build, pathlib, shutil, sys
for place, built in hatch_build.build_extensions(pathlib.Path.cwd(), pathlib.Path(sys.argv[1])).items():
    shutil.copy2(built, place)
"""


def _build(copy: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", _BUILD, folder], cwd=copy, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        raise SystemExit(f"the extension cannot be built:\n{done.stderr[-2000:]}")


def main() -> int:
    """Runs the command line."""
    missed = 0
    for number in map(int, sys.argv[1:] or range(len(PLANTED))):
        caught = found(number)
        missed += not caught
        print(f"{number:2} {'found' if caught else 'NOT FOUND'}: {PLANTED[number][0]}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
