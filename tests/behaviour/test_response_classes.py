"""Response classes, status codes, headers and cookies, and where endpoints run."""

import threading
from enum import IntEnum
from typing import Annotated

import pytest
from pydantic import BaseModel, field_serializer

from tercel import Depends, FastAPI, HTTPException, Response
from tercel.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
)


class User(BaseModel):
    name: str
    nickname: str | None = None


class UserInDB(User):
    password: str


# -- response classes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response_class", "value", "content_type", "body"),
    [
        (HTMLResponse, "<p>", "text/html; charset=utf-8", b"<p>"),
        (PlainTextResponse, "x", "text/plain; charset=utf-8", b"x"),
        (JSONResponse, {"a": 1}, "application/json", b'{"a":1}'),
    ],
)
def test_a_response_class_renders_the_value(serve, response_class, value, content_type, body):
    def endpoint():
        return value

    answer = serve(endpoint, response_class=response_class).get("/")
    assert (answer.content, answer.headers["content-type"]) == (body, content_type)


def test_the_default_status_code_comes_from_the_response_class(serve):
    def endpoint():
        return "/elsewhere"

    answer = serve(endpoint, response_class=RedirectResponse).get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/elsewhere")


def test_a_custom_response_class_may_render_in_its_own_way(serve):
    class Shouting(JSONResponse):
        media_type = "application/vnd.shout+json"

        def render(self, content):
            return super().render(content).upper()

    def endpoint() -> dict[str, str]:
        return {"a": "b"}

    answer = serve(endpoint, response_class=Shouting).get("/")
    assert (answer.content, answer.headers["content-type"]) == (b'{"A":"B"}', "application/vnd.shout+json")


def test_the_default_response_class_comes_from_the_nearest_layer(make_app, client):
    from tercel import APIRouter

    app = make_app(default_response_class=PlainTextResponse)
    with_own = APIRouter(default_response_class=HTMLResponse)
    without = APIRouter()
    for router in (app, with_own, without):

        @router.get("/x")
        def endpoint():
            return "x"

    @with_own.get("/json", response_class=JSONResponse)
    def as_json():
        return "x"

    app.include_router(with_own, prefix="/own")
    app.include_router(without, prefix="/none")
    app.include_router(without, prefix="/include", default_response_class=HTMLResponse)
    connected = client(app)
    kinds = {
        path: connected.get(path).headers["content-type"].partition(";")[0]
        for path in ("/x", "/own/x", "/none/x", "/include/x", "/own/json")
    }
    assert kinds == {
        "/x": "text/plain",
        "/own/x": "text/html",
        "/none/x": "text/plain",
        "/include/x": "text/html",
        "/own/json": "application/json",
    }


# -- status codes --------------------------------------------------------------------------------------------------------------


def test_the_status_code_of_the_declaration_is_used(serve):
    def endpoint():
        return "made"

    assert serve(endpoint, method="POST", status_code=201).post("/").status_code == 201


def test_a_status_code_may_be_an_enum(serve):
    class Code(IntEnum):
        MADE = 201

    def endpoint():
        return "made"

    assert serve(endpoint, status_code=Code.MADE).get("/").status_code == 201


def test_the_injected_response_may_change_the_status_code(serve):
    def endpoint(response: Response, n: int):
        if n:
            response.status_code = n
        return n

    connected = serve(endpoint, status_code=201)
    assert connected.get("/?n=0").status_code == 201
    assert connected.get("/?n=202").status_code == 202


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(serve, status):
    def endpoint():
        return {"dropped": True}

    answer = serve(endpoint, status_code=status).get("/")
    assert (answer.status_code, answer.content) == (status, b"")
    assert "content-length" not in answer.headers


@pytest.mark.differs("the length of the dropped body is announced, so that the connection hangs or breaks")
def test_a_reset_content_response_announces_that_it_is_empty(serve):
    def endpoint():
        return {"dropped": True}

    # RFC 9110 §15.3.6: a 205 response has no content.
    answer = serve(endpoint, status_code=205).get("/")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (205, b"", "0")


def test_no_content_sends_no_content_length(serve):
    def endpoint() -> None:
        return None

    answer = serve(endpoint, method="DELETE", status_code=204).delete("/")
    assert answer.status_code == 204
    assert "content-length" not in answer.headers


