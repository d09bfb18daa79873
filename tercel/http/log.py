"""The logger of the framework. Its name is FastAPI's, since applications configure it by that name."""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("fastapi")
