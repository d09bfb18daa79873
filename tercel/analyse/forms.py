"""Body parameters as a whole: form models and unions of them, whether fields are embedded, and the field that describes the body.

Declaration-time only; what is done with a received body is in `tercel.analyse.take`.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, GetPydanticSchema, Json, Tag
from pydantic_core import CoreSchema
from starlette.datastructures import FormData

from tercel.analyse.annotations import lenient_issubclass
from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import ModelField, create_body_model, create_model_field, get_cached_model_fields
from tercel.analyse.flat import get_validation_alias, param_aliases
from tercel.declare import markers
from tercel.http.log import logger

__all__ = [
    "add_form_union_validators",
    "body_field_of",
    "ensure_multipart_is_installed",
    "flat_body_params",
    "form_models",
    "form_union_models",
    "is_json_field",
    "model_type",
    "multipart_incorrect_install_error",
    "multipart_not_installed_error",
    "normalise_for_model",
    "should_embed",
]

multipart_not_installed_error = (
    'Form data requires "python-multipart" to be installed. \n'
    'You can install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)
multipart_incorrect_install_error = (
    'Form data requires "python-multipart" to be installed. It seems you installed "multipart" instead. \n'
    'You can remove "multipart" with: \n\n'
    "pip uninstall multipart\n\n"
    'And then install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)


def ensure_multipart_is_installed() -> None:
    """Raises RuntimeError, after logging it, when forms cannot be parsed; says which of two like-named packages is missing."""
    try:
        from python_multipart import __version__

        if tuple(int(part) for part in __version__.split(".")[:3]) > (0, 0, 12):
            return
    except (ImportError, ValueError):
        pass
    try:
        from multipart import __version__ as _  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError:
        message = multipart_not_installed_error
    else:
        try:
            from multipart.multipart import parse_options_header as _parse  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
        except ImportError:
            message = multipart_incorrect_install_error
        else:
            return
    logger.error(message)
    raise RuntimeError(message)


# -- what kind of field ---------------------------------------------------------------------------------------------------------


def model_type(annotation: Any) -> type[BaseModel] | None:
    """The model of `Model` or `Model | None`; None for every other annotation."""
    if _is_union(annotation):
        members = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(members) == 1 and len(get_args(annotation)) == 2:
            annotation = members[0]
    return annotation if lenient_issubclass(annotation, BaseModel) else None


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def is_json_field(field: ModelField) -> bool:
    """`Json[...]`: the raw string is the value, whatever the type inside."""
    return any(type(item) is Json for item in field.field_info.metadata)


def form_union_models(annotation: Any) -> list[type[BaseModel]]:
    """The models of a union of two or more models; empty when any member is something else."""
    if not _is_union(annotation):
        return []
    models = []
    for member in get_args(annotation):
        if member is type(None):
            continue
        model = get_args(member)[0] if get_origin(member) is Annotated else member
        if not lenient_issubclass(model, BaseModel):
            return []
        models.append(model)
    return models if len(models) > 1 else []


def form_models(field: ModelField) -> list[type[BaseModel]]:
    """The models whose fields are spread over the form's fields; empty for a field of its own."""
    info = field.field_info
    if not isinstance(info, markers.Form) or info.embed or is_json_field(field):
        return []
    model = model_type(info.annotation)
    return [model] if model is not None else form_union_models(info.annotation)


def normalise_for_model(value: Any, *, model: type[BaseModel]) -> Any:
    """The items of a form as one branch of a union wants them: its lists as lists, its scalars as the last value."""
    from tercel.analyse.take import form_items  # at call time: `take` reads the predicates above

    if not isinstance(value, dict):
        return value
    pairs = [(key, item) for key, items in value.items() for item in (items if isinstance(items, list) else [items])]
    result = {alias: item for alias, item, _ in form_items(get_cached_model_fields(model), FormData(pairs))}
    result.update({key: item for key, item in value.items() if item is None or item == []})
    return result


def add_form_union_validators(annotation: Any) -> Any:
    """The union with each branch normalised for itself before validation, and tagged by model name in errors."""
    branches: list[Any] = []
    for branch in get_args(annotation):
        if branch is type(None):
            branches.append(branch)
            continue
        model: Any = branch
        metadata: list[Any] = []
        if get_origin(branch) is Annotated:
            model, *metadata = get_args(branch)
        tag = next((item for item in reversed(metadata) if isinstance(item, Tag)), Tag(model.__name__))
        branches.append(Annotated[branch, BeforeValidator(partial(normalise_for_model, model=model)), tag])
    return Union[tuple(branches)]  # noqa: UP007 - built at run time


# -- the body as a whole ----------------------------------------------------------------------------------------------------------


def flat_body_params(dependant: Dependant) -> list[ModelField]:
    """The body fields of a tree, a callable's own before those of its dependencies."""
    fields = list(dependant.body_params)
    for sub in dependant.dependencies:
        fields.extend(flat_body_params(sub))
    return fields


def should_embed(fields: Sequence[ModelField]) -> bool:
    """Whether the body is an object keyed by parameter rather than the one parameter itself."""
    if not fields:
        return False
    if len({field.name for field in fields}) > 1:
        return True
    first = fields[0]
    info = first.field_info
    models = form_models(first)
    if models and any(not form_models(other) or other.field_info.annotation is not info.annotation for other in fields[1:]):
        return True
    if getattr(info, "embed", None):
        return True
    return isinstance(info, markers.Form) and not lenient_issubclass(info.annotation, BaseModel) and not models


