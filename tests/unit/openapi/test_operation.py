"""One operation: metadata, parameters, security, body, responses, callbacks."""

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from tercel.declare.markers import Body, Cookie, Depends, File, Form, Header, Path, Query, Security
from tercel.declare.security import APIKeyHeader, OAuth2PasswordBearer
from tercel.http.defaults import Default
from tercel.http.uploads import UploadFile
from tercel.openapi import operation as operations
from tercel.openapi.document import get_openapi


class Item(BaseModel):
    name: str


def operation(route: Any) -> dict[str, Any]:
    made = get_openapi(title="T", version="1", routes=[route])
    ((_, path),) = made["paths"].items()
    ((_, described),) = path.items()
    assert isinstance(described, dict)
    return described


def plain() -> None: ...


@pytest.fixture
def describe(make_route: Any) -> Any:
    return lambda endpoint, *args, **options: operation(make_route(endpoint, *args, **options))


@pytest.fixture
def parameters(describe: Any) -> Any:
    return lambda endpoint, *args: {(p["in"], p["name"]): p for p in describe(endpoint, *args).get("parameters", [])}


# -- metadata ----------------------------------------------------------------------------------------------------------------------


def test_what_is_not_declared_comes_from_the_name(describe: Any) -> None:
    assert describe(plain, "/items/", name="read_all_items") == {
        "summary": "Read All Items",
        "operationId": "read_all_items_items__get",
        "responses": {"200": {"description": "Successful Response", "content": {"application/json": {"schema": {}}}}},
    }


def test_declared_metadata_is_shown(describe: Any) -> None:
    class Tag(Enum):
        items = "items"

    described = describe(
        plain, tags=[Tag.items, "x"], summary="S", description="D", operation_id="op", deprecated=True, response_description="R"
    )
    assert list(described) == ["tags", "summary", "description", "operationId", "deprecated", "responses"]
    assert described["tags"] == ["items", "x"]
    assert (described["summary"], described["description"], described["operationId"]) == ("S", "D", "op")
    assert described["responses"]["200"]["description"] == "R"


def test_extra_members_are_merged_deeply(describe: Any) -> None:
    extra = {"x-own": 1, "tags": ["b"], "responses": {"200": {"description": "Other"}, "404": {"description": "Gone"}}}
    described = describe(plain, tags=["a"], openapi_extra=extra)
    assert described["x-own"] == 1
    assert described["tags"] == ["a", "b"]
    assert described["responses"]["200"]["description"] == "Other"
    assert "content" in described["responses"]["200"]
    assert described["responses"]["404"] == {"description": "Gone"}


# -- parameters --------------------------------------------------------------------------------------------------------------------


def test_parameters_of_all_places_in_order(describe: Any) -> None:
    def endpoint(
        ads_id: Annotated[str | None, Cookie()],
        user_agent: Annotated[str, Header(description="who asks")],
        q: Annotated[int, Query(deprecated=True, gt=1)] = 3,
        item_id: Annotated[int, Path(title="The item")] = ...,  # type: ignore[assignment]
    ) -> None: ...

    del endpoint.__defaults__
    described = describe(endpoint, "/items/{item_id}")["parameters"]
    assert [(p["in"], p["name"], p["required"]) for p in described] == [
        ("path", "item_id", True),
        ("query", "q", True),
        ("header", "user-agent", True),
        ("cookie", "ads_id", True),
    ]
    assert described[0]["schema"] == {"type": "integer", "title": "The item"}
    assert described[1]["deprecated"] is True
    assert described[2]["description"] == "who asks"


def test_a_header_keeps_its_underscores_on_request(parameters: Any) -> None:
    def endpoint(
        plain_name: Annotated[str, Header()],
        strange_name: Annotated[str, Header(convert_underscores=False)],
        own_name: Annotated[str, Header(alias="x_token")],
    ) -> None: ...

    assert {name for _, name in parameters(endpoint)} == {"plain-name", "strange_name", "x_token"}


