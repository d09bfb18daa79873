"""What the analysis has to know of security: the base by which it recognises a scheme, and the scopes that it injects.

The schemes themselves bring the models of the OpenAPI document with them, which take as long to import as the rest of the stage; an
application that declares none does without. Read `tercel.declare.security` next, which has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tercel.openapi import models

__all__ = ["SecurityBase", "SecurityScopes"]


class SecurityBase:
    """What makes a dependency a security scheme: the document lists the model under the name.

    Attributes:
        model: the scheme's entry in OpenAPI.
        scheme_name: its key in `components.securitySchemes`.
    """

    model: models.SecurityBase
    scheme_name: str


class SecurityScopes:
    """As a parameter's type: the scopes that this use of the dependency and all that depend on it require.

    Attributes:
        scopes: in the order from the outermost dependency to this one.
        scope_str: the same separated by spaces, as a `WWW-Authenticate` challenge wants them (RFC 6750 §3).
    """

    def __init__(self, scopes: list[str] | None = None) -> None:
        self.scopes: list[str] = scopes or []
        self.scope_str: str = " ".join(self.scopes)