def test_a_status_without_a_body_cannot_have_a_response_model():
    app = FastAPI()
    with pytest.raises(AssertionError, match="Status code 204 must not have a response body"):

        @app.get("/", status_code=204, response_model=User)
        def endpoint():
            return None


def test_a_status_changed_to_one_with_a_body_has_a_body(serve):
    def endpoint(response: Response):
        response.status_code = 400
        return {"shown": True}

    answer = serve(endpoint, status_code=204).get("/")
    assert (answer.status_code, answer.json()) == (400, {"shown": True})


def test_a_status_changed_to_one_without_a_body_drops_the_body(serve):
    def endpoint(response: Response):
        response.status_code = 204
        return {"dropped": True}

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.content) == (204, b"")


# -- headers and cookies -------------------------------------------------------------------------------------------------------


def test_headers_and_cookies_of_the_injected_response_are_added(serve):
    def endpoint(response: Response):
        response.headers["x-cat"] = "dog"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", max_age=10)
        response.delete_cookie("c")
        return "ok"

    answer = serve(endpoint).get("/")
    assert answer.headers["x-cat"] == "dog"
    assert [value.partition(";")[0] for value in answer.headers.get_list("set-cookie")] == ["a=1", "b=2", 'c=""']


def test_a_content_type_set_on_the_injected_response_is_added_not_replaced(serve):
    def endpoint(response: Response):
        response.headers["content-type"] = "application/custom"
        return "ok"

    assert serve(endpoint).get("/").headers.get_list("content-type") == ["application/json", "application/custom"]


def test_headers_set_in_a_dependency_are_kept_when_the_endpoint_succeeds_and_lost_when_it_raises(make_app, client):
    app = make_app()

    def tagging(response: Response):
        response.headers["x-tag"] = "1"

    @app.get("/", dependencies=[Depends(tagging)])
    def endpoint(fail: bool = False):
        if fail:
            raise HTTPException(400)

    connected = client(app)
    assert connected.get("/").headers["x-tag"] == "1"
    assert "x-tag" not in connected.get("/?fail=1").headers


# -- where things run ----------------------------------------------------------------------------------------------------------


def test_sync_endpoints_run_in_threads_and_async_ones_on_the_loop(make_app, client):
    app = make_app()
    seen = {}

    @app.get("/async")
    async def on_loop():
        seen["async"] = threading.get_ident()

    @app.get("/sync")
    def in_thread():
        seen["sync"] = threading.get_ident()

    connected = client(app)
    connected.get("/async")
    connected.get("/sync")
    assert seen["async"] != seen["sync"]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_the_response_is_validated_where_the_endpoint_ran(make_app, client, kind):
    app = make_app()
    seen = {}

    class Noting(BaseModel):
        n: int

        @field_serializer("n")
        def shown(self, value):
            return value

        def model_post_init(self, context):
            seen["validation"] = threading.get_ident()

    if kind == "async":

        @app.get("/", response_model=Noting)
        async def endpoint():
            seen["endpoint"] = threading.get_ident()
            return {"n": 1}

    else:

        @app.get("/", response_model=Noting)
        def endpoint():
            seen["endpoint"] = threading.get_ident()
            return {"n": 1}

    @app.get("/loop")
    async def loop():
        seen["loop"] = threading.get_ident()

    connected = client(app)
    connected.get("/")
    connected.get("/loop")
    assert (seen["validation"] == seen["loop"]) is (kind == "async")


def test_head_is_not_implied_by_get_but_may_be_declared(make_app, client):
    app = make_app()

    @app.get("/get")
    def get_only():
        return "x"

    @app.api_route("/both", methods=["GET", "HEAD"])
    def both():
        return "x"

    connected = client(app)
    refused = connected.request("HEAD", "/get")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    answer = connected.request("HEAD", "/both")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "3")


def test_an_injected_dependency_value_may_be_returned_as_it_is(serve):
    def user() -> UserInDB:
        return UserInDB(name="a", password="x")

    def endpoint(current: Annotated[UserInDB, Depends(user)]) -> User:
        return current

    assert serve(endpoint).get("/").json() == {"name": "a", "nickname": None}