def test_a_parameter_model_is_shown_field_by_field(parameters: Any) -> None:
    class Filters(BaseModel):
        limit: int = Field(default=100, gt=0, description="how many", deprecated=True)
        order_by: Literal["a", "b"]

    def endpoint(filters: Annotated[Filters, Query()], headers: Annotated[Filters, Header()]) -> None: ...

    described = parameters(endpoint)
    assert set(described) == {("query", "limit"), ("query", "order_by"), ("header", "limit"), ("header", "order-by")}
    assert described["query", "limit"]["description"] == "how many"
    assert described["query", "limit"]["deprecated"] is True
    assert described["query", "limit"]["required"] is False
    assert described["query", "order_by"]["required"] is True
    assert described["header", "order-by"]["schema"]["title"] == "Order By"


def test_no_field_of_an_optional_parameter_model_is_required(parameters: Any) -> None:
    class Filters(BaseModel):
        limit: int

    def endpoint(filters: Annotated[Filters | None, Query()] = None) -> None: ...

    assert parameters(endpoint)["query", "limit"]["required"] is False


def test_of_two_declarations_the_required_one_wins(parameters: Any) -> None:
    def needs(client_id: str) -> None: ...
    def may(client_id: str | None = None) -> None: ...

    def first(a: Annotated[None, Depends(needs)], b: Annotated[None, Depends(may)]) -> None: ...
    def last(a: Annotated[None, Depends(may)], b: Annotated[None, Depends(needs)]) -> None: ...

    assert parameters(first)["query", "client_id"]["required"] is True
    assert parameters(last)["query", "client_id"]["required"] is True


def test_a_hidden_parameter_is_not_shown_but_can_still_be_invalid(describe: Any) -> None:
    def endpoint(secret: Annotated[int, Query(include_in_schema=False)] = 1) -> None: ...

    described = describe(endpoint)
    assert "parameters" not in described
    assert "422" in described["responses"]


def test_named_examples_come_before_a_single_one(parameters: Any) -> None:
    named = {"one": {"summary": "first", "value": 1}}

    def endpoint(
        a: Annotated[int, Query(openapi_examples=named)],  # type: ignore[arg-type, unused-ignore]
        b: Annotated[int, Query(examples=[1, 2])],
    ) -> None: ...

    described = parameters(endpoint)
    assert described["query", "a"]["examples"] == named
    assert described["query", "b"]["schema"]["examples"] == [1, 2]
    assert "example" not in described["query", "b"]


def test_the_old_single_example_is_shown(parameters: Any) -> None:
    with pytest.warns(UserWarning, match="example"):
        marker = Query(example=7)

    def endpoint(a: Annotated[int, marker]) -> None: ...

    assert parameters(endpoint)["query", "a"]["example"] == 7


# -- security ----------------------------------------------------------------------------------------------------------------------

oauth2 = OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "Read", "write": "Write"})
key = APIKeyHeader(name="X-Key", scheme_name="Key", description="secret")


def test_schemes_are_found_in_the_tree_with_the_scopes_of_all_uses(make_route: Any) -> None:
    def user(token: Annotated[str, Depends(oauth2)]) -> None: ...
    def writer(user: Annotated[None, Security(user, scopes=["write", "read"])]) -> None: ...

    def endpoint(
        a: Annotated[None, Security(user, scopes=["read"])], b: Annotated[None, Depends(writer)], c: Annotated[str, Security(key)]
    ) -> None: ...

    made = get_openapi(title="T", version="1", routes=[make_route(endpoint)])
    assert made["paths"]["/"]["get"]["security"] == [{"OAuth2PasswordBearer": ["read", "write"]}, {"Key": []}]
    schemes = made["components"]["securitySchemes"]
    assert schemes["Key"] == {"type": "apiKey", "description": "secret", "in": "header", "name": "X-Key"}
    assert schemes["OAuth2PasswordBearer"]["flows"]["password"]["scopes"] == {"read": "Read", "write": "Write"}
    assert "parameters" not in made["paths"]["/"]["get"]


def test_schemes_of_the_layers_around_a_route_count(describe: Any) -> None:
    assert describe(plain, dependencies=[Depends(key), Security(oauth2, scopes=["read"])])["security"] == [
        {"Key": []},
        {"OAuth2PasswordBearer": ["read"]},
    ]


# -- body --------------------------------------------------------------------------------------------------------------------------


