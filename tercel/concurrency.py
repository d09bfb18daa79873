"""Worker threads."""

from tercel.http.threads import asynccontextmanager as asynccontextmanager
from tercel.http.threads import contextmanager_in_threadpool as contextmanager_in_threadpool
from tercel.http.threads import iterate_in_threadpool as iterate_in_threadpool
from tercel.http.threads import run_in_threadpool as run_in_threadpool
from tercel.http.threads import run_until_first_complete as run_until_first_complete

__all__ = [
    "asynccontextmanager",
    "contextmanager_in_threadpool",
    "iterate_in_threadpool",
    "run_in_threadpool",
    "run_until_first_complete",
]