def _is_nullable(field: ModelField) -> bool:
    return type(None) in get_args(field.field_info.annotation)


def body_field_of(fields: Sequence[ModelField], *, name: str, embed: bool) -> ModelField | None:
    """The field that stands for the whole body in the OpenAPI document and decides how it is read; None without a body."""
    if not fields:
        return None
    first = fields[0]
    if not embed and not any(form_models(field) and _is_nullable(field) for field in fields):
        return first
    has_form_models = any(form_models(field) for field in fields)
    model = create_body_model(
        fields=_numbered(fields) if has_form_models else fields,
        model_name="Body_" + name,
        config=ConfigDict(json_schema_extra=partial(_describe_form_body, list(fields))) if has_form_models else None,
    )
    if not embed:
        info = copy(first.field_info)
        info.annotation = model
        info.metadata = []
        info.discriminator = None
        return ModelField(name=first.name, field_info=info)
    return _embedded_field(fields, model)


def _embedded_field(fields: Sequence[ModelField], model: type[BaseModel]) -> ModelField:
    infos = [field.field_info for field in fields]
    options: dict[str, Any] = {"annotation": model, "alias": "body"}
    if not any(info.is_required() for info in infos):
        options["default"] = None
    marker: type[markers.Body] = markers.Body
    for candidate in (markers.File, markers.Form):
        if any(isinstance(info, candidate) for info in infos):
            marker = candidate
            break
    if marker is not markers.File:  # a file decides for multipart, whatever the others say
        media_types = [cast(Any, info).media_type for info in infos if isinstance(info, marker)]
        if marker is markers.Form and "multipart/form-data" in media_types:
            options["media_type"] = "multipart/form-data"
        elif len(set(media_types)) == 1:
            options["media_type"] = media_types[0]
    return create_model_field(name="body", type_=model, alias="body", field_info=marker(**options))


# -- the JSON Schema of forms whose fields come from models ------------------------------------------------------------------------


def _numbered(fields: Sequence[ModelField]) -> list[ModelField]:
    """Copies under names of their own, since several parameters may share theirs once models are spread."""
    result = []
    for index, field in enumerate(fields):
        info = copy(field.field_info)
        models = form_models(field)
        if len(models) == 1:
            spread: Any = Annotated[models[0], GetPydanticSchema(get_pydantic_json_schema=partial(_model_schema, models[0]))]
            info.annotation = spread if info.annotation is models[0] else cast(Any, spread | None)
        info.alias = info.validation_alias = info.serialization_alias = f"field_{index}"
        info.title = info.title or field.name.replace("_", " ").title()
        result.append(ModelField(name=f"field_{index}", field_info=info))
    return result


def _model_schema(model: type[BaseModel], core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """A model's schema with its properties under the names that the form may use for them."""
    schema = handler(core_schema)
    resolved = handler.resolve_ref_schema(schema)
    properties, required = resolved.get("properties", {}), resolved.get("required", [])
    names: dict[str, list[str]] = {}
    for field in get_cached_model_fields(model):
        alias = field.field_info.validation_alias
        key = alias.choices[0] if isinstance(alias, AliasChoices) else get_validation_alias(field)
        accepted = [name for name, _ in param_aliases(field)]
        if isinstance(key, str) and key in properties and (accepted[0] != key or (len(accepted) > 1 and key in required)):
            names[key] = accepted
    if not names:
        return schema
    resolved = deepcopy(resolved)
    resolved["properties"] = {names.get(key, [key])[0]: value for key, value in resolved["properties"].items()}
    resolved["required"] = []
    for key in required:
        accepted = names.get(key, [key])
        if len(accepted) == 1:
            resolved["required"].append(accepted[0])
        else:
            resolved.setdefault("allOf", []).append({"anyOf": [{"required": [name]} for name in accepted]})
    return resolved


def _absent(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """The schema of a form that sends nothing for the models."""
    if any(model.model_config.get("extra") in ("allow", "forbid") for model in models):
        return {"maxProperties": 0}
    names = sorted({name for model in models for field in get_cached_model_fields(model) for name, _ in param_aliases(field)})
    return {"not": {"anyOf": [{"required": [name]} for name in names]}} if names else {}


def _describe_form_body(fields: Sequence[ModelField], schema: dict[str, Any]) -> None:
    """Rewrites the schema of the numbered fields into one of the form as it is sent."""
    numbered = schema.pop("properties")
    schema.pop("required", None)
    properties: dict[str, Any] = {}
    required: list[str] = []
    conditions: list[dict[str, Any]] = []
    for index, field in enumerate(fields):
        part = numbered[f"field_{index}"]
        models = form_models(field)
        if not models:
            name = param_aliases(field)[0][0]
            if name in properties:
                conditions.append({"properties": {name: part}})
            else:
                properties[name] = part
            if field.field_info.is_required() and name not in required:
                required.append(name)
            continue
        part.pop("default", None)
        if _is_nullable(field):
            part["anyOf"] = [choice for choice in part["anyOf"] if choice.get("type") != "null"]
            absent = _absent(models)
            if field.field_info.is_required():
                conditions.append({"not": absent})
            else:
                part = {"anyOf": [absent, part]}
        conditions.append(part)
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = required
    schema["allOf"] = conditions
