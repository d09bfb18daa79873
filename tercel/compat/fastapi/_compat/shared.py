"""FastAPI's `_compat.shared`: predicates on annotations."""

from tercel.analyse.annotations import *  # noqa: F403
