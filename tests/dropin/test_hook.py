"""The import hook: what `import fastapi` gives, in which processes, and what happens when it comes too late."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import tercel
from tests.dropin.conftest import run_python

Hooked = Callable[[str], str]


def test_fastapis_names_are_tercels_objects(hooked: Hooked) -> None:
    printed = hooked(
        "import fastapi, fastapi.routing, fastapi.testclient, fastapi.security.http\n"
        "import tercel, tercel.routing, tercel.testclient, tercel.security\n"
        "assert fastapi.FastAPI is tercel.FastAPI\n"
        "assert fastapi.routing.APIRoute is tercel.routing.APIRoute\n"
        "assert fastapi.testclient is tercel.testclient\n"
        "assert fastapi.security.http.HTTPBearer is tercel.security.HTTPBearer\n"
        "print(fastapi.__version__)"
    )
    assert printed.strip() == "0.165.0"


def test_packages_that_ask_for_fastapis_version_are_told_one_whatever_is_installed(hooked: Hooked) -> None:
    printed = hooked(
        "from importlib import metadata\n"
        "import sys\n"
        "print(metadata.version('fastapi'), metadata.version('FastAPI'))\n"
        "print([one.version for one in metadata.distributions() if one.name == 'fastapi'][0])\n"
        "print(metadata.packages_distributions()['fastapi'][0])\n"
        "print(any(requirement.startswith('tercel==') for requirement in metadata.requires('fastapi')))\n"
        "print([one.version for one in metadata.distributions(name='fastapi', path=sys.path) if one.version == '0.165.0'])\n"
        "from tercel.dropin_shim import find\n"
        "print(find())"
    )
    assert printed.split("\n")[:5] == ["0.165.0 0.165.0", "0.165.0", "fastapi", "True", "[]"]
    assert "HookDistribution" not in printed


def test_submodules_are_attributes_after_import_fastapi(hooked: Hooked) -> None:
    printed = hooked("import fastapi, sys\nassert fastapi.routing is sys.modules['fastapi.routing']\nprint(fastapi.params.Depends)")
    assert "tercel" in printed


def test_every_submodule_can_be_imported_from_its_package(hooked: Hooked) -> None:
    printed = hooked(
        "import importlib\n"
        "from fastapi import staticfiles, templating, testclient, websockets\n"
        "from fastapi.middleware import cors, gzip, httpsredirect, trustedhost\n"
        "from fastapi.openapi import constants, models\n"
        "from fastapi.security import utils\n"
        "import fastapi.middleware.cors, tercel.middleware.cors\n"
        "assert cors is fastapi.middleware.cors is tercel.middleware.cors\n"
        "assert utils is importlib.import_module('fastapi.security.utils')\n"
        "assert cors.__spec__.name == cors.__name__ == 'tercel.middleware.cors'\n"
        "try:\n"
        "    from fastapi.middleware import nothing\n"
        "except ImportError as error:\n"
        "    print(cors.CORSMiddleware.__name__, error.name)"
    )
    assert printed.split() == ["CORSMiddleware", "tercel.compat.fastapi.middleware"]


def test_exceptions_say_that_they_are_fastapis_and_can_be_pickled(hooked: Hooked) -> None:
    printed = hooked(
        "import pickle, traceback\n"
        "from fastapi.exceptions import FastAPIDeprecationWarning, HTTPException, RequestValidationError\n"
        "from starlette.exceptions import HTTPException as Starlettes\n"
        "print(RequestValidationError.__module__, FastAPIDeprecationWarning.__module__, Starlettes.__module__)\n"
        "assert pickle.loads(pickle.dumps(HTTPException)) is HTTPException\n"
        "print(traceback.format_exception(HTTPException(404))[-1])"
    )
    assert printed.split() == [
        *["fastapi.exceptions"] * 2,
        "starlette.exceptions",
        "fastapi.exceptions.HTTPException:",
        "404:",
        "Not",
        "Found",
    ]


def test_a_module_under_two_names_is_one_object_and_keeps_its_own_spec(hooked: Hooked) -> None:
    printed = hooked(
        "import fastapi.routing, tercel.compat.fastapi.routing as facade\n"
        "assert fastapi.routing is facade\n"
        "import importlib\n"
        "assert importlib.reload(fastapi.routing) is facade\n"
        "print(facade.__spec__.name, hasattr(facade, '__path__'))"
    )
    assert printed.split() == ["tercel.compat.fastapi.routing", "False"]


def test_a_module_that_does_not_exist_is_not_found(hooked: Hooked) -> None:
    printed = hooked(
        "import importlib.util\n"
        "print(importlib.util.find_spec('fastapi.nothing_of_that_name'))\n"
        "try:\n"
        "    import fastapi.nothing_of_that_name\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)"
    )
    assert printed.split() == ["None", "fastapi.nothing_of_that_name"]


def test_a_script_runs_as_python_would_run_it(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("value = 3\n")
    script = tmp_path / "script.py"
    script.write_text("import sys, neighbour\nprint(__name__, sys.argv[1:], neighbour.value)\n")
    done = run_python("-m", "tercel.dropin", str(script), "--flag", "x", cwd=Path(tmp_path.anchor))
    assert done.stdout.strip() == "__main__ ['--flag', 'x'] 3"


def test_a_module_runs_as_python_would_run_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys, fastapi\nprint(__name__, sys.argv[1:], fastapi.FastAPI.__module__)\n")
    done = run_python("-m", "tercel.dropin", "-m", "program", "x", cwd=tmp_path)
    assert done.stdout.strip() == "__main__ ['x'] tercel.application"


@pytest.mark.parametrize("arguments", [[], ["-m"]])
def test_wrong_usage_ends_with_2_and_says_how(arguments: list[str], tmp_path: Path) -> None:
    done = run_python("-m", "tercel.dropin", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "usage: python -m tercel.dropin script.py" in done.stderr


def test_a_hook_that_comes_too_late_is_an_error(tmp_path: Path) -> None:
    package = tmp_path / "fastapi"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = "import fastapi\nfrom tercel import dropin\ndropin.install()"
    done = run_python("-c", code, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "DropInError: fastapi was imported before tercel's drop-in hook" in done.stderr
    assert str(package / "__init__.py") in done.stderr
    assert "python -m tercel.dropin" in done.stderr


def test_fastapi_itself_on_the_path_is_not_used(tmp_path: Path) -> None:
    package = tmp_path / "fastapi"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('the original was imported')")
    (package / "extra.py").write_text("raise AssertionError('the original was imported')")
    (tmp_path / "script.py").write_text(
        "import fastapi\nprint(fastapi.FastAPI.__module__)\n"
        "try:\n    import fastapi.extra\nexcept ModuleNotFoundError:\n    print('absent')\n"
    )
    done = run_python("-m", "tercel.dropin", "script.py", cwd=tmp_path)
    assert done.stdout.split() == ["tercel.application", "absent"]


CHILD = "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {code!r}], stdout=-1, text=True, check=True).stdout)"


def test_subprocesses_inherit_the_hook(hooked: Hooked) -> None:
    grandchild = CHILD.format(code="import fastapi; print(fastapi.FastAPI.__module__)")
    assert hooked(CHILD.format(code=grandchild)).strip() == "tercel.application"


def test_spawned_processes_inherit_the_hook(hooked: Hooked) -> None:
    printed = hooked(
        "import multiprocessing\n"
        "def where():\n"
        "    import fastapi\n"
        "    return fastapi.FastAPI.__module__\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(where))\n"
    )
    assert printed.strip() == "tercel.application"


def test_subprocesses_that_import_no_fastapi_import_no_tercel(hooked: Hooked) -> None:
    code = "import json, sys; print(json.dumps([name for name in sys.modules if name.startswith('tercel')]))"
    assert hooked(CHILD.format(code=code)).strip() == "[]"


def test_a_sitecustomize_of_the_users_still_runs(hooked: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = 'ran'\n")
    program = f"import os\nos.environ['PYTHONPATH'] += os.pathsep + {str(folder)!r}\n"
    program += CHILD.format(code="import fastapi, sitecustomize; print(mine, sitecustomize.__file__, fastapi.FastAPI.__module__)")
    assert hooked(program).split() == ["ran", str(folder / "sitecustomize.py"), "tercel.application"]


def test_a_process_can_be_kept_out(hooked: Hooked, tmp_path: Path) -> None:
    package = tmp_path / "fastapi"
    package.mkdir()
    (package / "__init__.py").write_text("name = 'the original'")
    program = "import os\nos.environ['TERCEL_DROPIN'] = '0'\n" + CHILD.format(code="import fastapi; print(fastapi.name)")
    assert hooked(program).strip() == "the original"


def test_installing_twice_changes_nothing_more(hooked: Hooked) -> None:
    printed = hooked(
        "import os, sys\n"
        "from tercel import dropin\n"
        "before = list(sys.meta_path), os.environ['PYTHONPATH']\n"
        "dropin.install()\n"
        "assert (list(sys.meta_path), os.environ['PYTHONPATH']) == before\n"
        "print(dropin.installed())"
    )
    assert printed.strip() == "True"


SUITE = """\
import subprocess, sys
import fastapi

