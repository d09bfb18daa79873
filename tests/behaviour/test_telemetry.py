"""The built-in telemetry over both protocols and with both engines: when it is on, what it tells, what it costs when it is off.

What exactly is exported is compared with the original in `tests/dropin/parity/telemetry.py`.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from tercel import BackgroundTasks, Depends, FastAPI, Request, UploadFile
from tercel.telemetry import get_telemetry_data
from tests.clients import WAIT_S


class Spans(SpanExporter):
    """Keeps the spans that ended, and lets a test wait for some: a server ends one when the client may have its answer already."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []
        self._more = threading.Condition()

    def export(self, spans: Any) -> SpanExportResult:
        with self._more:
            self.ended += spans
            self._more.notify_all()
        return SpanExportResult.SUCCESS

    def names(self, count: int) -> list[str]:
        """The names of all that ended, once that many have."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.ended) >= count, WAIT_S), [span.name for span in self.ended]
            return [span.name for span in self.ended]


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def provider(spans: Spans) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


def test_a_request_has_a_span_and_one_for_each_part_of_its_work(make_app, client, provider, spans):
    app = make_app(telemetry={"tracer_provider": provider})
    done: list[str] = []

    async def user(token: str = "nobody") -> str:
        return token

    @app.get("/items/{item_id:int}")
    async def read(item_id: int, user: Annotated[str, Depends(user)], tasks: BackgroundTasks) -> dict[str, Any]:
        tasks.add_task(done.append, "task")
        return {"item": item_id, "user": user}

    response = client(app).get("/items/3?token=ada", headers={"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
    assert response.json() == {"item": 3, "user": "ada"}
    assert spans.names(5) == [
        "fastapi.dependencies",
        "fastapi.endpoint",
        "fastapi.serialization",
        "GET /items/{item_id}",
        "fastapi.background_task",
    ]
    server = spans.ended[3]
    assert server.kind is SpanKind.SERVER
    assert server.attributes is not None
    assert server.attributes["http.response.status_code"] == 200
    assert server.parent is not None
    assert (server.context.trace_id, server.parent.span_id) == (int("1" * 32, 16), int("2" * 16, 16))
    assert {span.parent.span_id for span in spans.ended if span is not server and span.parent} == {server.context.span_id}


def test_work_in_a_thread_is_below_the_span_of_its_endpoint(make_app, client, provider, spans):
    app = make_app(telemetry={"tracer_provider": provider})

    @app.get("/")
    def endpoint() -> None:
        provider.get_tracer("mine").start_span("work").end()

    assert client(app).get("/").status_code == 200
    assert spans.names(5)[:2] == ["fastapi.dependencies", "work"]
    work, endpoint_span = spans.ended[1:3]
    assert endpoint_span.name == "fastapi.endpoint"
    assert work.parent is not None
    assert work.parent.span_id == endpoint_span.context.span_id


def test_the_data_of_a_request_is_there_while_it_is_answered(make_app, client, provider):
    app = make_app(telemetry={"tracer_provider": provider})
    seen: list[Any] = []

    @app.post("/{number}")
    async def endpoint(number: int, item: dict[str, int], request: Request) -> None:
        data = get_telemetry_data()
        assert data is not None
        seen.append((data.request is request, data.body, data.errors, data.values and data.values["item"] is item))

    assert client(app).post("/7", json={"a": 1}).status_code == 200
    assert seen == [(True, {"a": 1}, [], True)]
    assert get_telemetry_data() is None


def test_a_form_is_read_while_a_request_is_traced(make_app, client, provider, spans):
    app = make_app(telemetry={"tracer_provider": provider})

    @app.post("/")
    async def endpoint(file: UploadFile) -> int:
        data = get_telemetry_data()
        assert data is not None
        assert data.body["file"] is file
        return len(await file.read())

    assert client(app).post("/", files={"file": ("a.txt", b"12345")}).json() == 5
    assert spans.names(4)[-1] == "POST /"


def test_a_global_provider_is_noticed_when_it_is_set_after_the_first_request(make_app, client, provider, spans, monkeypatch):
    app = make_app()

    @app.get("/")
    async def endpoint() -> None: ...

    connected = client(app)
    assert connected.get("/").status_code == 200
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    assert connected.get("/").status_code == 200
    assert spans.names(4) == ["fastapi.dependencies", "fastapi.endpoint", "fastapi.serialization", "GET /"]
    monkeypatch.undo()
    assert connected.get("/").status_code == 200
    assert len(spans.ended) == 4


def test_what_is_left_out_has_no_spans_and_no_data(make_app, client, provider, spans):
    app = make_app(telemetry={"tracer_provider": provider, "exclude": lambda scope: scope["path"] == "/health"})

    @app.get("/health")
    @app.get("/")
    async def endpoint() -> bool:
        return get_telemetry_data() is None

    connected = client(app)
    assert connected.get("/health").json() is True
    assert connected.get("/").json() is False
    assert spans.names(4)[-1] == "GET /"
    assert len(spans.ended) == 4


@pytest.mark.tercel_only("generated handlers")
def test_generated_handlers_are_the_same_with_telemetry(provider):
    async def endpoint(number: int) -> int:
        return number

    apps = [FastAPI(engine="compiled", **options) for options in ({}, {"telemetry": {"tracer_provider": provider}})]
    for app in apps:
        app.get("/{number}")(endpoint)
    assert apps[0].source_for("GET", "/{number}") == apps[1].source_for("GET", "/{number}")


# -- processes of their own ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run() -> Callable[..., str]:
    """Runs some code in a fresh interpreter and returns what it printed and logged."""

    def run(code: str, **variables: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FASTAPI_OTEL_"))}
        done = subprocess.run(
            # Plugins of pydantic may use OpenTelemetry themselves.
            [sys.executable, "-c", _PROGRAM + code],
            env={**kept, "PYDANTIC_DISABLE_PLUGINS": "__all__", **variables},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


_PROGRAM = """
import logging, sys
from tercel import FastAPI
from tercel.telemetry import get_telemetry_data
from tercel.testclient import TestClient
logging.basicConfig(level="WARNING")
def ask(**options):
    app = FastAPI(**options)
    app.get("/")(lambda: get_telemetry_data() is None)
    with TestClient(app) as client:
        print(client.get("/").json())
