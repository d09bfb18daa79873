"""WebSockets: parameters and dependencies, refusals before accept, closes after it, messages of every kind."""

from typing import Annotated

import pytest

from tercel import (
    APIRouter,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from tercel.exceptions import WebSocketRequestValidationError
from tercel.requests import HTTPConnection
from tercel.responses import PlainTextResponse


class Broken(Exception):
    pass


@pytest.fixture
def serve_socket(make_app, client):
    """Serves one WebSocket endpoint as the only route of an application and returns a client for it."""

    def serve_one(endpoint, path="/ws", app=None, **options):
        app = app or make_app()
        app.websocket(path, **options)(endpoint)
        return client(app)

    return serve_one


async def say(websocket, *values):
    await websocket.accept()
    for value in values:
        await websocket.send_json(value)
    await websocket.close()


# -- messages ------------------------------------------------------------------------------------------------------------------


def test_text_bytes_and_json_go_both_ways(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text((await websocket.receive_text()).upper())
        await websocket.send_bytes((await websocket.receive_bytes())[::-1])
        await websocket.send_json({"got": await websocket.receive_json()})
        await websocket.close(4000, "bye")

    with serve_socket(endpoint).websocket("/ws") as socket:
        socket.send_text("höi")
        assert socket.receive_text() == "HÖI"
        socket.send_bytes(b"\x00\xff")
        assert socket.receive_bytes() == b"\xff\x00"
        socket.send_json({"a": [1]})
        assert socket.receive_json() == {"got": {"a": [1]}}
        close = socket.receive_close()
        assert (close.code, close.reason) == (4000, "bye")


def test_messages_can_be_iterated_until_the_client_leaves(serve_socket, journal):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)
        journal("left")

    with serve_socket(endpoint).websocket("/ws") as socket:
        for text in ("a", "b"):
            socket.send_text(text)
            assert socket.receive_text() == text
        socket.close()
        journal.until("left")


def test_a_client_that_leaves_raises_websocket_disconnect_with_its_code_and_reason(serve_socket, journal):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            journal((error.code, error.reason))

    with serve_socket(endpoint).websocket("/ws") as socket:
        socket.close(4001, "done")
        assert journal.until((4001, "done")) == [(4001, "done")]


def test_a_large_message_arrives_whole(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        data = await websocket.receive_bytes()
        await websocket.send_bytes(data + b"!")
        await websocket.close()

    with serve_socket(endpoint).websocket("/ws") as socket:
        socket.send_bytes(b"x" * 500_000)
        assert len(socket.receive_bytes()) == 500_001


def test_a_subprotocol_and_headers_can_be_chosen_on_accept(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][1], headers=[(b"x-accepted", b"yes")])
        await websocket.close()

    with serve_socket(endpoint).websocket("/ws", subprotocols=["one", "two"]) as socket:
        assert socket.subprotocol == "two"
        assert socket.headers["x-accepted"] == "yes"
        socket.receive_close()


def test_sending_after_close_is_a_runtime_error(serve_socket, journal):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()
        try:
            await websocket.send_text("late")
        except RuntimeError as error:
            journal(str(error))

    with serve_socket(endpoint).websocket("/ws") as socket:
        socket.receive_close()
        journal.until('Cannot call "send" once a close message has been sent.')


# -- parameters and dependencies -----------------------------------------------------------------------------------------------


def test_path_query_header_and_cookie_parameters_are_taken(serve_socket):
    async def endpoint(
        websocket: WebSocket,
        room: int,
        q: str,
        many: Annotated[list[int], Query()],
        x_token: Annotated[str, Header()],
        session: Annotated[str | None, Cookie()] = None,
    ):
        await say(websocket, [room, q, many, x_token, session])

    connected = serve_socket(endpoint, "/rooms/{room}")
    with connected.websocket("/rooms/3?q=a&many=1&many=2", headers={"x-token": "t", "cookie": "session=s"}) as socket:
        assert socket.receive_json() == [3, "a", [1, 2], "t", "s"]
        socket.receive_close()


def test_dependencies_run_before_accept_in_the_order_of_http(make_app, client, journal):
    def noting(name):
        async def dependency():
            journal(name)
            return name

        return dependency

    app = make_app(dependencies=[Depends(noting("app"))])
    router = APIRouter(dependencies=[Depends(noting("router"))])

    @router.websocket("/ws", dependencies=[Depends(noting("route"))])
    async def endpoint(websocket: WebSocket, value: Annotated[str, Depends(noting("signature"))]):
        journal("endpoint")
        await say(websocket, value)

    app.include_router(router, prefix="/r", dependencies=[Depends(noting("include"))])
    with client(app).websocket("/r/ws") as socket:
        assert socket.receive_json() == "signature"
        socket.receive_close()
    assert journal.entries == ["app", "include", "router", "route", "signature", "endpoint"]


def test_a_dependency_may_take_the_connection_as_websocket_or_as_http_connection(serve_socket):
    def as_socket(websocket: WebSocket):
        return type(websocket).__name__

    def as_connection(connection: HTTPConnection):
        return connection.scope["type"]

    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(as_socket)], b: Annotated[str, Depends(as_connection)]):
        await say(websocket, a, b)

    with serve_socket(endpoint).websocket("/ws") as socket:
        assert [socket.receive_json(), socket.receive_json()] == ["WebSocket", "websocket"]
        socket.receive_close()


