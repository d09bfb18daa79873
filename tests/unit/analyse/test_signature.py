"""Signatures: what each parameter is taken for, and how mistakes are told."""

import functools
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from tercel import Body, Cookie, Depends, File, Form, Header, Path, Query, Request, Response, Security, UploadFile
from tercel.analyse.signature import (
    analyze_param,
    dependant_of,
    get_dependant,
    get_parameterless_sub_dependant,
    get_stream_item_type,
    get_typed_annotation,
    get_typed_return_annotation,
    get_typed_signature,
    path_param_names,
)
from tercel.declare import markers
from tercel.http.errors import DeclarationAssertion, DeclarationError, DependencyScopeError, FastAPIError
from tercel.security import SecurityScopes

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Item(BaseModel):
    name: str


EMPTY: Any = get_typed_signature(lambda x: x).parameters["x"].default


def analyzed(annotation: Any = EMPTY, value: Any = EMPTY, name: str = "value", path: str = "/") -> Any:
    return analyze_param(param_name=name, annotation=annotation, value=value, path_param_names=path_param_names(path))


# -- paths and annotations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", set()),
        ("/a/{b}/{c:path}", {"b", "c:path"}),
        ("/{a}{b}", {"a", "b"}),
        ("/{broken", set()),
        ("/a}b{c}", {"c"}),
        ("/{{a}}/{b}", {"{a", "b"}),
    ],
)
def test_the_names_in_braces_of_a_path(path: str, names: set[str]) -> None:
    assert path_param_names(path) == names


def stringified(item: "Item", count: "int", maybe: "Unknown", nothing: "None") -> "list[Item]":
    raise AssertionError


def test_strings_are_resolved_as_far_as_they_can_be() -> None:
    annotations = {name: p.annotation for name, p in get_typed_signature(stringified).parameters.items()}
    assert (annotations["item"], annotations["count"]) == (Item, int)
    assert annotations["nothing"] in (None, NoneType)
    assert "Unknown" in str(annotations["maybe"])
    assert get_typed_return_annotation(stringified) == list[Item]


def test_a_wrapper_has_the_annotations_of_what_it_wraps() -> None:
    @functools.wraps(stringified)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    assert get_typed_signature(wrapper).parameters["item"].annotation is Item


def test_a_string_for_none_is_none() -> None:
    assert get_typed_annotation("None", {}) is None
    assert get_typed_annotation(int, {}) is int


def test_without_a_return_annotation_there_is_none() -> None:
    assert get_typed_return_annotation(lambda: 1) is None


@pytest.mark.parametrize("stream", [AsyncIterable, AsyncIterator, Iterable, Iterator])
def test_the_items_of_a_stream(stream: Any) -> None:
    assert get_stream_item_type(stream[Item]) is Item


def test_the_items_of_generators_and_of_what_is_no_stream() -> None:
    assert get_stream_item_type(AsyncGenerator[Item, None]) is Item
    assert get_stream_item_type(Generator[int, None, None]) is int
    for annotation in (None, int, Item, list[Item], AsyncIterable):
        assert get_stream_item_type(annotation) is None


# -- what a parameter is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, markers.Query),
        (str | None, markers.Query),
        (Any, markers.Query),
        (Literal["a"], markers.Query),
        (Item, markers.Body),
        (Item | None, markers.Body),
        (list[int], markers.Body),
        (dict[str, int], markers.Body),
        (UploadFile, markers.File),
        (UploadFile | None, markers.File),
        (list[UploadFile], markers.File),
        (Annotated[int, Field(gt=3)], markers.Query),
    ],
    ids=str,
)
def test_without_a_marker_the_type_decides(annotation: Any, kind: type[Any]) -> None:
    assert type(analyzed(annotation).field.field_info) is kind


def test_a_name_of_the_path_is_a_path_parameter() -> None:
    info = analyzed(int, name="item_id", path="/{item_id}").field.field_info
    assert type(info) is markers.Path
    assert info.is_required()


def test_without_an_annotation_anything_goes() -> None:
    details = analyzed()
    assert type(details.field.field_info) is markers.Query
    assert details.field.validate("x") == ("x", [])


@pytest.mark.parametrize("marker", [Query(), Header(), Cookie(), Body(), Form(), File()])
def test_a_marker_decides_wherever_it_stands(marker: Any) -> None:
    assert type(analyzed(Annotated[str, marker]).field.field_info) is type(marker)
    assert type(analyzed(str, marker).field.field_info) is type(marker)


