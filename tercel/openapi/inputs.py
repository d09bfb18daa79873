"""What a request to a route consists of: parameters, security requirements, body, each as OpenAPI describes it.

Reads dependency trees and fields. The module must not know responses or other routes. Read `tercel.openapi.operation` next, which
puts these parts into an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from tercel.analyse.dependant import Dependant, is_security_scheme, security_scheme
from tercel.analyse.fields import ModelField
from tercel.analyse.flat import flat_fields, param_aliases, param_model, walk
from tercel.http.defaults import Unset
from tercel.http.encode import jsonable_encoder
from tercel.openapi.schemas import Schemas

__all__ = ["Inputs", "add_examples", "describe_parameters", "describe_request_body", "describe_security"]

_PLACES = ("path", "query", "header", "cookie")


class Inputs:
    """Everything that a route takes from a request besides its body, dependencies included.

    Attributes:
        params: the declared parameters by place: path, query, header, cookie.
        schemes: the dependencies that are security schemes, each with the OAuth2 scopes required of it.
    """

    __slots__ = ("params", "schemes")

    def __init__(self, dependant: Dependant) -> None:
        self.params: dict[str, list[ModelField]] = {place: [] for place in _PLACES}
        self.schemes: list[tuple[Dependant, list[str]]] = []
        for current, scopes in walk(dependant):
            for place, fields in self.params.items():
                fields.extend(getattr(current, f"{place}_params"))
            if current is not dependant and is_security_scheme(current):
                self.schemes.append((current, scopes))

    @property
    def can_be_invalid(self) -> bool:
        """True when there is a parameter, shown in the document or not, whose value may fail validation."""
        return any(flat_fields(fields) for fields in self.params.values())


# -- parameters --------------------------------------------------------------------------------------------------------------------


def describe_parameters(inputs: Inputs, schemas: Schemas) -> list[dict[str, Any]]:
    """One object for each parameter shown. Of several declarations of the same one, a required one wins, else the last."""
    described: dict[tuple[str, str], dict[str, Any]] = {}
    required: dict[tuple[str, str], dict[str, Any]] = {}
    for parameter in _parameters(inputs, schemas):
        key = (parameter["in"], parameter["name"])
        described[key] = parameter
        if parameter["required"]:
            required[key] = parameter
    described.update(required)
    return list(described.values())


def _parameters(inputs: Inputs, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for place, fields in inputs.params.items():
        for declared in fields:
            info = declared.field_info
            if not getattr(info, "include_in_schema", True):
                continue
            model = param_model(declared)
            # `Model | None = None`: the whole group may be left out, so no field of it is required.
            may_be_absent = model is not None and info.annotation is not model and not info.is_required()
            converts = getattr(info, "convert_underscores", True)
            for field in flat_fields([declared]):
                hyphens = place == "header" and getattr(field.field_info, "convert_underscores", converts)
                alias, name = param_aliases(field, convert_underscores=hyphens)[0]
                yield _parameter(
                    field.field_info,
                    name=name,
                    place=place,
                    required=field.field_info.is_required() and not may_be_absent,
                    schema=schemas.of(field, alias),
                )


def _parameter(info: FieldInfo, *, name: str, place: str, required: bool, schema: dict[str, Any]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    if info.description:
        parameter["description"] = info.description
    add_examples(parameter, info)
    if info.deprecated:
        parameter["deprecated"] = True
    return parameter


def add_examples(target: dict[str, Any], info: FieldInfo) -> None:
    """Put a marker's `openapi_examples`, or else its deprecated `example`, into a parameter or media type object."""
    examples = getattr(info, "openapi_examples", None)
    example = getattr(info, "example", Unset)
    if examples:
        target["examples"] = jsonable_encoder(examples)
    elif example is not Unset:
        target["example"] = jsonable_encoder(example)


# -- security ----------------------------------------------------------------------------------------------------------------------


def describe_security(schemes: Iterable[tuple[Dependant, Sequence[str]]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The security schemes by name, and the requirements: each scheme once, with the scopes of all its uses."""
    definitions: dict[str, Any] = {}
    scopes_by_name: dict[str, dict[str, None]] = {}
    for dependant, scopes in schemes:
        scheme = security_scheme(dependant)
        definitions[scheme.scheme_name] = jsonable_encoder(scheme.model, by_alias=True, exclude_none=True)
        scopes_by_name.setdefault(scheme.scheme_name, {}).update(dict.fromkeys(scopes))
    return definitions, [{name: list(scopes)} for name, scopes in scopes_by_name.items()]


# -- body --------------------------------------------------------------------------------------------------------------------------


def describe_request_body(body_field: ModelField | None, schemas: Schemas) -> dict[str, Any] | None:
    """The request body object for a route's body field, or None without one."""
    if body_field is None:
        return None
    info: Any = body_field.field_info
    content: dict[str, Any] = {"schema": schemas.of(body_field)}
    add_examples(content, info)
    body: dict[str, Any] = {"required": True} if info.is_required() else {}
    body["content"] = {info.media_type: content}
    return body
