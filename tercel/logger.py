"""The framework's logger."""

from tercel.http.log import logger as logger

__all__ = [
    "logger",
]
