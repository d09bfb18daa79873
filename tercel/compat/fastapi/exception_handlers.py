"""FastAPI's `exception_handlers`."""

from starlette.exceptions import HTTPException as HTTPException
from starlette.requests import Request as Request
from starlette.responses import JSONResponse as JSONResponse
from starlette.responses import Response as Response
from starlette.status import WS_1008_POLICY_VIOLATION as WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocket as WebSocket

from tercel.encoders import jsonable_encoder as jsonable_encoder
from tercel.exception_handlers import http_exception_handler as http_exception_handler
from tercel.exception_handlers import request_validation_exception_handler as request_validation_exception_handler
from tercel.exception_handlers import (
    websocket_request_validation_exception_handler as websocket_request_validation_exception_handler,
)
from tercel.exceptions import RequestValidationError as RequestValidationError
from tercel.exceptions import WebSocketRequestValidationError as WebSocketRequestValidationError
from tercel.utils import is_body_allowed_for_status_code as is_body_allowed_for_status_code