@pytest.mark.parametrize("scope", ["function", "request"])
def test_yield_dependencies_end_after_the_endpoint(serve_socket, journal, scope):
    async def resource():
        journal("open")
        yield "resource"
        journal("close")

    async def endpoint(websocket: WebSocket, value: Annotated[str, Depends(resource, scope=scope)]):
        await say(websocket, value)
        journal("endpoint")

    with serve_socket(endpoint).websocket("/ws") as socket:
        assert socket.receive_json() == "resource"
        socket.receive_close()
        assert journal.until("close") == ["open", "endpoint", "close"]


def test_yield_dependencies_see_the_client_leave(serve_socket, journal):
    async def resource():
        try:
            yield
        except WebSocketDisconnect as error:
            journal(error.code)
        # Swallowed here, since servers differ in what they make of a disconnect that nobody caught.

    async def endpoint(websocket: WebSocket, value: Annotated[None, Depends(resource)]):
        await websocket.accept()
        await websocket.send_text("ready")
        await websocket.receive_text()

    with serve_socket(endpoint).websocket("/ws") as socket:
        assert socket.receive_text() == "ready"
        socket.close(4002)
        assert journal.until(4002) == [4002]


# -- refusals ------------------------------------------------------------------------------------------------------------------


def test_an_unknown_path_is_refused(make_app, client):
    refusal = client(make_app()).refused("/nowhere")
    assert refusal.status_code in (403, 404)
    if refusal.close is not None:
        assert refusal.close.code == 1000


def test_an_invalid_parameter_is_refused_with_a_403_and_1008(serve_socket, journal):
    async def endpoint(websocket: WebSocket, n: int):
        journal("endpoint")

    refusal = serve_socket(endpoint).refused("/ws?n=x")
    assert refusal.status_code == 403
    if refusal.close is not None:
        assert refusal.close.code == 1008
    assert journal.entries == []