def test_one_body_parameter_is_the_body_and_several_are_an_object(describe: Any) -> None:
    def single(item: Item) -> None: ...
    def several(item: Item, importance: Annotated[int, Body()]) -> None: ...
    def optional(item: Item | None = None) -> None: ...

    body = describe(single, methods=["POST"])["requestBody"]
    assert body == {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}
    body = describe(several, methods=["POST"])["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Body_several"}
    assert "required" not in describe(optional, methods=["POST"])["requestBody"]


@pytest.mark.parametrize(
    ("method", "shown"), [("GET", True), ("DELETE", True), ("PATCH", True), ("OPTIONS", False), ("TRACE", False)]
)
def test_a_body_is_shown_for_methods_that_may_have_one(describe: Any, method: str, shown: bool) -> None:
    def endpoint(item: Item) -> None: ...

    assert ("requestBody" in describe(endpoint, methods=[method])) is shown


def test_forms_and_files_have_their_media_types(describe: Any) -> None:
    def form(a: Annotated[str, Form()]) -> None: ...
    def file(a: UploadFile, b: Annotated[bytes, File()], c: Annotated[str, Form()]) -> None: ...
    def own(a: Annotated[Item, Body(media_type="application/vnd.api+json")]) -> None: ...

    assert list(describe(form, methods=["POST"])["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert list(describe(file, methods=["POST"])["requestBody"]["content"]) == ["multipart/form-data"]
    assert list(describe(own, methods=["POST"])["requestBody"]["content"]) == ["application/vnd.api+json"]


def test_examples_of_a_body_are_shown_beside_its_schema(describe: Any) -> None:
    named = {"one": {"value": {"name": "x"}}}

    def endpoint(item: Annotated[Item, Body(openapi_examples=named)]) -> None: ...  # type: ignore[arg-type, unused-ignore]

    content = describe(endpoint, methods=["POST"])["requestBody"]["content"]["application/json"]
    assert content["examples"] == named


# -- responses ---------------------------------------------------------------------------------------------------------------------


class Teapot(Response):
    media_type = "text/tea"

    def __init__(self, content: Any = None, status_code: int = 418) -> None:
        super().__init__(content, status_code)


class Silent(Response):
    def __init__(self) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("response_class", "status", "content"),
    [
        (JSONResponse, "200", {"application/json": {"schema": {}}}),
        (Default(JSONResponse), "200", {"application/json": {"schema": {}}}),
        (HTMLResponse, "200", {"text/html": {"schema": {"type": "string"}}}),
        (Response, "200", None),
        (RedirectResponse, "307", None),
        (FileResponse, "200", None),
        (Teapot, "418", {"text/tea": {"schema": {"type": "string"}}}),
        (Silent, "200", None),
    ],
)
def test_the_response_class_decides_status_and_media_type(describe: Any, response_class: Any, status: str, content: Any) -> None:
    responses = describe(plain, response_class=response_class)["responses"]
    assert list(responses) == [status]
    assert responses[status].get("content") == content


@pytest.mark.parametrize(
    ("status", "has_content"), [(200, True), (201, True), (204, False), (205, False), (304, False), (404, True)]
)
def test_a_status_that_forbids_a_body_has_no_content(describe: Any, status: int, has_content: bool) -> None:
    response = describe(plain, status_code=status, response_model=Item)["responses"][str(status)]
    assert ("content" in response) is has_content


def test_a_response_model_is_a_schema_of_what_goes_out(describe: Any) -> None:
    responses = describe(plain, response_model=list[Item], name="read")["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Item"}, "title": "Response"}


