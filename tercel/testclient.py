"""`TestClient`, the synchronous test client, under FastAPI's name for its module. See `tercel.testing` for the asynchronous one."""

from tercel.testing.library import TestClient as TestClient

__all__ = [
    "TestClient",
]
