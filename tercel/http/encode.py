"""`jsonable_encoder`: any Python value as something the `json` module can write, for data that no field describes.

Data with a response model does not come here: pydantic serialises it (`tercel.analyse.fields`). The order of the cases below is
public API, since a value may fit several. Read `tercel.http.responses` next.
"""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PurePath
from re import Pattern
from types import GeneratorType
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic.main import IncEx
from pydantic.networks import AnyUrl, NameEmail
from pydantic.types import SecretBytes, SecretStr
from pydantic_core import PydanticUndefinedType, Url

from tercel.http.errors import PydanticV1NotSupportedError

__all__ = ["ENCODERS_BY_TYPE", "decimal_encoder", "generate_encoders_by_class_tuples", "isoformat", "jsonable_encoder"]

EncodeOne = Callable[[Any], Any]

_INT_DIGITS = 4300
"""What `sys.get_int_max_str_digits()` is unless somebody changed it; also the bound where it was switched off."""


def isoformat(o: datetime.date | datetime.time) -> str:
    """ISO 8601, as Python writes it."""
    return o.isoformat()


def decimal_encoder(dec_value: Decimal) -> int | float:
    """An int when the number is written without a fraction, so that identifiers kept as `Numeric(x, 0)` survive; else a float.

    NaN and the infinities become floats too, which the `json` module may refuse; and so does an integer with more digits than
    Python writes (`sys.get_int_max_str_digits()`): to make an int of `1E+999999999`, twelve bytes of a request, takes hours.
    """
    exponent = dec_value.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0 and dec_value.adjusted() < _INT_DIGITS:
        return int(dec_value)
    return float(dec_value)


def _value_of(o: Any) -> Any:
    return o.value


def _optional_classes() -> dict[type[Any], EncodeOne]:
    found: dict[type[Any], EncodeOne] = {}
    try:
        from pydantic.color import Color

        found[Color] = str
    except ImportError:
        pass
    try:
        from pydantic_extra_types.color import Color as ExtraColor

        found[ExtraColor] = str
    except ImportError:
        pass
    return found


# Looked up by exact type first; entries that applications add here are used. Their subclasses are found through the tuples below.
ENCODERS_BY_TYPE: dict[type[Any], EncodeOne] = {
    bytes: lambda o: o.decode(),
    **_optional_classes(),
    datetime.date: isoformat,
    datetime.datetime: isoformat,
    datetime.time: isoformat,
    datetime.timedelta: lambda o: o.total_seconds(),
    Decimal: decimal_encoder,
    Enum: _value_of,
    frozenset: list,
    deque: list,
    GeneratorType: list,
    IPv4Address: str,
    IPv4Interface: str,
    IPv4Network: str,
    IPv6Address: str,
    IPv6Interface: str,
    IPv6Network: str,
    NameEmail: str,
    Path: str,
    Pattern: lambda o: o.pattern,
    SecretBytes: str,
    SecretStr: str,
    set: list,
    UUID: str,
    Url: str,
    AnyUrl: str,
}


def generate_encoders_by_class_tuples(type_encoder_map: dict[Any, EncodeOne]) -> dict[EncodeOne, tuple[Any, ...]]:
    """The map turned round: encoder to all its types, in a form that `isinstance` takes."""
    turned: dict[EncodeOne, tuple[Any, ...]] = defaultdict(tuple)
    for type_, encoder in type_encoder_map.items():
        turned[encoder] += (type_,)
    return turned


encoders_by_class_tuples = generate_encoders_by_class_tuples(ENCODERS_BY_TYPE)

# Most values of most documents. An exact type, so that nothing user-defined is taken for one of them.
_PLAIN = frozenset({str, int, float, bool, type(None)})


