"""Builds the extensions into wheels and editable installs where there is a C compiler; without one they are pure Python.

hatchling calls this. `TERCEL_PURE=1` builds nothing; `TERCEL_EXTENSION=required` makes a build that fails an error, which otherwise
is a warning. Read `docs/design/0012-compiled-protocol.md` and `docs/design/0013-written-json.md` for what they are.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = ("tercel.server._http1", "tercel.server._frames", "tercel.http._reader", "tercel.http._writer")


def reason_against() -> str | None:
    """Why nothing should be built for the running interpreter, or None."""
    if os.environ.get("TERCEL_PURE", "0") not in ("", "0"):
        return "TERCEL_PURE is set"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} runs the pure code faster"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it is not made for interpreters without a global lock"
    return None


def build_extensions(root: Path, folder: Path) -> dict[str, Path]:
    """Translate and compile the extensions; the results are in the given folder, by the paths where they belong.

    Raises:
        Exception: there is no Cython, no compiler, no header files, or the sources are wrong.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Debugging symbols would be two thirds of the files.
    flags = [] if os.name == "nt" else ["-g0"]
    extensions = [Extension(name, [str(root / name.replace(".", "/")) + ".pyx"], extra_compile_args=flags) for name in MODULES]
    distribution = Distribution({"name": "tercel", "ext_modules": cythonize(extensions, build_dir=str(folder / "c"), quiet=True)})
    command = build_ext(distribution)
    command.build_lib = str(folder / "lib")
    command.build_temp = str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return {built_path(name): Path(command.get_ext_fullpath(name)) for name in MODULES}


def built_path(module: str) -> str:
    """Where an extension belongs, beside its source."""
    return module.replace(".", "/") + (sysconfig.get_config_var("EXT_SUFFIX") or ".so")


class Extensions(BuildHookInterface[Any]):
    """Adds the extensions to wheels, and puts them beside their sources for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is put together; `version` is "standard" or "editable"."""
        root = Path(self.root)
        against = reason_against()
        if against is not None:
            self.app.display_info(f"{' and '.join(MODULES)} are not built: {against}")
            return
        self._folder = tempfile.mkdtemp(prefix="tercel-build-")
        try:
            built = build_extensions(root, Path(self._folder))
        except (Exception, SystemExit) as error:
            if version == "editable" and not isinstance(error, ImportError):
                # What was built before belongs to other sources.
                for name in MODULES:
                    (root / built_path(name)).unlink(missing_ok=True)
            if os.environ.get("TERCEL_EXTENSION") == "required":
                raise RuntimeError(f"{' and '.join(MODULES)} could not be built: {error}") from error
            self.app.display_warning(f"{' and '.join(MODULES)} could not be built, all stays pure Python: {error}")
            return
        for path, file in built.items():
            if version == "editable":
                # Another process may have the old one mapped: a new file, not new content.
                fresh = root / f"{path}.{os.getpid()}"
                shutil.copy2(file, fresh)
                fresh.replace(root / path)
            else:
                build_data["force_include"][str(file)] = path
        if version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the wheel is there."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)
