"""Virtual environments for contenders, made on first use under `.cache/bench/`, with uv where it works and venv and pip where not.

Packages that the project's lock pins get that version in every environment, so that two contenders never differ in, say, pydantic.
Knows packages and folders, not servers.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.contenders import Contender

__all__ = ["CACHE", "ROOT", "Failure", "ensure_environment", "ensure_stage", "read_versions"]

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
LOCK: Final = ROOT / "requirements" / "dev.txt"


class Failure(Exception):
    """What went wrong with one contender, in a line or two for the report."""


def ensure_stage() -> Path:
    """The folder in which servers start: it holds nothing but a link to `bench`, so that no checkout shadows what is installed."""
    stage = CACHE / "stage"
    stage.mkdir(parents=True, exist_ok=True)
    link = stage / "bench"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / "bench", target_is_directory=True)
    return stage


def ensure_environment(contender: Contender) -> Path:
    """The interpreter of an environment that has what a contender needs.

    Raises:
        Failure: it cannot be installed; the message ends with what the installer said.
    """
    constraints = _write_constraints()
    wanted = [*contender.packages, *(["--editable", str(ROOT)] if contender.with_tercel else [])]
    project = (ROOT / "pyproject.toml").read_bytes() if contender.with_tercel else b""
    state = hashlib.sha256(json.dumps(wanted).encode() + constraints.read_bytes() + project).hexdigest()
    version = ".".join(map(str, sys.version_info[:2]))
    home = CACHE / "env" / f"{contender.name}-{version}"
    python, stamp = home / "bin" / "python", home / "installed"
    if python.exists() and stamp.exists() and stamp.read_text() == state:
        return python
    print(f"bench: preparing {home.relative_to(ROOT)}", file=sys.stderr, flush=True)
    # The certificates that the machine trusts, as pip does; uv's own list lacks those of a company's proxy.
    os.environ.setdefault("UV_SYSTEM_CERTS", "true")
    shutil.rmtree(home, ignore_errors=True)
    uv = _find_uv()
    base = getattr(sys, "_base_executable", sys.executable)
    if uv is not None:
        _run([uv, "venv", "--quiet", "--no-python-downloads", "--python", base, str(home)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "--constraints", str(constraints), *wanted])
    else:
        _run([base, "-m", "venv", str(home)])
        _run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--constraint",
                str(constraints),
                *wanted,
            ]
        )
    stamp.write_text(state)
    return python


def read_versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """The installed versions of some packages, by name."""
    paths = [str(path) for path in (python.parent.parent / "lib").glob("python*/site-packages")]
    found = {item.name.lower().replace("_", "-"): item.version for item in importlib.metadata.distributions(path=paths)}
    return {name: found[name] for name in names if name in found}


def _write_constraints() -> Path:
    """The lock's versions without its hashes, which would forbid any package that it does not hold."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+==[^ \\\n]+)", LOCK.read_text("utf-8"), re.MULTILINE) if LOCK.exists() else []
    path = CACHE / "constraints.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(pins) + "\n", "utf-8")
    return path


def _find_uv() -> str | None:
    for candidate in ("uv", str(ROOT / ".cache" / "uv" / "bin" / "uv")):
        path = shutil.which(candidate)
        if path is not None and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        said = " ".join(done.stdout.split())[-300:]
        raise Failure(f"cannot be installed: {said}")
