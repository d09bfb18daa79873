"""The OpenAPI document and the pages that show it."""

import warnings
from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, computed_field, create_model

from tercel import APIRouter, Body, Cookie, Depends, FastAPI, File, Form, Header, Path, Query, UploadFile
from tercel.openapi.docs import get_redoc_html, get_swagger_ui_html
from tercel.responses import HTMLResponse, PlainTextResponse, Response
from tercel.sse import EventSourceResponse


class Item(BaseModel):
    """A thing for sale."""

    name: str
    price: float = Field(gt=0, description="in euros")
    note: str | None = None


def document(*endpoints, path="/x", method="get", app=None, **options):
    app = app or FastAPI()
    for endpoint in endpoints:
        getattr(app, method)(path, **options)(endpoint)
    return app.openapi()


def operation(*endpoints, path="/x", method="get", **options):
    return document(*endpoints, path=path, method=method, **options)["paths"][path][method]


# -- the document --------------------------------------------------------------------------------------------------------------


def test_the_smallest_document_has_version_info_and_paths():
    assert FastAPI().openapi() == {"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {}}


def test_the_metadata_of_the_application_is_in_the_document():
    app = FastAPI(
        title="T",
        summary="S",
        description="D",
        version="1",
        terms_of_service="https://example.org/terms",
        contact={"name": "N", "email": "n@example.org"},
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[{"name": "a", "description": "A"}],
        servers=[{"url": "https://example.org"}],
        openapi_external_docs={"url": "https://example.org/docs"},
    )
    assert app.openapi() == {
        "openapi": "3.1.0",
        "info": {
            "title": "T",
            "summary": "S",
            "description": "D",
            "termsOfService": "https://example.org/terms",
            "contact": {"name": "N", "email": "n@example.org"},
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": "1",
        },
        "servers": [{"url": "https://example.org"}],
        "paths": {},
        "tags": [{"name": "a", "description": "A"}],
        "externalDocs": {"url": "https://example.org/docs"},
    }


def test_an_operation_has_summary_description_id_and_responses():
    def read_item(item_id: int):
        """What it does.

        More about it.
        \f
        Not for readers of the document.
        """

    found = operation(read_item, path="/items/{item_id}")
    assert (found["summary"], found["operationId"]) == ("Read Item", "read_item_items__item_id__get")
    assert found["description"].strip() == "What it does.\n\nMore about it."
    assert found["parameters"] == [
        {"name": "item_id", "in": "path", "required": True, "schema": {"type": "integer", "title": "Item Id"}}
    ]
    assert found["responses"] == {
        "200": {"description": "Successful Response", "content": {"application/json": {"schema": {}}}},
        "422": {
            "description": "Validation Error",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
        },
    }


def test_what_the_decorator_says_wins_over_what_the_function_says():
    def endpoint():
        """Of the function."""

    found = operation(
        endpoint,
        summary="S",
        description="D",
        operation_id="id",
        tags=["t"],
        deprecated=True,
        response_description="R",
        status_code=201,
    )
    assert (found["summary"], found["description"], found["operationId"], found["tags"], found["deprecated"]) == (
        "S",
        "D",
        "id",
        ["t"],
        True,
    )
    assert list(found["responses"]) == ["201"]
    assert found["responses"]["201"]["description"] == "R"


def test_tags_may_be_members_of_an_enum():
    class Tags(Enum):
        ITEMS = "items"

    def endpoint():
        return None

    assert operation(endpoint, tags=[Tags.ITEMS])["tags"] == ["items"]


def test_two_operations_with_one_id_are_warned_about():
    def endpoint():
        return None

    app = FastAPI()
    app.get("/a", operation_id="same")(endpoint)
    app.get("/b", operation_id="same")(endpoint)
    with pytest.warns(UserWarning, match="Duplicate Operation ID same"):
        app.openapi()


def test_a_hidden_operation_is_not_in_the_document():
    def endpoint():
        return None

    assert document(endpoint, include_in_schema=False)["paths"] == {}


# -- parameters ----------------------------------------------------------------------------------------------------------------


def test_parameters_are_documented_with_place_name_need_and_schema():
    def endpoint(
        p: Annotated[int, Path(ge=1, title="P")],
        q: Annotated[str | None, Query(max_length=5, description="Q", deprecated=True)] = None,
        many: Annotated[list[int], Query(alias="m")] = [],  # noqa: B006 - defaults are copied
        x_token: Annotated[str, Header()] = "t",
        c: Annotated[Literal["a", "b"], Cookie()] = "a",
        hidden: Annotated[int, Query(include_in_schema=False)] = 0,
    ):
        return None

    found = {(item["in"], item["name"]): item for item in operation(endpoint, path="/{p}")["parameters"]}
    assert list(found) == [("path", "p"), ("query", "q"), ("query", "m"), ("header", "x-token"), ("cookie", "c")]
    assert found["path", "p"]["schema"] == {"type": "integer", "minimum": 1, "title": "P"}
    assert (found["query", "q"]["required"], found["query", "q"]["deprecated"], found["query", "q"]["description"]) == (
        False,
        True,
        "Q",
    )
    assert found["query", "q"]["schema"]["anyOf"] == [{"type": "string", "maxLength": 5}, {"type": "null"}]
    assert found["query", "m"]["schema"] == {"type": "array", "items": {"type": "integer"}, "default": [], "title": "M"}
    assert found["header", "x-token"]["schema"]["default"] == "t"
    assert found["cookie", "c"]["schema"]["enum"] == ["a", "b"]


def test_parameters_of_dependencies_are_documented_once_and_needed_if_anybody_needs_them():
    def one(q: int = 1):
        return q

    def two(q: int, r: str = "r"):
        return q

    def endpoint(a: Annotated[int, Depends(one)], b: Annotated[int, Depends(two)]):
        return None

    parameters = operation(endpoint)["parameters"]
    assert [(item["name"], item["required"]) for item in parameters] == [("q", True), ("r", False)]


def test_the_fields_of_a_parameter_model_are_documented_one_by_one():
    class Page(BaseModel):
        limit: int = Field(10, le=100)
        after: str

    def endpoint(page: Annotated[Page, Query()]):
        return None

    assert [(item["name"], item["required"]) for item in operation(endpoint)["parameters"]] == [("limit", False), ("after", True)]


def test_examples_of_parameters_are_documented():
    def endpoint(
        q: Annotated[int, Query(examples=[1, 2])],
        r: Annotated[int, Query(openapi_examples={"one": {"summary": "S", "value": 1}})],
    ):
        return None

    first, second = operation(endpoint)["parameters"]
    assert first["schema"]["examples"] == [1, 2]
    assert second["examples"] == {"one": {"summary": "S", "value": 1}}


# -- bodies --------------------------------------------------------------------------------------------------------------------


def test_a_single_model_is_a_reference():
    def endpoint(item: Item):
        return None

    found = document(endpoint, method="post")
    assert found["paths"]["/x"]["post"]["requestBody"] == {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
        "required": True,
    }
    assert found["components"]["schemas"]["Item"] == {
        "description": "A thing for sale.",
        "properties": {
            "name": {"title": "Name", "type": "string"},
            "price": {"description": "in euros", "exclusiveMinimum": 0.0, "title": "Price", "type": "number"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note"},
        },
        "required": ["name", "price"],
        "title": "Item",
        "type": "object",
    }


def test_several_bodies_are_one_model_named_after_the_operation():
    def endpoint(item: Item, n: Annotated[int, Body()] = 1):
        return None

    found = document(endpoint, method="post")
    reference = found["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/Body_endpoint_x_post"
    model = found["components"]["schemas"]["Body_endpoint_x_post"]
    assert (list(model["properties"]), model["required"]) == (["item", "n"], ["item"])


def test_forms_and_files_have_their_media_types():
    def form(a: Annotated[str, Form()]):
        return None

    def file(a: Annotated[str, Form()], f: UploadFile, g: Annotated[bytes | None, File()] = None):
        return None

    app = FastAPI()
    app.post("/form")(form)
    app.post("/file")(file)
    found = app.openapi()
    assert list(found["paths"]["/form"]["post"]["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert list(found["paths"]["/file"]["post"]["requestBody"]["content"]) == ["multipart/form-data"]
    upload = found["components"]["schemas"]["Body_file_file_post"]["properties"]["f"]
    assert upload == {"type": "string", "contentMediaType": "application/octet-stream", "title": "F"}


def test_an_optional_body_is_not_required():
    def endpoint(item: Item | None = None):
        return None

    assert "required" not in operation(endpoint, method="post")["requestBody"]


def test_examples_of_bodies_are_documented():
    def endpoint(item: Annotated[Item, Body(openapi_examples={"cheap": {"value": {"name": "a", "price": 1}}})]):
        return None

    content = operation(endpoint, method="post")["requestBody"]["content"]["application/json"]
    assert content["examples"] == {"cheap": {"value": {"name": "a", "price": 1}}}


# -- schemas -------------------------------------------------------------------------------------------------------------------


class Sized(BaseModel):
    side: int = 1

    @computed_field
    def area(self) -> int:
        return self.side**2


def test_models_that_differ_as_input_and_output_have_two_schemas():
    def endpoint(item: Sized) -> Sized:
        return item

    schemas = document(endpoint, method="post")["components"]["schemas"]
    assert {"Sized-Input", "Sized-Output"} <= set(schemas)
    assert "area" in schemas["Sized-Output"]["properties"]
    assert "area" not in schemas["Sized-Input"]["properties"]


def test_one_schema_for_input_and_output_can_be_asked_for():
    class Plain(BaseModel):
        a: int = 1

    def endpoint(item: Plain) -> Plain:
        return item

    schemas = document(endpoint, method="post", app=FastAPI(separate_input_output_schemas=False))["components"]["schemas"]
    assert {"Plain", "HTTPValidationError", "ValidationError"} == set(schemas)


def test_models_of_one_name_from_different_places_get_long_names():
    one = create_model("Same", __module__="first", a=(int, 1))
    two = create_model("Same", __module__="second", b=(int, 1))

    def endpoint(a: one, b: two):
        return None

    names = [name for name in document(endpoint, method="post")["components"]["schemas"] if "Same" in name]
    assert len(names) == 2
    assert all(name.startswith(("first__", "second__")) for name in names)


def test_validation_errors_have_a_schema():
    def endpoint(q: int):
        return None

    schemas = document(endpoint)["components"]["schemas"]
    assert schemas["HTTPValidationError"] == {
        "properties": {"detail": {"items": {"$ref": "#/components/schemas/ValidationError"}, "title": "Detail", "type": "array"}},
        "title": "HTTPValidationError",
        "type": "object",
    }
    assert schemas["ValidationError"]["required"] == ["loc", "msg", "type"]


# -- responses -----------------------------------------------------------------------------------------------------------------


def test_the_response_model_is_documented():
    def endpoint() -> list[Item]:
        return []

    schema = operation(endpoint)["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Item"}, "title": "Response Endpoint X Get"}


@pytest.mark.parametrize(
    ("response_class", "content"),
    [
        (HTMLResponse, {"text/html": {"schema": {"type": "string"}}}),
        (PlainTextResponse, {"text/plain": {"schema": {"type": "string"}}}),
        (Response, None),
    ],
)
def test_the_media_type_of_the_response_class_is_documented(response_class, content):
    def endpoint():
        return ""

    assert operation(endpoint, response_class=response_class)["responses"]["200"].get("content") == content


def test_streams_are_documented_by_their_items():
    async def lines():
        yield {}

    async def events():
        yield {}

    app = FastAPI()
    app.get("/lines")(lines)
    app.get("/events", response_class=EventSourceResponse)(events)
    paths = app.openapi()["paths"]
    assert list(paths["/lines"]["get"]["responses"]["200"]["content"]) == ["application/jsonl"]
    assert list(paths["/events"]["get"]["responses"]["200"]["content"]) == ["text/event-stream"]


def test_additional_responses_are_documented_with_models_and_headers():
    class Problem(BaseModel):
        why: str

    def endpoint():
        return None

    responses = operation(
        endpoint,
        responses={
            404: {"model": Problem, "description": "Missing", "headers": {"x-a": {"schema": {"type": "string"}}}},
            "5XX": {"description": "Broken"},
        },
    )["responses"]
    assert responses["404"] == {
        "description": "Missing",
        "headers": {"x-a": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    assert responses["5XX"] == {"description": "Broken"}


@pytest.mark.parametrize("declared", [422, "4XX", "default"])
def test_a_declared_answer_to_invalid_requests_replaces_the_usual_one(declared):
    def endpoint(q: int):
        return None

    found = document(endpoint, responses={declared: {"description": "Mine"}})
    responses = found["paths"]["/x"]["get"]["responses"]
    assert [status for status in responses if status != "200"] == [str(declared)]
    assert "HTTPValidationError" not in found.get("components", {}).get("schemas", {})


def test_an_operation_without_input_has_no_422():
    def endpoint():
        return None

    assert list(operation(endpoint)["responses"]) == ["200"]


def test_a_response_without_a_body_has_no_content():
    def endpoint() -> None:
        return None

    assert operation(endpoint, method="delete", status_code=204)["responses"] == {"204": {"description": "Successful Response"}}


# -- more ----------------------------------------------------------------------------------------------------------------------


def test_callbacks_and_webhooks_are_documented():
    callbacks = APIRouter()

    @callbacks.post("{$callback_url}/done/{$request.body.id}")
    def done(item: Item):
        return None

    app = FastAPI()

    @app.webhooks.post("new-item")
    def new_item(item: Item):
        """Sent for each new item."""

    def endpoint(callback_url: str):
        return None

    found = document(endpoint, app=app, method="post", callbacks=callbacks.routes)
    assert list(found["paths"]["/x"]["post"]["callbacks"]["done"]) == ["{$callback_url}/done/{$request.body.id}"]
    assert found["webhooks"]["new-item"]["post"]["description"] == "Sent for each new item."


def test_openapi_extra_is_merged_deeply():
    def endpoint(q: int):
        return None

    found = operation(endpoint, openapi_extra={"x-mine": {"a": 1}, "parameters": [{"name": "extra", "in": "query"}]})
    assert found["x-mine"] == {"a": 1}
    assert [item["name"] for item in found["parameters"]] == ["q", "extra"]


def test_several_methods_of_one_route_are_several_operations():
    def endpoint():
        return None

    app = FastAPI()
    app.api_route("/x", methods=["GET", "PUT"])(endpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # both have one operation id
        assert set(app.openapi()["paths"]["/x"]) == {"get", "put"}


def test_the_document_is_made_once_and_again_when_routes_change():
    def endpoint():
        return None

    app = FastAPI()
    app.get("/a")(endpoint)
    first = app.openapi()
    assert app.openapi() is first
    app.get("/b")(endpoint)
    assert list(app.openapi()["paths"]) == ["/a", "/b"]


def test_the_document_can_be_replaced(make_app, client):
    app = make_app()
    app.openapi = lambda: {"custom": True}
    assert client(app).get("/openapi.json").json() == {"custom": True}


def test_the_document_is_served_with_its_pages(make_app, client):
    connected = client(make_app(title="Title"))
    assert connected.get("/openapi.json").json()["info"]["title"] == "Title"
    for path, word in (("/docs", "swagger-ui"), ("/redoc", "redoc"), ("/docs/oauth2-redirect", "oauth2")):
        answer = connected.get(path)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert word in answer.text.lower()
    assert "Title - Swagger UI" in connected.get("/docs").text


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"openapi_url": None}, {}),
        ({"docs_url": None}, {"/openapi.json", "/redoc"}),
        ({"redoc_url": None}, {"/openapi.json", "/docs", "/docs/oauth2-redirect"}),
        (
            {"openapi_url": "/o.json", "docs_url": "/d", "redoc_url": "/r", "swagger_ui_oauth2_redirect_url": "/c"},
            {"/o.json", "/d", "/r", "/c"},
        ),
        ({"swagger_ui_oauth2_redirect_url": None}, {"/openapi.json", "/docs", "/redoc"}),
    ],
)
def test_addresses_of_the_document_and_its_pages_can_be_chosen(make_app, client, options, found):
    connected = client(make_app(**options))
    every = ["/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect", "/o.json", "/d", "/r", "/c"]
    assert {path for path in every if connected.get(path).status_code == 200} == set(found)


def test_pages_take_their_assets_from_where_they_are_told():
    page = get_swagger_ui_html(
        openapi_url="/o.json",
        title="T",
        swagger_js_url="/s.js",
        swagger_css_url="/s.css",
        swagger_ui_parameters={"deepLinking": False, "x": "</script>"},
        init_oauth={"clientId": "c"},
    ).body.decode()
    assert '"/s.js"' in page
    assert '"/s.css"' in page
    assert '"deepLinking": false' in page
    assert '"clientId": "c"' in page or '{"clientId":"c"}' in page
    assert page.count("</script>") == 2
    assert '"/redoc.js"' in get_redoc_html(openapi_url="/o.json", title="T", redoc_js_url="/redoc.js").body.decode()


def test_a_title_and_a_version_are_needed_for_a_document():
    with pytest.raises(AssertionError, match="A title must be provided for OpenAPI"):
        FastAPI(title="")
    with pytest.raises(AssertionError, match="A version must be provided for OpenAPI"):
        FastAPI(version="")
