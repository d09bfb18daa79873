"""The drop-in import hook: `import fastapi` gives Tercel's objects, one identity per object, whether or not FastAPI is installed.

`install()` for programs, `python -m tercel.dropin script.py` for scripts, `pytest -p tercel.dropin` for test suites; processes that
the program starts inherit it. The names come from `tercel.compat.fastapi` and, where that has no module of a name, from Tercel's
own public modules. Read `tercel.dropin_shim` for the other way in, a distribution named `fastapi`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import runpy
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder

__all__ = ["FASTAPI_MODULES", "DropInError", "install", "installed", "take_place"]

_NAME = "fastapi"
_FACADES = "tercel.compat.fastapi"
_MAIN = "fastapi.__main__"
_VARIABLE = "TERCEL_DROPIN"
_STARTUP = Path(__file__).resolve().parent / "startup"


def _stand_ins(names: str, home: str) -> dict[str, str]:
    return {name: f"{home}.{name}" for name in names.split()}


FASTAPI_MODULES = {
    # Those whose names are all in Tercel's public module of the same name, and those that have a facade.
    **_stand_ins("concurrency logger requests staticfiles templating testclient types websockets", "tercel"),
    **_stand_ins("middleware.cors middleware.gzip middleware.httpsredirect middleware.trustedhost middleware.wsgi", "tercel"),
    **_stand_ins("openapi.constants openapi.models security.utils", "tercel"),
    **_stand_ins("telemetry telemetry._api telemetry._asgi telemetry._runtime", "tercel"),
    **_stand_ins("_body_limit _compat _compat.shared _compat.v2 _form_limits applications background datastructures", _FACADES),
    **_stand_ins("dependencies dependencies.models dependencies.utils encoders exception_handlers exceptions", _FACADES),
    **_stand_ins("middleware middleware.asyncexitstack openapi openapi.docs openapi.utils param_functions params", _FACADES),
    **_stand_ins("responses routing security security.api_key security.base security.http security.oauth2", _FACADES),
    **_stand_ins("security.open_id_connect_url sse utils", _FACADES),
    "cli": "tercel.compat.command",
}
"""FastAPI's modules, each with the module that stands for it."""

_LATER = frozenset({"cli", "staticfiles", "telemetry._asgi", "telemetry._runtime", "templating", "testclient"})
"""Modules that `import fastapi` does not import along with it, nor any middleware of Starlette's."""


class DropInError(ImportError):
    """The hook came too late: FastAPI itself has been imported."""


def _target(name: str) -> str | None:
    """The module of Tercel that stands for one of FastAPI's, or None when there is none."""
    return _FACADES if name == _NAME else FASTAPI_MODULES.get(name.removeprefix(_NAME + "."))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for `fastapi` and everything below it, and for nothing else.

    `from fastapi.middleware import cors` looks for the module below the facade, by whose name the package goes, so what stands
    in from elsewhere is answered for there too.

    Args:
        distribution: answer for the distribution of this name too; the shim is one itself.
    """

    def __init__(self, *, distribution: bool) -> None:
        self._distribution = distribution

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """For `importlib.metadata`, unless it is asked what lies in certain folders."""
        if not self._distribution or (context.name or _NAME).lower() != _NAME or "path" in vars(context):
            return ()
        from tercel.dropin_shim import HookDistribution

        return (HookDistribution(),)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        below = fullname.removeprefix(_FACADES + ".")
        if below != fullname and FASTAPI_MODULES.get(below) != fullname:
            fullname, asked = f"{_NAME}.{below}", fullname
        else:
            asked = fullname
        if fullname != _NAME and not fullname.startswith(_NAME + "."):
            return None
        if fullname == _MAIN:  # what `python -m fastapi` runs, and nobody imports
            return importlib.util.spec_from_file_location(fullname, Path(__file__).parent / "compat" / "fastapi" / "__main__.py")
        stand_in = _target(fullname)
        if stand_in is None:
            return None  # what follows looks below the facades, never in the original, whose path nobody has
        module = importlib.import_module(stand_in)
        # Where it comes from, for tools that look without importing (coverage runs `fastapi.__main__` that way).
        spec = importlib.machinery.ModuleSpec(asked, self, origin=module.__file__)
        spec.submodule_search_locations = list(module.__path__) if hasattr(module, "__path__") else None
        spec.loader_state = (module, module.__spec__)
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module, _ = spec.loader_state
        return module  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """The module has run already, under its own name; it keeps its own spec, which the import system has just replaced."""
        assert module.__spec__ is not None
        name, (_, own) = module.__spec__.name, module.__spec__.loader_state
        module.__spec__ = own
        if name == _NAME:  # so that `fastapi.routing` and the like work without another import
            for part, stand_in in FASTAPI_MODULES.items():
                if part not in _LATER and not stand_in.startswith("tercel.middleware."):
                    importlib.import_module(f"{_NAME}.{part}")
        elif name == f"{_NAME}.routing":
            from tercel.routing.replaced import watch

            watch(module)
        elif name == f"{_NAME}.exceptions":
            _say_fastapi(module)


def _say_fastapi(module: ModuleType) -> None:
    """Lets exceptions say that they are FastAPI's: their module is what tracebacks, traces and error reports are grouped by."""
    for thing in vars(module).values():
        if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__.startswith("tercel."):
            thing.__module__ = f"{_NAME}.exceptions"


def installed() -> bool:
    """Whether the hook is in place."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def install() -> None:
    """Puts the hook in place, for this process and those that it starts. Once it is there, calling it again does nothing.

    Raises:
        DropInError: FastAPI has been imported already.
    """
    if not installed():
        known = sys.modules.get(_NAME)
        if known is not None:
            raise DropInError(
                f"fastapi was imported before tercel's drop-in hook, from {getattr(known, '__file__', None) or 'somewhere'}; "
                "its objects are in use already.\n"
                "Call tercel.dropin.install() before anything imports fastapi, or start the program with `python -m tercel.dropin`."
            )
        sys.meta_path.insert(0, _Finder(distribution=True))
    _pass_on()


def _pass_on() -> None:
    """Lets the Python processes that this one starts have the hook as well: see `startup/sitecustomize.py`."""
    os.environ[_VARIABLE] = "1"
    startup = str(_STARTUP)
    path = os.environ.get("PYTHONPATH", "")
    if startup not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = startup + os.pathsep + path if path else startup


def take_place(name: str) -> None:
    """Makes a package that is being imported as `fastapi` give way to Tercel; for the shim distribution."""
    assert name == _NAME
    if not installed():
        sys.meta_path.insert(0, _Finder(distribution=False))
    sys.modules.pop(name, None)
    importlib.import_module(name)


def pytest_addoption(parser: Any) -> None:
    """For `pytest -p tercel.dropin`: pytest calls this when it has imported the plugin, before any conftest or test."""
    install()


def _usage() -> NoReturn:
    sys.stderr.write("usage: python -m tercel.dropin script.py [arguments]\n       python -m tercel.dropin -m module [arguments]\n")
    raise SystemExit(2)


def main(arguments: list[str]) -> None:
    """Runs a script or a module under the hook, as Python itself would run it."""
    if not arguments or (arguments[0] == "-m" and len(arguments) < 2):
        _usage()
    install()
    if arguments[0] == "-m":
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
