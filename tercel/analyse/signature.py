"""Signatures -> `Dependant` trees: annotations are resolved, each parameter becomes a field, a dependency or an injected object.

Runs when a route is declared, so that mistakes surface on the line that made them. Knows nothing of requests or plans. Read
`tercel.analyse.planner` next for what becomes of a tree.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from copy import copy
from types import FunctionType
from typing import Annotated, Any, ForwardRef, Literal, NoReturn, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from typing_inspection.typing_objects import is_typealiastype

from tercel.analyse.annotations import (
    field_annotation_is_scalar,
    field_annotation_is_scalar_sequence,
    is_uploadfile_or_nonable_uploadfile_annotation,
    is_uploadfile_sequence_annotation,
    lenient_issubclass,
)
from tercel.analyse.dependant import Dependant, computed_scope, is_generator
from tercel.analyse.fields import (
    ModelField,
    RequiredParam,
    Undefined,
    copy_field_info,
    create_model_field,
    evaluate_forwardref,
    is_scalar_field,
)
from tercel.analyse.forms import add_form_union_validators, ensure_multipart_is_installed, form_union_models, model_type
from tercel.analyse.known import ParamDetails, find_known, keep_known
from tercel.analyse.origins import origin_of
from tercel.analyse.plain import plain_field
from tercel.declare import markers
from tercel.declare.scopes import SecurityScopes
from tercel.http.errors import DeclarationAssertion, DependencyScopeError

__all__ = [
    "INJECTED",
    "add_field",
    "analyze_param",
    "dependant_of",
    "get_dependant",
    "get_parameterless_sub_dependant",
    "get_stream_item_type",
    "get_typed_annotation",
    "get_typed_return_annotation",
    "get_typed_signature",
    "path_param_names",
]

INJECTED: tuple[tuple[type[Any], str], ...] = (
    # In this order: a Request and a WebSocket are HTTPConnections too.
    (Request, "request_param_name"),
    (WebSocket, "websocket_param_name"),
    (HTTPConnection, "http_connection_param_name"),
    (Response, "response_param_name"),
    (StarletteBackgroundTasks, "background_tasks_param_name"),
    (SecurityScopes, "security_scopes_param_name"),
)
_INJECTED_TYPES = tuple(cls for cls, _ in INJECTED)
_BRACES = re.compile(r"\{([^}]*)\}")
_STREAMS = {AsyncIterable, AsyncIterator, AsyncGenerator, Iterable, Iterator, Generator}


def path_param_names(path: str) -> set[str]:
    """The names in braces of a path, with whatever convertor they carry, as FastAPI reads them.

    A name begins at the first brace that is open: in `/{{a}}`, which f-strings leave behind, it is `{a`, so `a` is in the query.
    """
    return set(_BRACES.findall(path))


# -- annotations ------------------------------------------------------------------------------------------------------------------


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(call, eval_str=True)
    except NameError:  # a name that exists only under TYPE_CHECKING: the annotations that resolve are resolved one by one
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            return inspect.signature(call, annotation_format=Format.FORWARDREF)
        return inspect.signature(call)


def _says_it_itself(call: Callable[..., Any]) -> bool:
    """Whether a callable is a plain function all of whose annotations are objects, so that nothing has to be resolved."""
    return (
        sys.version_info < (3, 14)
        and type(call) is FunctionType
        and not call.__dict__
        and not any(isinstance(annotation, str) for annotation in call.__annotations__.values())
    )


def _parameters_of(call: Any) -> list[inspect.Parameter]:
    """The parameters of a plain function as `inspect.signature` tells them, in a third of the time."""
    code, empty, kind = call.__code__, inspect.Parameter.empty, inspect.Parameter
    annotations, keyword_defaults = call.__annotations__, call.__kwdefaults__ or {}
    names, count, end = code.co_varnames, code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    defaults = call.__defaults__ or ()
    found = []
    for place, name in enumerate(names[:count]):
        default = defaults[place - count + len(defaults)] if place >= count - len(defaults) else empty
        way = kind.POSITIONAL_ONLY if place < code.co_posonlyargcount else kind.POSITIONAL_OR_KEYWORD
        found.append(kind(name, way, default=default, annotation=annotations.get(name, empty)))
    if code.co_flags & inspect.CO_VARARGS:
        found.append(kind(names[end], kind.VAR_POSITIONAL, annotation=annotations.get(names[end], empty)))
    for name in names[count:end]:
        default = keyword_defaults.get(name, empty)
        found.append(kind(name, kind.KEYWORD_ONLY, default=default, annotation=annotations.get(name, empty)))
    if code.co_flags & inspect.CO_VARKEYWORDS:
        name = names[end + bool(code.co_flags & inspect.CO_VARARGS)]
        found.append(kind(name, kind.VAR_KEYWORD, annotation=annotations.get(name, empty)))
    return found


def get_typed_annotation(annotation: Any, globalns: dict[str, Any]) -> Any:
    """An annotation with a string resolved as far as it can be; `None` for the type of None."""
    if isinstance(annotation, str):
        annotation = evaluate_forwardref(ForwardRef(annotation), globalns, globalns)
        if annotation is type(None):
            return None
    return annotation


def get_typed_signature(call: Callable[..., Any]) -> inspect.Signature:
    """The signature of a callable with its annotations resolved against the globals of the function inside wrappers."""
    if _says_it_itself(call):
        return inspect.Signature(_parameters_of(call), __validate_parameters__=False)
    parameters = list(_signature(call).parameters.values())
    if any(isinstance(p.annotation, str) for p in parameters):
        globalns = getattr(inspect.unwrap(call), "__globals__", {})
        parameters = [p.replace(annotation=get_typed_annotation(p.annotation, globalns)) for p in parameters]
    return inspect.Signature(parameters)


def get_typed_return_annotation(call: Callable[..., Any]) -> Any:
    if sys.version_info < (3, 14) and type(call) is FunctionType and not call.__dict__:
        # A plain function says it itself; only what is written as a string has to be resolved.
        annotation = call.__annotations__.get("return", inspect.Signature.empty)
        if isinstance(annotation, str):
            annotation = _signature(call).return_annotation
    else:
        annotation = _signature(call).return_annotation
    if annotation is inspect.Signature.empty:
        return None
    return get_typed_annotation(annotation, getattr(inspect.unwrap(call), "__globals__", {}))


def get_stream_item_type(annotation: Any) -> Any | None:
    """`T` of `AsyncIterable[T]` and its relatives, Any when it is not said, None for anything that is not a stream."""
    origin = get_origin(annotation)
    if origin is None or origin not in _STREAMS:
        return None
    arguments = get_args(annotation)
    return arguments[0] if arguments else Any


# -- one parameter ----------------------------------------------------------------------------------------------------------------


def _refuse(message: str, advice: str = "") -> NoReturn:
    raise DeclarationAssertion(message, advice=advice or None)


class _Parameter:
    """The analysis of one parameter; its attributes are what is known so far."""

    def __init__(self, name: str, annotation: Any, value: Any, path_names: set[str]) -> None:
        self.name = name
        self.value = value
        self.is_path = name in path_names
        self.path_names = path_names
        if is_typealiastype(annotation):
            annotation = annotation.__value__
        given = annotation is not inspect.Signature.empty
        self.annotation: Any = annotation if given else Any
        self.type: Any = self.annotation
        self.info: FieldInfo | None = None
        self.depends: markers.Depends | None = None

    @property
    def has_default(self) -> bool:
        return self.value is not inspect.Signature.empty

    def details(self) -> ParamDetails:
        field = plain_field(self.name, self.annotation, self.value, self.is_path)
        if field is not None:
            return ParamDetails(self.type, None, field)
        if get_origin(self.annotation) is Annotated:
            self.read_annotated()
        self.read_default()
        if self.depends is not None and self.depends.dependency is None:
            self.depends = dataclasses.replace(self.depends, dependency=self.type)
        if self.depends is None and lenient_issubclass(self.type, _INJECTED_TYPES):
            if self.info is not None:
                _refuse(f"Cannot specify FastAPI annotation for type {self.type!r}")
        elif self.info is None and self.depends is None:
            self.infer()
        return ParamDetails(self.type, self.depends, None if self.info is None else self.make_field(self.info))

    def read_annotated(self) -> None:
        """The last marker in `Annotated` decides; what other `Field()`s say is merged into it."""
        self.type, *metadata = get_args(self.annotation)
        found = [item for item in metadata if isinstance(item, markers.Param | markers.Body | markers.Depends)]
        marker = found[-1] if found else None
        if isinstance(marker, FieldInfo):
            info = copy_field_info(field_info=marker, annotation=self.annotation)
            if not (info.default is Undefined or info.default is RequiredParam or info.default is ...):
                _refuse(
                    f"`{type(info).__name__}` default value cannot be set in `Annotated` for {self.name!r}. "
                    "Set the default value with `=` instead."
                )
            if self.has_default:
                if self.is_path:
                    _refuse("Path parameters cannot have default values")
                info.default = self.value
            else:
                info.default = RequiredParam
            self.info = info
        elif marker is not None:
            self.depends = marker

    def read_default(self) -> None:
        if isinstance(self.value, markers.Depends):
            if self.depends is not None:
                _refuse(f"Cannot specify `Depends` in `Annotated` and default value together for {self.name!r}")
            if self.info is not None:
                _refuse(
                    f"Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a default value together "
                    f"for {self.name!r}"
                )
            self.depends = self.value
        elif isinstance(self.value, FieldInfo):
            if self.info is not None:
                _refuse(f"Cannot specify FastAPI annotations in `Annotated` and default value together for {self.name!r}")
            self.info = self.value
            self.info.annotation = self.type

    def infer(self) -> None:
        """No marker: a name of the path is a path parameter, uploads are files, scalars are queries, the rest is the body."""
        default = self.value if self.has_default else RequiredParam
        info: FieldInfo
        if self.is_path:
            info = markers.Path(annotation=self.annotation)
        elif is_uploadfile_or_nonable_uploadfile_annotation(self.type) or is_uploadfile_sequence_annotation(self.type):
            info = markers.File(annotation=self.annotation, default=default)
        elif not field_annotation_is_scalar(self.type):
            info = markers.Body(annotation=self.annotation, default=default)
        else:
            info = markers.Query(annotation=self.annotation, default=default)
        if get_origin(self.annotation) is Annotated:
            default = info.default
            info = copy_field_info(field_info=info, annotation=self.annotation)
            info.default = default
            if self.is_path:
                info.default_factory = None
        self.info = info

    def make_field(self, info: FieldInfo) -> ModelField:
        if self.is_path:
            if not isinstance(info, markers.Path):
                _refuse(f"Cannot use `{type(info).__name__}` for path param {self.name!r}")
        elif isinstance(info, markers.Param) and getattr(info, "in_", None) is None:
            info.in_ = markers.ParamTypes.query
        if isinstance(info, markers.Form):
            ensure_multipart_is_installed()
            if form_union_models(info.annotation):
                info.annotation = add_form_union_validators(info.annotation)
        if isinstance(info, markers.Path) and isinstance(info.validation_alias, AliasChoices):
            choices = info.validation_alias.choices
            chosen = next((choice for choice in choices if isinstance(choice, str) and choice in self.path_names), None)
            if chosen is not None and all(isinstance(choice, str) for choice in choices):
                info = copy(info)
                info.validation_alias = chosen
        converted = not info.alias and getattr(info, "convert_underscores", None)
        info.alias = self.name.replace("_", "-") if converted else info.alias or self.name
        made = create_model_field(name=self.name, type_=self.annotation, default=info.default, alias=info.alias, field_info=info)
        if self.is_path:
            if not is_scalar_field(field=made):
                _refuse("Path params must be of one of the supported types")
        elif isinstance(info, markers.Query):
            kind = made.field_info.annotation
            if not (is_scalar_field(made) or field_annotation_is_scalar_sequence(kind) or model_type(kind) is not None):
                _refuse(f"Query parameter {self.name!r} must be one of the supported types")
        return made


def analyze_param(*, param_name: str, annotation: Any, value: Any, path_param_names: set[str]) -> ParamDetails:
    """What a parameter of a path operation or a dependency means.

    Raises:
        DeclarationAssertion: markers that contradict each other or the path.
        FastAPIError: a type that pydantic cannot validate.
    """
    return _Parameter(param_name, annotation, value, path_param_names).details()


# -- one callable -----------------------------------------------------------------------------------------------------------------


def _add_sub_dependant(dependant: Dependant, name: str, depends: markers.Depends, scopes: list[str]) -> None:
    if is_generator(dependant.call) and computed_scope(dependant) == "request" and depends.scope == "function":
        call_name = getattr(dependant.call, "__name__", "<unnamed_callable>")
        raise DependencyScopeError(
            f'The dependency "{call_name}" has a scope of "request", it cannot depend on dependencies with scope "function".'
        )
    assert depends.dependency is not None
    dependant.dependencies.append(
        get_dependant(
            path=dependant.path or "",
            call=depends.dependency,
            name=name,
            own_oauth_scopes=list(depends.scopes or []) if isinstance(depends, markers.Security) else [],
            parent_oauth_scopes=scopes,
            use_cache=depends.use_cache,
            scope=depends.scope,
            concurrency=depends._concurrency,
            _is_shared=True,
        )
    )


def add_field(dependant: Dependant, field: ModelField) -> None:
    """Puts a field among the parameters of a callable, where its marker says."""
    info = field.info_to_read
    if isinstance(info, markers.Body):
        dependant.body_params.append(field)
        return
    place = getattr(info, "in_", None)
    if place == markers.ParamTypes.path:
        dependant.path_params.append(field)
    elif place == markers.ParamTypes.query:
        dependant.query_params.append(field)
    elif place == markers.ParamTypes.header:
        dependant.header_params.append(field)
    elif place == markers.ParamTypes.cookie:
        dependant.cookie_params.append(field)
    else:
        _refuse(f"non-body parameters must be in path, query, header or cookie: {field.name}")


def get_dependant(
    *,
    path: str,
    call: Callable[..., Any],
    name: str | None = None,
    own_oauth_scopes: list[str] | None = None,
    parent_oauth_scopes: list[str] | None = None,
    use_cache: bool = True,
    scope: Literal["function", "request"] | None = None,
    concurrency: Any = None,
    _is_shared: bool = False,
) -> Dependant:
    """The tree of a callable: its own parameters and, recursively, its dependencies.

    Args:
        path: the path format of the route; parameters with a name in it are path parameters.
        name: the parameter of the caller that receives the value.
        concurrency: the limiter of `Depends(max_concurrency=)`.
        _is_shared: it is likely to be in other trees too.

    Raises:
        DeclarationError: something in the signature cannot be resolved; says where and what to write instead.
        DependencyScopeError: a generator that lives until the response depends on one that ends earlier.
    """
    dependant = Dependant(
        call=call,
        name=name,
        path=path,
        use_cache=use_cache,
        scope=scope,
        concurrency=concurrency,
        own_oauth_scopes=own_oauth_scopes,
        parent_oauth_scopes=parent_oauth_scopes,
    )
    scopes = [*(parent_oauth_scopes or []), *(own_oauth_scopes or [])]
    path_names = path_param_names(path)
    known = find_known(call, path_names) if _is_shared else None
    found: list[tuple[inspect.Parameter, ParamDetails]] = []
    for parameter, told in known.parameters if known is not None else _unknown(call):
        with origin_of(call, parameter):
            if told is not None:
                details = told.twin()
            else:
                details = analyze_param(
                    param_name=parameter.name,
                    annotation=parameter.annotation,
                    value=parameter.default,
                    path_param_names=path_names,
                )
                found.append((parameter, details))
            if details.depends is not None:
                _add_sub_dependant(dependant, parameter.name, details.depends, scopes)
                continue
            attribute = None
            if details.field is None or lenient_issubclass(details.type_annotation, _INJECTED_TYPES):
                attribute = next((attr for cls, attr in INJECTED if lenient_issubclass(details.type_annotation, cls)), None)
            if attribute is not None:
                if details.field is not None:
                    _refuse(f"Cannot specify multiple FastAPI annotations for {parameter.name!r}")
                setattr(dependant, attribute, parameter.name)
            else:
                assert details.field is not None
                add_field(dependant, details.field)
    if _is_shared:
        dependant._known = known or keep_known(call, path_names, found)
    return dependant


def _unknown(call: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, ParamDetails | None]]:
    """The parameters of a callable of which nothing is known."""
    for parameter in get_typed_signature(call).parameters.values():
        yield parameter, None


def get_parameterless_sub_dependant(*, depends: markers.Depends, path: str) -> Dependant:
    """The tree of an entry of `dependencies=[...]`, whose value nobody receives."""
    if not callable(depends.dependency):
        _refuse("A parameter-less dependency must have a callable dependency", "Write `Depends(some_function)`.")
    return get_dependant(
        path=path,
        call=depends.dependency,
        use_cache=depends.use_cache,
        scope=depends.scope,
        concurrency=depends._concurrency,
        own_oauth_scopes=list(depends.scopes or []) if isinstance(depends, markers.Security) else [],
        _is_shared=True,
    )


def dependant_of(path: str, call: Callable[..., Any], dependencies: Sequence[markers.Depends]) -> Dependant:
    """The tree of an endpoint with the dependencies of the layers around it in front of its own."""
    dependant = get_dependant(path=path, call=call, scope="function")
    dependant.dependencies[:0] = [get_parameterless_sub_dependant(depends=depends, path=path) for depends in dependencies]
    return dependant
