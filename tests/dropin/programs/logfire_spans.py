"""What Logfire sees of the application in `shop`, as JSON."""

import json
import warnings

warnings.simplefilter("ignore")
import logfire  # noqa: E402
import shop  # noqa: E402
from logfire.testing import TestExporter  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402

exporter = TestExporter()
logfire.configure(
    send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)], inspect_arguments=False
)
app = shop.make_app()
logfire.instrument_fastapi(app, extra_spans=True)
codes = shop.exercise(app)
KEPT = (
    "http.route",
    "http.status_code",
    "http.method",
    "fastapi.route.name",
    "fastapi.route.operation_id",
    "fastapi.arguments.values",
    "fastapi.arguments.errors",
    "logfire.msg",
    "logfire.level_num",
)
seen = [
    {"name": span["name"], **{key: span["attributes"][key] for key in KEPT if key in span["attributes"]}}
    for span in exporter.exported_spans_as_dict()
]
print(json.dumps({"codes": codes, "seen": seen}))
