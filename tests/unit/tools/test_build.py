"""The build hook: a wheel carries the extensions where there is a compiler, and is a pure one where there is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.protocol.feeding import needs_compiled

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="drives a Unix compiler")


def build(folder: Path, target: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs hatchling as pip does, without a build environment of its own: what it needs is in the development environment."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("TERCEL_PURE", "TERCEL_EXTENSION")}
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    return subprocess.run(command, cwd=root, env={**inherited, **environment}, capture_output=True, text=True, timeout=120)


def names_in(folder: Path) -> tuple[str, set[str]]:
    """The only wheel's file name and what is in it."""
    (wheel,) = folder.glob("*.whl")
    return wheel.name, set(zipfile.ZipFile(wheel).namelist())


@needs_compiled
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_wheel_from_the_source_distribution_has_the_extension_and_the_tag_of_its_interpreter(tmp_path: Path) -> None:
    done = build(tmp_path, "sdist")
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    done = build(tmp_path, "wheel", source, TERCEL_EXTENSION="required")
    assert done.returncode == 0, done.stderr
    name, files = names_in(tmp_path)
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}-" in name
    extensions = [file for file in files if re.match(r"tercel/(server/_http1|server/_frames|http/_reader|http/_writer)\.c", file)]
    assert len(extensions) == 4
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    code = (
        "import tercel.server.compiled as c, tercel.server.frames as f, tercel.http._reader as r, tercel.http._writer as w; "
        "print(c._http1.__file__, f._frames.__file__, r.__file__, w.__file__)"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        text=True,
        capture_output=True,
    )
    assert set(ran.stdout.split()) == {str(tmp_path / "installed" / file) for file in extensions}, ran.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CC": "no-such-compiler"}, "could not be built, all stays pure Python"),
        ({"TERCEL_PURE": "1"}, "TERCEL_PURE is set"),
    ],
)
def test_without_a_compiler_or_when_told_so_the_wheel_is_pure(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    done = build(tmp_path, "wheel", **environment)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr
    name, files = names_in(tmp_path)
    assert name.endswith("-py3-none-any.whl")
    assert {
        "tercel/server/_http1.pyx",
        "tercel/server/_frames.pyx",
        "tercel/http/_reader.pyx",
        "tercel/http/_scalars.pxi",
        "tercel/http/_slots.pxi",
        "tercel/http/_writer.pyx",
    } <= files
    assert not [file for file in files if file.endswith((".so", ".c"))]


def test_where_the_extension_is_required_a_failure_is_one(tmp_path: Path) -> None:
    done = build(tmp_path, "wheel", CC="no-such-compiler", TERCEL_EXTENSION="required")
    assert done.returncode != 0
    modules = "tercel.server._http1", "tercel.server._frames", "tercel.http._reader", "tercel.http._writer"
    assert f"{' and '.join(modules)} could not be built" in done.stderr
