"""Requests made from an OpenAPI document: right ones with example values, and wrong ones. Pure: a document in, requests out.

Knows JSON Schema only as far as FastAPI's documents use it. A value that a pattern or a validator would refuse is no harm: both
sides are asked the same, and a refusal is an answer too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

OPERATIONS_AT_MOST = 400
"""Of one document, spread evenly over it: the largest applications have a thousand."""
DEEPEST = 6
"""Levels of an example value; a schema may contain itself."""
FORMATS = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date-time": "2024-01-02T03:04:05Z",
    "date": "2024-01-02",
    "time": "03:04:05",
    "duration": "PT1H",
    "email": "someone@example.com",
    "uri": "http://localhost/",
    "binary": "",
}
WRONG = "not-a-value"


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        name: method and path of the operation, and what is special about the request.
        target: path and query as they are sent.
        body: what is sent, None if nothing is.
    """

    name: str
    method: str
    target: str
    body: bytes | None = None
    content_type: str = "application/json"


def requests_of(document: Mapping[str, Any], prefix: str = "") -> list[Request]:
    """Requests for the operations of a document, in its order, with deletions at the end.

    Args:
        prefix: in front of every path: where the application of the document is mounted.
    """
    operations = [
        (method.upper(), path, operation, [*item.get("parameters", []), *operation.get("parameters", [])])
        for path, item in document.get("paths", {}).items()
        for method, operation in item.items()
        if isinstance(operation, Mapping)
    ]
    step = max(1, -(-len(operations) // OPERATIONS_AT_MOST))
    made = [
        request
        for method, path, operation, parameters in operations[::step]
        for request in _requests(document, method, prefix + path, operation, parameters)
    ]
    return sorted(made, key=lambda request: request.method == "DELETE")


def _requests(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], parameters: list[Mapping[str, Any]]
) -> Iterator[Request]:
    name = f"{method} {path}"
    known = [_resolved(document, each) for each in parameters]
    examples = {each["name"]: example(document, each.get("schema", {})) for each in known if each["in"] == "path"}
    query = {
        each["name"]: example(document, each.get("schema", {})) for each in known if each["in"] == "query" and each.get("required")
    }
    target = _filled(path, examples)
    asked = target + ("?" + urlencode(query, doseq=True) if query else "")
    content = _resolved(document, operation.get("requestBody", {})).get("content", {})
    if content:
        yield from _with_bodies(document, name, method, asked, content)
    else:
        yield Request(name, method, asked)
    if examples:
        yield Request(f"{name} with wrong path parameters", method, _filled(path, dict.fromkeys(examples, WRONG)))
    if query:
        yield Request(f"{name} without its query parameters", method, target)
    asked_for = [each["name"] for each in known if each["in"] == "query"]
    if asked_for:
        yield Request(f"{name} with wrong query parameters", method, target + "?" + urlencode(dict.fromkeys(asked_for, WRONG)))


def _with_bodies(document: Mapping[str, Any], name: str, method: str, target: str, content: Mapping[str, Any]) -> Iterator[Request]:
    kind, described = next(iter(content.items()))
    value = example(document, described.get("schema", {}))
    if kind == "application/x-www-form-urlencoded" and isinstance(value, dict):
        yield Request(name, method, target, urlencode(value, doseq=True).encode(), kind)
    elif kind != "multipart/form-data":
        yield Request(name, method, target, json.dumps(value).encode(), "application/json")
    yield Request(f"{name} with broken JSON", method, target, b'{"a": ')
    yield Request(f"{name} with an empty object", method, target, b"{}")
    yield Request(f"{name} with a list", method, target, b"[1]")
    yield Request(f"{name} with text", method, target, b"{}", "text/plain")
    yield Request(f"{name} without a body", method, target)


def _filled(path: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(_text(value), safe=""))
    return path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _resolved(document: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference inside the document points to; the value itself if it is none."""
    reference = value.get("$ref", "")
    if not reference.startswith("#/"):
        return value
    found: Any = document
    for part in reference[2:].split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~"), {})
    return found


def example(document: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    """A value that a schema describes: what the schema says itself (`const`, `enum`, an example), else the same for every type."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    schema = _resolved(document, schema)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if schema.get("default") is not None:
        return schema["default"]
    for key in ("anyOf", "oneOf", "allOf"):
        choices = [each for each in schema.get(key, []) if each.get("type") != "null"]
        if choices:
            return example(document, choices[0], depth + 1)
    return _of_type(document, schema, depth)


def _of_type(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
    match schema.get("type"):
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "array":
            return [example(document, schema.get("items", {}), depth + 1)]
        case "object":
            properties = schema.get("properties", {})
            return {name: example(document, properties.get(name, {}), depth + 1) for name in schema.get("required", [])}
        case "string":
            return FORMATS.get(schema.get("format", ""), "example".ljust(schema.get("minLength", 0), "e"))
        case _:
            return "example"