def test_here():
    assert fastapi.FastAPI.__module__ == "tercel.application"

def test_below():
    code = "import fastapi; print(fastapi.FastAPI.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "tercel.application"
"""


@pytest.mark.parametrize(
    ("arguments", "ini"),
    [
        pytest.param(["-p", "tercel.dropin"], "", id="-p"),
        pytest.param(["-p", "tercel.dropin", "-n", "2"], "", id="xdist"),
        pytest.param([], "[pytest]\naddopts = -p tercel.dropin\n", id="addopts"),
    ],
)
def test_a_test_suite_runs_under_the_hook(arguments: list[str], ini: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(ini or "[pytest]\n")
    (tmp_path / "conftest.py").write_text("import fastapi\nassert fastapi.FastAPI.__module__ == 'tercel.application'\n")
    (tmp_path / "test_it.py").write_text(SUITE)
    # A folder of its own: two that tidy up the common one at the same time warn of each other's files.
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "folders")]
    done = run_python("-m", "pytest", *options, *arguments, cwd=tmp_path)
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("arguments", [["-m", "fastapi"], ["-m", "tercel.dropin", "-m", "fastapi"]])
def test_python_m_fastapi_runs_the_command_of_fastapi_cli(arguments: list[str], tmp_path: Path) -> None:
    startup = Path(tercel.__file__).parent / "startup"
    path = os.pathsep.join([str(startup), str(tmp_path)])
    (tmp_path / "fastapi_cli").mkdir()
    (tmp_path / "fastapi_cli" / "__init__.py").write_text("")
    command = tmp_path / "fastapi_cli" / "cli.py"
    command.write_text("import sys, fastapi\ndef main():\n    print(sys.argv[1:], fastapi.FastAPI.__module__)\n")
    done = run_python(*arguments, "dev", "app.py", cwd=tmp_path, TERCEL_DROPIN="1", PYTHONPATH=path)
    assert done.stdout.strip() == "['dev', 'app.py'] tercel.application"
    command.write_text("raise ImportError\n")
    done = run_python(*arguments, "dev", cwd=tmp_path, check=False, TERCEL_DROPIN="1", PYTHONPATH=path)
    assert done.returncode == 1
    assert "tercel dev" in done.stderr
