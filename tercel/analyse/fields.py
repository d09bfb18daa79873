"""What pydantic does for one value: validate, dump, describe. With `adapters`, the only module that knows pydantic's insides.

A `ModelField` joins a name with pydantic's field information and the adapter built from it; the functions around it make fields
and body models, and collect the JSON Schema of many fields at once. The module must not know routes, requests or dependencies. Read
`tercel.analyse.flat` next for how fields of a model become parameters, and `tercel.openapi.document` for who asks for schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import cached_property
from operator import attrgetter
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast, get_args, get_origin
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError, create_model
from pydantic._internal import _typing_extra
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema as PydanticGenerateJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic.main import IncEx
from pydantic_core import CoreSchema, PydanticUndefined, SchemaValidator, Url
from pydantic_core.core_schema import BytesSchema, with_info_plain_validator_function

from tercel.analyse.adapters import shared_adapter
from tercel.analyse.annotations import (
    annotation_is_pydantic_v1,
    field_annotation_is_scalar,
    lenient_issubclass,
    sequence_annotation_to_type,
    sequence_types,
    union_members,
)
from tercel.declare.markers import Body, Param
from tercel.http.errors import FastAPIError, PydanticV1NotSupportedError

__all__ = [
    "REF_PREFIX",
    "REF_TEMPLATE",
    "GenerateJsonSchema",
    "ModelField",
    "ModelNameMap",
    "PydanticSchemaGenerationError",
    "RequiredParam",
    "SchemaMap",
    "SchemaMode",
    "Undefined",
    "Url",
    "copy_field_info",
    "create_body_model",
    "create_model_field",
    "evaluate_forwardref",
    "get_cached_model_fields",
    "get_definitions",
    "get_flat_models_from_annotation",
    "get_flat_models_from_field",
    "get_flat_models_from_fields",
    "get_flat_models_from_model",
    "get_missing_field_error",
    "get_model_fields",
    "get_model_name_map",
    "get_schema_from_model_field",
    "is_any_text",
    "is_scalar_field",
    "normalize_name",
    "serialize_sequence_value",
    "with_info_plain_validator_function",
]

Undefined = PydanticUndefined
RequiredParam = PydanticUndefined

SchemaMode: TypeAlias = Literal["validation", "serialization"]
ModelOrEnum: TypeAlias = type[BaseModel] | type[Enum]
ModelSet: TypeAlias = set[ModelOrEnum]
ModelNameMap: TypeAlias = dict[ModelOrEnum, str]
ErrorList: TypeAlias = list[dict[str, Any]]

REF_PREFIX = "#/components/schemas/"
REF_TEMPLATE = REF_PREFIX + "{model}"


# -- fields ------------------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ModelField:
    """One named value and what pydantic does with it. Two fields are equal only if they are the same object.

    Args:
        field_info: type, default, constraints and description; a parameter's marker is one of these.
        name: the Python name.
        mode: which of a type's two JSON Schemas describes it: the one for what comes in, or the one for what goes out.
        config: pydantic's configuration for types that have none of their own.

    Raises:
        PydanticSchemaGenerationError: pydantic has no schema for the type. Raised here, not at first use.
    """

    field_info: FieldInfo
    name: str
    mode: SchemaMode = "validation"
    config: ConfigDict | None = None

    def __post_init__(self) -> None:
        self._type_adapter  # noqa: B018  (built now, so that a bad type is reported where it is declared)

    @cached_property
    def _type_adapter(self) -> TypeAdapter[Any]:
        return shared_adapter(self.field_info, self.config)

    def renamed(self, name: str) -> Self:
        """Another field that differs in its name alone."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, name=name)
        return other

    def twin(self) -> Self:
        """Another field that says the same of the same adapter. Its `field_info` becomes one of its own when somebody asks for it:
        programs change that of one route and mean that route, but most are never looked at."""
        other = object.__new__(type(self))
        other.__dict__.update(name=self.name, mode=self.mode, config=self.config, _type_adapter=self._type_adapter, _model=self)
        return other

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            model = self.__dict__.get("_model")
            if name != "field_info" or model is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return self.__dict__.setdefault("field_info", _independent(model.field_info))

    @property
    def info_to_read(self) -> FieldInfo:
        """`field_info` for those who do not change or keep it: it may be that of the field of which this is a twin."""
        said = self.__dict__
        info: FieldInfo = said["field_info"] if "field_info" in said else said["_model"].field_info
        return info

    @property
    def alias(self) -> str:
        """The declared alias, else the name."""
        declared = self.field_info.alias
        return self.name if declared is None else declared

    @property
    def validation_alias(self) -> str | None:
        """The name to look for in input if it is declared and a single one; None for `AliasChoices` and `AliasPath`."""
        declared = self.field_info.validation_alias
        return declared if declared and isinstance(declared, str) else None

    @property
    def serialization_alias(self) -> str | None:
        """The name to use in output if it is declared."""
        return self.field_info.serialization_alias or None

    @property
    def default(self) -> Any:
        """The same as `get_default()`."""
        return self.get_default()

    def get_default(self) -> Any:
        """A fresh default (copied, or made by the factory), or `Undefined` for a required field."""
        return Undefined if self.field_info.is_required() else self.field_info.get_default(call_default_factory=True)

    def validate(
        self,
        value: Any,
        values: Mapping[str, Any] | None = None,
        *,
        loc: tuple[int | str, ...] = (),
    ) -> tuple[Any, ErrorList]:
        """The validated value and no errors, or None and the errors.

        Args:
            values: ignored; part of the signature for those who pass it.
            loc: where the value was found, put in front of each error's `loc`.
        """
        try:
            return self._type_adapter.validate_python(value, from_attributes=True), []
        except ValidationError as exc:
            return None, [{**error, "loc": loc + error["loc"]} for error in exc.errors(include_url=False)]

    def serialize(
        self,
        value: Any,
        *,
        mode: Literal["json", "python"] = "json",
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> Any:
        """The value as plain Python objects; with `mode="json"`, only such as JSON has."""
        return self._type_adapter.dump_python(
            value,
            mode=mode,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def serialize_json(
        self,
        value: Any,
        *,
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> bytes:
        """The value as JSON text in UTF-8, in one pass and without the objects in between."""
        return self._type_adapter.dump_json(
            value,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )


class _FieldOfModel(ModelField):
    """A field of a model that pydantic has accepted already: its adapter can wait until somebody asks for a schema."""

    def __post_init__(self) -> None:
        pass


_INVALID_TYPE = (
    "Invalid args for response field! Hint: check that {type_} is a valid Pydantic field type. "
    "A return annotation becomes the response model; where it is not meant as one, as in `Response | dict | None`, "
    "say so with the path operation decorator parameter response_model=None."
)


def create_model_field(
    name: str,
    type_: Any,
    default: Any = Undefined,
    field_info: FieldInfo | None = None,
    alias: str | None = None,
    mode: SchemaMode = "validation",
) -> ModelField:
    """A field for a declared type.

    Args:
        default: used only when there is no `field_info`.
        alias: used only when there is no `field_info`.

    Raises:
        PydanticV1NotSupportedError: the type is, or contains, a model of `pydantic.v1`.
        FastAPIError: pydantic has no schema for the type.
    """
    if annotation_is_pydantic_v1(type_):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the response model {type_!r}."
        )
    if field_info is None:
        field_info = FieldInfo(annotation=type_, default=default, alias=alias)
    try:
        return ModelField(field_info=field_info, name=name, mode=mode)
    except PydanticSchemaGenerationError:
        raise FastAPIError(_INVALID_TYPE.format(type_=type_)) from None


def get_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """The fields of a model, in its order, new objects on each call."""
    fields: list[ModelField] = []
    for name, info in model.model_fields.items():
        # These have their own configuration; pydantic refuses a second one.
        configured = lenient_issubclass(info.annotation, (BaseModel, dict)) or is_dataclass(info.annotation)
        fields.append(_FieldOfModel(field_info=info, name=name, config=None if configured else model.model_config))
    return fields


_model_fields: WeakKeyDictionary[type[BaseModel], tuple[Any, list[ModelField]]] = WeakKeyDictionary()


def get_cached_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """The fields of a model, the same objects each time until the model is rebuilt.

    The schema of a parameter is looked up by its field's identity, so nothing is evicted while the model lives.
    """
    built = model.model_fields
    cached = _model_fields.get(model)
    if cached is None or cached[0] is not built:
        cached = _model_fields[model] = (built, get_model_fields(model))
    return cached[1]


def is_scalar_field(field: ModelField) -> bool:
    """True when the value is one string outside the body."""
    return field_annotation_is_scalar(field.field_info.annotation) and not isinstance(field.field_info, Body)


def copy_field_info(*, field_info: FieldInfo, annotation: Any) -> FieldInfo:
    """A copy of a marker that has learned the type, and what other `Field()`s in the same `Annotated` say.

    Args:
        field_info: the marker; its class and its own attributes are kept.
        annotation: the whole `Annotated[...]`, the marker included.
    """
    annotation_type: Any
    annotation_type, *metadata = get_args(annotation) or (annotation,)
    is_alone = len(metadata) == 1 and metadata[0] is field_info
    if is_alone and isinstance(annotation_type, (type, UnionType)) and not getattr(field_info, "_final", False):
        # Nothing to merge, and the type says nothing itself.
        merged = _independent(field_info)
        merged.annotation = cast(Any, annotation_type)
        merged._attributes_set["annotation"] = annotation_type
        return merged
    learned = type(field_info).from_annotation(annotation)
    merged = copy(field_info)
    for name, value in _attributes(learned):
        setattr(merged, name, value)
    merged._attributes_set = learned._attributes_set.copy()
    merged.metadata = learned.metadata
    merged.annotation = learned.annotation
    return merged


_SLOTS = tuple(name for name in FieldInfo.__slots__ if name not in ("metadata", "_attributes_set", "_qualifiers"))
_in_slots = attrgetter(*_SLOTS)


def _independent(info: FieldInfo) -> FieldInfo:
    """A copy that shares nothing that changes with the original, in a third of the time of `copy`."""
    made = object.__new__(type(info))
    try:
        values = _in_slots(info)
    except AttributeError:  # made by hand, in part
        made = copy(info)
    else:
        for name, value in zip(_SLOTS, values, strict=True):
            setattr(made, name, value)
        if isinstance(info, Param | Body):
            vars(made).update(vars(info))
    made.metadata = list(info.metadata)
    made._attributes_set = dict(info._attributes_set)
    made._qualifiers = set(info._qualifiers)
    return made


_ATTRIBUTES = tuple(name for name in FieldInfo.__slots__ if not name.startswith("_") and name not in ("annotation", "metadata"))


def _attributes(info: FieldInfo) -> Iterable[tuple[str, Any]]:
    for name in _ATTRIBUTES:
        if (value := getattr(info, name, Undefined)) is not Undefined:
            yield name, value


def create_body_model(*, fields: Sequence[ModelField], model_name: str, config: ConfigDict | None = None) -> type[BaseModel]:
    """The model of a body with several parameters: one field for each."""
    definitions: dict[str, Any] = {field.name: (field.field_info.annotation, field.field_info) for field in fields}
    model: type[BaseModel] = create_model(model_name, __config__=config, **definitions)
    return model


def serialize_sequence_value(*, field: ModelField, value: Any) -> Sequence[Any]:
    """The received values in the collection which the field declares; of a union, its first member that is not None."""
    annotation = field.field_info.annotation
    for member in union_members(annotation) or ():
        if member is not type(None):
            annotation = member
            break
    collection: Any = get_origin(annotation) or annotation
    assert issubclass(collection, sequence_types)
    made: Sequence[Any] = sequence_annotation_to_type[collection](value)
    return made


def is_any_text(field: ModelField) -> bool:
    """Whether the validator of a field takes every ASCII text and gives back an equal one: for `str` without constraints."""
    adapter = field._type_adapter
    if field.config is not None or type(adapter.validator) is not SchemaValidator:  # a plugin of pydantic's sees each validation
        return False
    schema: Any = adapter.core_schema
    while schema["type"] in ("default", "nullable"):
        if not schema.keys() <= {"type", "schema", "default", "metadata"}:
            return False
        schema = schema["schema"]
    return bool(schema["type"] == "str" and schema.keys() <= {"type", "metadata"})


def get_missing_field_error(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """The error of a required value that was not sent, in pydantic's form."""
    return {"type": "missing", "loc": loc, "msg": "Field required", "input": None}


def evaluate_forwardref(value: Any, globalns: dict[str, Any] | None = None, localns: dict[str, Any] | None = None) -> Any:
    """The type that a forward reference stands for, or the reference itself while a name in it is unknown."""
    return _typing_extra.try_eval_type(value, globalns, localns)[0]


# -- JSON Schema -------------------------------------------------------------------------------------------------------------------

SchemaMap: TypeAlias = dict[tuple[ModelField, SchemaMode], JsonSchemaValue]


class GenerateJsonSchema(PydanticGenerateJsonSchema):
    """pydantic's generator, with binary data described as JSON Schema 2020-12 §8 does: by its media type."""

    def bytes_schema(self, schema: BytesSchema) -> JsonSchemaValue:
        """A string of `application/octet-stream`; base64 is named where the configuration encodes so."""
        described: JsonSchemaValue = {"type": "string", "contentMediaType": "application/octet-stream"}
        config = self._config
        if (config.ser_json_bytes if self.mode == "serialization" else config.val_json_bytes) == "base64":
            described["contentEncoding"] = "base64"
        self.update_with_validations(described, schema, self.ValidationsMapping.bytes)
        return described


def get_definitions(
    *,
    fields: Sequence[ModelField],
    model_name_map: ModelNameMap,
    separate_input_output_schemas: bool = True,
) -> tuple[SchemaMap, dict[str, JsonSchemaValue]]:
    """The schema of each field, and the definitions to which they refer, by name.

    Args:
        model_name_map: ignored, names come from pydantic; part of the signature for those who pass it.
        separate_input_output_schemas: False describes output as input, except where a computed field exists only in output.
    """

    def effective(mode: SchemaMode, annotation: Any, schema: CoreSchema) -> SchemaMode:
        return mode if separate_input_output_schemas or _has_computed_fields(annotation, schema) else "validation"

    # Fields that share an adapter have the same schema: it is generated once and copied.
    sharing: dict[tuple[int, SchemaMode], list[ModelField]] = {}
    inputs: list[tuple[Any, SchemaMode, CoreSchema]] = []
    for field in fields:
        schema = field._type_adapter.core_schema
        mode = effective(field.mode, field.field_info.annotation, schema)
        group = sharing.setdefault((id(schema), mode), [])
        if not group:
            inputs.append((field, mode, schema))
        group.append(field)
    # Models inside other types are defined even where a custom schema hides the reference to them.
    direct = {field.field_info.annotation for field in fields if isinstance(field.field_info.annotation, type)}
    modes: tuple[SchemaMode, ...] = ("validation", "serialization")
    for mode in modes:
        found: dict[ModelOrEnum, None] = {}
        for field in fields:
            if field.mode == mode:
                _collect_models(field.field_info.annotation, found)
        for model in found:
            if model not in direct:
                schema = TypeAdapter(model).core_schema
                inputs.append((model, effective(mode, model, schema), schema))
    generated, definitions = GenerateJsonSchema(ref_template=REF_TEMPLATE).generate_definitions(inputs=inputs)
    mapping: SchemaMap = {}
    for (_, mode), group in sharing.items():
        described = generated[group[0], mode]
        mapping[group[0], mode] = described
        mapping.update({(field, mode): deepcopy(described) for field in group[1:]})
    for definition in definitions.values():
        if "description" in definition:
            # A form feed ends the public part of a docstring.
            definition["description"] = definition["description"].split("\f")[0]
    return mapping, {str(name): definition for name, definition in definitions.items()}


def get_schema_from_model_field(
    *,
    field: ModelField,
    model_name_map: ModelNameMap,
    field_mapping: Mapping[tuple[ModelField, SchemaMode], JsonSchemaValue],
    separate_input_output_schemas: bool = True,
    field_alias: str | None = None,
) -> dict[str, Any]:
    """The schema of one field, with a title unless it is a reference.

    Args:
        model_name_map: ignored; part of the signature for those who pass it.
        field_mapping: from `get_definitions`.
        field_alias: the name from which the title is made; the field's alias for its mode when omitted.
    """
    mode = field.mode
    if not separate_input_output_schemas and not _has_computed_fields(field.field_info.annotation, field._type_adapter.core_schema):
        mode = "validation"
    described = field_mapping[field, mode].copy()
    if "$ref" not in described:
        if field_alias is None:
            field_alias = (field.validation_alias if field.mode == "validation" else field.serialization_alias) or field.alias
        described["title"] = field.field_info.title or field_alias.title().replace("_", " ")
    return described


def _has_computed_fields(annotation: Any, schema: CoreSchema) -> bool:
    inner: Any = schema.get("schema", {})
    return bool(inner.get("computed_fields")) or _annotation_has_computed_fields(annotation, set())


def _annotation_has_computed_fields(annotation: Any, visited: set[type[BaseModel]]) -> bool:
    if not lenient_issubclass(annotation, BaseModel):
        return any(_annotation_has_computed_fields(argument, visited) for argument in get_args(annotation))
    if annotation in visited:
        return False
    visited.add(annotation)
    return bool(annotation.model_computed_fields) or any(
        _annotation_has_computed_fields(info.annotation, visited) for info in annotation.model_fields.values()
    )


# -- the models inside types -------------------------------------------------------------------------------------------------------


def _collect_models(annotation: Any, found: dict[ModelOrEnum, None]) -> None:
    """Add the models and enumerations in a type, and in the fields of these models, in the order in which they are met."""
    if isinstance(annotation, type) and annotation in found:
        return
    if lenient_issubclass(annotation, Enum):
        found[annotation] = None
    elif lenient_issubclass(annotation, BaseModel):
        found[annotation] = None
        for info in annotation.model_fields.values():
            _collect_models(info.annotation, found)
    else:
        for argument in get_args(annotation):
            _collect_models(argument, found)


def _with_models_of(annotations: Iterable[Any], known_models: ModelSet) -> ModelSet:
    found: dict[ModelOrEnum, None] = dict.fromkeys(known_models)
    for annotation in annotations:
        _collect_models(annotation, found)
    known_models.update(found)
    return known_models


def get_flat_models_from_annotation(annotation: Any, known_models: ModelSet) -> ModelSet:
    """`known_models`, to which the models in the arguments of a generic type were added."""
    return _with_models_of(get_args(annotation), known_models)


def get_flat_models_from_model(model: type[BaseModel], known_models: ModelSet | None = None) -> ModelSet:
    """`known_models`, or a new set, to which the models in the fields of a model were added."""
    known_models = set() if known_models is None else known_models
    return _with_models_of([info.annotation for info in model.model_fields.values()], known_models)


def get_flat_models_from_field(field: ModelField, known_models: ModelSet) -> ModelSet:
    """`known_models`, to which the models in a field's type were added, itself included."""
    return _with_models_of([field.field_info.annotation], known_models)


def get_flat_models_from_fields(fields: Sequence[ModelField], known_models: ModelSet) -> ModelSet:
    """The same for several fields."""
    return _with_models_of([field.field_info.annotation for field in fields], known_models)


def normalize_name(name: str) -> str:
    """A name that may stand in a reference: what is not allowed there becomes an underscore (OpenAPI 3.1 §4.8.7)."""
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", name)


def get_model_name_map(unique_models: ModelSet) -> ModelNameMap:
    """A name for each model; of several with the same name, one is kept."""
    by_name = {normalize_name(model.__name__): model for model in unique_models}
    return {model: name for name, model in by_name.items()}
