# ruff: noqa: F401 - names, for others to import
"""FastAPI's `applications`."""

from starlette.applications import Starlette as Starlette
from starlette.datastructures import State as State
from starlette.exceptions import HTTPException as HTTPException
from starlette.middleware import Middleware as Middleware
from starlette.middleware.base import BaseHTTPMiddleware as BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware as ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware as ExceptionMiddleware
from starlette.requests import Request as Request
from starlette.responses import HTMLResponse as HTMLResponse
from starlette.responses import JSONResponse as JSONResponse
from starlette.responses import Response as Response
from starlette.routing import BaseRoute as BaseRoute
from starlette.types import AppType as AppType
from starlette.types import ExceptionHandler as ExceptionHandler
from starlette.types import Lifespan as Lifespan

from tercel.applications import FastAPI as FastAPI
from tercel.compat.counterparts import AsyncExitStackMiddleware as AsyncExitStackMiddleware
from tercel.datastructures import Default as Default
from tercel.datastructures import DefaultPlaceholder as DefaultPlaceholder
from tercel.exception_handlers import http_exception_handler as http_exception_handler
from tercel.exception_handlers import request_validation_exception_handler as request_validation_exception_handler
from tercel.exception_handlers import (
    websocket_request_validation_exception_handler as websocket_request_validation_exception_handler,
)
from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.exceptions import RequestValidationError as RequestValidationError
from tercel.exceptions import WebSocketRequestValidationError as WebSocketRequestValidationError
from tercel.http.limits import AppBodyLimitMiddleware as AppBodyLimitMiddleware
from tercel.http.limits import FormLimits as _FormLimits
from tercel.openapi.docs import get_redoc_html as get_redoc_html
from tercel.openapi.docs import get_swagger_ui_html as get_swagger_ui_html
from tercel.openapi.docs import get_swagger_ui_oauth2_redirect_html as get_swagger_ui_oauth2_redirect_html
from tercel.openapi.document import get_openapi as get_openapi
from tercel.params import Depends as Depends
from tercel.types import DecoratedCallable as DecoratedCallable
from tercel.types import IncEx as IncEx
from tercel.utils import generate_unique_id as generate_unique_id
