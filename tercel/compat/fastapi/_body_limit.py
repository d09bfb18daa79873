# ruff: noqa: F401 - names, for others to import
"""FastAPI's `_body_limit`."""

from starlette.exceptions import HTTPException as HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY as MAX_BODY_SIZE_SCOPE_KEY
from starlette.middleware.body_limit import RequestBodyLimitMiddleware as RequestBodyLimitMiddleware
from starlette.requests import Request as Request

from tercel.exception_handlers import http_exception_handler as http_exception_handler
from tercel.http.limits import AppBodyLimitMiddleware as AppBodyLimitMiddleware
from tercel.http.limits import body_limit_error as get_body_limit_error
from tercel.http.limits import nearest_limit as get_body_size_limit
from tercel.http.limits import validate_max_body_size as validate_max_body_size
from tercel.http.limits import with_body_limit as wrap_app_with_body_limit
