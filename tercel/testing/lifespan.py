"""The lifespan of an application under test: started before the first request, ended after the last, its errors raised as they are.

`tercel.server.lifespan` does the same for a server, which logs where a test wants the exception itself. Read
`tercel.testing.client` next for when it runs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tercel.testing.running import ASGIApp, Message, RunningApplication

__all__ = ["LifespanRun"]


class LifespanRun:
    """Runs the lifespan protocol (ASGI specification 3.0, "Lifespan") once.

    Args:
        app: the application.
        state: filled by the application through `scope["state"]`.
    """

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._asked = False
        self._outcomes: dict[str, Message] = {}
        self._answered = asyncio.Event()
        self._running: RunningApplication | None = None

    async def start(self) -> None:
        """Returns when the application has started. One that does not know the protocol counts as started.

        Raises:
            Exception: what the application raised.
            RuntimeError: it said that it failed, and nothing more.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._running = RunningApplication(self._app, scope, self._receive, self._send, "the lifespan")
        self._inbox.put_nowait({"type": "lifespan.startup"})
        try:
            outcome = await self._outcome("startup")
        except asyncio.CancelledError:
            self._running.task.cancel()
            raise
        if outcome is None:
            # An application that raises before it asks what happens is one without lifespan; later it is an error of its own.
            if self._asked:
                self._running.raise_error()
            self._running = None
        elif outcome["type"] == "lifespan.startup.failed":
            await self._failed("startup", outcome)

    async def stop(self, deadline_s: float) -> None:
        """Returns when the application has shut down.

        Raises:
            Exception: what the application raised.
            ApplicationStillRunning: it goes on past the deadline.
        """
        running = self._running
        if running is None:
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await running.finish(deadline_s)
        outcome = self._outcomes.get("shutdown")
        if outcome is not None and outcome["type"] == "lifespan.shutdown.failed":
            await self._failed("shutdown", outcome)
        running.raise_error()

    async def _receive(self) -> Message:
        self._asked = True
        return await self._inbox.get()

    async def _send(self, message: Message) -> None:
        phase = str(message["type"]).split(".")[1]
        self._outcomes[phase] = message
        self._answered.set()

    async def _outcome(self, phase: str) -> Message | None:
        """What the application said about a phase; None if it ended without a word."""
        assert self._running is not None
        answered = asyncio.get_running_loop().create_task(self._answered.wait())
        try:
            await asyncio.wait([answered, self._running.task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
        return self._outcomes.get(phase)

    async def _failed(self, phase: str, outcome: Message) -> None:
        """Raises the application's exception, which comes after the message, or the message's text."""
        assert self._running is not None
        running, self._running = self._running, None
        await running.finish(1.0)  # Starlette's applications raise at once after the message
        running.raise_error()
        raise RuntimeError(f"The application's {phase} failed: {outcome.get('message') or 'no reason given'}")
