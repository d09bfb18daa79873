# ruff: noqa: F401 - names, for others to import
"""FastAPI's `security.base`."""

from tercel.openapi.models import SecurityBase as SecurityBaseModel
from tercel.security.base import SecurityBase as SecurityBase
