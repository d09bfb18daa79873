"""Puts the drop-in hook into Python processes that a program under the hook starts. Runs when they start, by way of PYTHONPATH.

`tercel.dropin.install()` puts this folder in front of PYTHONPATH. Nothing of Tercel is imported here until somebody imports
`fastapi`, so that processes that never do start as fast as before. A `sitecustomize` that this one hides is run afterwards, as if
this one were not there. Setting TERCEL_DROPIN=0 keeps the hook out of a process.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType


class _Waiting:
    """Waits in the import system for the first import of `fastapi`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "fastapi":
            return None
        sys.meta_path.remove(self)
        try:
            from tercel import dropin
        except ImportError:  # an interpreter of another environment, which has no Tercel
            return None
        dropin.install()
        return importlib.util.find_spec(fullname)


def _run_hidden(here: str) -> None:
    """Runs the `sitecustomize` that would have been found without this folder."""
    others = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if os.environ.get("TERCEL_DROPIN") == "1":
    sys.meta_path.insert(0, _Waiting())
_run_hidden(os.path.dirname(os.path.abspath(__file__)))
