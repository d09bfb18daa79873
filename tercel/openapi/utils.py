"""The OpenAPI document."""

from tercel.openapi.document import get_openapi as get_openapi

__all__ = [
    "get_openapi",
]
