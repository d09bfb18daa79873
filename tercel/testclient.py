"""The synchronous test client."""

from starlette.testclient import TestClient as TestClient

__all__ = [
    "TestClient",
]
