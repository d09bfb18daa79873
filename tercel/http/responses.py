"""The response classes: Starlette's, server-sent events, and two JSON classes kept for applications that still name them.

Holds no logic of its own beyond rendering JSON with other libraries. Read `tercel.http.sse` next.
"""

from __future__ import annotations

import importlib
from typing import Any

from starlette.responses import FileResponse as FileResponse
from starlette.responses import HTMLResponse as HTMLResponse
from starlette.responses import JSONResponse as JSONResponse
from starlette.responses import PlainTextResponse as PlainTextResponse
from starlette.responses import RedirectResponse as RedirectResponse
from starlette.responses import Response as Response
from starlette.responses import StreamingResponse as StreamingResponse
from typing_extensions import deprecated

from tercel.http.errors import FastAPIDeprecationWarning
from tercel.http.sse import EventSourceResponse as EventSourceResponse

__all__ = [
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "ORJSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "UJSONResponse",
]


def _import_optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


orjson: Any = _import_optional("orjson")
ujson: Any = _import_optional("ujson")


@deprecated(
    "UJSONResponse is deprecated: with a return type or a response model, pydantic serialises the data to JSON in one pass, "
    "which is faster and needs no response class.",
    category=FastAPIDeprecationWarning,
)
class UJSONResponse(JSONResponse):
    """JSON rendered by `ujson`, which must be installed; it is not exact in some edge cases."""

    def render(self, content: Any) -> bytes:
        assert ujson is not None, "ujson must be installed to use UJSONResponse"
        text: str = ujson.dumps(content, ensure_ascii=False)
        return text.encode()


@deprecated(
    "ORJSONResponse is deprecated: with a return type or a response model, pydantic serialises the data to JSON in one pass, "
    "which is faster and needs no response class.",
    category=FastAPIDeprecationWarning,
)
class ORJSONResponse(JSONResponse):
    """JSON rendered by `orjson`, which must be installed; keys need not be strings and NumPy values are understood."""

    def render(self, content: Any) -> bytes:
        assert orjson is not None, "orjson must be installed to use ORJSONResponse"
        rendered: bytes = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
        return rendered
