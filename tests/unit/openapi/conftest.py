"""Routes for documents: objects with the attributes that a document reads, made from a function, without any routing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import JSONResponse

from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import ModelField, create_model_field
from tercel.analyse.forms import body_field_of, flat_body_params, should_embed
from tercel.analyse.signature import dependant_of
from tercel.http.defaults import Default
from tercel.openapi.ids import generate_unique_id


@dataclass
class Route:
    """A route as the document sees it."""

    path: str
    endpoint: Callable[..., Any]
    methods: Collection[str]
    name: str
    dependant: Dependant
    body_field: ModelField | None
    response_field: ModelField | None
    response_fields: dict[int | str, ModelField]
    stream_item_field: ModelField | None = None
    operation_id: str | None = None
    tags: list[str] = field(default_factory=list)
    summary: str | None = None
    description: str | None = None
    deprecated: bool | None = None
    include_in_schema: bool = True
    response_class: Any = field(default_factory=lambda: Default(JSONResponse))
    status_code: int | None = None
    response_description: str = "Successful Response"
    is_sse_stream: bool = False
    is_json_stream: bool = False
    responses: dict[int | str, dict[str, Any]] = field(default_factory=dict)
    callbacks: list[Any] | None = None
    openapi_extra: dict[str, Any] | None = None

    @property
    def path_format(self) -> str:
        return self.path

    @property
    def unique_id(self) -> str:
        return generate_unique_id(self)


def build_route(
    endpoint: Callable[..., Any],
    path: str = "/",
    *,
    methods: Collection[str] = ("GET",),
    response_model: Any = None,
    item_type: Any = None,
    dependencies: Sequence[Any] = (),
    **options: Any,
) -> Route:
    """A route for a function.

    Args:
        response_model: type of the response.
        item_type: type of the items of a stream.
        options: attributes of the route.
    """

    def output(type_: Any) -> ModelField | None:
        return None if type_ is None else create_model_field(name="Response", type_=type_, mode="serialization")

    dependant = dependant_of(path, endpoint, dependencies)
    body_params = flat_body_params(dependant)
    models = {status: output(response.get("model")) for status, response in options.get("responses", {}).items()}
    return Route(
        path=path,
        endpoint=endpoint,
        methods=methods,
        name=options.pop("name", endpoint.__name__),
        dependant=dependant,
        body_field=body_field_of(body_params, name=endpoint.__name__, embed=should_embed(body_params)),
        response_field=output(response_model),
        response_fields={status: model for status, model in models.items() if model is not None},
        stream_item_field=output(item_type),
        **options,
    )


@pytest.fixture
def make_route() -> Callable[..., Route]:
    return build_route
