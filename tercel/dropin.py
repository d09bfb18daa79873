"""The drop-in import hook: `import fastapi` gives Tercel's objects, one identity per object, whether or not FastAPI is installed.

`install()` for programs, `python -m tercel.dropin script.py` for scripts, `pytest -p tercel.dropin` for test suites. The names
come from `tercel.compat.fastapi` and, where that has no module of a name, from tercel's own public modules.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

__all__ = ["install", "installed"]

_NAME = "fastapi"
_VARIABLE = "TERCEL_DROPIN"
_FALLBACK = frozenset(
    [
        "applications",
        "background",
        "concurrency",
        "datastructures",
        "encoders",
        "exception_handlers",
        "exceptions",
        "logger",
        "middleware",
        "middleware.cors",
        "middleware.gzip",
        "middleware.httpsredirect",
        "middleware.trustedhost",
        "middleware.wsgi",
        "openapi",
        "openapi.constants",
        "openapi.docs",
        "openapi.models",
        "openapi.utils",
        "param_functions",
        "params",
        "requests",
        "responses",
        "security",
        "security.api_key",
        "security.base",
        "security.http",
        "security.oauth2",
        "security.open_id_connect_url",
        "security.utils",
        "sse",
        "staticfiles",
        "templating",
        "testclient",
        "types",
        "utils",
        "websockets",
    ]
)
"""FastAPI's modules that need no facade of their own."""


class DropInError(ImportError):
    """The hook came too late: FastAPI itself has been imported."""


def _target(name: str) -> str | None:
    """The module of tercel that stands for one of FastAPI's."""
    rest = name.removeprefix(_NAME).lstrip(".")
    if not rest:
        return "tercel.compat.fastapi"
    facade = f"tercel.compat.fastapi.{rest}"
    try:
        found = importlib.util.find_spec(facade) is not None
    except ModuleNotFoundError:
        found = False
    if found:
        return facade
    return f"tercel.{rest}" if rest in _FALLBACK else None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for `fastapi` and everything below it, and for nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _NAME and not fullname.startswith(_NAME + "."):
            return None
        tercel_name = _target(fullname)
        if tercel_name is None:
            raise ModuleNotFoundError(f"No module named {fullname!r} (tercel's drop-in has none of that name)", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, origin=tercel_name, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        assert spec.origin is not None
        module = importlib.import_module(spec.origin)
        # The import system writes the spec into what it gets; the module keeps its own.
        self._kept = (module, module.__spec__, module.__loader__, module.__package__, module.__name__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        kept, spec, loader, package, name = self._kept
        if kept is module:
            module.__spec__, module.__loader__, module.__package__, module.__name__ = spec, loader, package, name


def installed() -> bool:
    """Whether the hook is in place."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def install() -> None:
    """Puts the hook in place, for this process and those that it starts. Once it is there, calling it again does nothing.

    Raises:
        DropInError: FastAPI has been imported already.
    """
    if installed():
        return
    if _NAME in sys.modules:
        raise DropInError(
            "fastapi was imported before tercel's drop-in hook; its objects are in use already.\n"
            "Call tercel.dropin.install() before anything imports fastapi, or start the program with `python -m tercel.dropin`."
        )
    sys.meta_path.insert(0, _Finder())
    os.environ[_VARIABLE] = "1"


def pytest_configure(config: Any) -> None:
    """For `pytest -p tercel.dropin`; the hook is in place since the plugin was imported."""


def _usage() -> NoReturn:
    print(
        "usage: python -m tercel.dropin script.py [arguments]\n       python -m tercel.dropin -m module [arguments]",
        file=sys.stderr,
    )
    raise SystemExit(2)


def main(arguments: list[str]) -> None:
    """Runs a script or a module under the hook, as Python itself would run it."""
    if not arguments:
        _usage()
    install()
    if arguments[0] == "-m":
        if len(arguments) < 2:
            _usage()
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    from tercel.dropin import main as _main  # one module object, not this one under the name of a script

    _main(sys.argv[1:])
elif os.environ.get(_VARIABLE) or ("pytest" in sys.modules and "tercel.dropin" in " ".join(sys.argv)):
    install()  # a process that one under the hook started, or a test run: plugins are imported before any conftest
