"""The default exception handlers."""

from tercel.http.handlers import http_exception_handler as http_exception_handler
from tercel.http.handlers import request_validation_exception_handler as request_validation_exception_handler
from tercel.http.handlers import websocket_request_validation_exception_handler as websocket_request_validation_exception_handler

__all__ = [
    "http_exception_handler",
    "request_validation_exception_handler",
    "websocket_request_validation_exception_handler",
]
