"""The HTTP client library under both test clients: httpx, or httpx2 where that is what Starlette's client uses.

Both clients share one library, so that a test suite sees one set of classes and exceptions. It is optional for the framework: only
importing this package needs it. Read `tercel.testing.client` next.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

__all__ = ["TestClient", "httpx"]

if TYPE_CHECKING:
    import httpx
elif find_spec("httpx2") is not None:
    import httpx2 as httpx
elif find_spec("httpx") is not None:
    import httpx
else:
    raise RuntimeError(
        "The test clients need httpx, which is not installed.\n"
        "Install it with Tercel's extra of that name:\n"
        "    $ pip install 'tercel[test]'\n"
    )

with warnings.catch_warnings():
    # Starlette recommends httpx2. Tercel's own extra installs httpx, and both work: nothing that the author of a test has to act
    # on.
    warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
    from starlette.testclient import TestClient as TestClient
