"""Middleware."""

from starlette.middleware import Middleware as Middleware

__all__ = [
    "Middleware",
]
