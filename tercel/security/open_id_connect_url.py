"""OpenID Connect."""

from tercel.declare.security import OpenIdConnect as OpenIdConnect

__all__ = [
    "OpenIdConnect",
]
