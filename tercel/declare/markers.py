"""The objects users put in `Annotated` or in a default to say where a parameter comes from.

Each option of a parameter is declared and documented once, in `ParamOptions`, and its default once, in `_DEFAULTS`; classes and
functions share both. A marker inspects nothing: what it means together with a type is decided in `tercel.analyse`. Read
`tercel.declare.params` next for the functions of the same names.
"""

import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from inspect import Parameter, Signature
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import typing_extensions
from pydantic import AliasChoices, AliasPath, Discriminator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tercel.http.defaults import Unset
from tercel.http.errors import DeclarationAssertion, FastAPIDeprecationWarning
from tercel.http.threads import DependencyConcurrency
from tercel.openapi.example import Example

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Param", "ParamTypes", "Path", "Query", "Security"]

Undefined: Any = PydanticUndefined


# -- options -------------------------------------------------------------------------------------------------------------------


class ParamOptions(TypedDict, total=False):
    """The options every parameter marker takes. Those that pydantic's `Field` has mean the same as there."""

    default_factory: Callable[[], Any] | None
    """Called for each request that does not send the parameter. Not together with a default."""
    alias: str | None
    """The name in the request and in the documentation; needed where it is not a Python name, such as `item-query`."""
    alias_priority: int | None
    """Which alias wins when pydantic's configuration generates one too."""
    validation_alias: str | AliasPath | AliasChoices | None
    """The name in the request only; with `AliasChoices` the first one sent is taken. Wins over `alias`."""
    serialization_alias: str | None
    """The name when the value is written; `alias` when left out."""
    title: str | None
    """A title in the documentation; made from the name when left out."""
    description: str | None
    """Text in the documentation, in Markdown."""
    gt: float | None
    """The value must be greater."""
    ge: float | None
    """The value must be greater or equal."""
    lt: float | None
    """The value must be less."""
    le: float | None
    """The value must be less or equal."""
    min_length: int | None
    """Least number of characters of a string or items of a collection."""
    max_length: int | None
    """Greatest number of characters of a string or items of a collection."""
    pattern: str | re.Pattern[str] | None
    """A regular expression that must occur in the string; anchor it with `^…$` to match the whole."""
    regex: str | None
    """Deprecated name of `pattern`."""
    discriminator: str | Discriminator | None
    """The field, or a function, that tells the members of a union apart."""
    strict: bool | None
    """Accept the declared type only, without conversion from strings; rarely useful outside bodies, where all is text."""
    validate_default: bool | None
    """Check the default as if it had been sent; by default it is trusted."""
    union_mode: Literal["smart", "left_to_right"] | None
    """How a member of a union is chosen: the best fit, or the first."""
    fail_fast: bool | None
    """Stop at the first invalid item of a sequence instead of reporting every one."""
    multiple_of: float | None
    """The value must be a multiple."""
    allow_inf_nan: bool | None
    """Accept infinities and NaN for floats and decimals."""
    max_digits: int | None
    """Greatest number of digits of a decimal, zeros at either end not counted."""
    decimal_places: int | None
    """Greatest number of digits after the point of a decimal, trailing zeros not counted."""
    examples: list[Any] | None
    """Example values, put into the JSON Schema."""
    example: Any | None
    """Deprecated in OpenAPI 3.1; use `examples`."""
    openapi_examples: dict[str, Example] | None
    """Named examples, put into the OpenAPI parameter, which documentation pages let readers choose from."""
    deprecated: typing_extensions.deprecated | str | bool | None
    """Mark the parameter as deprecated in the documentation."""
    include_in_schema: bool
    """False hides the parameter from the documentation; it works all the same."""
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None
    """More keys for the JSON Schema, or a function that edits it."""


class HeaderOptions(ParamOptions, total=False):
    """The options of `Header`."""

    convert_underscores: bool
    """Look for `x-token` when the parameter is named `x_token`; some proxies drop names with underscores."""


class FormOptions(ParamOptions, total=False):
    """The options of `Form` and `File`."""

    media_type: str
    """What the documentation says the body is; it does not change what is accepted."""


class BodyOptions(FormOptions, total=False):
    """The options of `Body`."""

    embed: bool | None
    """True expects `{"name": value}` even for a single body parameter, False never does; by default it depends on their number."""