def test_streams_describe_their_items(describe: Any) -> None:
    lines = describe(plain, is_json_stream=True, item_type=Item)["responses"]["200"]["content"]
    assert lines == {"application/jsonl": {"itemSchema": {"$ref": "#/components/schemas/Item"}}}
    assert describe(plain, is_json_stream=True)["responses"]["200"]["content"] == {"application/jsonl": {"itemSchema": {}}}
    events = describe(plain, is_sse_stream=True, item_type=Item)["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]
    assert events["required"] == ["data"]
    assert events["properties"]["data"] == {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/components/schemas/Item"},
    }
    untyped = describe(plain, is_sse_stream=True)["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]
    assert "required" not in untyped
    assert untyped["properties"]["data"] == {"type": "string"}


def test_declared_responses_join_the_normal_one(describe: Any) -> None:
    responses = describe(
        plain,
        response_model=Item,
        responses={
            200: {"content": {"image/png": {}}, "description": "Item or image"},
            404: {"model": Item},
            "5XX": {"description": "Broken"},
            "4xx": {},
            "default": {"model": list[int]},
            599: {},
        },
    )["responses"]
    assert list(responses) == ["200", "404", "5XX", "4XX", "default", "599"]
    assert list(responses["200"]["content"]) == ["application/json", "image/png"]
    assert responses["200"]["description"] == "Item or image"
    assert responses["404"] == {
        "description": "Not Found",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
    }
    assert responses["5XX"] == {"description": "Broken"}
    assert responses["4XX"] == {"description": "Client Error"}
    assert responses["default"]["description"] == "Default Response"
    assert responses["599"] == {"description": "Additional Response"}


def test_a_declared_model_uses_the_media_type_of_the_route(describe: Any) -> None:
    responses = describe(plain, response_class=HTMLResponse, responses={404: {"model": Item}, 500: {"model": Item}})["responses"]
    assert list(responses["404"]["content"]) == ["text/html"]


def test_a_key_that_is_no_status_is_refused(describe: Any) -> None:
    with pytest.raises(ValueError, match="hello"):
        describe(plain, responses={"hello": {"description": "x"}})


@pytest.mark.parametrize("declared", [422, "422", "4XX", "default"])
def test_invalid_input_is_described_once(describe: Any, declared: int | str) -> None:
    def endpoint(q: int) -> None: ...

    own = describe(endpoint, responses={declared: {"description": "Own"}})["responses"]
    assert own[str(declared)]["description"] == "Own"
    assert list(own) == ["200", str(declared)]
    assert describe(endpoint)["responses"]["422"]["description"] == "Validation Error"
    assert "422" not in describe(plain)["responses"]


# -- callbacks ---------------------------------------------------------------------------------------------------------------------


def test_callbacks_are_described_with_what_they_call_back_themselves(make_route: Any) -> None:
    def sent(item: Item, token: Annotated[str, Depends(key)]) -> None: ...

    inner = make_route(plain, "{$inner}", name="inner")
    outer = make_route(sent, "{$callback_url}/items", methods=["POST"], name="notify", callbacks=[inner])
    made = get_openapi(title="T", version="1", routes=[make_route(plain, callbacks=[outer, object()])])
    callbacks = made["paths"]["/"]["get"]["callbacks"]
    assert list(callbacks) == ["notify"]
    notify = callbacks["notify"]["{$callback_url}/items"]["post"]
    assert notify["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}
    assert notify["security"] == [{"Key": []}]
    assert list(notify["callbacks"]["inner"]) == ["{$inner}"]
    assert "securitySchemes" not in made["components"]


# -- FastAPI's names ---------------------------------------------------------------------------------------------------------------


def test_parts_can_be_made_alone(make_route: Any) -> None:
    def endpoint(item: Item, q: int, token: Annotated[str, Depends(key)]) -> None: ...

    from tercel.analyse.fields import get_definitions
    from tercel.openapi.document import get_fields_from_routes

    route = make_route(endpoint, methods=["POST"])
    mapping, definitions = get_definitions(fields=get_fields_from_routes([route]), model_name_map={})
    shared: dict[str, Any] = {"model_name_map": {}, "field_mapping": mapping}
    whole = operation(route)
    assert operations.get_openapi_operation_parameters(dependant=route.dependant, **shared) == whole["parameters"]
    assert operations.get_openapi_operation_request_body(body_field=route.body_field, **shared) == whole["requestBody"]
    assert operations.get_openapi_operation_request_body(body_field=None, **shared) is None
    schemes, requirements = operations.get_openapi_security_definitions(route.dependant)
    assert (list(schemes), requirements) == (["Key"], whole["security"])
    path, schemes, more = operations.get_openapi_path(route=route, operation_ids=set(), **shared)
    assert list(path) == ["post"]
    assert list(schemes) == ["Key"]
    assert list(more) == ["ValidationError", "HTTPValidationError"]
    assert list(definitions) == ["Item"]
