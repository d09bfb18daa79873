# ruff: noqa: F401 - names, for others to import
"""FastAPI's `background`."""

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from tercel.background import BackgroundTasks as BackgroundTasks
from tercel.http.background import P as P
