"""What suites about synchronous code share."""

from contextlib import asynccontextmanager

import anyio.to_thread


@asynccontextmanager
async def two_threads(app):
    """A lifespan in which anyio's default limiter has two places."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    usual, limiter.total_tokens = limiter.total_tokens, 2
    try:
        yield
    finally:
        limiter.total_tokens = usual
