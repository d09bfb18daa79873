"""What `docs/differences.md` says: the differences that no other suite shows, and that every test it names exists."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tercel import APIRouter, DeclarationError, FastAPI, Query, Request, Response
from tercel.middleware.gzip import GZipMiddleware
from tercel.routing import APIRoute
from tercel.testclient import TestClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "differences.md").read_text("utf-8")
DEFECTS = "tests/behaviour/test_defects.py"
NAMED = sorted(
    {*re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE), *(f"{DEFECTS}::{name}" for name in re.findall(r"`(test_\w+)`", PAGE))}
)


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_the_page_names_exists(name: str) -> None:
    file, _, test = name.partition("::")
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_every_defect_is_on_the_page() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, 18)]


def test_a_mistake_in_a_declaration_begins_with_fastapis_message() -> None:
    app = FastAPI()
    with pytest.raises(AssertionError) as caught:

        @app.get("/{item_id}")
        def read_item(item_id: int = Query()) -> None: ...

    assert isinstance(caught.value, DeclarationError)
    first, *others = str(caught.value).splitlines()
    assert first == "Cannot use `Query` for path param 'item_id'"
    assert any("test_differences.py" in line for line in others)


def test_json_is_at_most_800_levels_deep() -> None:
    app = FastAPI()

    @app.post("/")
    def depth(body: list[Any]) -> str:
        return "parsed"

    client = TestClient(app)
    headers = {"content-type": "application/json"}
    assert client.post("/", content=b"[" * 800 + b"]" * 800, headers=headers).json() == "parsed"
    refused = client.post("/", content=b"[" * 801 + b"]" * 801, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["type"] == "json_invalid"


def test_a_path_that_a_convertor_cannot_convert_is_not_found() -> None:
    app = FastAPI()

    @app.get("/{number:int}")
    def read(number: int) -> int:
        return number

    client = TestClient(app)
    assert client.get("/" + "1" * 20).status_code == 200
    assert client.get("/" + "1" * 4301).status_code == 404


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_small_body_behind_a_middleware_function_is_not_compressed(coding: str) -> None:
    app = FastAPI()

    @app.get("/{size}")
    def endpoint(size: int) -> str:
        return "x" * size

    @app.middleware("http")
    async def quiet(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)

    app.add_middleware(GZipMiddleware, minimum_size=500)
    client = TestClient(app, headers={"accept-encoding": coding})
    small, large = client.get("/10").headers, client.get("/1000").headers
    assert ("content-encoding" in small, small.get("vary")) == (False, None)
    assert ("content-encoding" in large, large["vary"]) == (coding == "gzip", "Accept-Encoding")


def test_a_route_taken_out_of_an_included_router_is_not_found_any_more() -> None:
    app, router = FastAPI(), APIRouter()
    router.get("/x")(lambda: "x")
    app.include_router(router)
    client = TestClient(app)
    assert client.get("/x").json() == "x"
    router.routes.pop()
    assert client.get("/x").status_code == 404
    router.routes.append(APIRoute("/x", lambda: "another"))
    assert client.get("/x").json() == "another"


def test_a_parameter_changed_after_the_first_request_is_what_it_was() -> None:
    def app_with_changed_parameter(*, asked_before: bool) -> list[Any]:
        app = FastAPI()

        @app.get("/")
        def read(number: int = 1) -> int:
            return number

        client = TestClient(app)
        if asked_before:
            client.get("/")
        route = cast(APIRoute, app.routes[-1])
        (field,) = route.dependant.query_params
        field.field_info.alias = "n"
        field.field_info.default = 9
        return [client.get(path).json() for path in ("/?n=5", "/?number=5", "/")]

    assert app_with_changed_parameter(asked_before=False) == [5, 9, 9]
    assert app_with_changed_parameter(asked_before=True) == [1, 5, 1]