# In the order in which the signatures show them. `None` and `Unset` differ: what is unset is not passed to pydantic, so that
# another `Field()` in the same `Annotated` can still say it.
_DEFAULTS: dict[str, Any] = {
    "default_factory": Unset,
    "alias": Unset,
    "alias_priority": Unset,
    "validation_alias": Unset,
    "serialization_alias": Unset,
    "title": Unset,
    "description": Unset,
    "gt": None,
    "ge": None,
    "lt": None,
    "le": None,
    "min_length": None,
    "max_length": None,
    "pattern": None,
    "regex": None,
    "discriminator": Unset,
    "strict": Unset,
    "validate_default": Unset,
    "union_mode": Unset,
    "fail_fast": Unset,
    "multiple_of": Unset,
    "allow_inf_nan": Unset,
    "max_digits": Unset,
    "decimal_places": Unset,
    "examples": Unset,
    "example": Unset,
    "openapi_examples": None,
    "deprecated": Unset,
    "include_in_schema": True,
    "json_schema_extra": Unset,
}

# What a marker keeps for itself; the rest is pydantic's.
_OURS = frozenset({"regex", "example", "openapi_examples", "include_in_schema"})

_A = TypeVar("_A", bound=Callable[..., Any])


def signature_of_options(
    options: type[Any], default: Any, *, after: Mapping[str, dict[str, Any]] | None = None, method: bool = False
) -> Callable[[_A], _A]:
    """A decorator that makes `inspect.signature` show every option of a function that takes `**options`.

    Args:
        options: the TypedDict with the types.
        default: of the parameter `default`.
        after: more options with their defaults, by the name of the option they follow.
        method: True for an `__init__`: `self` comes first and `annotation` follows `default_factory`.
    """
    hints: dict[str, Any] = {"annotation": Any | None, **options.__annotations__}
    keywords: dict[str, Any] = {}
    for name, value in _DEFAULTS.items():
        keywords[name] = value
        if name == "default_factory" and method:
            keywords["annotation"] = None
        keywords |= (after or {}).get(name, {})
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)] if method else []
    parameters.append(Parameter("default", Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=Any))
    parameters.extend(Parameter(k, Parameter.KEYWORD_ONLY, default=v, annotation=hints[k]) for k, v in keywords.items())

    def decorate(function: _A) -> _A:
        function.__signature__ = Signature(parameters, return_annotation=None if method else Any)  # type: ignore[attr-defined]
        return function

    return decorate


def _warn(message: str) -> None:
    """Warn at the first line of user code: markers are made by users, by our functions, and by subclasses."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tercel.declare."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category=FastAPIDeprecationWarning, stacklevel=level)


# Pydantic marks the class as final for type checkers; FastAPI's public API is that markers are fields all the same.
_FieldInfo: Any = FieldInfo


class _Marker(_FieldInfo):  # type: ignore[misc]
    """A pydantic field that also says where its value comes from.

    Attributes:
        example: the deprecated option, or the placeholder when it was not given.
        openapi_examples: as given.
        include_in_schema: as given.
    """

    example: Any
    openapi_examples: dict[str, Example] | None
    include_in_schema: bool

    def _set_options(self, default: Any, annotation: Any, options: ParamOptions) -> None:
        unknown = [name for name in options if name not in _DEFAULTS]
        if unknown:
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {unknown[0]!r}")
        chosen: dict[str, Any] = {**_DEFAULTS, **options}
        if chosen["example"] is not Unset:
            _warn("`example` has been deprecated, please use `examples` instead")
        if chosen["regex"] is not None:
            _warn("`regex` has been deprecated, please use `pattern` instead")
        self.example = chosen["example"]
        self.include_in_schema = chosen["include_in_schema"]
        self.openapi_examples = chosen["openapi_examples"]

        alias = chosen["alias"]
        if chosen["serialization_alias"] in (Unset, None) and isinstance(alias, str):
            chosen["serialization_alias"] = alias
        if chosen["validation_alias"] in (Unset, None):
            chosen["validation_alias"] = alias
        # Last, where pydantic before 2.14 puts the constraints in the order of the keywords.
        chosen["strict"] = chosen.pop("strict")
        chosen["pattern"] = chosen.pop("pattern") or chosen["regex"]
        for name in _OURS:
            del chosen[name]
        passed = {name: value for name, value in chosen.items() if value is not Unset}
        super().__init__(default=default, annotation=annotation, **passed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


# -- outside the body ----------------------------------------------------------------------------------------------------------


class ParamTypes(Enum):
    """Where a parameter outside the body is sent; the values are OpenAPI's."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class Param(_Marker):
    """A parameter outside the body; base of `Path`, `Query`, `Header` and `Cookie`.

    Args:
        default: used when the parameter is not sent; without one (or with `...`) it is required.
        annotation: the type, where no signature gives one.
        **options: see `ParamOptions`.
    """

    in_: ParamTypes

    @signature_of_options(ParamOptions, Undefined, method=True)
    def __init__(self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[ParamOptions]) -> None:
        self._set_options(default, annotation, options)


