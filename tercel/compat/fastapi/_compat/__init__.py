"""FastAPI's `_compat`: annotation predicates and fields."""

from tercel.analyse.annotations import *  # noqa: F403
from tercel.analyse.fields import *  # noqa: F403
from tercel.compat.fastapi._compat import shared as shared
from tercel.compat.fastapi._compat import v2 as v2
