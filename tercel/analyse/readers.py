"""pydantic's schema -> a compiled reader that makes the same models of JSON, where that is proven by the schema.

A reader takes only what is plainly of the declared types and hands everything else to pydantic, so all that has to be equal is
what valid input of these types becomes. How models come out of pydantic is compared once per process (`_agreeing`), since it may
change with pydantic. With `fields`, `adapters` and `writers`, this module knows pydantic's insides; it must not know routes. Read
`tercel.http._reader` next, and `docs/design/0019-read-json.md` for the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import GetSetDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from tercel.http.written import reader_module

if TYPE_CHECKING:
    from tercel.http import _reader

__all__ = ["make_reader"]


class _Unproven(Exception):
    """Nothing is known about a schema."""


# Keys that do not change what is read, or are false in every schema that `tercel.analyse.early` lets through.
_NEUTRAL: Final = frozenset({"type", "ref", "metadata", "serialization"})
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "literal": frozenset({"expected"}),
    "nullable": frozenset({"schema", "strict"}),
    "default": frozenset(
        {"schema", "default", "default_factory", "default_factory_takes_data", "validate_default", "copy_default"}
    ),
    "list": frozenset({"items_schema", "strict", "fail_fast"}),
    "definitions": frozenset({"schema", "definitions"}),
    "definition-ref": frozenset({"schema_ref"}),
    "model": frozenset({"cls", "generic_origin", "schema", "config", "custom_init", "root_model", "post_init", "frozen", "strict"}),
    "model-fields": frozenset({"fields", "model_name", "computed_fields", "extra_behavior", "extras_schema", "from_attributes"}),
    "model-field": frozenset({"schema", "validation_alias", "serialization_alias", "serialization_exclude", "frozen"}),
}
# Read in place; with any key more, and all other scalars, by a validator of their own.
_PLAIN: Final[Mapping[str, frozenset[str]]] = {
    "str": _NEUTRAL,
    "int": _NEUTRAL,
    "float": _NEUTRAL | {"allow_inf_nan"},
    "bool": _NEUTRAL,
    "none": _NEUTRAL,
}
_SCALARS: Final = frozenset({"str", "int", "float", "datetime", "date", "time", "uuid"})
_IMMUTABLE: Final = (str, int, float, bool, type(None))
_SLOTS: Final = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_BY_NAME: Final = frozenset({"populate_by_name", "validate_by_name", "validate_by_alias"})
_FIELDS_MAX: Final = 64


def make_reader(schema: Any, validate: Callable[[bytes], Any]) -> Callable[[bytes], Any] | None:
    """A function that gives what `validate` gives, for less, or None where that is not proven.

    Args:
        schema: of a model; one that `tercel.analyse.early` found fit.
        validate: reads JSON bytes by this schema; asked for what the reader declines, and what it raises is raised.
    """
    return _make_reader(schema, validate) if _agreeing() else None


def _make_reader(schema: Any, validate: Callable[[bytes], Any]) -> Callable[[bytes], Any] | None:
    module = reader_module()
    if module is None or not module.bind(*(vars(BaseModel)[name] for name in _SLOTS)):
        return None
    try:
        reader = _Reading(module).read(schema)
    except (_Unproven, KeyError, RecursionError):
        return None
    reader.set_fallback(validate)
    return reader.read


class _Reading:
    """One schema being read.

    Args:
        module: `tercel.http._reader`.
    """

    def __init__(self, module: ModuleType) -> None:
        self._kind: type[_reader.Reader] = module.Reader
        self._definitions: dict[str, Any] = {}
        self._made: dict[str, _reader.Reader] = {}

    def read(self, schema: Any) -> _reader.Reader:
        """The reader for values of a schema.

        Raises:
            _Unproven: something in it is not known.
        """
        kind = schema["type"]
        if _PLAIN.get(kind, frozenset()) >= schema.keys():
            return self._kind(kind)
        if kind in _SCALARS:
            validator = cast(Any, SchemaValidator)(schema, _use_prebuilt=False)
            return self._kind("scalar", validate=validator.validate_json)
        if schema.keys() - _NEUTRAL - _KNOWN.get(kind, frozenset()):
            raise _Unproven
        match kind:
            case "literal":
                return self._kind("literal", expected=schema["expected"])
            case "nullable" | "list":
                return self._kind(kind, item=self.read(schema["schema" if kind == "nullable" else "items_schema"]))
            case "default":
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

    def _read_model(self, schema: Any) -> _reader.Reader:
        cls, inner = schema["cls"], schema["schema"]
        if not _is_set_plainly(cls) or inner["type"] != "model-fields" or inner.keys() - _NEUTRAL - _KNOWN["model-fields"]:
            raise _Unproven
        reader = self._kind("model")
        if "ref" in schema:
            self._made[schema["ref"]] = reader
        by_name = _BY_NAME & schema.get("config", {}).keys()
        fields: list[tuple[str, str, _reader.Reader]] = []
        defaults: dict[str, Any] = {}
        for name, field in inner["fields"].items():
            if field.keys() - _NEUTRAL - _KNOWN["model-field"]:
                raise _Unproven
            key = field.get("validation_alias", name)
            if type(key) is not str or (key != name and by_name) or any(char in '"\\' or char < " " for char in key):
                raise _Unproven
            inside = field["schema"]
            if inside["type"] == "default" and type(inside.get("default", ...)) in _IMMUTABLE:
                defaults[name] = inside["default"]
            fields.append((name, key, self.read(inside)))
        if len(fields) > _FIELDS_MAX or len({key for _, key, _ in fields}) < len(fields):
            raise _Unproven
        reader.set_model(cls, fields, defaults)
        return reader


def _is_set_plainly(cls: Any) -> bool:
    """Whether instances keep their fields in a dict and pydantic's state in the slots of BaseModel, and no subclass has others."""
    return all(
        next(vars(base)[name] for base in cls.__mro__ if name in vars(base)) is vars(BaseModel)[name] for name in _SLOTS
    ) and all(type(vars(base).get("__dict__")) in (GetSetDescriptorType, type(None)) for base in cls.__mro__)


