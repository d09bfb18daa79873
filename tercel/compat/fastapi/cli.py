# ruff: noqa: F401 - names, for others to import
"""FastAPI's `cli`."""

from tercel.compat.counterparts import run_fastapi_cli as main
