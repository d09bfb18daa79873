"""Builds `tercel/server/_http1` into wheels and editable installs where there is a C compiler; without one they are pure Python.

hatchling calls this. `TERCEL_PURE=1` builds nothing; `TERCEL_EXTENSION=required` makes a build that fails an error, which otherwise
is a warning. Read `docs/design/0012-compiled-protocol.md` for what the extension is.
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

MODULE = "tercel.server._http1"
SOURCE = "tercel/server/_http1.pyx"


def reason_against() -> str | None:
    """Why nothing should be built for the running interpreter, or None."""
    if os.environ.get("TERCEL_PURE", "0") not in ("", "0"):
        return "TERCEL_PURE is set"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} runs the pure code faster"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it is not made for interpreters without a global lock"
    return None


def build_extension(root: Path, folder: Path) -> Path:
    """Translate and compile the extension; the result is in the given folder.

    Raises:
        Exception: there is no Cython, no compiler, no header files, or the sources are wrong.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Debugging symbols would be two thirds of the file.
    extension = Extension(MODULE, [str(root / SOURCE)], extra_compile_args=[] if os.name == "nt" else ["-g0"])
    distribution = Distribution({"name": "tercel", "ext_modules": cythonize([extension], build_dir=str(folder / "c"), quiet=True)})
    command = build_ext(distribution)
    command.build_lib = str(folder / "lib")
    command.build_temp = str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))


class CompiledProtocol(BuildHookInterface[Any]):
    """Adds the extension to wheels, and puts it beside its source for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is put together; `version` is "standard" or "editable"."""
        root = Path(self.root)
        beside = root / Path(SOURCE).with_name("_http1" + (sysconfig.get_config_var("EXT_SUFFIX") or ".so"))
        against = reason_against()
        if against is not None:
            self.app.display_info(f"{MODULE} is not built: {against}")
            return
        self._folder = tempfile.mkdtemp(prefix="tercel-build-")
        try:
            built = build_extension(root, Path(self._folder))
        except (Exception, SystemExit) as error:
            if version == "editable" and not isinstance(error, ImportError):
                # What was built before belongs to other sources.
                beside.unlink(missing_ok=True)
            if os.environ.get("TERCEL_EXTENSION") == "required":
                raise RuntimeError(f"{MODULE} could not be built: {error}") from error
            self.app.display_warning(f"{MODULE} could not be built, the protocol stays pure Python: {error}")
            return
        if version == "editable":
            # Another process may have the old one mapped: a new file, not new content.
            fresh = beside.with_name(f"{beside.name}.{os.getpid()}")
            shutil.copy2(built, fresh)
            fresh.replace(beside)
        else:
            build_data["force_include"][str(built)] = f"tercel/server/{beside.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the wheel is there."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)
