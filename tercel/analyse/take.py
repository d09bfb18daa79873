"""Takers: objects made at analysis that extract one parameter from a request and validate it.

Two ways lead to the same result. `take` works on Starlette's multi-dicts and handles every kind of field; `quick` is a closure
for the common scalar on the lightest source there is (see `tercel.compile.support`), and hands anything unusual to `take`'s
rules. Both append FastAPI's errors to a list and return FAILED. No event loop here beyond awaiting an upload's own methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast, get_args

from pydantic import BaseModel, PydanticUserError, ValidationError
from starlette.datastructures import FormData, Headers, ImmutableMultiDict, UploadFile

from tercel.analyse.annotations import (
    field_annotation_is_sequence,
    is_bytes_or_nonable_bytes_annotation,
    is_bytes_sequence_annotation,
    sequence_types,
    value_is_sequence,
)
from tercel.analyse.fields import (
    ModelField,
    Undefined,
    get_cached_model_fields,
    get_missing_field_error,
    is_any_text,
    serialize_sequence_value,
)
from tercel.analyse.flat import param_aliases, param_model
from tercel.analyse.forms import form_models, is_json_field, should_embed
from tercel.declare import markers
from tercel.plan import FAILED

__all__ = ["BodyTaker", "ParamTaker", "file_bytes", "form_items", "is_supplied", "multi_value", "take_params"]

Errors = list[Any]
Quick = Callable[[Any, Errors], Any]
_IMMUTABLE = (str, int, float, bool, bytes, type(None))


# -- values out of multi-dicts ----------------------------------------------------------------------------------------------------


def _is_empty_file(value: Any) -> bool:
    return isinstance(value, UploadFile) and value.filename == "" and value.size == 0


def multi_value(field: ModelField, values: Mapping[str, Any], alias: str) -> Any:
    """What was sent under a name: all values for a sequence field, one for others; Undefined when nothing usable was.

    In a form an empty string and an empty file input count as nothing (HTML cannot express absence otherwise).
    """
    is_form = isinstance(values, FormData)
    is_sequence = field_annotation_is_sequence(field.field_info.annotation)
    if is_sequence and not is_json_field(field) and isinstance(values, ImmutableMultiDict | Headers):
        found: Any = values.getlist(alias)
        if is_form:
            found = [item for item in found if not _is_empty_file(item)]
    else:
        found = values.get(alias)
    if found is None or (is_sequence and len(found) == 0):
        return Undefined
    if is_form and (found == "" if isinstance(found, str) else _is_empty_file(found)):
        return Undefined
    return found


def _extras(values: Mapping[str, Any], processed: set[str]) -> Iterator[tuple[str, Any]]:
    """What was sent under other names, for models that allow or forbid extra fields; linear in the size of the input."""
    if isinstance(values, ImmutableMultiDict):
        items: Any = values.multi_items()
    elif isinstance(values, Headers):
        items = values.items()
    else:
        for key in values:
            if key not in processed:
                yield key, values.get(key)
        return
    grouped: dict[str, list[Any]] = {}
    for key, value in items:
        if key not in processed:
            grouped.setdefault(key, []).append(value)
    for key, group in grouped.items():
        yield key, group[0] if len(group) == 1 else group


def validate_or_default(field: ModelField, value: Any, loc: tuple[Any, ...]) -> tuple[Any, Errors]:
    """A value as the field wants it; an absent one becomes the default, or `missing`."""
    if value is Undefined:
        if field.field_info.is_required():
            return None, [get_missing_field_error(loc=loc)]
        value = deepcopy(field.default)
        if not field.field_info.validate_default:
            return value, []
    return field.validate(value, loc=loc)


# -- path, query, header, cookie --------------------------------------------------------------------------------------------------


class ParamTaker:
    """Takes one path, query, header or cookie parameter, or a model spread over several of them.

    Attributes:
        field: what it is.
        label: how `tercel plan` shows it.
        quick: a closure `(text, errors) -> value` for a scalar with one name, given what was sent or None; or None.
        key: the name under which that text is to be looked for: lower-case bytes for headers, a string otherwise.
    """

    def __init__(self, field: ModelField) -> None:
        info = field.field_info
        assert isinstance(info, markers.Param)
        self.field = field
        self.place: str = info.in_.value
        self.model = param_model(field)
        self.label = f"{field.alias}: {getattr(info.annotation, '__name__', info.annotation)}"
        self.quick: Quick | None = None
        self.key: Any = None
        aliases = param_aliases(field)
        if self.model is None and len(aliases) == 1 and (is_json_field(field) or not field_annotation_is_sequence(info.annotation)):
            alias = aliases[0][1]
            self.key = alias.lower().encode("latin-1", "replace") if self.place == "header" else alias
            self.quick = _quick(field, (self.place, alias))

    def take(self, source: Mapping[str, Any], errors: Errors) -> Any:
        if self.model is not None:
            value, found = _take_model(self.field, self.model, source)
        else:
            aliases = param_aliases(self.field)
            _, alias = next((pair for pair in aliases if pair[1] in source), aliases[0])
            value, found = validate_or_default(self.field, multi_value(self.field, source, alias), (self.place, alias))
        if found:
            errors.extend(found)
            return FAILED
        return value


def _quick(field: ModelField, loc: tuple[Any, ...]) -> Quick | None:
    """A closure for one scalar: validate, and only on failure the work that errors need.

    None for a type with names that do not exist (yet): such a parameter fails only once a value is sent.
    """
    info = field.field_info
    try:
        validate = field._type_adapter.validator.validate_python
    except PydanticUserError:
        return None
    simple_default = not info.is_required() and info.default_factory is None and not info.validate_default
    default = info.default if simple_default and isinstance(info.default, _IMMUTABLE) else Undefined

    def take(value: Any, errors: Errors) -> Any:
        if value is None:
            if default is not Undefined:
                return default
            value = Undefined
        else:
            try:
                return validate(value, from_attributes=True)
            except ValidationError:
                pass
        value, found = validate_or_default(field, value, loc)
        if found:
            errors.extend(found)
            return FAILED
        return value

    if not is_any_text(field):
        return take

    def take_text(value: Any, errors: Errors) -> Any:
        # The validator would give it back: it refuses nothing but lone surrogates.
        return value if type(value) is str and value.isascii() else take(value, errors)

    return take_text


def _take_model(field: ModelField, model: type[BaseModel], source: Mapping[str, Any]) -> tuple[Any, Errors]:
    """A model whose fields are parameters; it also sees the names that are not its own, if it cares for extra fields."""
    info = field.field_info
    assert isinstance(info, markers.Param)
    is_header = isinstance(source, Headers)
    convert_default = getattr(info, "convert_underscores", True)
    values: dict[str, Any] = {}
    header_names: dict[str, str] = {}
    processed: set[str] = set()
    own_names: set[str] = set()
    for sub in get_cached_model_fields(model):
        convert = is_header and getattr(sub.field_info, "convert_underscores", convert_default)
        aliases = param_aliases(sub, convert_underscores=convert)
        own_names.update(name.lower() if is_header else name for _, name in aliases)
        alias, name = next((pair for pair in aliases if pair[1] in source), aliases[0])
        value = multi_value(sub, source, name)
        if value is not Undefined:
            values[alias] = value
        if is_header:
            processed.add(name.lower())
            processed.update(key.lower() for key, header in aliases if key != header)
            if alias != name:
                header_names[sub.name] = name
        else:
            processed.add(name)
    values.update(_extras(source, processed))
    given: Any = values
    if info.annotation is not model:  # nullable: absent only if none of its names were sent
        sees_extra = model.model_config.get("extra") in ("allow", "forbid") and values
        if not (own_names.intersection(source) or sees_extra):
            given = Undefined
    value, errors = validate_or_default(field, given, (info.in_.value,))
    if header_names and model.model_config.get("loc_by_alias", True):
        for error in errors:
            loc = error["loc"]
            if len(loc) > 1 and loc[1] in header_names:
                error["loc"] = (loc[0], header_names[loc[1]], *loc[2:])
    return value, errors


def take_params(fields: Sequence[ModelField], source: Mapping[str, Any]) -> tuple[dict[str, Any], Errors]:
    """The values of several fields by name, and the errors of those that have none."""
    values: dict[str, Any] = {}
    errors: Errors = []
    for field in fields:
        value = ParamTaker(field).take(source, errors)
        if value is not FAILED:
            values[field.name] = value
    return values, errors


# -- bodies ------------------------------------------------------------------------------------------------------------------------


def form_items(fields: Sequence[ModelField], form: FormData) -> Iterator[tuple[str, Any, ModelField | None]]:
    """The items of a form that fields ask for, each under the first of its names that was sent, then everything else."""
    known: set[str] = set()
    for field in fields:
        for alias, _ in param_aliases(field):
            known.add(alias)
            value = multi_value(field, form, alias)
            if value is not Undefined:
                yield alias, value, field
                break
    for key, value in _extras(form, known):
        yield key, value, None


async def file_bytes(file: UploadFile) -> bytes:
    """The content of an upload, leaving its position where another parameter may count on it."""
    position = file.file.tell()
    try:
        return await file.read()
    finally:
        await file.seek(position)


async def form_values(fields: Sequence[ModelField], form: FormData) -> AsyncIterator[tuple[str, Any, ModelField | None]]:
    """`form_items` with uploads read where a field wants bytes."""
    for alias, value, field in form_items(fields, form):
        if field is not None and isinstance(field.field_info, markers.File):
            annotation = field.field_info.annotation
            if is_bytes_or_nonable_bytes_annotation(annotation) and isinstance(value, UploadFile):
                value = await file_bytes(value)
            elif is_bytes_sequence_annotation(annotation) and value_is_sequence(value):
                assert isinstance(value, sequence_types)
                read = [await file_bytes(item) if isinstance(item, UploadFile) else item for item in cast(Any, value)]
                value = serialize_sequence_value(field=field, value=read)
        yield alias, value, field


def is_supplied(model: type[BaseModel], received_body: FormData) -> bool:
    """Whether a form has anything for a model: a field of its own, or any field where the model cares for others."""
    names = {alias for field in get_cached_model_fields(model) for alias, _ in param_aliases(field)}
    return bool(names.intersection(received_body) or (model.model_config.get("extra") in ("allow", "forbid") and received_body))


async def _form_model_value(field: ModelField, models: Sequence[type[BaseModel]], form: FormData) -> Any:
    nullable = type(None) in get_args(field.field_info.annotation)
    if nullable and not any(is_supplied(model, form) for model in models):
        return Undefined
    fields = get_cached_model_fields(models[0]) if len(models) == 1 else []
    return {alias: value async for alias, value, _ in form_values(fields, form)}


class BodyTaker:
    """Takes the body parameters of one callable from the received body.

    Args:
        fields: the body fields of the callable.
        embed: the body is an object keyed by parameter.
    """

    def __init__(self, fields: Sequence[ModelField], embed: bool) -> None:
        assert fields
        self.fields = list(fields)
        self.label = ", ".join(field.alias for field in fields)
        self.whole = len(fields) == 1 and not embed and not should_embed(fields) and not form_models(fields[0])
        self.aliases = [[alias for alias, _ in param_aliases(field)] for field in fields]
        self.models = [form_models(field) for field in fields]

    async def take(self, body: Any, errors: Errors) -> dict[str, Any] | Any:
        """Values by parameter name, or FAILED.

        Args:
            body: parsed JSON, bytes of another content type, FormData, or Undefined when there was none.
        """
        values, found = await self.values(body)
        if found:
            errors.extend(found)
            return FAILED
        return values

    async def values(self, body: Any) -> tuple[dict[str, Any], Errors]:
        form = body if isinstance(body, FormData) else None
        in_form: dict[str, tuple[str, Any]] = {}
        given = body
        if form is not None:
            plain = [field for field, models in zip(self.fields, self.models, strict=True) if not models]
            items = [item async for item in form_values(plain, form)] if plain else []
            given = {alias: value for alias, value, _ in items}
            in_form = {field.name: (alias, value) for alias, value, field in items if field is not None}
        if self.whole:
            field = self.fields[0]
            value, errors = validate_or_default(field, given, ("body",))
            return {field.name: value}, errors
        result: dict[str, Any] = {}
        errors = []
        for field, aliases, models in zip(self.fields, self.aliases, self.models, strict=True):
            if form is not None and models:
                loc: tuple[Any, ...] = ("body",)
                value = await _form_model_value(field, models, form)
            elif form is not None:
                alias, value = in_form.get(field.name, (aliases[0], Undefined))
                loc = ("body", alias)
            else:
                found = _member(given, aliases)
                if found is None:
                    errors.append(get_missing_field_error(("body", aliases[0])))
                    continue
                alias, value = found
                loc = ("body", alias)
            value, new = validate_or_default(field, value, loc)
            if new:
                errors.extend(new)
            else:
                result[field.name] = value
        return result, errors


def _member(body: Any, aliases: Sequence[str]) -> tuple[str, Any] | None:
    """The first of several keys in a JSON object; Undefined without one; None when the body is no object at all."""
    if body is Undefined or isinstance(body, bytes):
        return aliases[0], Undefined
    get = getattr(body, "get", None)
    if get is None:
        return None
    for alias in aliases:
        value = get(alias, Undefined)
        if value is not Undefined:
            return alias, value
    return aliases[0], Undefined
