"""The response classes."""

from tercel.http.responses import EventSourceResponse as EventSourceResponse
from tercel.http.responses import FileResponse as FileResponse
from tercel.http.responses import HTMLResponse as HTMLResponse
from tercel.http.responses import JSONResponse as JSONResponse
from tercel.http.responses import ORJSONResponse as ORJSONResponse
from tercel.http.responses import PlainTextResponse as PlainTextResponse
from tercel.http.responses import RedirectResponse as RedirectResponse
from tercel.http.responses import Response as Response
from tercel.http.responses import StreamingResponse as StreamingResponse
from tercel.http.responses import UJSONResponse as UJSONResponse

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
