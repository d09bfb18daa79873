"""A small application for the instrumentations: direct and included routes, dependencies, errors, a WebSocket, a mount."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, WebSocket


def who(token: str = "nobody") -> str:
    return token


def make_app() -> FastAPI:
    app = FastAPI()
    items = APIRouter(prefix="/items", tags=["items"])

    @app.get("/")
    async def root() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/sync/{number}")
    def synchronous(number: int) -> dict[str, int]:
        return {"number": number}

    @items.get("/{item_id}", name="item")
    async def read_item(item_id: int, user: Annotated[str, Depends(who)]) -> dict[str, object]:
        return {"item_id": item_id, "user": user}

    @items.post("/")
    async def create_item(item: dict[str, int]) -> dict[str, int]:
        return item

    @app.get("/missing")
    async def missing() -> None:
        raise HTTPException(404, "no such thing")

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("broken on purpose")

    @app.websocket("/ws/{room}")
    async def ws(websocket: WebSocket, room: str, user: Annotated[str, Depends(who)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{room} {user}")
        await websocket.close()

    app.include_router(items, prefix="/api")
    inner = FastAPI()

    @inner.get("/deep/{name}")
    async def deep(name: str) -> dict[str, str]:
        return {"name": name}

    app.mount("/inner", inner)
    return app


REQUESTS = [
    ("GET", "/", None),
    ("GET", "/sync/5", None),
    ("GET", "/api/items/7?token=ann", None),
    ("GET", "/api/items/seven", None),
    ("POST", "/api/items/", {"a": 1}),
    ("GET", "/missing", None),
    ("GET", "/nowhere", None),
    ("GET", "/broken", None),
    ("GET", "/inner/deep/x", None),
]


def exercise(app: FastAPI) -> list[int]:
    """Sends every request, then talks to the WebSocket; returns the status codes."""
    from fastapi.testclient import TestClient

    codes = []
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, path, json in REQUESTS:
            codes.append(client.request(method, path, json=json).status_code)
        with client.websocket_connect("/ws/blue?token=bo") as socket:
            assert socket.receive_text() == "blue bo"
    return codes
