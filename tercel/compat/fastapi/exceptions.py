# ruff: noqa: F401 - names, for others to import
"""FastAPI's `exceptions`."""

from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.exceptions import WebSocketException as StarletteWebSocketException

from tercel.exceptions import DependencyScopeError as DependencyScopeError
from tercel.exceptions import EndpointContext as EndpointContext
from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.exceptions import FastAPIError as FastAPIError
from tercel.exceptions import HTTPException as HTTPException
from tercel.exceptions import PydanticV1NotSupportedError as PydanticV1NotSupportedError
from tercel.exceptions import RequestErrorModel as RequestErrorModel
from tercel.exceptions import RequestValidationError as RequestValidationError
from tercel.exceptions import ResponseValidationError as ResponseValidationError
from tercel.exceptions import ValidationException as ValidationException
from tercel.exceptions import WebSocketErrorModel as WebSocketErrorModel
from tercel.exceptions import WebSocketException as WebSocketException
from tercel.exceptions import WebSocketRequestValidationError as WebSocketRequestValidationError
