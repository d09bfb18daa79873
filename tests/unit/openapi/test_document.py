"""The whole document: metadata, components, which routes are in it."""

import warnings
from enum import StrEnum
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from tercel.declare.markers import Depends, Query
from tercel.declare.security import HTTPBearer
from tercel.openapi.document import get_fields_from_routes, get_openapi


class Item(BaseModel):
    name: str
    price: float | None = None


def document(*routes: Any, **options: Any) -> dict[str, Any]:
    return get_openapi(**{"title": "T", "version": "1", "routes": routes, **options})


def plain() -> None: ...
def with_item(item: Item) -> None: ...
def with_query(q: int) -> None: ...


def test_the_smallest_document() -> None:
    assert document() == {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}


def test_metadata_is_placed_where_openapi_wants_it() -> None:
    made = document(
        openapi_version="3.1.1",
        summary="S",
        description="D",
        terms_of_service="https://example.com/terms",
        contact={"name": "C", "url": "https://example.com", "email": "c@example.com"},
        license_info={"name": "MIT", "identifier": "MIT"},
        tags=[{"name": "b"}, {"name": "a", "description": "A"}],
        servers=[{"url": "/v1"}],
        external_docs={"url": "https://example.com/more"},
    )
    assert list(made) == ["openapi", "info", "servers", "paths", "tags", "externalDocs"]
    assert list(made["info"]) == ["title", "summary", "description", "termsOfService", "contact", "license", "version"]
    assert made["openapi"] == "3.1.1"
    assert [tag["name"] for tag in made["tags"]] == ["b", "a"]
    assert made["externalDocs"] == {"url": "https://example.com/more"}


def test_empty_metadata_is_left_out() -> None:
    assert document(summary="", description="", tags=[], servers=[], contact={}, external_docs={}) == document()


def test_metadata_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(ValidationError):
        document(tags=[{"description": "nameless"}])


def test_operations_of_one_path_are_gathered_and_schemas_are_sorted(make_route: Any) -> None:
    class Apple(BaseModel):
        seeds: int

    made = document(
        make_route(with_item, "/items", methods=["POST"], name="create"),
        make_route(plain, "/other", response_model=list[Apple]),
        make_route(plain, "/items", name="read"),
    )
    assert list(made["paths"]) == ["/items", "/other"]
    assert list(made["paths"]["/items"]) == ["get", "post"]
    assert list(made["components"]["schemas"]) == ["Apple", "HTTPValidationError", "Item", "ValidationError"]


def test_input_and_output_have_one_schema_on_request(make_route: Any) -> None:
    class Both(BaseModel):
        model_config = ConfigDict(json_schema_serialization_defaults_required=True)
        value: int = 1

    def echo(both: Both) -> None: ...

    routes = [make_route(echo, methods=["POST"], response_model=Both)]
    assert {"Both-Input", "Both-Output"} <= set(document(*routes)["components"]["schemas"])
    assert "Both" in document(*routes, separate_input_output_schemas=False)["components"]["schemas"]


def test_models_with_the_same_name_get_long_names(make_route: Any) -> None:
    def first() -> type[BaseModel]:
        class Same(BaseModel):
            a: int

        return Same

    def second() -> type[BaseModel]:
        class Same(BaseModel):
            b: int

        return Same

    made = document(make_route(plain, "/1", response_model=first()), make_route(plain, "/2", response_model=second(), name="other"))
    names = list(made["components"]["schemas"])
    assert len(names) == 2
    assert all(name.endswith("Same") and "__" in name for name in names)


def test_hidden_routes_leave_no_trace(make_route: Any) -> None:
    hidden = make_route(with_item, methods=["POST"], include_in_schema=False)
    assert document(hidden) == document()
    assert get_fields_from_routes([hidden]) == []


def test_webhooks_have_their_own_place_and_share_components(make_route: Any) -> None:
    def hook(item: Item, token: Annotated[str, Depends(HTTPBearer())]) -> None: ...

    made = document(webhooks=[make_route(hook, "new-item", methods=["POST"])])
    assert made["paths"] == {}
    assert list(made["webhooks"]) == ["new-item"]
    assert "Item" in made["components"]["schemas"]
    assert list(made["components"]["securitySchemes"]) == ["HTTPBearer"]


def test_only_api_routes_are_described(make_route: Any) -> None:
    mount = SimpleNamespace(path="/static", name="static", include_in_schema=True)
    websocket = SimpleNamespace(path="/ws", dependant=None, name="ws")
    assert document(mount, websocket, make_route(plain, "/a"))["paths"].keys() == {"/a"}


def test_contexts_and_included_routers_give_the_effective_values(make_route: Any) -> None:
    original = make_route(plain, "/a", tags=["own"])
    effective = make_route(plain, "/prefix/a", tags=["outer", "own"])
    effective.original_route = original
    mounted = SimpleNamespace(original_route=SimpleNamespace(path="/static"), path="/prefix/static")
    router = SimpleNamespace(effective_route_contexts=lambda: iter([effective, mounted]))
    for routes in ([effective], [router]):
        made = document(*routes)
        assert made["paths"].keys() == {"/prefix/a"}
        assert made["paths"]["/prefix/a"]["get"]["tags"] == ["outer", "own"]


def test_all_fields_of_a_route_are_collected_those_of_callbacks_first(make_route: Any) -> None:
    class Sent(BaseModel):
        x: int

    class Filters(BaseModel):
        limit: int
        sort: str

    def sends(body: Sent) -> None: ...

    def takes(item: Item, filters: Annotated[Filters, Query()]) -> None: ...

    route = make_route(
        takes,
        methods=["POST"],
        response_model=dict[str, int],
        item_type=bytes,
        responses={404: {"model": list[str]}},
        callbacks=[make_route(sends, "{$callback_url}", methods=["POST"])],
    )
    annotations = [field.field_info.annotation for field in get_fields_from_routes([route])]
    assert annotations == [Sent, Item, dict[str, int], list[str], bytes, int, str]


def test_a_repeated_operation_id_is_a_warning_that_names_function_and_file(make_route: Any) -> None:
    routes = [make_route(plain, "/a", operation_id="same"), make_route(with_query, "/b", operation_id="same")]
    with pytest.warns(UserWarning, match=r"^Duplicate Operation ID same for function with_query at .*test_document\.py$"):
        made = document(*routes)
    assert {path["get"]["operationId"] for path in made["paths"].values()} == {"same"}


def test_each_document_starts_its_own_list_of_operation_ids(make_route: Any) -> None:
    route = make_route(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert document(route) == document(route)


def test_making_a_document_changes_no_declaration(make_route: Any) -> None:
    class Tag(StrEnum):
        a = "a"

    def takes(item: Item, tag: Tag = Tag.a) -> None: ...

    extra = {"responses": {"404": {"description": "gone"}}, "x-own": [1]}
    responses = {404: {"model": Item, "content": {"application/json": {"example": {"name": "x"}}}}}
    route = make_route(
        takes, methods=["POST", "PUT"], responses=responses, openapi_extra=extra, response_model=dict[str, Item | None]
    )
    with pytest.warns(UserWarning, match="Duplicate"):
        first = document(route)
    assert extra == {"responses": {"404": {"description": "gone"}}, "x-own": [1]}
    assert responses == {404: {"model": Item, "content": {"application/json": {"example": {"name": "x"}}}}}
    assert first["paths"]["/"]["post"]["responses"] == first["paths"]["/"]["put"]["responses"]
    with pytest.warns(UserWarning, match="Duplicate"):
        assert document(route) == first
