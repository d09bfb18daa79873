"""`WS /ws`: the smallest WebSocket: what comes in goes out, text as text and bytes as bytes."""

from demo.delivery import incoming
from tercel import APIRouter, WebSocket

__all__ = ["router"]

router = APIRouter()


@router.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Repeat every message until the client leaves. This needs no queue: a client who does not read is not read from."""
    await websocket.accept()
    async for message in incoming(websocket):
        if isinstance(message, str):
            await websocket.send_text(message)
        else:
            await websocket.send_bytes(message)
