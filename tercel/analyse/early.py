"""Which bodies may be validated straight from JSON bytes, with the same outcome as parsing first.

pydantic's JSON mode and its Python mode differ in places (unions, bytes, decimals, strictness, user validators that see the mode).
A schema qualifies only when every part of it is known to behave the same in both and runs no user code, so that it cannot be
observed that validation happened before the dependencies. What does not qualify, and everything that fails, goes the general way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, PydanticUserError
from pydantic_core import SchemaError, SchemaValidator

from tercel.analyse.fields import ModelField
from tercel.analyse.readers import make_reader

__all__ = ["early_validator"]

_LEAVES = frozenset({"str", "int", "float", "bool", "none", "datetime", "date", "time", "uuid"})
_LEAF_KEYS = frozenset(
    [
        "type",
        "ref",
        "metadata",
        "serialization",
        "gt",
        "ge",
        "lt",
        "le",
        "multiple_of",
        "allow_inf_nan",
        "min_length",
        "max_length",
        "pattern",
        "regex_engine",
        "strip_whitespace",
        "to_lower",
        "to_upper",
        "microseconds_precision",
        "tz_constraint",
        "now_op",
        "now_utc_offset",
        "version",
    ]
)
_CONFIG_KEYS = frozenset(
    {"title", "extra_fields_behavior", "from_attributes", "populate_by_name", "validate_by_name", "validate_by_alias"}
)


class _Unfit(Exception):
    """The schema is not known to behave the same in both modes."""


_Places = list[tuple[dict[str, Any] | list[Any], Any]]
"""Parts of a copy that are still the original's: containers with a key or an index."""


def _fit(schema: Any) -> Any:
    """A copy of a schema that also refuses infinities, which JSON has no notation for (1e999 overflows to one).

    Raises:
        _Unfit: some part may behave differently.
    """
    whole = [schema]
    # Not by recursion: models may be nested as deep as pydantic allows, at any depth of the stack.
    places: _Places = [(whole, 0)]
    while places:
        holder, key = places.pop()
        holder[key], inner = _fit_part(holder[key])
        places += inner
    return whole[0]


def _fit_part(schema: Any) -> tuple[dict[str, Any], _Places]:
    """A copy of one part, and where the parts inside it are, which still have to be looked at."""
    kind = schema["type"]
    copied = dict(schema)
    if kind in _LEAVES:
        if not _LEAF_KEYS.issuperset(schema) or schema.get("ref"):
            raise _Unfit(kind)
        if kind == "float":
            copied["allow_inf_nan"] = False
        return copied, []
    if kind == "literal" and all(type(value) is str for value in schema["expected"]):
        return copied, []
    if kind == "nullable" and not schema.get("strict"):
        return copied, [(copied, "schema")]
    if kind == "default" and not schema.get("validate_default") and not schema.get("default_factory_takes_data"):
        return copied, [(copied, "schema")]
    if kind == "list" and not schema.get("strict") and not schema.get("fail_fast") and "items_schema" in schema:
        return copied, [(copied, "items_schema")]
    if kind == "model":
        _check_model(schema)
        return copied, [(copied, "schema")]
    if kind == "definitions":
        parts = copied["definitions"] = list(schema["definitions"])
        return copied, [(copied, "schema"), *[(parts, index) for index in range(len(parts))]]
    if kind == "definition-ref":
        return copied, []
    if kind == "model-fields":
        return _fit_fields(copied)
    raise _Unfit(kind)


def _fit_fields(copied: dict[str, Any]) -> tuple[dict[str, Any], _Places]:
    if copied.get("extras_schema") or copied.get("computed_fields") or copied.get("from_attributes"):
        raise _Unfit("model-fields")
    fields = copied["fields"] = {name: dict(field) for name, field in copied["fields"].items()}
    for field in fields.values():
        if field["type"] != "model-field":
            raise _Unfit(field["type"])
    # What is ignored would not be looked at: parsing refuses a NaN or 1e999 there too.
    copied["extra_behavior"] = "forbid"
    return copied, [(field, "schema") for field in fields.values()]


def _check_model(schema: Mapping[str, Any]) -> None:
    config = schema.get("config") or {}
    cls = schema["cls"]
    # __init__, __new__ and hooks of the user's would be called before the dependencies.
    hooks = ("__init__", "__new__", "__setattr__", "model_post_init")
    if any(getattr(cls, name) is not getattr(BaseModel, name) for name in hooks):
        raise _Unfit("hooks")
    if schema.get("custom_init") or schema.get("post_init") or schema.get("root_model") or schema.get("strict"):
        raise _Unfit("model")
    if not _CONFIG_KEYS.issuperset(config) or config.get("extra_fields_behavior") == "allow":
        raise _Unfit("config")


def early_validator(field: ModelField) -> Callable[[bytes], Any] | None:
    """A validator of JSON bytes that agrees with the field wherever it succeeds, or None.

    It raises `pydantic.ValidationError` for everything else, including some input that the field accepts. Of a key that occurs
    twice only the last value is looked at, so that an earlier one may be NaN, which parsing refuses.
    """
    annotation = field.field_info.annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)) or field.field_info.metadata:
        return None
    try:
        # Otherwise pydantic-core takes the validator that each model class has, and with it the schema as it was. Before 2.46 it
        # could not be told; then nothing is validated early.
        schema = _fit(annotation.__pydantic_core_schema__)
        validator = cast(Any, SchemaValidator)(schema, _use_prebuilt=False)
    except (_Unfit, SchemaError, PydanticUserError, AttributeError, KeyError, TypeError):
        return None
    return make_reader(schema, validator.validate_json) or cast(Callable[[bytes], Any], validator.validate_json)
