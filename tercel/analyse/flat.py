"""Dependency trees and parameter models laid flat: which single parameters a callable reads, and under which names.

A model declared with `Query()`, `Header()` or `Cookie()` stands for its fields; a dependency contributes its parameters once
however often it occurs. The module must not know requests or documents. Read `tercel.analyse.take` next for extraction, and
`tercel.openapi.inputs` for the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from pydantic import AliasChoices, AliasPath, BaseModel, Json

from tercel.analyse.annotations import lenient_issubclass, union_members
from tercel.analyse.dependant import CacheKey, Dependant, cache_key, oauth_scopes
from tercel.analyse.fields import ModelField, get_cached_model_fields
from tercel.declare.markers import Cookie, Header, Path, Query

__all__ = [
    "flat_fields",
    "get_flat_params",
    "get_validation_alias",
    "param_aliases",
    "param_model",
    "walk",
]


def walk(dependant: Dependant) -> Iterator[tuple[Dependant, list[str]]]:
    """A callable, then what it depends on, depth first in declaration order, with the OAuth2 scopes in force there.

    Dependencies that share one value within a request come once, at their first place.
    """
    # A list: the key holds the callable, which need not be hashable.
    visited: list[CacheKey] = []
    known: dict[int, bool] = {}
    waiting: list[tuple[Dependant, list[str]]] = [(dependant, [])]
    while waiting:
        current, scopes_above = waiting.pop()
        key = cache_key(current, known)
        if key in visited:
            continue
        visited.append(key)
        scopes = list(dict.fromkeys([*scopes_above, *oauth_scopes(current)]))
        yield current, scopes
        waiting.extend((sub, scopes) for sub in reversed(current.dependencies))


def get_flat_params(dependant: Dependant) -> list[ModelField]:
    """All parameters of a callable outside the body: of the path, the query, headers, cookies, in this order."""
    tree = [current for current, _ in walk(dependant)]
    return flat_fields(
        field
        for group in ("path_params", "query_params", "header_params", "cookie_params")
        for current in tree
        for field in getattr(current, group)
    )


def flat_fields(fields: Iterable[ModelField]) -> list[ModelField]:
    """The fields with each parameter model replaced by its own fields."""
    flat: list[ModelField] = []
    for field in fields:
        model = param_model(field)
        flat.extend([field] if model is None else get_cached_model_fields(model))
    return flat


def param_model(field: ModelField) -> type[BaseModel] | None:
    """The model whose fields are the parameters, or None for a parameter that is one value. `Model | None` counts as the model."""
    annotation: Any = field.field_info.annotation
    if isinstance(field.field_info, (Query, Header, Cookie)):
        members = union_members(annotation)
        if members is not None and len(members) == 2 and type(None) in members:
            annotation = members[0] if members[1] is type(None) else members[1]
    if not lenient_issubclass(annotation, BaseModel):
        return None
    # `Json[Model]` is one parameter that holds text.
    return None if any(type(item) is Json for item in field.field_info.metadata) else annotation


def get_validation_alias(field: ModelField) -> str:
    """The name under which validation knows the value, as far as it is a single one."""
    return field.validation_alias or field.alias


def param_aliases(field: ModelField, *, convert_underscores: bool = False) -> list[tuple[str, str]]:
    """The names a parameter may have, in the order in which they are tried: for validation, and in the request.

    Args:
        convert_underscores: a header without declared alias is sent with hyphens.
    """

    def sent(name: str) -> str:
        return name.replace("_", "-") if convert_underscores else name

    alias = get_validation_alias(field)
    names = [(alias, sent(alias) if alias == field.name else alias)]
    declared = field.field_info.validation_alias
    if isinstance(field.field_info, Path) or isinstance(declared, AliasPath):
        return names
    if isinstance(declared, AliasChoices):
        if any(isinstance(choice, AliasPath) for choice in declared.choices):
            return names
        names = [(choice, choice) for choice in cast("list[str]", declared.choices)]
    config = field.config or {}
    by_name = (field.name, sent(field.name))
    if config.get("validate_by_alias") is False:
        return [by_name]
    if config.get("validate_by_name", config.get("populate_by_name", False)) and all(field.name != name for name, _ in names):
        names.append(by_name)
    return names
