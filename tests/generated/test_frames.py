"""How many calls lie between a server and the code of the user: one for each stage, counted where the user's code runs."""

import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import httpx
import pytest

import tercel
from tercel import Depends, FastAPI
from tercel.http.asgi import ASGIExchange
from tercel.server import ServerConfig, serving

pytestmark = pytest.mark.anyio

PACKAGE = str(Path(tercel.__file__).parent)
SERVER = str(Path(PACKAGE, "server"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def callers() -> list[str]:
    """The functions between the caller of this and the server, innermost first."""
    names = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file == __file__ or file.startswith(SERVER) or not file.startswith((PACKAGE, "<tercel ")):
            break
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def make_app(seen: dict[str, list[str]]) -> FastAPI:
    app = FastAPI(engine="compiled")

    async def dependency() -> None:
        seen["dependency"] = callers()

    @app.get("/{item_id}")
    async def endpoint(item_id: int, dependency: Annotated[None, Depends(dependency)], q: str = "") -> dict[str, int]:
        seen["endpoint"] = callers()
        return {"id": item_id}

    router = tercel.APIRouter(prefix="/deep")
    router.get("/{item_id}")(endpoint)
    outer = tercel.APIRouter(prefix="/outer")
    outer.include_router(router)
    app.include_router(outer)
    return app


class Answered:
    """What an ASGI server calls back."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def receive(self) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        self.messages.append(message)


def scope_of(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "root_path": ""}


@pytest.mark.parametrize("path", ["/1", "/outer/deep/1"])
async def test_without_a_server_that_passes_errors_on_there_are_two_frames_above_user_code(path: str) -> None:
    seen: dict[str, list[str]] = {}
    answer = make_app(seen).direct_handler()
    for _ in range(2):  # the first request makes the handler
        server = Answered()
        await answer(ASGIExchange(scope_of(path), server.receive, server.send))
        assert server.messages[0]["status"] == 200
    handler = "handle_get_" + path[1:].replace("/", "_").replace("1", "item_id")
    assert seen == {"endpoint": [handler, "answer_watched"], "dependency": [handler, "answer_watched"]}


@pytest.mark.parametrize("path", ["/1", "/outer/deep/1"])
async def test_over_asgi_the_application_itself_is_one_more(path: str) -> None:
    seen: dict[str, list[str]] = {}
    app = make_app(seen)
    for _ in range(2):
        server = Answered()
        await app(scope_of(path), server.receive, server.send)
        assert server.messages[0]["status"] == 200
    handler = "handle_get_" + path[1:].replace("/", "_").replace("1", "item_id")
    assert seen == {"endpoint": [handler, "answer_watched", "__call__"], "dependency": [handler, "answer_watched", "__call__"]}


async def test_on_our_own_server_the_handler_is_the_only_one() -> None:
    seen: dict[str, list[str]] = {}
    config = ServerConfig(host="127.0.0.1", port=0, access_log=False)
    async with (
        serving(make_app(seen), config) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client,
    ):
        for _ in range(2):
            assert (await client.get("/1")).json() == {"id": 1}
    # Before 3.12 there are no eager tasks, and the handler is watched as on other servers.
    above = ["handle_get_item_id"] if sys.version_info >= (3, 12) else ["handle_get_item_id", "answer_watched"]
    assert seen == {"endpoint": above, "dependency": above}


async def test_exceptions_do_not_need_more_frames_on_the_way() -> None:
    app = FastAPI(engine="compiled")
    seen = []

    @app.get("/")
    async def endpoint() -> None:
        seen.append(callers())
        raise tercel.HTTPException(418)

    server = Answered()
    await app(scope_of("/"), server.receive, server.send)
    await app(scope_of("/"), server.receive, server.send)
    assert [message["status"] for message in server.messages if "status" in message] == [418, 418]
    assert seen[-1] == ["handle_get", "answer_watched", "__call__"]
