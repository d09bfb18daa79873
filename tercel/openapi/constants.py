"""Fixed names of the document: where definitions live, which methods may carry a body. Knows nothing else; read `document` next."""

from __future__ import annotations

from tercel.analyse.fields import REF_PREFIX, REF_TEMPLATE

__all__ = ["METHODS_WITH_BODY", "REF_PREFIX", "REF_TEMPLATE"]

# RFC 9110 §9.3.1 gives content in a GET no meaning, yet applications use it, and FastAPI documents it.
METHODS_WITH_BODY = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}
