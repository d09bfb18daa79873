"""Clients for tests: `TestClient` for ordinary test functions, `AsyncTestClient` for asynchronous ones.

Both run an application in the test's own process, without a socket. They need httpx (`pip install 'tercel[test]'`); importing this
package without it says so. Read `tercel.testing.client` next.
"""

from tercel.testing.client import AsyncTestClient as AsyncTestClient
from tercel.testing.library import TestClient as TestClient
from tercel.testing.running import ApplicationStillRunning as ApplicationStillRunning
from tercel.testing.websocket import AsyncWebSocketSession as AsyncWebSocketSession
from tercel.testing.websocket import WebSocketClosed as WebSocketClosed
from tercel.testing.websocket import WebSocketDenied as WebSocketDenied

__all__ = [
    "ApplicationStillRunning",
    "AsyncTestClient",
    "AsyncWebSocketSession",
    "TestClient",
    "WebSocketClosed",
    "WebSocketDenied",
]
