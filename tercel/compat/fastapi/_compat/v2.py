"""FastAPI's `_compat.v2`: fields over pydantic 2."""

from tercel.analyse.fields import *  # noqa: F403
