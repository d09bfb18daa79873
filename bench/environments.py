"""Virtual environments for contenders, made on first use under `.cache/bench/`, with uv where it works and venv and pip where not.

Tercel and what it is compared with most closely get the versions of the project's lock; peers get those of their own locks in
`bench/locks/`, which agree with it where they can, so that two contenders never differ in, say, pydantic.
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

from bench.contenders import CONTENDERS, Contender

__all__ = ["CACHE", "ROOT", "Failure", "ensure_environment", "ensure_stage", "read_versions", "write_locks"]

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
LOCK: Final = ROOT / "requirements" / "dev.txt"
LOCKS: Final = ROOT / "bench" / "locks"

# What peers take from the project's lock, so that no two contenders differ in it; some of them allow no such uvloop or websockets.
_SHARED: Final = ("pydantic", "pydantic-core", "uvicorn", "httptools")


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


def ensure_environment(contender: Contender, source: Path = ROOT, label: str = "") -> Path:
    """The interpreter of an environment that has what a contender needs.

    Args:
        source: the checkout of Tercel that is installed, where one is.
        label: appended to the environment's name, for another checkout than this one.

    Raises:
        Failure: it cannot be installed; the message ends with what the installer said.
    """
    if contender.locked:
        pins = LOCKS / f"{contender.environment}.txt"
        wanted = ["--require-hashes", "--requirement", str(pins)]
    else:
        pins = _write_constraints()
        wanted = [*contender.packages, *(["--editable", str(source)] if contender.with_tercel else []), "--constraint", str(pins)]
    project = _read_built(source) if contender.with_tercel else b""
    state = hashlib.sha256(json.dumps(wanted).encode() + pins.read_bytes() + project).hexdigest()
    version = ".".join(map(str, sys.version_info[:2]))
    home = CACHE / "env" / f"{contender.environment}{label}-{version}"
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
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *wanted])
    else:
        _run([base, "-m", "venv", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    stamp.write_text(state)
    return python


def _read_built(source: Path) -> bytes:
    """What an editable installation is built from: it is built again when the sources of an extension have changed."""
    extensions = sorted(path for kind in ("*.pyx", "*.pxd", "*.c") for path in (source / "tercel").rglob(kind))
    return b"".join(path.read_bytes() for path in (source / "pyproject.toml", *extensions))


def write_locks(contenders: Sequence[Contender] = CONTENDERS) -> None:
    """Rewrite the locks of peers, with hashes and without the address of any package index.

    Raises:
        Failure: there is no uv, or a peer's requirements contradict each other.
    """
    uv = _find_uv()
    if uv is None:
        raise Failure("locks are written by uv, which is not here; `make env` installs one")
    os.environ.setdefault("UV_SYSTEM_CERTS", "true")
    shared = "".join(f"{pin}\n" for pin in _read_pins() if pin.partition("==")[0] in _SHARED)
    constraints = CACHE / "shared.txt"
    constraints.parent.mkdir(parents=True, exist_ok=True)
    constraints.write_text(shared, "utf-8")
    LOCKS.mkdir(exist_ok=True)
    for contender in contenders:
        if not contender.locked or contender.home:
            continue
        source, target = CACHE / f"{contender.name}.in", LOCKS / f"{contender.name}.txt"
        source.write_text("".join(f"{package}\n" for package in contender.packages), "utf-8")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.12", "--generate-hashes"]
        command += ["--no-emit-index-url", "--no-header", "--no-annotate", "--constraint", str(constraints), str(source)]
        _run([*command, "--output-file", str(target)])


def read_versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """The installed versions of some packages, by name."""
    paths = [str(path) for path in (python.parent.parent / "lib").glob("python*/site-packages")]
    found = {item.name.lower().replace("_", "-"): item.version for item in importlib.metadata.distributions(path=paths)}
    return {name: found[name] for name in names if name in found}


def _write_constraints() -> Path:
    """The lock's versions without its hashes, which would forbid any package that it does not hold."""
    path = CACHE / "constraints.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_read_pins()) + "\n", "utf-8")
    return path


def _read_pins() -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+==[^ \\\n]+)", LOCK.read_text("utf-8"), re.MULTILINE) if LOCK.exists() else []


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
