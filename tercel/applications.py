"""The application class."""

from tercel.application import FastAPI as FastAPI

__all__ = [
    "FastAPI",
]
