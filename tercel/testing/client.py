"""`AsyncTestClient`: an httpx client whose server is an application in the same event loop.

Asynchronous tests share the loop with the application, so that both can use one database connection, wait for one event, or look at
one context variable. Knows how a client is set up; requests go through `tercel.testing.transport`, WebSockets through
`tercel.testing.websocket`. Read the transport next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tercel.testing.library import httpx
from tercel.testing.lifespan import LifespanRun
from tercel.testing.running import ASGIApp
from tercel.testing.transport import ASGITransport
from tercel.testing.websocket import AsyncWebSocketSession

if TYPE_CHECKING:
    from typing import Self

    from httpx._types import CookieTypes, HeaderTypes, QueryParamTypes, TimeoutTypes

__all__ = ["AsyncTestClient"]

_DEADLINE_S = 5.0
"""Long for what remains after a response or a disconnect in a test, short for the person who waits to learn that it hangs."""

_TIMEOUT_S = 5.0
"""httpx's own default."""


class AsyncTestClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` for one application, with its lifespan and its WebSockets, on asyncio.

    ```python
    async with AsyncTestClient(app) as client:
        response = await client.get("/items", params={"q": "pen"})
        async with client.stream("GET", "/events") as response:
            async for line in response.aiter_lines():
                ...
        async with client.websocket("/ws") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
    ```

    `async with` runs the application's lifespan around its body: what start-up raises is raised there. Without `async with`
    requests work too, and the lifespan does not run. A request returns when its response is complete and the application has ended,
    background tasks included; a streamed one when the response begins. Leaving a stream before its end is the client going away:
    the application gets `http.disconnect`, and its generators are closed before the `async with` block of the stream is left.

    Args:
        app: any ASGI 3 application.
        base_url: put before relative addresses; its host is what the application sees.
        raise_app_exceptions: raise in the test what the application raises, even when it was answered with 500. Otherwise the test
            gets the answer, as a client of a server does.
        client: address and port that the application sees as the client's.
        root_path: `scope["root_path"]`: the prefix under which a proxy shows the application.
        headers: sent with every request; `user-agent` is `testclient` unless given here.
        cookies: to begin with; those that responses set are added.
        follow_redirects: as `TestClient`, and unlike httpx, by default.
        timeout: httpx's; its read timeout is how long the application may take to begin its response, and between two pieces of it.
        deadline_s: how long the application may go on after the end of a response, after its client left, and at shutdown; then its
            task is cancelled and `ApplicationStillRunning` is raised, which says where it was waiting.
        **options: further options of `httpx.AsyncClient`, such as `auth`, `params`, `event_hooks`.

    Raises:
        Exception: from `async with`, what start-up or shutdown raised.
        ApplicationStillRunning: see `deadline_s`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_url: str = "http://testserver",
        raise_app_exceptions: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        root_path: str = "",
        headers: HeaderTypes | None = None,
        cookies: CookieTypes | None = None,
        follow_redirects: bool = True,
        timeout: TimeoutTypes = _TIMEOUT_S,
        deadline_s: float = _DEADLINE_S,
        **options: Any,
    ) -> None:
        self.app = app
        self._shared: dict[str, Any] = {}
        self._deadline_s = deadline_s
        self._lifespan: LifespanRun | None = None
        self._asgi = ASGITransport(
            app,
            raise_app_exceptions=raise_app_exceptions,
            root_path=root_path,
            client=client,
            state=self._shared,
            deadline_s=deadline_s,
        )
        sent = httpx.Headers(headers)
        sent.setdefault("user-agent", "testclient")
        super().__init__(
            transport=self._asgi,
            base_url=base_url,
            headers=sent,
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
            trust_env=False,
            **options,
        )

    @property
    def lifespan_state(self) -> Mapping[str, Any]:
        """What the lifespan put into its state; `request.state` of each request begins as a copy of it."""
        return self._shared

    async def __aenter__(self) -> Self:
        self._lifespan = LifespanRun(self.app, self._shared)
        await self._lifespan.start()
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_value, traceback)
        finally:
            if self._lifespan is not None:
                await self._lifespan.stop(self._deadline_s)

    def websocket(
        self,
        url: str,
        subprotocols: Sequence[str] | None = None,
        *,
        params: QueryParamTypes | None = None,
        headers: HeaderTypes | None = None,
        cookies: CookieTypes | None = None,
        timeout_s: float | None = _TIMEOUT_S,
    ) -> AsyncWebSocketSession:
        """A WebSocket, opened by `async with` and closed when that is left.

        Args:
            url: like that of a request; `http` becomes `ws`.
            subprotocols: offered to the application, the preferred one first.
            params, headers, cookies: sent with the handshake, beside the client's own.
            timeout_s: how long the application may take to accept or refuse; None for ever.

        Raises:
            WebSocketDenied: from `async with`, the application refused; has the status and the body.
        """
        given = httpx.Headers(headers)
        given.setdefault("connection", "upgrade")
        given.setdefault("sec-websocket-key", "testserver==")
        given.setdefault("sec-websocket-version", "13")
        given.setdefault("upgrade", "websocket")
        if subprotocols:
            given.setdefault("sec-websocket-protocol", ", ".join(subprotocols))
        request = self.build_request("GET", url, params=params, headers=given, cookies=cookies)
        return AsyncWebSocketSession(
            self._asgi,
            request,
            subprotocols=list(subprotocols or ()),
            timeout_s=timeout_s,
            answered=self.cookies.extract_cookies,
        )
