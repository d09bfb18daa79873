# examples/tested.py
from typing import Annotated

from tercel import Depends, FastAPI, WebSocket

app = FastAPI()


async def forecast() -> str:
    raise RuntimeError("this would ask a weather service")


@app.get("/today")
async def today(forecast: Annotated[str, Depends(forecast)]) -> dict[str, str]:
    return {"weather": forecast}


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
