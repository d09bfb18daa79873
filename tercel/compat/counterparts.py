"""Counterparts of FastAPI's semi-private functions that Tercel has in another form: the same call, a few lines over Tercel's own.

For packages and tests that call them. Nothing here is used by Tercel itself, and nothing here decides anything; the facades in
`tercel.compat.fastapi` re-export these under FastAPI's names.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tercel.analyse.annotations import lenient_issubclass
from tercel.analyse.dependant import STYLE_CACHE_ENTRIES, CacheKey, CallIdentity, Dependant, cache_key, style_of, uses_scopes
from tercel.analyse.fields import ModelField, ModelNameMap, SchemaMode
from tercel.analyse.forms import body_field_of, form_models
from tercel.analyse.signature import INJECTED, add_field
from tercel.analyse.take import BodyTaker, take_params
from tercel.http.defaults import DefaultPlaceholder
from tercel.openapi.inputs import Inputs, describe_parameters
from tercel.openapi.schemas import Schemas
from tercel.routing.include import EffectiveRoute
from tercel.routing.walking import iter_route_contexts

WithArgsTypes: tuple[Any, ...] = (typing._GenericAlias, types.GenericAlias, types.UnionType)  # type: ignore[attr-defined]
"""The classes of annotations with arguments."""

MISSING: Any = object()
"""Stands for a key that was not there."""


# -- dependencies ------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=STYLE_CACHE_ENTRIES)
def is_gen_callable_cached(call_identity: CallIdentity) -> bool:
    """`is_gen_callable` of a callable that is known by identity, so that it need not be hashable."""
    return style_of(call_identity.call) == "enter"


@lru_cache(maxsize=STYLE_CACHE_ENTRIES)
def is_async_gen_callable_cached(call_identity: CallIdentity) -> bool:
    """The same for `is_async_gen_callable`."""
    return style_of(call_identity.call) == "aenter"


@lru_cache(maxsize=STYLE_CACHE_ENTRIES)
def is_coroutine_callable_cached(call_identity: CallIdentity) -> bool:
    """The same for `is_coroutine_callable`."""
    return style_of(call_identity.call) == "await"


def is_gen_callable(call: Callable[..., Any] | None) -> bool:
    """Whether a dependency is a generator function, seen through partials, wrappers and `__call__`."""
    return call is not None and is_gen_callable_cached(CallIdentity(call))


def is_async_gen_callable(call: Callable[..., Any] | None) -> bool:
    """The same for asynchronous generator functions."""
    return call is not None and is_async_gen_callable_cached(CallIdentity(call))


def is_coroutine_callable(call: Callable[..., Any] | None) -> bool:
    """The same for coroutine functions."""
    return call is not None and is_coroutine_callable_cached(CallIdentity(call))


def get_cache_key(*, dependant: Dependant, uses_scopes_cache: dict[int, bool] | None = None) -> CacheKey:
    """What two dependencies have in common that share one value within a request."""
    return cache_key(dependant, uses_scopes_cache)


def get_uses_scopes(*, dependant: Dependant, cache: dict[int, bool] | None = None) -> bool:
    """Whether the value of a dependency may depend on the OAuth2 scopes around it."""
    return uses_scopes(dependant, cache)


def add_param_to_fields(*, field: ModelField, dependant: Dependant) -> None:
    """Adds a field to the parameters of a callable, where its marker says."""
    add_field(dependant, field)


def add_non_field_param_to_dependency(*, param_name: str, type_annotation: Any, dependant: Dependant) -> bool | None:
    """True, and the parameter noted, when its type is one that the framework injects; None for any other."""
    attribute = next((attr for cls, attr in INJECTED if lenient_issubclass(type_annotation, cls)), None)
    if attribute is None:
        return None
    setattr(dependant, attribute, param_name)
    return True


def get_body_field(*, body_params: list[ModelField], name: str, embed_body_fields: bool) -> ModelField | None:
    """The field that stands for the whole body; None without body parameters."""
    return body_field_of(body_params, name=name, embed=embed_body_fields)


def get_form_model(field: ModelField) -> type[BaseModel] | None:
    """The one model whose fields are spread over a form; None where there is none, or a union."""
    models = form_models(field)
    return models[0] if len(models) == 1 else None


def request_params_to_args(
    fields: Sequence[ModelField], received_params: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The values of path, query, header or cookie parameters by name, and the errors of those that have none."""
    return take_params(fields, received_params)


async def request_body_to_args(
    body_fields: list[ModelField], received_body: Any, embed_body_fields: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The values of body parameters by name, and the errors of those that have none.

    Args:
        received_body: parsed JSON, bytes of another content type, a form, or None.
        embed_body_fields: the body is an object keyed by parameter.
    """
    return await BodyTaker(body_fields, embed_body_fields).values(received_body)


def get_openapi_operation_parameters(
    *,
    dependency_data: Inputs,
    model_name_map: ModelNameMap,
    field_mapping: Mapping[tuple[ModelField, SchemaMode], dict[str, Any]],
    separate_input_output_schemas: bool = True,
) -> list[dict[str, Any]]:
    """The parameter objects of a dependency tree, from what `_get_openapi_dependency_data` collected of it."""
    return describe_parameters(dependency_data, Schemas(field_mapping, separate_input_output_schemas))


# -- options -----------------------------------------------------------------------------------------------------------------------


def get_value_or_default(first_item: Any, *extra_items: Any) -> Any:
    """The first of several values that somebody chose; the first default when nobody did."""
    items = (first_item, *extra_items)
    return next((item for item in items if not isinstance(item, DefaultPlaceholder)), first_item)


def asdict(field_info: FieldInfo) -> dict[str, Any]:
    """Type, metadata and declared attributes of a field."""
    names = [name for name in FieldInfo.__slots__ if not name.startswith("_") and name not in ("annotation", "metadata")]
    attributes = {name: getattr(field_info, name) for name in names if hasattr(field_info, name)}
    return {"annotation": field_info.annotation, "metadata": field_info.metadata, "attributes": attributes}


# -- routing -----------------------------------------------------------------------------------------------------------------------


def iter_routes_with_context(routes: Sequence[BaseRoute]) -> Iterator[tuple[BaseRoute, EffectiveRoute | None]]:
    """Every route of a tree as it was declared, with its effective form where it is in an included router."""
    for context in iter_route_contexts(routes):
        yield context.route, context._route_context


def iter_included_route_candidates(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Every route of a tree: path operations as they were declared, other kinds as they are effective."""
    for route, effective in iter_routes_with_context(routes):
        yield route if effective is None or effective.starlette_route is None else effective.starlette_route


def restore_fastapi_scope_key(scope: MutableMapping[str, Any], key: str, previous: Any) -> None:
    """Puts back what an entry of `scope["fastapi"]` was, or takes it away when `previous` is `MISSING`."""
    part = scope.get("fastapi")
    if isinstance(part, dict):
        if previous is MISSING:
            part.pop(key, None)
        else:
            part[key] = previous


class AsyncExitStackMiddleware:
    """Keeps an exit stack in the scope that is left when the application inside is done.

    Args:
        context_name: the key of the scope.
    """

    def __init__(self, app: ASGIApp, context_name: str = "fastapi_middleware_astack") -> None:
        self.app = app
        self.context_name = context_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            scope[self.context_name] = stack
            await self.app(scope, receive, send)
