"""Parameters and dependencies that are declared many times are analysed once, and still are each route's own."""

from __future__ import annotations

import gc
from copy import copy
from typing import Annotated, Any

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

from tercel import APIRouter, Body, Cookie, Depends, FastAPI, Form, Header, Path, Query
from tercel.analyse import known, signature
from tercel.analyse.dependant import Dependant
from tercel.analyse.fields import copy_field_info
from tercel.analyse.signature import get_dependant
from tercel.testclient import TestClient


def analysed(call: Any) -> Dependant:
    """The tree of an endpoint that depends on a callable: its branch."""

    async def endpoint(value: Any) -> None: ...

    endpoint.__annotations__["value"] = Annotated[Any, Depends(call)]
    (branch,) = get_dependant(path="/", call=endpoint).dependencies
    return branch


def make_dependency() -> Any:
    def dependency(token, limit=3, note=None): ...  # type: ignore[no-untyped-def]

    dependency.__annotations__.update(token=Annotated[str, Header(description="who")], limit=int, note=str | None)
    return dependency


def test_a_dependency_of_many_routes_is_analysed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dependency, seen = make_dependency(), []

    def counted(**arguments: Any) -> Any:
        seen.append(arguments["param_name"])
        return analyse(**arguments)

    analyse = signature.analyze_param
    monkeypatch.setattr(signature, "analyze_param", counted)
    trees = [analysed(dependency) for _ in range(3)]
    assert seen.count("token") == 1
    assert [[field.name for field in tree.header_params + tree.query_params] for tree in trees] == [["token", "limit", "note"]] * 3


def test_what_is_changed_in_one_tree_stays_there() -> None:
    dependency = make_dependency()
    first, second = analysed(dependency), analysed(dependency)
    first.header_params[0].field_info.description = "changed"
    first.header_params[0].field_info.metadata.append("more")
    first.query_params[0].name = "renamed"
    third = analysed(dependency)
    for tree in (second, third):
        assert tree.header_params[0].field_info.description == "who"
        assert tree.header_params[0].field_info.metadata == []
        assert [field.name for field in tree.query_params] == ["limit", "note"]


@pytest.mark.parametrize("change", ["defaults", "annotation", "code"])
def test_a_function_that_says_something_else_is_analysed_again(change: str) -> None:
    dependency = make_dependency()
    before = analysed(dependency)
    if change == "defaults":
        dependency.__defaults__ = (7, None)
    elif change == "annotation":
        dependency.__annotations__["limit"] = float
    else:
        dependency.__code__ = (lambda token, most=3, note=None: None).__code__
    after = analysed(dependency)
    said = [(field.name, field.field_info.annotation, field.default) for field in after.query_params]
    expected = {"defaults": ("limit", int, 7), "annotation": ("limit", float, 3), "code": ("most", Any, 3)}
    assert said[0] == expected[change]
    assert [(field.name, field.default) for field in before.query_params] == [("limit", 3), ("note", None)]


def test_a_parameter_is_of_the_path_only_where_the_path_has_it() -> None:
    def dependency(item_id): ...  # type: ignore[no-untyped-def]

    dependency.__annotations__["item_id"] = int
    places = []
    for path in ("/", "/{item_id}", "/"):

        async def endpoint(value: Any) -> None: ...

        endpoint.__annotations__["value"] = Annotated[Any, Depends(dependency)]
        (branch,) = get_dependant(path=path, call=endpoint).dependencies
        places.append((len(branch.path_params), len(branch.query_params)))
    assert places == [(0, 1), (1, 0), (0, 1)]


def test_a_marker_that_is_the_default_is_the_same_object_everywhere() -> None:
    marker = Query(5)

    def dependency(limit=marker): ...  # type: ignore[no-untyped-def]

    dependency.__annotations__["limit"] = int
    assert analysed(dependency).query_params[0].field_info is analysed(dependency).query_params[0].field_info is marker


def test_nothing_is_known_of_a_function_in_no_tree() -> None:
    dependency = make_dependency()
    tree = analysed(dependency)
    place = id(dependency)
    assert place in known._known
    del tree
    gc.collect()
    assert place not in known._known


MARKERS: list[Any] = [
    Query(),
    Query(ge=1, le=5, description="d", alias="other"),
    Header(convert_underscores=False, title="t", deprecated=True),
    Cookie(examples=["a"], json_schema_extra={"x": 1}),
    Path(gt=2),
    Body(embed=True, media_type="text/x", min_length=3, strict=True),
    Form(max_length=3, include_in_schema=True),
]


@pytest.mark.parametrize("marker", MARKERS, ids=lambda marker: type(marker).__name__)
@pytest.mark.parametrize("type_", [int, str | None], ids=str)
def test_a_lone_marker_is_copied_to_what_merging_makes_of_it(marker: FieldInfo, type_: Any) -> None:
    before = repr(FieldInfo.__repr__(marker))
    quick = copy_field_info(field_info=marker, annotation=Annotated[type_, marker])
    # With something else beside it, which says nothing, it is merged.
    merged = copy_field_info(field_info=marker, annotation=Annotated[type_, marker, Field()])
    names = [name for name in FieldInfo.__slots__ if name not in ("_attributes_set", "_original_annotation")]
    assert [getattr(quick, name) for name in names] == [getattr(merged, name) for name in names]
    assert quick._attributes_set == merged._attributes_set
    assert vars(quick) == vars(merged) == vars(marker)
    quick.metadata.append("more")
    quick._attributes_set["more"] = 1
    assert repr(FieldInfo.__repr__(marker)) == before


def test_equal_parameters_of_two_routes_are_each_their_own() -> None:
    router = APIRouter()

    def make(default: Any) -> Any:
        async def endpoint(flag: int = default) -> Any:
            return repr(flag)

        endpoint.__annotations__["flag"] = int | bool | None
        return endpoint

    for number, default in enumerate((1, True, None, 1)):
        router.get(f"/{number}")(make(default))
    app = FastAPI()
    app.include_router(router)
    fields = [route.dependant.query_params[0] for route in router.routes]  # type: ignore[attr-defined]
    fields[0].field_info.description = "only this one"
    copied = copy(fields[3])
    assert copied.field_info is not fields[0].field_info
    client = TestClient(app)
    assert [client.get(f"/{number}").json() for number in range(4)] == ["1", "True", "None", "1"]
    described = [client.get("/openapi.json").json()["paths"][f"/{number}"]["get"]["parameters"][0] for number in range(4)]
    assert [parameter.get("description") for parameter in described] == ["only this one", None, None, None]
    assert [parameter["schema"].get("default") for parameter in described] == [1, True, None, 1]


def test_the_order_of_a_union_is_part_of_its_type() -> None:
    app = FastAPI()
    for number, kind in enumerate((int | str, str | int)):

        async def endpoint(value: Any) -> Any:
            return value

        endpoint.__annotations__["value"] = Annotated[kind, Query(union_mode="left_to_right")]
        app.get(f"/marked{number}")(endpoint)

        async def plain(value: Any) -> Any:
            return type(value).__name__

        plain.__annotations__["value"] = kind
        app.get(f"/plain{number}")(plain)
        tree: Any = app.router.routes[-1]
        assert tree.dependant.query_params[0].field_info.annotation.__args__ == kind.__args__
    client = TestClient(app)
    assert [client.get(f"/marked{number}?value=1").json() for number in (0, 1)] == [1, "1"]
