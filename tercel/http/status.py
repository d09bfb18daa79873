"""Status codes by name, as `starlette.status` has them, and which of them forbid a response body.

Knows numbers only. Read `tercel.http.handlers` next for where they are chosen.
"""

from __future__ import annotations

from typing import Any

import starlette.status as _names
from starlette.status import *  # noqa: F403

_CLASSES_AND_DEFAULT = frozenset({"default", "1XX", "2XX", "3XX", "4XX", "5XX"})


def __getattr__(name: str) -> Any:
    # Starlette warns about renamed codes in its own `__getattr__`; a star import does not carry that over.
    return getattr(_names, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_names)})


def is_body_allowed_for_status_code(status_code: int | str | None) -> bool:
    """False for 1xx, 204, 205 and 304, which have no content (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5).

    Args:
        status_code: a number, its digits, or an OpenAPI key such as `default` and `4XX`, of which all allow a body.
    """
    if status_code is None or status_code in _CLASSES_AND_DEFAULT:
        return True
    number = int(status_code)
    return number >= 200 and number not in (204, 205, 304)
