"""What the commands that look at an application print, asked through the command line itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tercel.cli.main import main

STARLETTE = """
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, WebSocketRoute

async def home(request): ...
async def room(websocket): ...
async def inner(request): ...

app = Starlette(routes=[
    Route("/", home),
    Route("/save", home, methods=["PUT", "POST"], name="save"),
    WebSocketRoute("/room", room),
    Mount("/sub", Starlette(routes=[Route("/inner/{key}", inner)])),
    Host("api.example.org", Starlette(routes=[Route("/host", home)])),
])
"""

TERCEL = """
from tercel import APIRouter, Depends, FastAPI

app = FastAPI(title="Shop ✓")
router = APIRouter(prefix="/orders")

def session():
    return 1

@router.post("/{order_id}")
async def change(order_id: int, db=Depends(session)): ...

@app.get("/")
def home(): ...

app.include_router(router, prefix="/shop")

@app.websocket("/live/{room}")
async def live(room: str): ...

inner = FastAPI()

@inner.get("/status")
def status(): ...

app.mount("/internal", inner)
app.mount("/static", lambda scope, receive, send: None)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if Path(str(getattr(sys.modules[name], "__file__", ""))).is_relative_to(tmp_path):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(dedent(text), "utf-8")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Standard output, or standard error of a command that must fail with `code`."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err if code else captured.out


def test_routes_lists_every_kind_in_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_star", STARLETTE)
    lines = [line.split() for line in printed(capsys, "routes", "shw_star").splitlines()]
    assert lines == [
        ["GET", "/", "home", "shw_star.py:5"],
        ["POST,PUT", "/save", "save", "shw_star.py:5"],
        ["WEBSOCKET", "/room", "room", "shw_star.py:6"],
        ["MOUNT", "/sub", "Starlette"],
        ["GET", "/sub/inner/{key}", "inner", "shw_star.py:7"],
        ["HOST", "api.example.org", "Starlette"],
        ["GET", "/host", "home", "shw_star.py:5"],
    ]


def test_routes_shows_included_routers_with_their_prefixes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_inc", TERCEL)
    lines = [line.split() for line in printed(capsys, "routes", "shw_inc").splitlines()]
    assert ["POST", "/shop/orders/{order_id}", "change", "shw_inc.py:10"] in lines
    assert lines[0][:2] == ["GET", "/openapi.json"]


def test_routes_of_a_bare_asgi_function_are_not_to_be_had(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_bare", "async def app(scope, receive, send): ...")
    assert "only FastAPI and Starlette applications" in printed(capsys, "routes", "shw_bare", code=2)


@pytest.mark.parametrize("path", ["/shop/orders/{order_id}", "/shop/orders/3"])
def test_plan_numbers_the_steps_of_a_route(path: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_plan", TERCEL)
    lines = printed(capsys, "plan", "post", path, "shw_plan").splitlines()
    assert lines[0].startswith("POST /shop/orders/{order_id}")
    assert [line.split()[0] for line in lines[1:]] == [str(number) for number in range(1, len(lines))]
    assert any("session()" in line for line in lines)
    assert any("order_id" in line for line in lines)


@pytest.mark.parametrize("method", ["ws", "WEBSOCKET"])
def test_plan_knows_web_sockets(method: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_sock", TERCEL)
    assert "live(" in printed(capsys, "plan", method, "/live/7", "shw_sock")


def test_plan_looks_into_mounted_applications(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_mount", TERCEL)
    assert "status()" in printed(capsys, "plan", "GET", "/internal/status", "shw_mount")
    assert "is mounted and has no plans" in printed(capsys, "plan", "GET", "/static/x", "shw_mount", code=1)


def test_source_prints_python_that_compiles(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_src", TERCEL)
    text = printed(capsys, "source", "POST", "/shop/orders/3", "shw_src")
    compile(text, "generated", "exec")
    assert "shw_src.py:8" in text or "shw_src.py:10" in text


def test_a_path_without_a_route_is_told_what_is_near(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_near", TERCEL)
    error = printed(capsys, "plan", "POST", "/shop/order/3", "shw_near", code=2)
    assert error.startswith("error: no path operation answers POST /shop/order/3\n")
    assert "/shop/orders/{order_id}" in error


def test_a_method_that_a_path_does_not_have_is_told_which_it_has(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_meth", TERCEL)
    assert "/ is there for GET." in printed(capsys, "plan", "DELETE", "/", "shw_meth", code=2)


def test_a_path_needs_its_slash(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_slash", TERCEL)
    assert "Write `/shop`." in printed(capsys, "plan", "GET", "shop", "shw_slash", code=2)


@pytest.mark.parametrize("command", ["plan", "source"])
def test_only_tercel_s_applications_have_plans(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_noplan", STARLETTE)
    assert "only `tercel.FastAPI` has plans" in printed(capsys, command, "GET", "/", "shw_noplan", code=2)


def test_openapi_prints_the_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_api", TERCEL)
    document = json.loads(printed(capsys, "openapi", "shw_api"))
    assert document["info"]["title"] == "Shop ✓"
    assert "/shop/orders/{order_id}" in document["paths"]


def test_openapi_writes_a_file_in_utf_8(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_file", TERCEL)
    assert printed(capsys, "openapi", "shw_file", "-o", "document.json") == ""
    assert "Shop ✓" in (here / "document.json").read_text("utf-8")


def test_openapi_into_a_folder_that_is_not_there_fails_with_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_nofile", TERCEL)
    error = printed(capsys, "openapi", "shw_nofile", "-o", "nowhere/document.json", code=1)
    assert error == "error: cannot write nowhere/document.json: No such file or directory\n"


def test_an_error_in_the_user_s_openapi_is_shown_as_the_user_s(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "shw_badapi", TERCEL + "\ndef broken():\n    raise KeyError('title')\n\napp.openapi = broken\n")
    assert main(["openapi", "shw_badapi"]) == 1
    error = capsys.readouterr().err
    assert error.count("File ") == 1
    assert "shw_badapi.py" in error
    assert error.endswith("error: making the OpenAPI document failed\n")
