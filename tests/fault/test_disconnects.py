"""Clients that go away: while a stream is sent, while a body is received, while nothing happens."""

import asyncio
import socket
import threading
from typing import Annotated

import pytest
from starlette.requests import ClientDisconnect

from tercel import BackgroundTasks, Body, Depends, Form, Request, WebSocket, WebSocketDisconnect
from tercel.responses import StreamingResponse
from tercel.sse import EventSourceResponse

over_a_socket = pytest.mark.parametrize("protocol", ["direct"], indirect=True)


def closing(journal):
    async def dependency():
        try:
            yield
        finally:
            journal("exit dependency")

    return Depends(dependency)


def streaming_app(make_app, journal):
    """An application with endless streams of every kind."""
    app = make_app()
    dependencies = [closing(journal)]

    async def waiting():
        try:
            yield "first\n"
            await asyncio.Event().wait()
        finally:
            journal("finally")

    async def racing():
        try:
            while True:
                yield "first\n"
        finally:
            journal("finally")

    @app.get("/lines", dependencies=dependencies)
    async def lines():
        async for piece in waiting():
            yield piece

    @app.get("/racing lines", dependencies=dependencies)
    async def racing_lines():
        try:
            while True:
                yield "first"
        finally:
            journal("finally")

    @app.get("/events", response_class=EventSourceResponse, dependencies=dependencies)
    async def events():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            journal("finally")

    @app.get("/raw", response_class=StreamingResponse, dependencies=dependencies)
    async def raw():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            journal("finally")

    @app.get("/response", dependencies=dependencies)
    async def response():
        return StreamingResponse(waiting())

    @app.get("/racing response", dependencies=dependencies)
    async def racing_response():
        return StreamingResponse(racing())

    return app


@pytest.mark.differs("generators are left to the garbage collector", always=False)
@pytest.mark.parametrize("path", ["/events", "/raw", "/racing lines"])
def test_a_stream_ends_when_its_client_leaves(make_app, client, journal, path):
    app = streaming_app(make_app, journal)
    connected = client(app, raise_errors=False)
    with connected.stream("GET", path) as answer:
        assert b"first" in next(answer.iter_raw())
    assert journal.until("finally", "exit dependency") == ["finally", "exit dependency"]
    connected.close()


@pytest.mark.differs("a stream that waits is not told", always=False)
@pytest.mark.parametrize("path", ["/lines", "/response", "/racing response"])
def test_a_dependency_ends_when_the_client_of_a_stream_leaves(make_app, client, journal, path):
    app = streaming_app(make_app, journal)
    with client(app, raise_errors=False).stream("GET", path) as answer:
        assert b"first" in next(answer.iter_raw())
    assert "exit dependency" in journal.until("exit dependency")


@pytest.mark.differs("a stream that waits is not told", always=False)
def test_a_client_that_leaves_a_stream_is_no_error(make_app, client, journal):
    connected = client(streaming_app(make_app, journal))
    with connected.stream("GET", "/events") as answer:
        next(answer.iter_raw())
    journal.until("exit dependency")
    connected.close()  # an error that the server had logged would be raised here


@pytest.mark.differs("a stream that waits is not told", always=False)
def test_a_sync_stream_ends_when_its_client_leaves(make_app, client, journal):
    app = make_app()

    @app.get("/", dependencies=[closing(journal)])
    def endpoint():
        while True:
            yield "first"

    with client(app, raise_errors=False).stream("GET", "/") as answer:
        assert b"first" in next(answer.iter_raw())
    journal.until("exit dependency")


@over_a_socket
@pytest.mark.parametrize("reset", [False, True])
def test_an_endpoint_can_learn_that_its_client_left(make_app, client, journal, leave, reset):
    app = make_app()

    @app.get("/")
    async def endpoint(request: Request):
        journal("waiting")
        while (await request.receive())["type"] != "http.disconnect":
            pass
        journal(await request.is_disconnected())

    connected = client(app, raise_errors=False)
    connection = leave(connected.port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", reset=reset)
    journal.until("waiting")
    connection.close()
    assert journal.until(True) == ["waiting", True]


@over_a_socket
@pytest.mark.parametrize("reset", [False, True])
def test_an_endpoint_does_not_run_when_the_body_never_ends(make_app, client, journal, leave, reset):
    app = make_app()

    @app.post("/")
    async def endpoint(value: Annotated[dict, Body()]):
        journal("endpoint")

    @app.get("/health")
    async def health():
        return "ok"

    connected = client(app)
    head = b'POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":'
    leave(connected.port, head, reset=reset).close()
    assert connected.get("/health").json() == "ok"
    connected.close()
    assert journal.entries == []


@over_a_socket
@pytest.mark.differs("the server says so as the application", always=False)
@pytest.mark.parametrize("path", ["/json", "/form"])
def test_a_body_that_turns_out_to_be_broken_is_answered_once_and_is_no_error(make_app, client, leave, path):
    app = make_app()

    @app.post("/json")
    async def json(value: Annotated[dict, Body()]):
        return value

    @app.post("/form")
    async def form(value: Annotated[str, Form()]):
        return value

    kind = {"/json": b"application/json", "/form": b"application/x-www-form-urlencoded"}[path]
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % (path.encode(), kind)
    connected = client(app)
    with leave(connected.port, head + b"5\r\nvalue\r\n") as connection:
        assert connected.get("/missing").status_code == 404  # the endpoint waits for the rest by now
        connection.sendall(b"zz\r\n")
        answer = b""
        while data := connection.recv(1000):
            answer += data
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 400 ") == 1


@over_a_socket
@pytest.mark.differs("the server waits for the rest", always=False)
def test_a_connection_whose_client_stopped_in_the_middle_of_a_body_is_closed(make_app, client, leave):
    app = make_app()

    @app.post("/")
    async def endpoint(value: Annotated[dict, Body()]):
        return value

    head = b'POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":'
    with leave(client(app).port, head) as connection:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):  # times out after five seconds
            pass


