"""The shim distribution: `tercel dropin install | status | uninstall` in environments of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tercel import dropin_shim
from tercel.dropin_shim import ShimError, shim_version
from tests.dropin.conftest import TIMEOUT_S, environment

ROOT = Path(__file__).resolve().parents[2]


class Environment:
    """A virtual environment that has Tercel and what it needs, by way of links, and nothing named fastapi."""

    def __init__(self, home: Path) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(home / "env")
        self.bin = home / "env" / "bin"
        [self.site] = (home / "env").glob("lib/python3*/site-packages")
        linked = home / "linked"
        linked.mkdir()
        for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if not entry.name.lower().startswith(("fastapi", "tercel", "_", "__")) and entry.suffix != ".pth":
                (linked / entry.name).symlink_to(entry)
        info = linked / "tercel-9.8.7.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: tercel\nVersion: 9.8.7\n")
        (self.site / "linked.pth").write_text(f"{linked}\n{ROOT}\n")

    def python(self, code: str) -> str:
        command = [str(self.bin / "python"), "-W", "ignore", "-c", code]
        done = subprocess.run(command, cwd=self.site, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def tercel(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.bin / "python"), "-m", "tercel", "dropin", *arguments]
        return subprocess.run(command, cwd=self.bin, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S)

    def add_original(self) -> None:
        """Something that is installed as pip installs FastAPI."""
        package, info = self.site / "fastapi", self.site / "fastapi-0.136.1.dist-info"
        package.mkdir()
        info.mkdir()
        (package / "__init__.py").write_text("kind = 'the original'\n")
        (package / "other.py").write_text("")
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: fastapi\nVersion: 0.136.1\n")
        files = ["../../../bin/fastapi,,", "fastapi/__init__.py,,", "fastapi/other.py,,"]
        (info / "RECORD").write_text(
            "\n".join([*files, "fastapi-0.136.1.dist-info/METADATA,,", "fastapi-0.136.1.dist-info/RECORD,,"])
        )
        (self.bin / "fastapi").write_text("#!/usr/bin/env python\nfrom fastapi.cli import main\nmain()\n")

    def entries(self) -> set[str]:
        names = {entry.name for entry in self.site.iterdir()} - {"linked.pth", "__pycache__"}
        return names | {f"bin/{entry.name}" for entry in self.bin.iterdir() if entry.name == "fastapi"}


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


SHIM = {"fastapi", "fastapi-0.165.0+tercel.9.8.7.dist-info"}


def test_it_takes_the_place_of_the_original(env: Environment) -> None:
    env.add_original()
    done = env.tercel("install")
    assert done.returncode == 0, done.stderr
    assert "FastAPI 0.136.1 is replaced by 0.165.0+tercel.9.8.7" in done.stdout
    assert env.entries() == SHIM | {"bin/fastapi"}
    assert not (env.site / "fastapi" / "other.py").exists()
    printed = env.python(
        "import importlib.metadata, subprocess, sys\n"
        "import fastapi.routing, tercel\n"
        "assert fastapi.FastAPI is tercel.FastAPI\n"
        "print(importlib.metadata.version('fastapi'), fastapi.__version__, type(fastapi.routing).__name__)\n"
        "print(subprocess.run([sys.executable, '-c', 'import fastapi; print(fastapi.FastAPI.__module__)'],\n"
        "                     capture_output=True, text=True).stdout)"
    )
    assert printed.splitlines() == ["0.165.0+tercel.9.8.7 0.165.0 _Watched", "tercel.application"]


def test_uninstalling_leaves_nothing_and_says_how_to_get_the_original_back(env: Environment) -> None:
    env.add_original()
    env.tercel("install")
    done = env.tercel("uninstall")
    assert done.returncode == 0, done.stderr
    assert "pip install fastapi==0.136.1" in done.stdout
    assert env.entries() == set()


def test_installing_again_brings_it_up_to_date_and_remembers_the_original(env: Environment) -> None:
    env.add_original()
    env.tercel("install")
    note = env.site / "fastapi-0.165.0+tercel.9.8.7.dist-info" / "tercel.json"
    note.write_text(json.dumps({"tercel": "9.0.0", "replaced": "0.136.1"}))
    assert "Tercel is 9.8.7 now; bring it up to date with: tercel dropin install" in env.tercel("status").stdout
    assert env.tercel("install").returncode == 0
    assert json.loads(note.read_text()) == {"tercel": "9.8.7", "replaced": "0.136.1"}


def test_status_says_what_is_there(env: Environment) -> None:
    assert "nothing is installed under the name fastapi" in env.tercel("status").stdout
    env.add_original()
    assert "FastAPI 0.136.1, the original" in env.tercel("status").stdout
    env.tercel("install")
    assert "which gives programs Tercel 9.8.7 in place of FastAPI 0.136.1" in env.tercel("status").stdout


def test_uninstalling_the_original_is_refused(env: Environment) -> None:
    env.add_original()
    before = env.entries()
    done = env.tercel("uninstall")
    assert done.returncode == 1
    assert "this environment has no shim: it has the original FastAPI 0.136.1" in done.stderr
    assert env.entries() == before


def test_without_an_original_it_is_simply_there(env: Environment) -> None:
    assert env.tercel("install").returncode == 0
    assert env.entries() == SHIM
    requires = env.python("import importlib.metadata, json; print(json.dumps(importlib.metadata.requires('fastapi')))")
    assert json.loads(requires)[0] == "tercel==9.8.7"
    assert any('extra == "standard"' in requirement for requirement in json.loads(requires))
    assert "pip install" not in env.tercel("uninstall").stdout


def test_the_record_lists_every_file_with_its_digest(env: Environment) -> None:
    env.tercel("install")
    printed = env.python(
        "import base64, hashlib, importlib.metadata\n"
        "for file in importlib.metadata.files('fastapi'):\n"
        "    data = file.read_binary()\n"
        "    if file.hash:\n"
        "        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()\n"
        "        assert (file.hash.value, file.size) == (digest, len(data)), file\n"
        "    print(file)"
    )
    listed = {Path(line) for line in printed.splitlines()}
    present = {path.relative_to(env.site) for name in SHIM for path in (env.site / name).rglob("*") if path.is_file()}
    assert {path for path in present if "__pycache__" not in path.parts} == listed


def test_an_original_outside_of_the_environment_is_left_alone(env: Environment, tmp_path: Path) -> None:
    env.add_original()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("fastapi", "fastapi-0.136.1.dist-info"):
        (env.site / name).rename(elsewhere / name)
    (env.site / "elsewhere.pth").write_text(f"{elsewhere}\n")
    done = env.tercel("install")
    assert done.returncode == 1
    assert f"fastapi 0.136.1 lies in {elsewhere}" in done.stderr
    assert (elsewhere / "fastapi" / "__init__.py").exists()


def test_an_original_without_a_list_of_files_is_left_alone(env: Environment) -> None:
    env.add_original()
    (env.site / "fastapi-0.136.1.dist-info" / "RECORD").unlink()
    done = env.tercel("install")
    assert done.returncode == 1
    assert "was not installed by pip or uv" in done.stderr
    assert env.python("import fastapi; print(fastapi.kind)") == "the original"


# -- changes that fail half way ----------------------------------------------------------------------------------------------------


def tree(site: Path) -> dict[str, str]:
    return {str(path.relative_to(site)): path.read_text() for path in sorted(site.rglob("*")) if path.is_file()}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    for name in ("one", "two", "three"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file.py").write_text(name)
    return folder


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()], ids=["refused", "interrupted"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_change_that_fails_is_undone(site: Path, at: int, error: BaseException) -> None:
    before = tree(site)
    change = dropin_shim._Change(site)
    change.begin()
    (change.new / "one").mkdir()
    (change.new / "one" / "file.py").write_text("new")
    moves = [(site / name, change.old / name) for name in ("one", "two", "three")]
    moves.append((change.new / "one", site / "one"))
    done = 0

    def rename(source: Path, target: Path) -> None:
        nonlocal done
        if done == at:
            raise error
        done += 1
        os.replace(source, target)

    with pytest.raises((ShimError, KeyboardInterrupt)):
        change.make(moves, rename)
    assert tree(site) == before


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_change_whose_process_was_killed_is_undone_by_the_next(site: Path, at: int) -> None:
    before = tree(site)
    change = dropin_shim._Change(site)
    change.begin()
    (change.new / "one").mkdir()
    moves = [(site / "one", change.old / "one"), (site / "two", change.old / "two"), (change.new / "one", site / "one")]
    change.journal.write_text(json.dumps([[str(source), str(target)] for source, target in moves]))
    for source, target in moves[:at]:
        os.replace(source, target)
    dropin_shim._Change(site).begin()
    dropin_shim._Change(site).undo_interrupted()
    assert tree(site) == before


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match="cannot be changed"):
        dropin_shim._Change(tmp_path / "not there").begin()


@pytest.mark.parametrize(
    ("tercel", "expected"),
    [("0.1.0", "0.165.0+tercel.0.1.0"), ("1.0rc1", "0.165.0+tercel.1.0rc1"), ("2.0.dev3+g1a-b", "0.165.0+tercel.2.0.dev3.g1a.b")],
)
def test_the_version_is_a_valid_local_version(tercel: str, expected: str) -> None:
    assert shim_version(tercel) == expected
