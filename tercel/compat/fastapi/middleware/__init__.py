"""FastAPI's `middleware`."""

from tercel.middleware import Middleware as Middleware