class Path(Param):
    """A parameter in the path. It is always sent, so it cannot have a default.

    Raises:
        DeclarationAssertion: it has one.
    """

    in_ = ParamTypes.path

    @signature_of_options(ParamOptions, ..., method=True)
    def __init__(self, default: Any = ..., *, annotation: Any | None = None, **options: Unpack[ParamOptions]) -> None:
        if default is not ...:
            raise DeclarationAssertion(
                "Path parameters cannot have a default value",
                advice="Leave the default out: without the parameter the path does not match.",
            )
        self._set_options(default, annotation, options)


class Query(Param):
    """A parameter in the query string; sent several times, a scalar takes the last value and a list all of them."""

    in_ = ParamTypes.query


class Header(Param):
    """A header field; sent several times, a scalar takes the first value and a list all of them.

    Args:
        default: as for `Param`.
        annotation: as for `Param`.
        convert_underscores: see `HeaderOptions`.
        **options: see `ParamOptions`.
    """

    in_ = ParamTypes.header

    @signature_of_options(HeaderOptions, Undefined, after={"serialization_alias": {"convert_underscores": True}}, method=True)
    def __init__(
        self,
        default: Any = Undefined,
        *,
        annotation: Any | None = None,
        convert_underscores: bool = True,
        **options: Unpack[ParamOptions],
    ) -> None:
        self.convert_underscores = convert_underscores
        self._set_options(default, annotation, options)


class Cookie(Param):
    """A cookie."""

    in_ = ParamTypes.cookie


# -- in the body ---------------------------------------------------------------------------------------------------------------


class Body(_Marker):
    """The request body, or one key of it.

    Args:
        default: used when the body (or the key) is not sent; without one (or with `...`) it is required.
        annotation: the type, where no signature gives one.
        embed: see `BodyOptions`.
        media_type: see `FormOptions`.
        **options: see `ParamOptions`.
    """

    embed: bool | None
    media_type: str

    @signature_of_options(
        BodyOptions, Undefined, after={"default_factory": {"embed": None, "media_type": "application/json"}}, method=True
    )
    def __init__(
        self,
        default: Any = Undefined,
        *,
        annotation: Any | None = None,
        embed: bool | None = None,
        media_type: str = "application/json",
        **options: Unpack[ParamOptions],
    ) -> None:
        self.embed = embed
        self.media_type = media_type
        self._set_options(default, annotation, options)


class Form(Body):
    """A field of a form, URL-encoded or multipart. Empty text counts as not sent, as browsers send untouched fields."""

    @signature_of_options(
        FormOptions, Undefined, after={"default_factory": {"media_type": "application/x-www-form-urlencoded"}}, method=True
    )
    def __init__(
        self,
        default: Any = Undefined,
        *,
        annotation: Any | None = None,
        media_type: str = "application/x-www-form-urlencoded",
        **options: Unpack[ParamOptions],
    ) -> None:
        super().__init__(default, annotation=annotation, media_type=media_type, **options)


class File(Form):
    """A file of a multipart form: as `bytes` it is read into memory, as `UploadFile` it is not."""

    @signature_of_options(FormOptions, Undefined, after={"default_factory": {"media_type": "multipart/form-data"}}, method=True)
    def __init__(
        self,
        default: Any = Undefined,
        *,
        annotation: Any | None = None,
        media_type: str = "multipart/form-data",
        **options: Unpack[ParamOptions],
    ) -> None:
        super().__init__(default, annotation=annotation, media_type=media_type, **options)


# -- dependencies --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Depends:
    """A value that comes from calling `dependency`, whose own parameters are resolved the same way.

    Args:
        dependency: any callable; left out, the parameter's type is called.
        use_cache: one call per request, whatever the number of places that depend on it.
        scope: for a dependency with `yield`, what its exit waits for: `"function"`, the end of the endpoint, before the response is
            sent; `"request"`, the end of the response.
        max_concurrency: calls of this dependency that may be under way at a time in each worker process; the others wait.

    Raises:
        ValueError: `max_concurrency` is not a positive integer.
    """

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Literal["function", "request"] | None = None
    max_concurrency: int | None = field(default=None, kw_only=True)
    _concurrency: DependencyConcurrency | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        limit = self.max_concurrency
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError("max_concurrency must be a positive integer or None")
        concurrency = self._concurrency
        if limit is None:
            concurrency = None
        elif concurrency is None or concurrency.max_concurrency != limit:
            # A copy made with `dataclasses.replace` keeps the limiter, and so shares it, unless its limit differs.
            concurrency = DependencyConcurrency(limit)
        object.__setattr__(self, "_concurrency", concurrency)


@dataclass(frozen=True)
class Security(Depends):
    """A dependency with OAuth2 scopes, which its sub-dependencies read from `SecurityScopes` and the documentation shows.

    Args:
        scopes: required by this use of the dependency, in addition to those of the dependencies that depend on it.
    """

    scopes: Sequence[str] | None = None
