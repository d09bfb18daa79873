"""FastAPI's `middleware.asyncexitstack`."""

from tercel.compat.counterparts import AsyncExitStackMiddleware as AsyncExitStackMiddleware