def test_of_several_markers_the_last_one_decides_and_other_metadata_is_merged() -> None:
    info = analyzed(Annotated[int, Query(gt=1), Field(lt=9), Header(description="d")]).field.field_info
    assert type(info) is markers.Header
    assert info.description == "d"
    assert analyzed(Annotated[int, Field(lt=9), Query(gt=1)]).field.validate(10)[1]


def test_defaults_are_those_after_the_equals_sign() -> None:
    assert analyzed(int, 3).field.default == 3
    assert analyzed(Annotated[int, Query()], 3).field.default == 3
    assert analyzed(int, Query(4)).field.default == 4
    assert analyzed(Annotated[int, Query()]).field.field_info.is_required()


def test_headers_have_hyphens_unless_told_otherwise() -> None:
    assert analyzed(Annotated[str, Header()], name="x_token").field.alias == "x-token"
    assert analyzed(Annotated[str, Header(convert_underscores=False)], name="x_token").field.alias == "x_token"
    assert analyzed(Annotated[str, Header(alias="Own")], name="x_token").field.alias == "Own"


def test_of_several_aliases_a_path_takes_the_one_in_the_path() -> None:
    annotation = Annotated[int, Path(validation_alias=AliasChoices("other", "item"))]
    assert analyzed(annotation, name="item", path="/{item}").field.field_info.validation_alias == "item"


def test_a_dependency_is_no_field() -> None:
    def dependency() -> None: ...

    for details in (analyzed(Annotated[int, Depends(dependency)]), analyzed(int, Depends(dependency))):
        assert (details.depends.dependency, details.field) == (dependency, None)


def test_a_dependency_that_says_no_callable_is_its_annotation() -> None:
    assert analyzed(Annotated[Item, Depends()]).depends.dependency is Item
    assert analyzed(Item, Depends()).depends.dependency is Item


