"""Background tasks."""

from tercel.http.background import BackgroundTasks as BackgroundTasks

__all__ = [
    "BackgroundTasks",
]
