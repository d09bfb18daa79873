# examples/chat.py
from typing import Annotated

from pydantic import BaseModel, ValidationError

from tercel import Depends, FastAPI, HTTPException, Query, WebSocket, WebSocketDisconnect, WebSocketException, status

app = FastAPI()
members: dict[str, WebSocket] = {}


class Message(BaseModel):
    to: str
    text: str


async def user(token: Annotated[str, Query(min_length=3)]) -> str:
    if not token.startswith("token-"):
        raise HTTPException(401, "sign in first")
    return token.removeprefix("token-")


@app.websocket("/chat")
async def chat(socket: WebSocket, user: Annotated[str, Depends(user)]) -> None:
    if user in members:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION, "you are here already")
    await socket.accept()
    members[user] = socket
    try:
        while True:
            try:
                message = Message.model_validate_json(await socket.receive_text())
            except ValidationError as error:
                await socket.send_json({"error": error.errors(include_url=False, include_context=False)[0]["msg"]})
                continue
            if message.to in members:
                await members[message.to].send_json({"from": user, "text": message.text})
    except WebSocketDisconnect:
        pass
    finally:
        del members[user]
