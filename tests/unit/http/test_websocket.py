"""When user code gets the direct `WebSocket`, and that it behaves as Starlette's."""

from __future__ import annotations

from typing import Any

import pytest
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tercel.http.websocket import DirectWebSocket, websocket_of

pytestmark = pytest.mark.anyio
SCOPE: dict[str, Any] = {"type": "websocket", "path": "/", "headers": []}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Session:
    """A connection that was accepted; `waiting` messages come one by one, only when somebody waits for them."""

    websocket_class = DirectWebSocket

    def __init__(self, *messages: Any, waiting: tuple[Any, ...] = (), busy: bool = False) -> None:
        self.messages: list[Any] = [{"type": "websocket.connect"}, *messages]
        self.waiting = list(waiting)
        self.busy = busy
        self.sent: list[Any] = []

    def take_at_once(self) -> Any:
        message = self.messages.pop(0) if self.messages else None
        return message if message is None or message["type"] != "websocket.receive" else message.get("text", message.get("bytes"))

    async def arrival(self) -> None:
        self.messages.append(self.waiting.pop(0))

    def send_at_once(self, data: str | bytes) -> bool:
        if not self.busy:
            self.sent.append(data)
        return not self.busy

    async def receive(self) -> Any:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def connected(session: Session) -> WebSocket:
    socket = websocket_of(SCOPE, session.receive, session.send)
    assert type(socket) is DirectWebSocket
    await socket.accept()
    del session.sent[:]
    return socket


async def test_messages_are_taken_and_sent_without_asgi() -> None:
    session = Session({"type": "websocket.receive", "text": "a"}, waiting=({"type": "websocket.receive", "bytes": b"b"},))
    socket = await connected(session)
    assert (await socket.receive_text(), await socket.receive_bytes()) == ("a", b"b")
    await socket.send_text("c")
    await socket.send_bytes(b"d")
    await socket.send_json({"e": "é"})
    assert session.sent == ["c", b"d", '{"e":"é"}']


async def test_what_has_to_wait_goes_through_asgi() -> None:
    session = Session(busy=True)
    socket = await connected(session)
    await socket.send_text("a")
    await socket.send_json([1], mode="binary")
    assert session.sent == [{"type": "websocket.send", "text": "a"}, {"type": "websocket.send", "bytes": b"[1]"}]


async def test_a_disconnect_is_raised_once_and_then_refused() -> None:
    socket = await connected(Session({"type": "websocket.disconnect", "code": 1001, "reason": "gone"}))
    with pytest.raises(WebSocketDisconnect) as raised:
        await socket.receive_text()
    assert (raised.value.code, raised.value.reason, socket.client_state) == (1001, "gone", WebSocketState.DISCONNECTED)
    with pytest.raises(RuntimeError):
        await socket.receive_text()


async def test_before_accepting_the_errors_are_starlettes() -> None:
    session = Session()
    socket = websocket_of(SCOPE, session.receive, session.send)
    for call in (socket.receive_text, socket.receive_bytes, socket.receive_json):
        with pytest.raises(RuntimeError, match="not connected"):
            await call()
    with pytest.raises(RuntimeError, match="Expected ASGI message"):
        await socket.send_text("x")


async def test_a_message_of_the_other_kind_is_the_same_error() -> None:
    socket = await connected(Session({"type": "websocket.receive", "bytes": b"b"}))
    with pytest.raises(KeyError, match="text"):
        await socket.receive_text()


async def test_who_stands_in_between_sees_every_message() -> None:
    session = Session()

    async def receive() -> Any:
        return await session.receive()

    async def send(message: Any) -> None:
        await session.send(message)

    assert type(websocket_of(SCOPE, receive, session.send)) is WebSocket
    assert type(websocket_of(SCOPE, session.receive, send)) is WebSocket


async def test_starlettes_exception_handling_does_not_stand_in_between() -> None:
    session = Session()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(type(websocket_of(scope, receive, send)))

    inner = wrap_app_handling_exceptions(app, WebSocket(SCOPE, session.receive, session.send))
    await wrap_app_handling_exceptions(inner, WebSocket(SCOPE, session.receive, session.send))(SCOPE, session.receive, session.send)
    assert seen == [DirectWebSocket]


async def test_a_replaced_method_of_starlettes_class_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    monkeypatch.setattr(WebSocket, "send", lambda self, message: None)
    assert type(websocket_of(SCOPE, session.receive, session.send)) is WebSocket
