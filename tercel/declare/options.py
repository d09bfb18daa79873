"""The options of routes: each declared and documented once, with its default, and with the rule by which layers merge.

A route's options come from four layers, outermost first: application, router, `include_router`, route. `Layer` holds what one layer
says; `merge` joins two. Adding an option is one field in `RouteArguments`, one default, and, where layers may say it too, one
field in `Layer` with its rule. Knows no routes. Read `tercel.routing.route` next, which reads the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypedDict, TypeVar

from pydantic.main import IncEx
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from tercel.declare.markers import Depends
from tercel.http.defaults import Default, DefaultPlaceholder
from tercel.http.limits import FormLimits
from tercel.openapi.ids import generate_unique_id

__all__ = [
    "INCLUDE_DEFAULTS",
    "OPERATION_DEFAULTS",
    "IncludeArguments",
    "Layer",
    "OperationArguments",
    "complete",
    "merge",
    "nearest",
    "with_signature",
]

Responses = dict[int | str, dict[str, Any]]
F = TypeVar("F", bound=Callable[..., Any])


class OperationArguments(TypedDict, total=False):
    """What a path operation may say.

    Attributes:
        response_model: the type of the result for validation, filtering and documentation; by default the return annotation.
        status_code: of a successful answer; by default that of the response class.
        tags: groups in the documentation; appended to those of the layers around.
        dependencies: run before the operation's own; their values are not passed. After those of the layers around.
        summary, description, response_description: texts of the documentation; by default from the function's name and docstring.
        responses: further documented answers by status code; an inner layer replaces an outer one's entry for the same code.
        deprecated: shown as such; so does a True of any layer around.
        operation_id: of the OpenAPI document; by default made by `generate_unique_id_function`.
        response_model_include, response_model_exclude: fields of the response model to keep or to leave out.
        response_model_by_alias: dump by alias; True.
        response_model_exclude_unset, response_model_exclude_defaults, response_model_exclude_none: what to leave out of the dump.
        include_in_schema: False, here or in a layer around, leaves the operation out of the OpenAPI document.
        response_class: the class of the answer; the nearest layer that says one decides, else JSON.
        name: for `url_for`; by default the function's name.
        callbacks: routes that describe what the API calls; appended to those of the layers around.
        openapi_extra: merged deeply into the operation's object in the OpenAPI document.
        generate_unique_id_function: makes operation ids; nearest layer.
        max_body_size: bytes of a request body; nearest layer; None for no limit of its own. Beyond it: 413.
        cancel_on_disconnect: cancel it when its client goes away before the response has begun; nearest layer; off.
        form_limits: max_fields, max_files, max_part_size (bytes), merged key by key with the layers around. Beyond them: 400.
    """

    response_model: Any
    status_code: int | None
    tags: list[str | Enum] | None
    dependencies: Sequence[Depends] | None
    summary: str | None
    description: str | None
    response_description: str
    responses: Responses | None
    deprecated: bool | None
    operation_id: str | None
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    include_in_schema: bool
    response_class: type[Response]
    name: str | None
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Callable[[Any], str]
    max_body_size: int | None
    form_limits: FormLimits | None
    cancel_on_disconnect: bool | None


OPERATION_DEFAULTS: Mapping[str, Any] = {
    "response_model": Default(None),
    "status_code": None,
    "tags": None,
    "dependencies": None,
    "summary": None,
    "description": None,
    "response_description": "Successful Response",
    "responses": None,
    "deprecated": None,
    "operation_id": None,
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
    "include_in_schema": True,
    "response_class": Default(JSONResponse),
    "name": None,
    "callbacks": None,
    "openapi_extra": None,
    "generate_unique_id_function": Default(generate_unique_id),
    "max_body_size": None,
    "form_limits": None,
    "cancel_on_disconnect": None,
}


class IncludeArguments(TypedDict, total=False):
    """What `include_router` may say for everything in the router. See `OperationArguments` for the rules."""

    prefix: str
    tags: list[str | Enum] | None
    dependencies: Sequence[Depends] | None
    default_response_class: type[Response]
    responses: Responses | None
    callbacks: list[BaseRoute] | None
    deprecated: bool | None
    include_in_schema: bool
    generate_unique_id_function: Callable[[Any], str]
    max_body_size: int | None
    form_limits: FormLimits | None
    cancel_on_disconnect: bool | None


INCLUDE_DEFAULTS: Mapping[str, Any] = {
    "prefix": "",
    "tags": None,
    "dependencies": None,
    "default_response_class": Default(JSONResponse),
    "responses": None,
    "callbacks": None,
    "deprecated": None,
    "include_in_schema": True,
    "generate_unique_id_function": Default(generate_unique_id),
    "max_body_size": None,
    "form_limits": None,
    "cancel_on_disconnect": None,
}


def complete(function: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults for what was not said.

    Raises:
        TypeError: an option that does not exist, as Python would for a keyword.
    """
    for name in given:
        if name not in defaults:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    return {**defaults, **given}


