"""FastAPI's `routing`, with the semi-private names that packages in the field use."""

from tercel.routing import APIRoute as APIRoute
from tercel.routing import APIRouter as APIRouter
from tercel.routing import APIWebSocketRoute as APIWebSocketRoute
from tercel.routing import Match as Match
from tercel.routing import Mount as Mount
from tercel.routing import RouteContext as RouteContext
from tercel.routing import compile_path as compile_path
from tercel.routing import iter_route_contexts as iter_route_contexts
from tercel.routing import request_response as request_response
from tercel.routing import websocket_session as websocket_session
from tercel.routing.include import EffectiveRoute as _EffectiveRouteContext
from tercel.routing.include import IncludeContext as _RouterIncludeContext
from tercel.routing.include import IncludedRouter as _IncludedRouter

__all__ = [
    "APIRoute",
    "APIRouter",
    "APIWebSocketRoute",
    "Match",
    "Mount",
    "RouteContext",
    "_EffectiveRouteContext",
    "_IncludedRouter",
    "_RouterIncludeContext",
    "compile_path",
    "iter_route_contexts",
    "request_response",
    "websocket_session",
]