def test_an_endpoint_that_reads_the_body_itself_sees_the_client_leave(make_app, driver, journal, run):
    app = make_app()

    @app.post("/")
    async def endpoint(request: Request):
        try:
            await request.body()
        except ClientDisconnect:
            journal("gone")
            raise

    error = run(driver.request(app, method="POST", chunks=(b"abc",), cuts_body=True))
    assert journal.entries == ["gone"]
    assert error is None or isinstance(error, ClientDisconnect)


def test_background_tasks_run_although_the_client_has_left(make_app, driver, journal, run):
    app = make_app()
    gone = asyncio.Event()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        gone.set()
        return "ok"

    run(driver.request(app, leaves=gone))
    assert journal.entries == ["task"]


def test_a_send_that_fails_ends_the_dependencies(make_app, driver, journal, run):
    app = make_app()

    async def dependency():
        try:
            yield
        except BaseException as error:
            journal(type(error).__name__)
            raise
        finally:
            journal("exit")

    @app.get("/", response_class=StreamingResponse)
    async def endpoint(value: Annotated[None, Depends(dependency)]):
        while True:
            yield "piece"

    driver.after_start = OSError("gone")
    error = run(driver.request(app))
    assert journal.entries[-1] == "exit"
    assert error is None or isinstance(error, (OSError, ClientDisconnect))


@over_a_socket
@pytest.mark.parametrize("how", ["returned", "yielded"])
@pytest.mark.differs("the garbage collector closes it at some time", always=False)
def test_a_synchronous_generator_is_closed_also_when_its_client_leaves_while_it_is_running(make_app, client, journal, leave, how):
    app = make_app()
    go_on = threading.Event()

    def pieces():
        try:
            yield "x"
            journal("running")
            go_on.wait(10)
            while True:
                yield "x" * 100_000
        finally:
            journal("closed")

    if how == "returned":
        app.get("/")(lambda: StreamingResponse(pieces()))
    else:

        @app.get("/", response_class=StreamingResponse)
        def endpoint():
            yield from pieces()

    @app.get("/health")
    async def health():
        return "ok"

    connected = client(app)
    connection = leave(connected.port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", reset=True)
    journal.until("running")
    connection.close()
    assert connected.get("/health").json() == "ok"
    go_on.set()
    journal.until("closed")


def test_a_stream_stops_when_the_server_says_that_the_client_left(make_app, driver, journal, run):
    app = make_app()
    gone = asyncio.Event()

    @app.get("/", response_class=EventSourceResponse)
    async def endpoint():
        try:
            yield 1
            gone.set()
            await asyncio.Event().wait()
        finally:
            journal("finally")

    async def older(scope, receive, send):
        # An ASGI server of spec version 2.4 raises in `send`; older ones only answer `receive`.
        await app({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}}, receive, send)

    run(driver.request(older, leaves=gone))
    assert journal.entries == ["finally"]


# -- WebSockets ------------------------------------------------------------------------------------------------------------------


@over_a_socket
@pytest.mark.differs("the server waits for a close frame", always=False)
def test_a_websocket_client_that_vanishes_is_a_disconnect_with_1006(make_app, client, journal):
    app = make_app()

    async def dependency():
        try:
            yield
        finally:
            journal("exit")

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, value: Annotated[None, Depends(dependency)]):
        await websocket.accept()
        await websocket.send_text("ready")
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            journal(error.code)

    connected = client(app)
    with connected.websocket("/ws") as opened:
        assert opened.receive_text() == "ready"
        opened.connection.socket.shutdown(socket.SHUT_RDWR)
        opened.connection.socket.close()
    assert journal.until("exit") == [1006, "exit"]


@over_a_socket
def test_sending_to_a_websocket_client_that_vanished_is_a_disconnect(make_app, client, journal):
    app = make_app()
    proceed = threading.Event()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("ready")
        message = await websocket.receive()
        journal(message["type"])
        try:
            await websocket.send_text("too late")
        except (WebSocketDisconnect, RuntimeError) as error:
            journal(type(error).__name__)
        proceed.set()

    with client(app, raise_errors=False).websocket("/ws") as opened:
        assert opened.receive_text() == "ready"
        opened.connection.socket.shutdown(socket.SHUT_RDWR)
        opened.connection.socket.close()
        assert proceed.wait(5)
    assert journal.entries[0] == "websocket.disconnect"
