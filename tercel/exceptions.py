"""Exceptions and warnings."""

from tercel.http.errors import DeclarationError as DeclarationError
from tercel.http.errors import DependencyScopeError as DependencyScopeError
from tercel.http.errors import EndpointContext as EndpointContext
from tercel.http.errors import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.http.errors import FastAPIError as FastAPIError
from tercel.http.errors import HTTPException as HTTPException
from tercel.http.errors import PydanticV1NotSupportedError as PydanticV1NotSupportedError
from tercel.http.errors import RequestErrorModel as RequestErrorModel
from tercel.http.errors import RequestValidationError as RequestValidationError
from tercel.http.errors import ResponseValidationError as ResponseValidationError
from tercel.http.errors import ValidationException as ValidationException
from tercel.http.errors import WebSocketErrorModel as WebSocketErrorModel
from tercel.http.errors import WebSocketException as WebSocketException
from tercel.http.errors import WebSocketRequestValidationError as WebSocketRequestValidationError

__all__ = [
    "DeclarationError",
    "DependencyScopeError",
    "EndpointContext",
    "FastAPIDeprecationWarning",
    "FastAPIError",
    "HTTPException",
    "PydanticV1NotSupportedError",
    "RequestErrorModel",
    "RequestValidationError",
    "ResponseValidationError",
    "ValidationException",
    "WebSocketErrorModel",
    "WebSocketException",
    "WebSocketRequestValidationError",
]
