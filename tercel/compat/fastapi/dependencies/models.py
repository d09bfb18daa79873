"""FastAPI's `dependencies.models`."""

from tercel.analyse.dependant import Dependant as Dependant

__all__ = ["Dependant"]
