"""Tercel: FastAPI's API on its own engine and its own server."""

from tercel.collecting import FewCollections

with FewCollections():
    from starlette import status as status

    from tercel.application import FastAPI as FastAPI
    from tercel.declare.params import Body as Body
    from tercel.declare.params import Cookie as Cookie
    from tercel.declare.params import Depends as Depends
    from tercel.declare.params import File as File
    from tercel.declare.params import Form as Form
    from tercel.declare.params import Header as Header
    from tercel.declare.params import Path as Path
    from tercel.declare.params import Query as Query
    from tercel.declare.params import Security as Security
    from tercel.http.background import BackgroundTasks as BackgroundTasks
    from tercel.http.errors import DeclarationError as DeclarationError
    from tercel.http.errors import HTTPException as HTTPException
    from tercel.http.errors import WebSocketException as WebSocketException
    from tercel.http.uploads import UploadFile as UploadFile
    from tercel.requests import Request as Request
    from tercel.responses import Response as Response
    from tercel.routing import APIRouter as APIRouter
    from tercel.websockets import WebSocket as WebSocket
    from tercel.websockets import WebSocketDisconnect as WebSocketDisconnect

__version__ = "0.1.0"

__all__ = [
    "APIRouter",
    "BackgroundTasks",
    "Body",
    "Cookie",
    "DeclarationError",
    "Depends",
    "FastAPI",
    "File",
    "Form",
    "HTTPException",
    "Header",
    "Path",
    "Query",
    "Request",
    "Response",
    "Security",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "__version__",
    "status",
]
