"""One route as a path item: an operation for each of its methods.

`OperationBuilder` works out once what the methods of a route share, then describes each. It must not know how routes are found or
what else is in the document. Read `tercel.openapi.document` next; the parts come from `inputs` and `responses`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from tercel.analyse.fields import ModelField, ModelNameMap, SchemaMode
from tercel.openapi.constants import METHODS_WITH_BODY
from tercel.openapi.ids import ordered_methods
from tercel.openapi.inputs import Inputs, describe_parameters, describe_request_body, describe_security
from tercel.openapi.merge import deep_dict_update
from tercel.openapi.responses import VALIDATION_DEFINITIONS, add_validation_response, describe_responses, effective_response_class
from tercel.openapi.routes import DocumentedRoute, is_api_route
from tercel.openapi.schemas import Schemas

__all__ = [
    "DescribedPath",
    "OperationBuilder",
    "generate_operation_summary",
    "get_openapi_operation_metadata",
    "get_openapi_operation_parameters",
    "get_openapi_operation_request_body",
    "get_openapi_path",
    "get_openapi_security_definitions",
]


class DescribedPath(NamedTuple):
    """A path item and what it needs elsewhere in the document.

    Attributes:
        operations: by method in lower case.
        security_schemes: by name.
        definitions: schemas besides those of the fields.
    """

    operations: dict[str, Any]
    security_schemes: dict[str, Any]
    definitions: dict[str, Any]


class OperationBuilder:
    """Describes the operations of one route.

    Args:
        route: an API route or its context.
        schemas: the schemas of all fields in the document.
        operation_ids: those given so far; each operation adds its own, and a repetition is a warning.
    """

    def __init__(self, route: DocumentedRoute, schemas: Schemas, operation_ids: set[str]) -> None:
        assert route.methods is not None, "Methods must be a list"
        effective_response_class(route)
        self.route = route
        self.schemas = schemas
        self.operation_ids = operation_ids
        self.definitions: dict[str, Any] = {}

    def build(self) -> DescribedPath:
        """The path item; empty for a route that is not to appear."""
        route = self.route
        if not route.include_in_schema or not route.methods:
            return DescribedPath({}, {}, {})
        self.inputs = Inputs(route.dependant)
        self.security_schemes, self.requirements = describe_security(self.inputs.schemes)
        operations = {method.lower(): self._operation(method) for method in ordered_methods(route.methods)}
        return DescribedPath(operations, self.security_schemes, self.definitions)

    def _operation(self, method: str) -> dict[str, Any]:
        route = self.route
        operation = get_openapi_operation_metadata(route=route, method=method, operation_ids=self.operation_ids)
        if self.requirements:
            operation["security"] = list(self.requirements)
        parameters = describe_parameters(self.inputs, self.schemas)
        if parameters:
            operation["parameters"] = parameters
        if method in METHODS_WITH_BODY:
            body = describe_request_body(route.body_field, self.schemas)
            if body:
                operation["requestBody"] = body
        if route.callbacks:
            operation["callbacks"] = self._callbacks(route.callbacks)
        responses = describe_responses(route, self.schemas)
        if (route.body_field or self.inputs.can_be_invalid) and add_validation_response(responses):
            self.definitions.update(VALIDATION_DEFINITIONS)
        operation["responses"] = responses
        if route.openapi_extra:
            deep_dict_update(operation, route.openapi_extra)
        return operation

    def _callbacks(self, callbacks: Any) -> dict[str, Any]:
        """Requests that this application sends. Their security schemes are the receiver's and no part of this document."""
        return {
            callback.name: {callback.path: OperationBuilder(callback, self.schemas, self.operation_ids).build().operations}
            for callback in callbacks
            if is_api_route(callback)
        }


# -- the same under FastAPI's names, which packages that write their own documents import ------------------------------------------


def generate_operation_summary(*, route: DocumentedRoute, method: str) -> str:
    """The declared summary, else the name in words."""
    return route.summary or route.name.replace("_", " ").title()


def get_openapi_operation_metadata(*, route: DocumentedRoute, method: str, operation_ids: set[str]) -> dict[str, Any]:
    """The part of an operation that says what it is: tags, summary, description, id, deprecation.

    Args:
        operation_ids: those given so far; this one is added, and a repetition is a warning.
    """
    operation: dict[str, Any] = {}
    if route.tags:
        operation["tags"] = route.tags
    operation["summary"] = generate_operation_summary(route=route, method=method)
    if route.description:
        operation["description"] = route.description
    operation_id = route.operation_id or route.unique_id
    if operation_id in operation_ids:
        _warn_duplicate(operation_id, route.endpoint)
    operation_ids.add(operation_id)
    operation["operationId"] = operation_id
    if route.deprecated:
        operation["deprecated"] = route.deprecated
    return operation


def _warn_duplicate(operation_id: str, endpoint: Any) -> None:
    message = f"Duplicate Operation ID {operation_id} for function {getattr(endpoint, '__name__', '<unnamed_endpoint>')}"
    file_name = getattr(endpoint, "__globals__", {}).get("__file__")
    if file_name:
        message += f" at {file_name}"
    warnings.warn(message, stacklevel=1)


def get_openapi_path(
    *,
    route: DocumentedRoute,
    operation_ids: set[str],
    model_name_map: ModelNameMap,
    field_mapping: Mapping[tuple[ModelField, SchemaMode], dict[str, Any]],
    separate_input_output_schemas: bool = True,
) -> DescribedPath:
    """A route's operations by method, its security schemes, and definitions besides those of the fields."""
    return OperationBuilder(route, Schemas(field_mapping, separate_input_output_schemas), operation_ids).build()


def get_openapi_operation_parameters(
    *,
    dependant: Any,
    model_name_map: ModelNameMap,
    field_mapping: Mapping[tuple[ModelField, SchemaMode], dict[str, Any]],
    separate_input_output_schemas: bool = True,
) -> list[dict[str, Any]]:
    """The parameter objects of a dependency tree."""
    return describe_parameters(Inputs(dependant), Schemas(field_mapping, separate_input_output_schemas))


def get_openapi_operation_request_body(
    *,
    body_field: ModelField | None,
    model_name_map: ModelNameMap,
    field_mapping: Mapping[tuple[ModelField, SchemaMode], dict[str, Any]],
    separate_input_output_schemas: bool = True,
) -> dict[str, Any] | None:
    """The request body object of a body field."""
    return describe_request_body(body_field, Schemas(field_mapping, separate_input_output_schemas))


def get_openapi_security_definitions(flat_dependant: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The security schemes of a dependency tree by name, and its requirements."""
    return describe_security(Inputs(flat_dependant).schemes)
