"""What a route answers: the normal response, those the user declares besides, and the one for invalid input.

Reads response classes, status codes and response fields. The module must not know parameters. Read `tercel.openapi.operation` next.
"""

from __future__ import annotations

import http.client
import inspect
from copy import deepcopy
from typing import Any

from starlette.responses import JSONResponse

from tercel.analyse.annotations import lenient_issubclass
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.sse import SSE_EVENT_SCHEMA
from tercel.http.status import is_body_allowed_for_status_code
from tercel.openapi.constants import REF_PREFIX
from tercel.openapi.merge import deep_dict_update
from tercel.openapi.routes import DocumentedRoute
from tercel.openapi.schemas import Schemas

__all__ = [
    "VALIDATION_DEFINITIONS",
    "add_validation_response",
    "describe_responses",
    "effective_response_class",
    "status_code_ranges",
    "validation_error_definition",
    "validation_error_response_definition",
]

# The shape of `RequestValidationError` as answered by `tercel.http.handlers`; `input` and `ctx` depend on the error, may be absent.
validation_error_definition: dict[str, Any] = {
    "title": "ValidationError",
    "type": "object",
    "properties": {
        "loc": {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"title": "Message", "type": "string"},
        "type": {"title": "Error Type", "type": "string"},
        "input": {"title": "Input"},
        "ctx": {"title": "Context", "type": "object"},
    },
    "required": ["loc", "msg", "type"],
}
validation_error_response_definition: dict[str, Any] = {
    "title": "HTTPValidationError",
    "type": "object",
    "properties": {"detail": {"title": "Detail", "type": "array", "items": {"$ref": REF_PREFIX + "ValidationError"}}},
}
VALIDATION_DEFINITIONS: dict[str, Any] = {
    "ValidationError": validation_error_definition,
    "HTTPValidationError": validation_error_response_definition,
}

# Descriptions for the keys of OpenAPI 3.1 §4.8.16 that are no status code.
status_code_ranges: dict[str, str] = {
    "1XX": "Information",
    "2XX": "Success",
    "3XX": "Redirection",
    "4XX": "Client Error",
    "5XX": "Server Error",
    "DEFAULT": "Default Response",
}

_INVALID_INPUT_KEYS = ("422", "4XX", "default")


def effective_response_class(route: DocumentedRoute) -> Any:
    """The class of a route's normal response, whether chosen by the user or the default."""
    declared = route.response_class
    cls = declared.value if isinstance(declared, DefaultPlaceholder) else declared
    assert cls, "A response class is needed to generate OpenAPI"
    return cls


def describe_responses(route: DocumentedRoute, schemas: Schemas) -> dict[str, Any]:
    """The responses by status code: the normal one first, then those declared with `responses=`."""
    response_class = effective_response_class(route)
    normal: dict[str, Any] = {"description": route.response_description}
    if is_body_allowed_for_status_code(route.status_code):
        content = _normal_content(route, response_class, schemas)
        if content:
            normal["content"] = content
    described = {_normal_status(route, response_class): normal}
    media_type: str = response_class.media_type or "application/json"
    for status, declared in route.responses.items():
        _add_declared(described, status, declared, route, media_type, schemas)
    return described


def add_validation_response(described: dict[str, Any]) -> bool:
    """Add the answer to invalid input unless one is declared; True if it was added and its definitions are needed."""
    if any(key in described for key in _INVALID_INPUT_KEYS):
        return False
    described["422"] = {
        "description": "Validation Error",
        "content": {"application/json": {"schema": {"$ref": REF_PREFIX + "HTTPValidationError"}}},
    }
    return True


# -- the normal response -----------------------------------------------------------------------------------------------------------


def _normal_status(route: DocumentedRoute, response_class: Any) -> str:
    if route.status_code is not None:
        return str(int(route.status_code))
    # A class may have its own default, as a redirect has 307.
    parameter = inspect.signature(response_class.__init__).parameters.get("status_code")
    return str(parameter.default) if parameter is not None and isinstance(parameter.default, int) else "200"


def _normal_content(route: DocumentedRoute, response_class: Any, schemas: Schemas) -> dict[str, Any]:
    item = route.stream_item_field
    if route.is_json_stream:
        return {"application/jsonl": {"itemSchema": {} if item is None else schemas.of(item)}}
    if route.is_sse_stream:
        event = deepcopy(SSE_EVENT_SCHEMA)
        if item is not None:
            event["required"] = ["data"]
            event["properties"]["data"] = {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": schemas.of(item),
            }
        return {"text/event-stream": {"itemSchema": event}}
    if not response_class.media_type:
        return {}
    if not lenient_issubclass(response_class, JSONResponse):
        schema: dict[str, Any] = {"type": "string"}
    else:
        schema = {} if route.response_field is None else schemas.of(route.response_field)
    return {response_class.media_type: {"schema": schema}}


# -- declared responses ------------------------------------------------------------------------------------------------------------


def _add_declared(
    described: dict[str, Any],
    status: int | str,
    declared: dict[str, Any],
    route: DocumentedRoute,
    media_type: str,
    schemas: Schemas,
) -> None:
    """Merge one entry of `responses=` into what is described so far.

    Raises:
        ValueError: the key is no status code, range or `default`.
    """
    upper = str(status).upper()
    addition = deepcopy(declared)
    assert isinstance(addition, dict), "An additional response must be a dict"
    addition.pop("model", None)
    target = described.setdefault("default" if upper == "DEFAULT" else upper, {})
    field = route.response_fields.get(status)
    if field:
        schema = addition.setdefault("content", {}).setdefault(media_type, {}).setdefault("schema", {})
        deep_dict_update(schema, schemas.of(field))
    usual = status_code_ranges.get(upper) or http.client.responses.get(int(status))
    description = addition.get("description") or target.get("description") or usual or "Additional Response"
    deep_dict_update(target, addition)
    target["description"] = description
