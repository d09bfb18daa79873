"""Functions that look at a framework from outside; what each returns, or raises, is printed as one JSON object."""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

_checks: list[Callable[[], Any]] = []


def check(function: Callable[[], Any]) -> Callable[[], Any]:
    """Decorator for a function whose result is compared."""
    _checks.append(function)
    return function


def main() -> None:
    """Calls every function and prints what they returned, by name."""
    seen = {}
    for function in _checks:
        try:
            seen[function.__name__] = function()
        except Exception as error:
            traceback.print_exc()
            seen[function.__name__] = f"{type(error).__name__}: {error}"
    print(json.dumps(seen, indent=1, default=repr))
