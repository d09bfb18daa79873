"""What `import fastapi` gives under the drop-in: FastAPI 0.165's names on Tercel's objects."""

from tercel import APIRouter as APIRouter
from tercel import BackgroundTasks as BackgroundTasks
from tercel import Body as Body
from tercel import Cookie as Cookie
from tercel import Depends as Depends
from tercel import FastAPI as FastAPI
from tercel import File as File
from tercel import Form as Form
from tercel import Header as Header
from tercel import HTTPException as HTTPException
from tercel import Path as Path
from tercel import Query as Query
from tercel import Request as Request
from tercel import Response as Response
from tercel import Security as Security
from tercel import UploadFile as UploadFile
from tercel import WebSocket as WebSocket
from tercel import WebSocketDisconnect as WebSocketDisconnect
from tercel import WebSocketException as WebSocketException
from tercel import status as status

__version__ = "0.165.0"
