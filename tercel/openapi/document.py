"""The OpenAPI document of an application: collects every field, generates their schemas together, describes each route.

Takes routes and metadata, returns plain data. The module must not know the application or how routing works; it is called once for
each state of the routes. Read `tercel.openapi.operation` next for one route, and `tercel.openapi.pages` for who shows the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tercel.analyse.fields import ModelField, get_definitions
from tercel.analyse.flat import get_flat_params
from tercel.http.encode import jsonable_encoder
from tercel.openapi.models import OpenAPI
from tercel.openapi.operation import OperationBuilder
from tercel.openapi.routes import DocumentedRoute, documented_routes
from tercel.openapi.schemas import Schemas

__all__ = ["get_fields_from_routes", "get_openapi"]


def get_openapi(
    *,
    title: str,
    version: str,
    openapi_version: str = "3.1.0",
    summary: str | None = None,
    description: str | None = None,
    routes: Sequence[Any],
    webhooks: Sequence[Any] | None = None,
    tags: list[dict[str, Any]] | None = None,
    servers: list[dict[str, str | Any]] | None = None,
    terms_of_service: str | None = None,
    contact: dict[str, str | Any] | None = None,
    license_info: dict[str, str | Any] | None = None,
    separate_input_output_schemas: bool = True,
    external_docs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The document as plain data, ready for JSON.

    Args:
        title: of the API, not of the document.
        version: the version of the API.
        openapi_version: what the document calls itself; its content is 3.1 whatever is written here.
        summary: one line; not known to OpenAPI before 3.1.
        description: Markdown.
        routes: routes, route contexts or included routers; those that are no API routes are passed over.
        webhooks: the same, for requests which this application sends to its clients.
        tags: in the order in which pages show them.
        servers: base addresses; without any, paths are relative to the document.
        separate_input_output_schemas: False gives each model one schema, that of its input.

    Raises:
        ValueError: a key of `responses=` is no status code.
        pydantic.ValidationError: metadata or `openapi_extra` do not have the form of OpenAPI.
    """
    documented = list(documented_routes(routes))
    documented_webhooks = list(documented_routes(webhooks or ()))
    mapping, definitions = get_definitions(
        fields=_fields([*documented, *documented_webhooks]),
        model_name_map={},
        separate_input_output_schemas=separate_input_output_schemas,
    )
    builder = _Paths(Schemas(mapping, separate_input_output_schemas), definitions)
    paths = builder.describe(documented)
    webhook_paths = builder.describe(documented_webhooks)
    info = {
        "title": title,
        "version": version,
        "summary": summary,
        "description": description,
        "termsOfService": terms_of_service,
        "contact": contact,
        "license": license_info,
    }
    document = {
        "openapi": openapi_version,
        "info": {key: value for key, value in info.items() if value or key in ("title", "version")},
        "servers": servers or None,
        "components": builder.components(),
        "paths": paths,
        "webhooks": webhook_paths or None,
        "tags": tags or None,
        "externalDocs": external_docs or None,
    }
    # The models check what users wrote, and give every object OpenAPI's order of members.
    encoded: dict[str, Any] = jsonable_encoder(OpenAPI.model_validate(document), by_alias=True, exclude_none=True)
    return encoded


class _Paths:
    """Path items, and the components which they turn out to need."""

    def __init__(self, schemas: Schemas, definitions: dict[str, Any]) -> None:
        self.schemas = schemas
        self.definitions = definitions
        self.security_schemes: dict[str, Any] = {}
        self.operation_ids: set[str] = set()

    def describe(self, routes: Iterable[DocumentedRoute]) -> dict[str, dict[str, Any]]:
        paths: dict[str, dict[str, Any]] = {}
        for route in routes:
            described = OperationBuilder(route, self.schemas, self.operation_ids).build()
            if described.operations:
                paths.setdefault(route.path_format, {}).update(described.operations)
            self.security_schemes.update(described.security_schemes)
            self.definitions.update(described.definitions)
        return paths

    def components(self) -> dict[str, Any] | None:
        components: dict[str, Any] = {}
        if self.security_schemes:
            components["securitySchemes"] = self.security_schemes
        if self.definitions:
            components["schemas"] = dict(sorted(self.definitions.items()))
        return components or None


def get_fields_from_routes(routes: Sequence[Any]) -> list[ModelField]:
    """Every field whose schema the document of these routes needs: of callbacks, bodies, responses and parameters.

    Args:
        routes: routes, route contexts or included routers.
    """
    return _fields(documented_routes(routes))


def _fields(routes: Iterable[DocumentedRoute]) -> list[ModelField]:
    callbacks: list[ModelField] = []
    bodies: list[ModelField] = []
    responses: list[ModelField] = []
    params: list[ModelField] = []
    for route in routes:
        if not route.include_in_schema:
            continue
        if route.body_field:
            bodies.append(route.body_field)
        if route.response_field:
            responses.append(route.response_field)
        responses.extend(route.response_fields.values())
        if route.stream_item_field:
            responses.append(route.stream_item_field)
        if route.callbacks:
            callbacks.extend(get_fields_from_routes(route.callbacks))
        params.extend(get_flat_params(route.dependant))
    return [*callbacks, *bodies, *responses, *params]
