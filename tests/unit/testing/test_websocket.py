"""WebSockets of the asynchronous test client: messages, refusals, closes, errors, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tercel import Depends, FastAPI, HTTPException, Response, WebSocket, WebSocketDisconnect, WebSocketException
from tercel.testing import ApplicationStillRunning, AsyncTestClient, WebSocketClosed, WebSocketDenied

pytestmark = pytest.mark.anyio


def echo_app() -> FastAPI:
    app = FastAPI()

    @app.websocket("/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            message = await ws.receive()
            if message["type"] == "websocket.disconnect":
                break
            await ws.send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if key in message}})

    return app


# -- messages ----------------------------------------------------------------------------------------------------------------------


async def test_messages_of_every_kind_go_both_ways() -> None:
    async with AsyncTestClient(echo_app()) as client, client.websocket("/echo") as ws:
        await ws.send_text("hé")
        assert await ws.receive_text() == "hé"
        await ws.send_bytes(b"\x00\xff")
        assert await ws.receive_bytes() == b"\x00\xff"
        await ws.send_json({"a": [1]})
        assert await ws.receive_json() == {"a": [1]}
        await ws.send_json("x", mode="binary")
        assert await ws.receive_json(mode="binary") == "x"
        await ws.send_text("t")
        await ws.send_bytes(b"b")
        assert [await ws.receive(), await ws.receive()] == ["t", b"b"]


async def test_a_message_of_the_other_kind_is_an_error() -> None:
    async with AsyncTestClient(echo_app()) as client, client.websocket("/echo") as ws:
        await ws.send_bytes(b"x")
        with pytest.raises(AssertionError, match="sent a binary message, not text"):
            await ws.receive_text()
        await ws.send_text("x")
        with pytest.raises(AssertionError, match="sent a text message, not a binary one"):
            await ws.receive_bytes()


async def test_waiting_for_a_message_ends_in_time() -> None:
    async with AsyncTestClient(echo_app()) as client, client.websocket("/echo") as ws:
        with pytest.raises(TimeoutError, match=r"sent nothing on WebSocket /echo within 0.01 s"):
            await ws.receive_text(timeout_s=0.01)
        await ws.send_text("still open")
        assert await ws.receive_text() == "still open"


async def test_messages_can_be_iterated_until_an_ordinary_close() -> None:
    app = FastAPI()

    @app.websocket("/{code}")
    async def count(ws: WebSocket, code: int) -> None:
        await ws.accept()
        for number in range(3):
            await ws.send_text(str(number))
        await ws.close(code, "enough")

    async with AsyncTestClient(app) as client:
        async with client.websocket("/1000") as ws:
            assert [message async for message in ws] == ["0", "1", "2"]
        async with client.websocket("/4000") as ws:
            with pytest.raises(WebSocketClosed):
                [message async for message in ws]


async def test_the_application_waits_while_nobody_reads() -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        for number in range(100):
            await send({"type": "websocket.send", "bytes": bytes(4096)})
            sent.append(number)
        await send({"type": "websocket.close"})

    async with AsyncTestClient(app).websocket("/") as ws:
        await ws.receive_bytes()
        assert len(sent) < 20
        assert len([message async for message in ws]) == 99
    assert len(sent) == 100


# -- handshake ---------------------------------------------------------------------------------------------------------------------


async def test_the_application_sees_the_handshake_as_a_server_would_give_it() -> None:
    app = FastAPI()

    @app.websocket("/{room}")
    async def endpoint(ws: WebSocket, room: str, token: str) -> None:
        await ws.accept(subprotocol="v2", headers=[(b"x-room", room.encode()), (b"set-cookie", b"seen=1")])
        names = ("host", "upgrade", "connection", "sec-websocket-protocol", "x-own", "cookie")
        headers = {name: ws.headers.get(name) for name in names}
        await ws.send_json({"scheme": ws.scope["scheme"], "token": token, "asked": ws.scope["subprotocols"], **headers})

    async with AsyncTestClient(app, base_url="https://chat.test", cookies={"who": "ann"}) as client:
        async with client.websocket("/a", ["v1", "v2"], params={"token": "t"}, headers={"x-own": "1"}) as ws:
            assert (ws.subprotocol, ws.headers["x-room"]) == ("v2", "a")
            seen = await ws.receive_json()
        assert client.cookies["seen"] == "1"
    assert seen == {
        "scheme": "wss",
        "token": "t",
        "asked": ["v1", "v2"],
        "host": "chat.test",
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-protocol": "v1, v2",
        "x-own": "1",
        "cookie": "who=ann",
    }


async def test_a_denial_has_status_headers_and_body() -> None:
    app = FastAPI()

    def token() -> None:
        raise HTTPException(401, "who are you", headers={"www-authenticate": "Bearer"})

    @app.websocket("/", dependencies=[Depends(token)])
    async def endpoint(ws: WebSocket) -> None:
        raise AssertionError("not reached")

    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied, match=r"refused with 401: .*who are you") as caught:
            async with client.websocket("/"):
                raise AssertionError("not reached")
    denied = caught.value
    assert (denied.status_code, denied.headers["www-authenticate"], denied.json()) == (401, "Bearer", {"detail": "who are you"})
    assert denied.content == b'{"detail":"who are you"}'
    assert isinstance(denied, WebSocketDisconnect)  # as the synchronous client's


async def test_a_close_before_accept_is_a_403_with_the_code() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        raise WebSocketException(1008, "no entry")

    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied, match="refused with 403: no entry") as caught:
            async with client.websocket("/"):
                pass
    assert (caught.value.status_code, caught.value.code, caught.value.reason) == (403, 1008, "no entry")


async def test_a_denial_in_pieces_is_put_together() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 429, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"slow ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"down"})

    with pytest.raises(WebSocketDenied) as caught:
        async with AsyncTestClient(app).websocket("/"):
            pass
    assert (caught.value.status_code, caught.value.content) == (429, b"slow down")


async def test_an_application_that_does_not_answer_the_handshake_is_a_timeout() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        assert (await receive())["type"] == "websocket.disconnect"

    with pytest.raises(TimeoutError, match="sent nothing"):
        async with AsyncTestClient(app).websocket("/", timeout_s=0.01):
            pass


async def test_an_application_that_sends_before_it_accepts_is_wrong() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.send", "text": "x"})

    with pytest.raises(AssertionError, match="before it accepted"):
        async with AsyncTestClient(app).websocket("/"):
            pass


# -- closing -----------------------------------------------------------------------------------------------------------------------


async def test_the_applications_close_has_code_and_reason() -> None:
    app = FastAPI()
    seen = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("last")
        await ws.close(4001, "bye")
        seen.append("returned")

    async with AsyncTestClient(app) as client, client.websocket("/") as ws:
        assert await ws.receive_text() == "last"
        for _ in range(2):  # the second time too
            with pytest.raises(WebSocketClosed) as caught:
                await ws.receive_text()
            assert (caught.value.code, caught.value.reason) == (4001, "bye")
        with pytest.raises(WebSocketClosed):
            await ws.send_text("too late")
    assert seen == ["returned"]


async def test_the_clients_close_has_code_and_reason() -> None:
    app = FastAPI()
    seen = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive_text()
        except WebSocketDisconnect as left:
            seen.append((left.code, left.reason))

    async with AsyncTestClient(app) as client:
        async with client.websocket("/") as ws:
            await ws.close(3001, "done")
            with pytest.raises(WebSocketClosed) as caught:
                await ws.receive_text()
            assert caught.value.code == 3001
        async with client.websocket("/"):
            pass
    assert seen == [(3001, "done"), (1000, "")]


async def test_an_echo_loop_that_is_left_is_no_error() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text(await ws.receive_text())

    async with AsyncTestClient(app) as client, client.websocket("/") as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "x"


async def test_sending_to_a_client_that_left_raises_in_the_application() -> None:
    app = FastAPI()
    left = asyncio.Event()
    seen = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await left.wait()
        try:
            await ws.send_text("hello?")
        except WebSocketDisconnect as error:
            seen.append(error.code)

    async with AsyncTestClient(app) as client, client.websocket("/") as ws:
        await ws.close()
        left.set()
    assert seen == [1006]


async def test_a_session_without_a_last_word_counts_as_closed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async with AsyncTestClient(app).websocket("/") as ws:
        with pytest.raises(WebSocketClosed) as caught:
            await ws.receive_text()
    assert caught.value.code == 1000


# -- errors ------------------------------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def broken_app() -> FastAPI:
    app = FastAPI()

    @app.websocket("/early")
    async def early(ws: WebSocket) -> None:
        raise Broken

    @app.websocket("/late")
    async def late(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive_text()
        raise Broken

    return app


async def test_what_the_application_raises_is_raised_in_the_test() -> None:
    async with AsyncTestClient(broken_app()) as client:
        with pytest.raises(Broken):
            async with client.websocket("/early"):
                pass
        async with client.websocket("/late") as ws:
            await ws.send_text("x")
            with pytest.raises(Broken):
                await ws.receive_text()
        with pytest.raises(Broken):
            async with client.websocket("/late") as ws:
                await ws.send_text("x")


async def test_the_close_that_a_server_makes_of_an_error_can_be_wanted_instead() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "websocket.accept"})
        raise Broken

    client = AsyncTestClient(app, raise_app_exceptions=False)
    with pytest.raises(WebSocketDenied) as denied:
        async with client.websocket("/early"):
            pass
    assert denied.value.status_code == 500
    async with client.websocket("/late") as ws:
        with pytest.raises(WebSocketClosed) as closed:
            await ws.receive_text()
    assert closed.value.code == 1011


async def test_an_endpoint_that_does_not_end_is_named() -> None:
    app = FastAPI()
    stay = asyncio.Event()

    @app.websocket("/room")
    async def room(ws: WebSocket) -> None:
        await ws.accept()
        await stay.wait()

    async with AsyncTestClient(app, deadline_s=0.01) as client:
        with pytest.raises(ApplicationStillRunning, match=r"WebSocket /room was over, waiting in room\(\) at .*test_websocket.py"):
            async with client.websocket("/room"):
                pass


async def test_two_clients_talk_through_one_application() -> None:
    app = FastAPI()
    sockets: list[WebSocket] = []

    @app.websocket("/")
    async def room(ws: WebSocket) -> None:
        await ws.accept()
        sockets.append(ws)
        try:
            async for text in ws.iter_text():
                for other in sockets:
                    await other.send_text(text)
        finally:
            sockets.remove(ws)

    async with AsyncTestClient(app) as client, client.websocket("/") as ann, client.websocket("/") as bob:
        await ann.send_text("hi")
        assert [await ann.receive_text(), await bob.receive_text()] == ["hi", "hi"]
    assert sockets == []


async def test_websockets_do_not_disturb_requests() -> None:
    app = echo_app()

    @app.get("/")
    async def endpoint() -> Response:
        return Response("ok")

    async with AsyncTestClient(app) as client, client.websocket("/echo") as ws:
        assert (await client.get("/")).text == "ok"
        await ws.send_text("x")
        assert await ws.receive_text() == "x"
