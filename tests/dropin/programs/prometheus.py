"""What prometheus-fastapi-instrumentator counts for the application in `shop`, as JSON: requests by handler, method and status."""

import json
import warnings

warnings.simplefilter("ignore")
import shop  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from prometheus_client import CollectorRegistry  # noqa: E402
from prometheus_fastapi_instrumentator import Instrumentator  # noqa: E402


def counted(registry: CollectorRegistry) -> list[dict[str, object]]:
    """The samples that do not depend on how long a request took; the page of counts tells such times, so its size does."""
    kept = (
        "http_requests_total",
        "http_request_size_bytes_sum",
        "http_response_size_bytes_sum",
        "http_request_duration_seconds_count",
    )
    samples = [sample for metric in registry.collect() for sample in metric.samples if sample.name in kept]
    return [
        {"name": sample.name, **sample.labels, "value": sample.value}
        for sample in samples
        if (sample.name, sample.labels.get("handler")) != ("http_response_size_bytes_sum", "/counts")
    ]


codes, seen = [], []
for options in ({}, {"should_group_status_codes": False, "should_group_untemplated": False, "excluded_handlers": ["/sync.*"]}):
    registry = CollectorRegistry()
    app: FastAPI = shop.make_app()
    Instrumentator(registry=registry, **options).instrument(app).expose(app, endpoint="/counts", include_in_schema=False)
    codes += shop.exercise(app)
    with TestClient(app) as client:
        page = client.get("/counts")
    codes.append(page.status_code)
    seen += [{"content-type": page.headers["content-type"]}, *counted(registry)]
print(json.dumps({"codes": codes, "seen": seen}))
