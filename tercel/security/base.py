"""The base of security schemes."""

from tercel.declare.security import SecurityBase as SecurityBase

__all__ = [
    "SecurityBase",
]
