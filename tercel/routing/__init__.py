"""Routes, routers and includes."""

from starlette.routing import BaseRoute as BaseRoute
from starlette.routing import Host as Host
from starlette.routing import Match as Match
from starlette.routing import Mount as Mount
from starlette.routing import NoMatchFound as NoMatchFound
from starlette.routing import compile_path as compile_path
from starlette.routing import get_name as get_name

from tercel.routing.include import EffectiveRoute as EffectiveRoute
from tercel.routing.include import IncludedRouter as IncludedRouter
from tercel.routing.operation import request_response as request_response
from tercel.routing.operation import websocket_session as websocket_session
from tercel.routing.route import APIRoute as APIRoute
from tercel.routing.route import APIWebSocketRoute as APIWebSocketRoute
from tercel.routing.router import APIRouter as APIRouter
from tercel.routing.walking import RouteContext as RouteContext
from tercel.routing.walking import iter_route_contexts as iter_route_contexts

__all__ = [
    "APIRoute",
    "APIRouter",
    "APIWebSocketRoute",
    "BaseRoute",
    "EffectiveRoute",
    "Host",
    "IncludedRouter",
    "Match",
    "Mount",
    "NoMatchFound",
    "RouteContext",
    "compile_path",
    "get_name",
    "iter_route_contexts",
    "request_response",
    "websocket_session",
]