"""


@pytest.mark.tercel_only("FastAPI imports OpenTelemetry along with itself")
def test_nothing_of_opentelemetry_is_imported_where_nobody_uses_it(run):
    code = "ask()\nprint([name for name in sys.modules if name.partition('.')[0] == 'opentelemetry'])"
    assert run(code) == "True\n[]\n"


@pytest.mark.tercel_only("FastAPI imports OpenTelemetry along with itself")
def test_an_application_runs_where_opentelemetry_is_not_installed(run):
    code = "sys.modules['opentelemetry'] = None\nask()\nask(telemetry={'auto_configure': True})"
    printed = run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert printed.count("True\n") == 2
    assert printed.count("tercel[opentelemetry]") == 1


@pytest.mark.tercel_only("FastAPI cannot be imported with them")
def test_propagators_that_cannot_be_loaded_do_not_keep_requests_from_being_traced(run):
    code = "from opentelemetry.sdk.trace import TracerProvider\nask(telemetry={'tracer_provider': TracerProvider()})"
    printed = run(code, OTEL_PROPAGATORS="b3")
    assert printed.startswith("False\n")
    assert "propagators cannot be loaded" in printed


def test_a_provider_that_the_environment_names_is_loaded(run):
    code = "ask()\nfrom opentelemetry import trace\nprint(type(trace.get_tracer_provider()).__name__)"
    assert run(code, OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider") == "False\nTracerProvider\n"
