"""What opentelemetry-instrumentation-fastapi sees of the application in `shop`, as JSON."""

import json
import warnings

warnings.simplefilter("ignore")
import shop  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
app = shop.make_app()
FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
codes = shop.exercise(app)
KEPT = ("http.route", "http.status_code", "http.method", "http.target")
seen = [
    {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        **{key: span.attributes[key] for key in KEPT if key in span.attributes},
        "events": [event.name for event in span.events],
    }
    for span in exporter.get_finished_spans()
]
print(json.dumps({"codes": codes, "seen": seen}))