# -- the version of pydantic that is here -----------------------------------------------------------------------------------------


class _Inner(BaseModel):
    text: str
    number: int = 7


class _Probe(BaseModel):
    inner: _Inner
    several: list[_Inner]
    flag: bool = False
    size: float | None = None


_PROBES: Final = (
    b'{"inner": {"text": "a\\u00e9 \xc3\xa9", "number": -12}, "several": [], "flag": true, "size": 0.1}',
    b'{"several": [{"text": ""}, {"number": 0, "text": "x"}], "inner": {"text": "plain"}}',
    b'{"inner": {"text": "t"}, "several": [], "size": 12345.678901}',
)


def _state(value: Any) -> Any:
    """All that there is in a model, with those in it."""
    if isinstance(value, BaseModel):
        slots = [descriptor.__get__(value) for descriptor in (vars(BaseModel)[name] for name in _SLOTS)]
        return type(value), [(name, _state(item)) for name, item in vars(value).items()], slots
    return [_state(item) for item in value] if type(value) is list else (type(value), value)


@cache
def _agreeing() -> bool:
    """Whether the pydantic that is here makes models as the reader does."""

    def decline(raw: bytes) -> Any:
        raise ValueError(raw)

    schema: Any = _Probe.__pydantic_core_schema__
    try:
        validator = cast(Any, SchemaValidator)(schema, _use_prebuilt=False)
        read = _make_reader(schema, decline)
        return read is not None and all(_state(read(raw)) == _state(validator.validate_json(raw)) for raw in _PROBES)
    except (AttributeError, TypeError, ValueError, ValidationError):
        return False
