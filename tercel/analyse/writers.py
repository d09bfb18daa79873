"""pydantic's schema -> a compiled writer that gives the same JSON, where that is proven by the schema.

A schema is accepted only if all of it is of known kinds with known keys: no custom serializers, no computed fields, no options
that change what is written. A writer looks at exact types and declines every value that is not plainly of the declared ones; then
pydantic writes it. So what has to be equal is only how pydantic writes values of the declared types, and that is compared once per
process (`_agreeing`), since it may change with pydantic. With `fields` and `adapters`, this module knows pydantic's insides; it
must not know routes. Read `tercel.http._writer` next, and `docs/design/0013-written-json.md` for the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from types import GetSetDescriptorType, WrapperDescriptorType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator

from tercel.http.written import writer_class

if TYPE_CHECKING:
    from tercel.http import _writer

__all__ = ["JsonWriter", "make_writer"]


@dataclass(frozen=True, slots=True)
class JsonWriter:
    """What a schema became.

    Args:
        write: the JSON of a value, or None for a value that it declines.
        followed_by: makes a function of a value and an exchange of it that asks the given one where it declines.
        validates: a value that it does not decline is valid, and validation would not change what is written.
    """

    write: Callable[[Any], bytes | None]
    followed_by: Callable[[Callable[[Any, Any], bytes]], Callable[[Any, Any], bytes]]
    validates: bool


class _Unproven(Exception):
    """Nothing is known about a schema."""


_ALWAYS: Final = frozenset({"type", "ref", "metadata", "strict"})
# Keys that only concern validation, by the type of the schema. Any other key stands for something that is not known here.
_VALIDATING: Final[Mapping[str, frozenset[str]]] = {
    "str": frozenset({"pattern", "max_length", "min_length", "strip_whitespace", "to_lower", "to_upper", "ascii_only"})
    | {"regex_engine", "coerce_numbers_to_str"},
    "int": frozenset({"multiple_of", "le", "ge", "lt", "gt"}),
    "float": frozenset({"multiple_of", "le", "ge", "lt", "gt", "allow_inf_nan"}),
    "decimal": frozenset({"multiple_of", "le", "ge", "lt", "gt", "allow_inf_nan", "max_digits", "decimal_places"}),
    "bool": frozenset(),
    "none": frozenset(),
    "any": frozenset(),
    "date": frozenset({"le", "ge", "lt", "gt", "now_op", "now_utc_offset"}),
    "datetime": frozenset({"le", "ge", "lt", "gt", "now_op", "now_utc_offset", "tz_constraint"}),
    "uuid": frozenset({"version"}),
    "list": frozenset({"min_length", "max_length"}),
    "dict": frozenset({"min_length", "max_length"}),
    "model": frozenset({"revalidate_instances"}),
}
# Keys that change neither what is written nor whether a value of the exact type is valid as it is.
_NEUTRAL: Final[Mapping[str, frozenset[str]]] = {
    "datetime": frozenset({"microseconds_precision"}),
    "list": frozenset({"items_schema", "fail_fast"}),
    "dict": frozenset({"keys_schema", "values_schema", "fail_fast"}),
    "nullable": frozenset({"schema"}),
    "literal": frozenset({"expected"}),
    "enum": frozenset({"cls", "members", "sub_type", "missing"}),
    "default": frozenset({"schema", "default", "default_factory", "default_factory_takes_data", "on_error", "validate_default"})
    | {"copy_default"},
    "model": frozenset({"cls", "generic_origin", "schema", "custom_init", "root_model", "post_init", "frozen", "config"}),
    "model-fields": frozenset({"fields", "model_name", "computed_fields", "from_attributes"}),
    "model-field": frozenset({"schema", "validation_alias", "serialization_alias", "frozen"}),
    "definitions": frozenset({"schema", "definitions"}),
    "definition-ref": frozenset({"schema_ref"}),
    "function-before": frozenset({"function", "schema", "json_schema_input_schema"}),
    "function-after": frozenset({"function", "schema"}),
    "function-wrap": frozenset({"function", "schema", "json_schema_input_schema"}),
}
_CONFIG: Final = frozenset(
    {"title", "strict", "from_attributes", "loc_by_alias", "validate_default", "str_max_length", "str_min_length"}
    | {"str_strip_whitespace", "str_to_lower", "str_to_upper", "allow_inf_nan", "val_json_bytes", "hide_input_in_errors"}
    | {"validation_error_cause", "coerce_numbers_to_str", "regex_engine", "cache_strings", "validate_by_alias"}
    | {"validate_by_name", "serialize_by_alias", "revalidate_instances"}
)
"""Options of models that change nothing in what is written, `by_alias` being given with each call."""

_MEMBERS_MAX: Final = 64
_FUNCTIONS: Final = ("function-before", "function-after", "function-wrap")


def make_writer(adapter: TypeAdapter[Any]) -> JsonWriter | None:
    """A writer that gives what `adapter.serializer.to_json(value, by_alias=True)` gives, or None where that is not proven.

    Args:
        adapter: complete, and without configuration of its own.
    """
    kind = writer_class()
    # With a plugin of pydantic's, every validation is reported.
    plugged: Any = adapter
    if kind is None or type(plugged.serializer) is not SchemaSerializer or type(plugged.validator) is not SchemaValidator:
        return None
    reading = _Reading(kind)
    try:
        writer = reading.read(adapter.core_schema)
        return JsonWriter(writer.write, writer.followed_by, reading.is_valid(adapter.core_schema))
    except (_Unproven, KeyError, RecursionError):
        return None


class _Reading:
    """One schema being read.

    Args:
        kind: the class of writers.
    """

    def __init__(self, kind: type[_writer.Writer]) -> None:
        self._kind = kind
        self._definitions: dict[str, Any] = {}
        self._made: dict[str, _writer.Writer] = {}

    def read(self, schema: Any) -> _writer.Writer:
        """The writer for values of a schema.

        Raises:
            _Unproven: something in it is not known.
        """
        kind = schema["type"]
        if schema.keys() - _ALWAYS - _VALIDATING.get(kind, _ALWAYS) - _NEUTRAL.get(kind, _ALWAYS):
            raise _Unproven
        match kind:
            case "str" | "int" | "float" | "bool" | "none" | "any" | "date" | "datetime" | "uuid" | "decimal":
                if kind not in _agreeing():
                    raise _Unproven
                return self._kind(kind)
            case "nullable":
                return self._kind("nullable", item=self.read(schema["schema"]))
            case "list":
                return self._kind("list", item=self.read(schema.get("items_schema", {"type": "any"})))
            case "dict":
                if schema.get("keys_schema", {"type": "any"})["type"] not in ("str", "any"):
                    raise _Unproven
                self.read(schema.get("keys_schema", {"type": "any"}))
                return self._kind("dict", item=self.read(schema.get("values_schema", {"type": "any"})))
            case "literal":
                if any(type(value) is not str for value in schema["expected"]):
                    raise _Unproven
                return self._kind("literal", expected=schema["expected"])
            case "enum":
                return self._kind("enum", members=_members(schema))
            case "default" | "function-before" | "function-after" | "function-wrap":
                return self.read(schema["schema"])
            case "definitions":
                self._definitions.update({definition["ref"]: definition for definition in schema["definitions"]})
                return self.read(schema["schema"])
            case "definition-ref":
                made = self._made.get(schema["schema_ref"])
                return self.read(self._definitions[schema["schema_ref"]]) if made is None else made
            case "model":
                return self._read_model(schema)
        raise _Unproven

    def _read_model(self, schema: Any) -> _writer.Writer:
        cls = schema["cls"]
        config = schema.get("config", {})
        # What is not allowed among the fields is dropped or refused; what is allowed is written, in an order of its own.
        if config.keys() - _CONFIG - {"extra_fields_behavior"} or config.get("extra_fields_behavior") == "allow":
            raise _Unproven
        if schema.get("root_model") or not _is_read_plainly(cls):
            raise _Unproven
        writer = self._kind("model")
        if "ref" in schema:
            self._made[schema["ref"]] = writer
        inner = schema["schema"]
        while inner["type"] in _FUNCTIONS and not inner.keys() - _ALWAYS - _NEUTRAL[inner["type"]]:
            inner = inner["schema"]
        if inner["type"] != "model-fields" or inner.keys() - _ALWAYS - _NEUTRAL["model-fields"] or inner.get("computed_fields"):
            raise _Unproven
        fields = []
        for name, field in inner["fields"].items():
            if field.keys() - _ALWAYS - _NEUTRAL["model-field"]:
                raise _Unproven
            fields.append((name, field.get("serialization_alias", name), self.read(field["schema"])))
        writer.set_model(cls, fields, lambda other: cls in other.__mro__ and _is_read_plainly(other))
        return writer

    def is_valid(self, schema: Any) -> bool:
        """Whether validating a value which the writer does not decline gives one that is written alike."""
        kind = schema["type"]
        if _VALIDATING.get(kind, frozenset()) & schema.keys() or kind in _FUNCTIONS:
            return False
        match kind:
            case "model":
                # An instance passes as it is; of a subclass too, unless strictly.
                return not {"strict", "revalidate_instances"} & (schema.keys() | schema.get("config", {}).keys())
            case "list":
                return self.is_valid(schema.get("items_schema", {"type": "any"}))
            case "dict":
                return all(self.is_valid(schema.get(part, {"type": "any"})) for part in ("keys_schema", "values_schema"))
            case "nullable" | "default" | "definitions":
                return self.is_valid(schema["schema"])
            case "definition-ref":
                return self.is_valid(self._definitions[schema["schema_ref"]])
        return kind in _agreeing() or kind in ("literal", "enum")


def _is_read_plainly(cls: Any) -> bool:
    """Whether instances keep their fields in a dict that nobody intercepts."""
    return (
        issubclass(cls, BaseModel)
        and type(cls).__instancecheck__ is type(BaseModel).__instancecheck__
        and cls.__getattribute__ is object.__getattribute__
        and all(type(vars(base).get("__dict__")) in (GetSetDescriptorType, type(None)) for base in cls.__mro__)
    )


def _members(schema: Any) -> Iterable[tuple[object, bytes]]:
    """Each member of an enumeration with what pydantic writes for it."""
    cls, members = schema["cls"], schema["members"]
    stock = next(base for base in cls.__mro__ if "value" in vars(base)) is Enum
    intercepted = type(cls.__getattribute__) is not WrapperDescriptorType  # what a class in C has, such as int
    if not stock or intercepted or len(members) > _MEMBERS_MAX or any(type(member._value_) not in (str, int) for member in members):
        raise _Unproven
    serializer = SchemaSerializer(schema)
    return [(member, serializer.to_json(member)) for member in members]


# -- the version of pydantic that is here -----------------------------------------------------------------------------------------

_ODD: Final = 'a"\\/\b\t\n\f\r\0\x1b\x7f\x80é\u2028€😀'
_PROBES: Final[Mapping[str, tuple[Any, ...]]] = {
    "str": ("", "plain", _ODD),
    "int": (0, -1, 10**18, -(2**63), 2**63 - 1),
    "float": (0.0, -0.0, 1.0, -1.25, 0.001, 0.1, 123456.789, 1e9, 1e15, 1e16, 1e-7, 5e-324, 1.7976931348623157e308),
    "bool": (True, False),
    "none": (None,),
    "any": ({"a": [1, None, True, 0.5, {_ODD: {}}], "b": []},),
    "date": (date(1, 1, 1), date(2026, 12, 31)),
    "datetime": (
        datetime(1, 1, 1),
        datetime(2026, 12, 31, 23, 59, 59, 60),
        datetime(2026, 1, 2, 3, 4, 5, 600_000, UTC),
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=14))),
    ),
    "uuid": (UUID(int=0), UUID("0f4a1f3c-9d9b-4d0e-8a3f-5b6c7d8e9f00")),
    "decimal": (Decimal("1.50"), Decimal("-0"), Decimal("1E+30"), Decimal("NaN")),
}


@cache
def _agreeing() -> frozenset[str]:
    """The kinds of scalars whose values the pydantic that is here writes as the writer does."""
    kind = writer_class()
    if kind is None:
        return frozenset()
    agreeing = set()
    for name, values in _PROBES.items():
        schema: Any = {"type": name}
        written, serializer = kind(name), SchemaSerializer(schema)
        if all(written.write(value) == serializer.to_json(value) for value in values):
            agreeing.add(name)
    return frozenset(agreeing)