def with_signature(*leading: str, defaults: Mapping[str, Any], required: str = "") -> Callable[[F], F]:
    """Shows the options as keyword parameters to `inspect.signature`, editors and documentation tools.

    Args:
        leading: parameters before the options; those in `required` (separated by spaces) have no default.
    """
    mandatory = set(required.split())

    def decorate(function: F) -> F:
        kind = inspect.Parameter
        shown = [
            kind(name, kind.POSITIONAL_OR_KEYWORD, default=kind.empty if name in mandatory or name == "self" else None)
            for name in leading
        ]
        shown += [kind(name, kind.KEYWORD_ONLY, default=value) for name, value in defaults.items()]
        function.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        return function

    return decorate


# -- layers ------------------------------------------------------------------------------------------------------------------------


def _append(outer: Sequence[Any], inner: Sequence[Any]) -> list[Any]:
    return [*outer, *inner]


def _join(outer: str, inner: str) -> str:
    return outer + inner


def _update(outer: Mapping[Any, Any], inner: Mapping[Any, Any]) -> dict[Any, Any]:
    return {**outer, **inner}


def _either(outer: bool | None, inner: bool | None) -> bool | None:
    return inner or outer


def _both(outer: bool, inner: bool) -> bool:
    return outer and inner


def nearest(outer: Any, inner: Any) -> Any:
    """The inner layer's unless it said nothing."""
    return outer if inner is None or isinstance(inner, DefaultPlaceholder) else inner


def _rule(policy: Callable[[Any, Any], Any], default: Callable[[], Any]) -> Any:
    return field(default_factory=default, metadata={"merge": policy})


@dataclass(slots=True)
class Layer:
    """What one layer says about the routes inside it; each field with the rule that joins it to the layer around."""

    prefix: str = _rule(_join, str)
    tags: list[str | Enum] = _rule(_append, list)
    dependencies: list[Depends] = _rule(_append, list)
    default_response_class: type[Response] | DefaultPlaceholder = _rule(nearest, lambda: Default(JSONResponse))
    responses: Responses = _rule(_update, dict)
    callbacks: list[BaseRoute] = _rule(_append, list)
    deprecated: bool | None = _rule(_either, lambda: None)
    include_in_schema: bool = _rule(_both, lambda: True)
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder = _rule(nearest, lambda: Default(generate_unique_id))
    strict_content_type: bool | DefaultPlaceholder = _rule(nearest, lambda: Default(True))
    max_body_size: int | None = _rule(nearest, lambda: None)
    cancel_on_disconnect: bool | None = _rule(nearest, lambda: None)
    form_limits: Any = _rule(_update, dict)


def merge(outer: Layer, inner: Layer) -> Layer:
    """Both layers as one, by the rule of each field."""
    return Layer(*[rule(getattr(outer, name), getattr(inner, name)) for name, rule in _RULES])


_RULES: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = tuple((item.name, item.metadata["merge"]) for item in fields(Layer))
