"""FastAPI's `responses`."""

from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.http.responses import orjson as orjson
from tercel.http.responses import ujson as ujson
from tercel.responses import EventSourceResponse as EventSourceResponse
from tercel.responses import FileResponse as FileResponse
from tercel.responses import HTMLResponse as HTMLResponse
from tercel.responses import JSONResponse as JSONResponse
from tercel.responses import ORJSONResponse as ORJSONResponse
from tercel.responses import PlainTextResponse as PlainTextResponse
from tercel.responses import RedirectResponse as RedirectResponse
from tercel.responses import Response as Response
from tercel.responses import StreamingResponse as StreamingResponse
from tercel.responses import UJSONResponse as UJSONResponse
