"""Static files."""

from starlette.staticfiles import StaticFiles as StaticFiles

__all__ = [
    "StaticFiles",
]