class _Encoder:
    """The options of one `jsonable_encoder` call, which stay the same while the value is walked.

    `include` and `exclude` do not: they hold for one level of keys, and pass through lists but not into values of a dict.
    """

    __slots__ = ("by_alias", "custom", "exclude_defaults", "exclude_none", "exclude_unset", "sqlalchemy_safe")

    def __init__(
        self,
        *,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        custom: dict[Any, EncodeOne] | None = None,
        sqlalchemy_safe: bool = True,
    ) -> None:
        self.by_alias = by_alias
        self.exclude_unset = exclude_unset
        self.exclude_defaults = exclude_defaults
        self.exclude_none = exclude_none
        self.custom = custom or None
        self.sqlalchemy_safe = sqlalchemy_safe

    def encode(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        if self.custom is not None:
            chosen = self._custom_for(obj)
            if chosen is not None:
                return chosen(obj)
        if type(obj) in _PLAIN:
            return obj
        if isinstance(obj, BaseModel):
            return self._model(obj, include, exclude)
        if dataclasses.is_dataclass(obj):
            assert not isinstance(obj, type)
            return self.encode(dataclasses.asdict(obj), include, exclude)
        if isinstance(obj, Enum):
            return obj.value
        if isinstance(obj, PurePath):
            return str(obj)
        if isinstance(obj, str | int | float):
            return obj
        if isinstance(obj, PydanticUndefinedType):
            return None
        if isinstance(obj, dict):
            return self._dict(obj, include, exclude)
        if isinstance(obj, list | set | frozenset | GeneratorType | tuple | deque):
            return [self.encode(item, include, exclude) for item in obj]
        encode_one = _encoder_by_type(obj)
        if encode_one is not None:
            return encode_one(obj)
        return self.encode(_attributes_of(obj), include, exclude)

    def _custom_for(self, obj: Any) -> EncodeOne | None:
        assert self.custom is not None
        exact = self.custom.get(type(obj))
        if exact is not None:
            return exact
        return next((encode_one for type_, encode_one in self.custom.items() if isinstance(obj, type_)), None)

    def _model(self, obj: BaseModel, include: Any, exclude: Any) -> Any:
        dumped = obj.model_dump(
            mode="json",
            include=include,
            exclude=exclude,
            by_alias=self.by_alias,
            exclude_unset=self.exclude_unset,
            exclude_none=self.exclude_none,
            exclude_defaults=self.exclude_defaults,
        )
        # Once more for what pydantic leaves alone inside dicts: `None` values and SQLAlchemy's keys.
        again = _Encoder(
            exclude_none=self.exclude_none, exclude_defaults=self.exclude_defaults, sqlalchemy_safe=self.sqlalchemy_safe
        )
        return again.encode(dumped)

    def _dict(self, obj: dict[Any, Any], include: Any, exclude: Any) -> dict[Any, Any]:
        encode, sqlalchemy_safe, exclude_none = self.encode, self.sqlalchemy_safe, self.exclude_none
        encoded: dict[Any, Any] = {}
        for key, value in obj.items():
            if value is None and exclude_none:
                continue
            if sqlalchemy_safe and isinstance(key, str) and key.startswith("_sa"):
                continue
            if (include is not None and key not in include) or (exclude is not None and key in exclude):
                continue
            encoded[encode(key)] = encode(value)
        return encoded


def _encoder_by_type(obj: Any) -> EncodeOne | None:
    exact = ENCODERS_BY_TYPE.get(type(obj))
    if exact is not None:
        return exact
    return next((encode_one for encode_one, types in encoders_by_class_tuples.items() if isinstance(obj, types)), None)


def _attributes_of(obj: Any) -> dict[Any, Any]:
    # A model of pydantic 1 can only exist if somebody imported that package; importing it here would cost time and a warning.
    v1 = sys.modules.get("pydantic.v1")
    if v1 is not None and isinstance(obj, v1.BaseModel):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the model {obj!r}."
        )
    try:
        return dict(obj)
    except Exception as not_a_mapping:
        try:
            return cast("dict[Any, Any]", vars(obj))
        except Exception as no_attributes:
            raise ValueError([not_a_mapping, no_attributes]) from no_attributes


def _as_lookup(keys: Any) -> Any:
    return keys if keys is None or isinstance(keys, set | dict) else set(keys)


def jsonable_encoder(
    obj: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    custom_encoder: dict[Any, EncodeOne] | None = None,
    sqlalchemy_safe: bool = True,
) -> Any:
    """A copy of `obj` made of dicts, lists, strings, numbers, booleans and None, ready for `json.dumps`.

    The first case that fits decides: `custom_encoder`, pydantic model, dataclass, enum, path, plain value, dict, list-like,
    `ENCODERS_BY_TYPE`, and last `dict(obj)` or its attributes.

    Args:
        obj: any value; generators are consumed.
        include: only these keys of the outermost models and dicts.
        exclude: all but these.
        by_alias: name a model's fields by their aliases.
        exclude_unset: leave out model fields that were not given.
        exclude_defaults: leave out model fields that equal their defaults.
        exclude_none: leave out `None` values, in plain dicts too.
        custom_encoder: functions by type, asked before everything else, at every level except inside models.
        sqlalchemy_safe: leave out keys that begin with `_sa`, SQLAlchemy's bookkeeping.

    Raises:
        ValueError: something is neither a known type nor a mapping and has no attributes.
        PydanticV1NotSupportedError: it is a model of `pydantic.v1`.
    """
    encoder = _Encoder(
        by_alias=by_alias,
        exclude_unset=exclude_unset,
        exclude_defaults=exclude_defaults,
        exclude_none=exclude_none,
        custom=custom_encoder,
        sqlalchemy_safe=sqlalchemy_safe,
    )
    return encoder.encode(obj, _as_lookup(include), _as_lookup(exclude))
