"""API keys."""

from tercel.declare.security import APIKeyCookie as APIKeyCookie
from tercel.declare.security import APIKeyHeader as APIKeyHeader
from tercel.declare.security import APIKeyQuery as APIKeyQuery

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
]
