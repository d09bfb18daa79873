"""The functions users call to declare parameters and dependencies; each makes the marker class of the same name.

They are functions only so that type checkers accept them as defaults of any type. Options, with their documentation, are in
`tercel.declare.markers`, read it next.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

from tercel.declare import markers
from tercel.declare.markers import (
    BodyOptions,
    FormOptions,
    HeaderOptions,
    ParamOptions,
    Undefined,
    signature_of_options,
)

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Path", "Query", "Security"]


@signature_of_options(ParamOptions, ...)
def Path(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A parameter in the path; always required, so `default` can only be `...`."""
    return markers.Path(default, **options)


@signature_of_options(ParamOptions, Undefined)
def Query(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """A parameter in the query string; required unless it has a default."""
    return markers.Query(default, **options)


@signature_of_options(HeaderOptions, Undefined, after={"serialization_alias": {"convert_underscores": True}})
def Header(default: Any = Undefined, **options: Unpack[HeaderOptions]) -> Any:
    """A header field; underscores of the parameter's name stand for hyphens."""
    return markers.Header(default, **options)


@signature_of_options(ParamOptions, Undefined)
def Cookie(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """A cookie; required unless it has a default."""
    return markers.Cookie(default, **options)


@signature_of_options(BodyOptions, Undefined, after={"default_factory": {"embed": None, "media_type": "application/json"}})
def Body(default: Any = Undefined, **options: Unpack[BodyOptions]) -> Any:
    """The request body, or one key of it when there are several body parameters."""
    return markers.Body(default, **options)


@signature_of_options(FormOptions, Undefined, after={"default_factory": {"media_type": "application/x-www-form-urlencoded"}})
def Form(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """A field of a form."""
    return markers.Form(default, **options)


@signature_of_options(FormOptions, Undefined, after={"default_factory": {"media_type": "multipart/form-data"}})
def File(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """A file of a multipart form."""
    return markers.File(default, **options)


def Depends(
    dependency: Callable[..., Any] | None = None,
    *,
    use_cache: bool = True,
    scope: Literal["function", "request"] | None = None,
    max_concurrency: int | None = None,
) -> Any:
    """A value that comes from calling `dependency`; see `tercel.declare.markers.Depends`."""
    return markers.Depends(dependency, use_cache, scope, max_concurrency=max_concurrency)


def Security(dependency: Callable[..., Any] | None = None, *, scopes: Sequence[str] | None = None, use_cache: bool = True) -> Any:
    """A dependency with OAuth2 scopes; see `tercel.declare.markers.Security`."""
    return markers.Security(dependency, use_cache, scopes=scopes)
