"""What the built-in telemetry exports of an application that a real server serves: Tercel's own here, uvicorn on the original."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import fastapi.routing
import httpx
import observe
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from websockets.sync.client import connect

WAIT_S = 30.0
TRACEPARENT = f"00-{'1' * 32}-{'2' * 16}-01"


class Recorded:
    """Providers that keep what they get, and what they got, without what differs from run to run."""

    def __init__(self) -> None:
        self.spans, self.reader, self.logs = InMemorySpanExporter(), InMemoryMetricReader(), InMemoryLogRecordExporter()
        self.config: dict[str, Any] = {
            "tracer_provider": TracerProvider(shutdown_on_exit=False),
            "meter_provider": MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False),
            "logger_provider": LoggerProvider(shutdown_on_exit=False),
        }
        self.config["tracer_provider"].add_span_processor(SimpleSpanProcessor(self.spans))
        self.config["logger_provider"].add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def exported(self) -> dict[str, Any]:
        spans = self.spans.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans}
        metrics = self.reader.get_metrics_data()
        found = [] if metrics is None else [m for r in metrics.resource_metrics for s in r.scope_metrics for m in s.metrics]
        # By request, in the order in which these were sent: a background task may end when the next one has begun.
        servers = sorted((span for span in spans if span.kind is SpanKind.SERVER), key=lambda span: span.start_time)
        return {
            "spans": [
                [
                    {
                        "name": span.name,
                        "kind": span.kind.name,
                        "status": span.status.status_code.name,
                        "parent": names.get(span.parent.span_id, f"{span.parent.span_id:x}") if span.parent else None,
                        "remote": span.parent is not None and span.parent.is_remote,
                        "attributes": _kept(span.attributes),
                        "events": [event.name for event in span.events],
                        "scope": [span.instrumentation_scope.name, span.instrumentation_scope.schema_url],
                    }
                    for span in spans
                    if span is server or (span.parent is not None and span.parent.span_id == server.context.span_id)
                ]
                for server in servers
            ],
            "all spans": len(spans),
            "metrics": {
                metric.name: [
                    metric.unit,
                    metric.description,
                    sorted([*_kept(p.attributes).items(), getattr(p, "count", None) or p.value] for p in metric.data.data_points),
                ]
                for metric in found
                if metric.name != "otel.sdk.log.created"
            },
            "logs": [
                {
                    "event": data.log_record.event_name,
                    "severity": data.log_record.severity_text,
                    "body": data.log_record.body,
                    "span": names.get(data.log_record.span_id),
                    "attributes": _kept(data.log_record.attributes),
                }
                for data in self.logs.get_finished_logs()
            ],
        }


def _kept(attributes: Any) -> dict[str, Any]:
    """Attributes in order, of messages the first line only: the second names a file."""
    kept = {key: attributes[key] for key in sorted(attributes or ()) if key not in ("server.port", "exception.stacktrace")}
    return {key: value.partition("\n")[0] if key == "exception.message" else value for key, value in kept.items()}


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """The application behind a socket; gone with everything that it had to do when the block is left."""
    if "tercel" not in sys.modules:
        with _served_by_uvicorn(app) as address:
            yield address
        return
    from tercel.server import ServerConfig, serving

    ready, address, stop = threading.Event(), [], asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        config = ServerConfig(host="127.0.0.1", port=0, access_log=False, graceful_timeout_s=WAIT_S)
        async with serving(app, config) as server:
            address.append(f"127.0.0.1:{server.port}")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        loop.close()


@contextlib.contextmanager
def _served_by_uvicorn(app: Any) -> Iterator[str]:
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


def note(what: str) -> None:
    pass


async def who(token: str = "nobody") -> Any:
    yield token


def make_app(config: dict[str, Any]) -> FastAPI:
    app = FastAPI(telemetry=config)
    items = APIRouter(prefix="/items")

    @app.get("/sync/{number:int}")
    def synchronous(number: int) -> dict[str, int]:
        return {"number": number}

    @items.get("/{item_id}")
    async def read_item(item_id: int, user: Annotated[str, Depends(who)], tasks: BackgroundTasks) -> dict[str, object]:
        tasks.add_task(note, "read")
        return {"item_id": item_id, "user": user}

    @items.post("/")
    async def create_item(item: dict[str, int]) -> dict[str, int]:
        return item

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    @app.get("/lines")
    async def lines() -> Any:
        yield 1
        yield 2

    @app.get("/missing")
    async def missing() -> None:
        raise HTTPException(404, "no such thing")

    @app.get("/busy")
    async def busy() -> None:
        raise HTTPException(503)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("broken on purpose")

    @app.get("/promise", response_model=int)
    async def promise() -> Any:
        return "no integer"

    @app.websocket("/ws/{room}")
    async def ws(websocket: WebSocket, room: int, user: Annotated[str, Depends(who)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{room} {user}")
        await websocket.receive_text()
        await websocket.close()

    app.include_router(items, prefix="/api")
    inner = FastAPI(telemetry=config)

    @inner.get("/deep/{name}")
    async def deep(name: str) -> dict[str, str]:
        return {"name": name}

    app.mount("/inner/{tenant}", inner)
    return app


REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/sync/5?sig=secret&b=%20x", None),
    ("GET", "/api/items/7?token=ann", None),
    ("GET", "/api/items/seven", None),
    ("POST", "/api/items/", {"a": 1}),
    ("POST", "/api/items/", {"a": "x"}),
    ("GET", "/api/items", None),
    ("DELETE", "/lines", None),
    ("PURGE", "/lines", None),
    ("GET", "/lines", None),
    ("GET", "/stream", None),
    ("GET", "/missing", None),
    ("GET", "/nowhere", None),
    ("GET", "/busy", None),
    ("GET", "/broken", None),
    ("GET", "/promise", None),
    ("GET", "/inner/acme/deep/x", None),
    ("GET", "/inner/acme/nowhere", None),
]


def _exported(change: dict[str, Any], prepare: Callable[[FastAPI], None] | None = None, requests: Any = REQUESTS) -> Any:
    recorded = Recorded()
    app = make_app({**recorded.config, **change})
    if prepare is not None:
        prepare(app)
    with served(app) as address:
        with httpx.Client(base_url=f"http://{address}", headers={"traceparent": TRACEPARENT, "connection": "close"}) as client:
            codes = [client.request(method, path, json=json).status_code for method, path, json in requests]
        with connect(f"ws://{address}/ws/1?token=bo") as websocket:
            assert websocket.recv() == "1 bo"
            websocket.send("bye")
            with contextlib.suppress(Exception):
                websocket.recv()
        with contextlib.suppress(Exception), connect(f"ws://{address}/ws/one"):
            pass
    return {"codes": codes, **recorded.exported()}


@observe.check
def everything() -> Any:
    return _exported({})


@observe.check
def behind_a_middleware_function() -> Any:
    def prepare(app: FastAPI) -> None:
        @app.middleware("http")
        async def mark(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    return _exported({}, prepare)


@observe.check
def with_routes_of_a_class_of_their_own() -> Any:
    class Wrapped(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def wrapped(request: Request) -> Any:
                return await handler(request)

            return wrapped

    def prepare(app: FastAPI) -> None:
        router = APIRouter(route_class=Wrapped, prefix="/own")

        @router.post("/{number}")
        async def double(number: int, item: dict[str, int], tasks: BackgroundTasks) -> int:
            tasks.add_task(note, "doubled")
            return number * item["by"]

        app.include_router(router)

    return _exported({}, prepare, [("POST", "/own/2", {"by": 2}), ("POST", "/own/two", {"by": 2}), ("POST", "/own/2", {})])


@observe.check
def with_functions_that_a_program_has_replaced() -> Any:
    replaced = {name: getattr(fastapi.routing, name) for name in ("solve_dependencies", "serialize_response")}

    def around(function: Any) -> Any:
        async def replacement(**arguments: Any) -> Any:
            return await function(**arguments)

        return replacement

    for name, function in replaced.items():
        setattr(fastapi.routing, name, around(function))
    try:
        return _exported({})
    finally:
        for name, function in replaced.items():
            setattr(fastapi.routing, name, function)


@observe.check
def without_operation_spans() -> Any:
    return _exported({"operation_spans": False, "metrics": False})


@observe.check
def logs_only() -> Any:
    return _exported({"tracing": False, "metrics": False})


@observe.check
def some_left_out() -> Any:
    return _exported({"exclude": lambda scope: scope["path"] != "/busy"})


observe.main()