@pytest.mark.parametrize("annotation", [Request, WebSocket, HTTPConnection, Response, BackgroundTasks, SecurityScopes])
def test_objects_of_the_framework_are_neither(annotation: Any) -> None:
    class Subclass(annotation):  # type: ignore[misc]
        pass

    for kind in (annotation, Subclass):
        details = analyzed(kind)
        assert (details.type_annotation, details.depends, details.field) == (kind, None, None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with Python 3.12")
def test_the_value_of_a_type_statement_is_looked_at() -> None:
    namespace: dict[str, Any] = {"Annotated": Annotated, "Header": Header}
    exec("type Token = Annotated[str, Header()]", namespace)
    assert type(analyzed(namespace["Token"]).field.field_info) is markers.Header


# -- trees -------------------------------------------------------------------------------------------------------------------------


def token(x_token: Annotated[str, Header()]) -> str:
    return x_token


def test_a_tree_has_the_parameters_by_their_place() -> None:
    def endpoint(
        a: int,
        b: int,
        c: Annotated[str, Header()],
        d: Annotated[str, Cookie()],
        e: Item,
        request: Request,
        response: Response,
        tasks: BackgroundTasks,
        scopes: SecurityScopes,
        connection: HTTPConnection,
        token: Annotated[str, Depends(token)],
    ) -> None: ...

    tree = get_dependant(path="/{a}", call=endpoint)
    groups = (tree.path_params, tree.query_params, tree.header_params, tree.cookie_params, tree.body_params)
    assert [[field.name for field in group] for group in groups] == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert (tree.request_param_name, tree.response_param_name, tree.background_tasks_param_name) == ("request", "response", "tasks")
    assert (tree.security_scopes_param_name, tree.http_connection_param_name) == ("scopes", "connection")
    assert tree.websocket_param_name is None
    (sub,) = tree.dependencies
    assert (sub.call, sub.name, [field.alias for field in sub.header_params]) == (token, "token", ["x-token"])


def test_scopes_go_from_the_security_that_says_them_down_the_tree() -> None:
    def inner(token: Annotated[str, Depends(token)]) -> None: ...

    def endpoint(inner: Annotated[None, Security(inner, scopes=["a"])]) -> None: ...

    (sub,) = get_dependant(path="/", call=endpoint, own_oauth_scopes=["o"]).dependencies
    assert (sub.own_oauth_scopes, sub.parent_oauth_scopes) == (["a"], ["o"])
    assert sub.dependencies[0].parent_oauth_scopes == ["o", "a"]


def test_dependencies_around_an_endpoint_stand_in_front_of_its_own() -> None:
    def around() -> None: ...

    def endpoint(token: Annotated[str, Depends(token)]) -> None: ...

    tree = dependant_of("/", endpoint, [Depends(around, use_cache=False), Security(around, scopes=["s"])])
    assert [(sub.call, sub.name, sub.use_cache) for sub in tree.dependencies] == [
        (around, None, False),
        (around, None, True),
        (token, "token", True),
    ]
    assert tree.dependencies[1].own_oauth_scopes == ["s"]


# -- mistakes ----------------------------------------------------------------------------------------------------------------------


class NotForPydantic:
    pass


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (
            Annotated[int, Query(3)],
            EMPTY,
            "`Query` default value cannot be set in `Annotated` for 'value'. Set the default value with `=",
        ),
        (
            Annotated[int, Depends(token)],
            Depends(token),
            "Cannot specify `Depends` in `Annotated` and default value together for 'value'",
        ),
        (
            Annotated[int, Query()],
            Depends(token),
            "Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a default value together for 'value'",
        ),
        (
            Annotated[int, Query()],
            Query(),
            "Cannot specify FastAPI annotations in `Annotated` and default value together for 'value'",
        ),
        (Annotated[Request, Query()], EMPTY, "Cannot specify FastAPI annotation for type"),
        (Annotated[dict[str, int], Query()], EMPTY, "Query parameter 'value' must be one of the supported types"),
    ],
)
def test_markers_that_contradict_each_other_are_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(DeclarationAssertion, match=re.escape(message)):
        analyzed(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, Query(), "Cannot use `Query` for path param 'value'"),
        (Annotated[int, Header()], EMPTY, "Cannot use `Header` for path param 'value'"),
        (Annotated[int, Path()], 3, "Path parameters cannot have default values"),
        (list[int], EMPTY, "Path params must be of one of the supported types"),
        (Item, EMPTY, "Path params must be of one of the supported types"),
    ],
)
def test_path_parameters_are_scalars_without_default(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        analyzed(annotation, value, path="/{value}")


def declared(call: Callable[..., Any]) -> DeclarationError:
    with pytest.raises(DeclarationError) as caught:
        get_dependant(path="/{item_id}", call=call)
    return caught.value


def test_a_mistake_is_told_with_the_way_to_it() -> None:
    def session(db: NotForPydantic) -> None: ...

    def current_user(session: Annotated[None, Depends(session)]) -> None: ...

    def endpoint(user: Annotated[None, Depends(current_user)]) -> None: ...

    error = declared(endpoint)
    first, *lines = str(error).splitlines()
    assert first.startswith("Invalid args for response field!")  # FastAPI's own words
    calls = (endpoint, current_user, session)
    assert [place.line for place, _ in error.where] == [call.__code__.co_firstlineno for call in calls]  # type: ignore[union-attr]
    assert all(re.fullmatch(r"  \S*test_signature\.py:\d+ +\w+\(.*\)", line) for line in lines[:3])
    assert [re.search(r" (\w+)\(", line).group(1) for line in lines[:3]] == ["endpoint", "current_user", "session"]  # type: ignore[union-attr]
    assert "db: NotForPydantic" in lines[2]
    assert "Depends(" in lines[3]  # what to write instead


def test_a_mistake_keeps_its_class_on_the_way_up() -> None:
    def inner(item_id: Annotated[int, Query()]) -> None: ...

    def endpoint(inner: Annotated[None, Depends(inner)]) -> None: ...

    error = declared(endpoint)
    assert isinstance(error, DeclarationAssertion)
    assert isinstance(error, AssertionError)
    assert len(error.where) == 2


def test_an_object_of_the_framework_with_a_marker_is_refused() -> None:
    def endpoint(request: Annotated[Request, Body()]) -> None: ...

    assert "Cannot specify FastAPI annotation for type" in str(declared(endpoint))


def test_something_that_cannot_be_called_is_no_dependency() -> None:
    for depends in (Depends(), Depends(3)):  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="A parameter-less dependency must have a callable dependency") as caught:
            get_parameterless_sub_dependant(depends=depends, path="/")
        assert "Write `Depends(some_function)`." in str(caught.value)


def test_a_generator_may_not_outlive_what_it_depends_on() -> None:
    async def short() -> AsyncGenerator[int, None]:
        yield 1

    async def long(short: Annotated[int, Depends(short, scope="function")]) -> AsyncGenerator[int, None]:
        yield 1

    async def plain(short: Annotated[int, Depends(short, scope="function")]) -> int:
        return short

    async def endpoint(long: Annotated[int, Depends(long)]) -> None: ...

    async def fine(plain: Annotated[int, Depends(plain)], long: Annotated[int, Depends(long, scope="function")]) -> None: ...

    with pytest.raises(DependencyScopeError) as caught:
        get_dependant(path="/", call=endpoint)
    assert isinstance(caught.value, FastAPIError)
    assert 'The dependency "long" has a scope of "request", it cannot depend on dependencies with scope "function".' in str(
        caught.value
    )
    assert len(get_dependant(path="/", call=fine).dependencies) == 2
