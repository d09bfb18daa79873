"""The classes behind `frontend()`, which programs reach as `app.router._frontend_routes` and test like any other route."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Match, NoMatchFound

from tercel import FastAPI
from tercel.routing.frontend import FrontendGroup
from tercel.testclient import TestClient


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    (tmp_path / "index.html").write_text("shell")
    app = FastAPI()
    app.frontend("/shop", directory=tmp_path)
    return app


def group_of(app: FastAPI) -> FrontendGroup:
    group = app.router._frontend_routes
    assert group is not None
    return group


def scope(path: str, method: str = "GET") -> dict[str, str]:
    return {"type": "http", "path": path, "method": method}


@pytest.mark.parametrize(
    ("path", "relative"), [("/shop", ""), ("/shop/", ""), ("/shop/a/b.js", "a/b.js"), ("/shopping", None), ("/", None)]
)
def test_a_frontend_says_whether_a_request_is_below_its_path(app: FastAPI, path: str, relative: str | None) -> None:
    group = group_of(app)
    for route in (group, group.routes[0]):
        match, child_scope = route.matches(scope(path))
        if relative is None:
            assert (match, child_scope) == (Match.NONE, {})
        else:
            assert match is Match.FULL
            assert child_scope["fastapi"]["frontend_path"] == relative
        assert route.matches(scope(path, "POST"))[0] is (Match.NONE if relative is None else Match.PARTIAL)
        assert route.matches({"type": "websocket", "path": path})[0] is Match.NONE


def test_a_frontend_of_an_included_router_matches_below_the_prefix(app: FastAPI) -> None:
    group = group_of(app)
    assert group.matches_with_prefix(scope("/v1/shop/a.js"), "/v1")[0] is Match.FULL
    assert group.matches_with_prefix(scope("/shop/a.js"), "/v1")[0] is Match.NONE
    assert group.routes[0].matches_with_path(scope("/v1/shop/a.js"), "/v1/shop")[1]["fastapi"]["frontend_path"] == "a.js"


def test_a_frontend_has_no_address_of_its_own(app: FastAPI) -> None:
    group = group_of(app)
    for route in (group, group.routes[0]):
        with pytest.raises(NoMatchFound):
            route.url_path_for("frontend")


def test_a_group_that_is_handed_a_request_of_another_path_answers_404(app: FastAPI) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(HTTPException) as caught:
        asyncio.run(group_of(app).handle(scope("/elsewhere"), never, never))  # type: ignore[arg-type]
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [(PermissionError(), 401), (ValueError("a NUL byte"), 404), (OSError(errno.ENAMETOOLONG, "too long"), 404)],
)
def test_a_file_that_cannot_be_looked_up_is_an_answer(
    app: FastAPI, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise error

    monkeypatch.setattr(group_of(app).routes[0].app, "lookup_path", fail)
    assert TestClient(app).get("/shop/a.js").status_code == status