def test_closing_before_accept_is_refused_with_a_403(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.close(4003, "no")

    refusal = serve_socket(endpoint).refused("/ws")
    assert refusal.status_code == 403
    if refusal.close is not None:
        assert (refusal.close.code, refusal.close.reason) == (4003, "no")


def test_an_http_exception_before_accept_is_an_http_response(serve_socket):
    def refuse():
        raise HTTPException(401, "who are you", headers={"www-authenticate": "Bearer"})

    async def endpoint(websocket: WebSocket):
        await websocket.accept()

    refusal = serve_socket(endpoint, dependencies=[Depends(refuse)]).refused("/ws")
    assert (refusal.status_code, refusal.json(), refusal.headers["www-authenticate"]) == (401, {"detail": "who are you"}, "Bearer")


def test_a_denial_response_of_ones_own_is_sent_as_it_is(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.send_denial_response(PlainTextResponse("not today", 418, headers={"x-why": "tea"}))

    refusal = serve_socket(endpoint).refused("/ws")
    assert (refusal.status_code, refusal.body, refusal.headers["x-why"]) == (418, b"not today", "tea")


def test_a_websocket_exception_before_accept_is_refused_with_its_code(serve_socket):
    async def endpoint(websocket: WebSocket):
        raise WebSocketException(1008, "policy")

    refusal = serve_socket(endpoint).refused("/ws")
    assert refusal.status_code == 403
    if refusal.close is not None:
        assert (refusal.close.code, refusal.close.reason) == (1008, "policy")


def test_a_websocket_exception_after_accept_closes_with_its_code_and_reason(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        raise WebSocketException(4004, "enough")

    with serve_socket(endpoint).websocket("/ws") as socket:
        close = socket.receive_close()
        assert (close.code, close.reason) == (4004, "enough")


def test_a_plain_http_request_for_a_websocket_path_is_not_found(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()

    assert serve_socket(endpoint).get("/ws").status_code == 404


# -- handlers and errors -------------------------------------------------------------------------------------------------------


def test_an_exception_handler_may_close_the_socket(make_app, serve_socket):
    app = make_app()

    @app.exception_handler(Broken)
    async def handler(websocket: WebSocket, error: Broken):
        await websocket.close(4005, str(error))

    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        raise Broken("handled")

    with serve_socket(endpoint, app=app).websocket("/ws") as socket:
        close = socket.receive_close()
        assert (close.code, close.reason) == (4005, "handled")


def test_a_handler_for_validation_errors_sees_them(make_app, serve_socket, journal):
    app = make_app()

    @app.exception_handler(WebSocketRequestValidationError)
    async def handler(websocket: WebSocket, error: WebSocketRequestValidationError):
        journal([item["loc"] for item in error.errors()])
        journal("WS /ws" in str(error))
        await websocket.close(4006)

    async def endpoint(websocket: WebSocket, n: int):
        await websocket.accept()

    serve_socket(endpoint, app=app).refused("/ws")
    assert journal.entries == [[("query", "n")], True]


def test_an_exception_that_nobody_handles_reaches_the_server(serve_socket):
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("before")
        await websocket.receive_text()
        raise Broken

    with serve_socket(endpoint).websocket("/ws", raises=Broken) as socket:
        assert socket.receive_text() == "before"
        socket.send_text("now")
        assert socket.receive_close().code in (None, 1006, 1011)


# -- routing -------------------------------------------------------------------------------------------------------------------


def test_websocket_routes_of_routers_have_their_prefixes(make_app, client):
    app = make_app()
    router = APIRouter(prefix="/router")
    nested = APIRouter(prefix="/nested")

    @nested.websocket("/ws/{rest:path}")
    async def endpoint(websocket: WebSocket, rest: str):
        await say(websocket, [rest, str(websocket.url_for("endpoint", rest="x"))])

    router.include_router(nested, prefix="/between")
    app.include_router(router, prefix="/app")
    with client(app).websocket("/app/router/between/nested/ws/a/b") as socket:
        rest, url = socket.receive_json()
        assert rest == "a/b"
        assert url.startswith("ws://")
        assert url.endswith("/app/router/between/nested/ws/x")
        socket.receive_close()


def test_starlettes_websocket_routes_work_beside_the_others(make_app, client):
    app = make_app()

    @app.websocket_route("/plain")
    async def plain(websocket):
        await say(websocket, "plain")

    @app.router.websocket_route("/router")
    async def routed(websocket):
        await say(websocket, "router")

    connected = client(app)
    for path, word in (("/plain", "plain"), ("/router", "router")):
        with connected.websocket(path) as socket:
            assert socket.receive_json() == word
            socket.receive_close()


def test_websockets_of_mounted_applications_work(make_app, client):
    inner = make_app()

    @inner.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await say(websocket, websocket.scope["root_path"])

    outer = make_app()
    outer.mount("/inner", inner)
    with client(outer).websocket("/inner/ws") as socket:
        assert socket.receive_json() == "/inner"
        socket.receive_close()


def test_the_state_of_the_lifespan_reaches_websockets(make_app, client):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app):
        yield {"name": "state"}

    app = make_app(lifespan=lifespan)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await say(websocket, websocket.state.name)

    with client(app).websocket("/ws") as socket:
        assert socket.receive_json() == "state"
        socket.receive_close()


def test_many_sockets_can_be_open_at_once(serve_socket):
    members = []

    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        members.append(websocket)
        try:
            async for text in websocket.iter_text():
                for member in members:
                    await member.send_text(text)
        finally:
            members.remove(websocket)

    connected = serve_socket(endpoint)
    with connected.websocket("/ws") as one, connected.websocket("/ws") as two:
        one.send_text("from one")
        assert (one.receive_text(), two.receive_text()) == ("from one", "from one")
        two.send_text("from two")
        assert (one.receive_text(), two.receive_text()) == ("from two", "from two")
