"""FastAPI's inner functions: called directly, and called by requests once a program has replaced them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Hooked = Callable[[str], str]

APP = """\
import fastapi.routing
from typing import Annotated
from fastapi import BackgroundTasks, Body, Depends, FastAPI, Response, WebSocket
from fastapi.testclient import TestClient

app = FastAPI()
left = []

def session():
    yield "open"
    left.append("closed")

async def user(response: Response, token: str = "nobody"):
    response.headers["x-user"] = token
    return token

@app.post("/items/{item_id}", status_code=201)
async def create(
    item_id: int, size: Annotated[int, Body(embed=True)], user: Annotated[str, Depends(user)],
    db: Annotated[str, Depends(session)], tasks: BackgroundTasks,
) -> dict[str, object]:
    tasks.add_task(left.append, "task")
    return {"item_id": item_id, "size": size, "user": user, "db": db}

@app.get("/sync")
def sync(token: Annotated[str, Depends(user)]) -> str:
    return token

@app.get("/lines")
async def lines():
    yield {"n": 1}

@app.websocket("/ws")
async def ws(websocket: WebSocket, token: Annotated[str, Depends(user)]):
    await websocket.accept()
    await websocket.send_text(token)
    await websocket.close()

calls = []

def count(name):
    original = getattr(fastapi.routing, name)
    async def counted(**keywords):
        calls.append(name)
        return await original(**keywords)
    setattr(fastapi.routing, name, counted)
    return original

def ask(client):
    created = client.post("/items/3?token=ann", json={"size": 4})
    assert created.status_code == 201, created.text
    assert created.json() == {"item_id": 3, "size": 4, "user": "ann", "db": "open"}
    assert created.headers["x-user"] == "ann"
    assert client.get("/sync?token=bo").json() == "bo"
    assert client.get("/lines").text == '{"n":1}\\n' or client.get("/lines").text == '{"n": 1}\\n'
    refused = client.post("/items/three", json={"size": "big"})
    assert refused.status_code == 422
    assert [error["loc"] for error in refused.json()["detail"]] == [["path", "item_id"], ["body", "size"]]
    with client.websocket_connect("/ws?token=cy") as socket:
        assert socket.receive_text() == "cy"
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["solve_dependencies"], ["solve_dependencies"] * 5),
        (["run_endpoint_function"], ["run_endpoint_function"] * 2),
        (["serialize_response"], ["serialize_response"] * 2),
    ],
    ids=lambda value: value[0],
)
@pytest.mark.parametrize("when", ["before the first request", "between requests"])
def test_a_replacement_is_called_and_answers_stay_the_same(
    names: list[str], expected: list[str], when: str, hooked: Hooked
) -> None:
    replace = "".join(f"original = count({name!r})\n" for name in names)
    first = "ask(client)\nassert calls == []\n" if when == "between requests" else ""
    printed = hooked(
        f"{APP}\nclient = TestClient(app)\n{first}{replace}ask(client)\n"
        "seen = list(calls)\n"
        f"fastapi.routing.{names[0]} = original\n"
        "ask(client)\n"
        "print(*calls[:len(seen)])\n"
        "assert calls == seen, 'the original was put back'\n"
        "assert left[:2] == ['task', 'closed'] or left[:2] == ['closed', 'task'], left\n"
    )
    assert sorted(set(printed.split())) == sorted(set(expected))
    assert len(printed.split()) >= len(expected)


def test_get_request_handler_is_called_once_per_route_and_its_handler_for_each_request(hooked: Hooked) -> None:
    printed = hooked(
        f"{APP}\n"
        "made, handled = [], []\n"
        "original = fastapi.routing.get_request_handler\n"
        "def replacement(*args, **keywords):\n"
        "    made.append(keywords['dependant'].call.__name__)\n"
        "    handler = original(*args, **keywords)\n"
        "    async def handle(request):\n"
        "        handled.append(request.scope['route'].name)\n"
        "        return await handler(request)\n"
        "    return handle\n"
        "fastapi.routing.get_request_handler = replacement\n"
        "client = TestClient(app)\n"
        "ask(client)\nask(client)\n"
        "print(sorted(made), handled.count('create'), handled.count('sync'))"
    )
    assert printed.strip() == "['create', 'lines', 'sync'] 4 2"


def test_a_replaced_request_response_wraps_every_route(hooked: Hooked) -> None:
    printed = hooked(
        f"{APP}\n"
        "paths = []\n"
        "original = fastapi.routing.request_response\n"
        "def replacement(handler):\n"
        "    inner = original(handler)\n"
        "    async def wrapped(scope, receive, send):\n"
        "        paths.append(scope['path'])\n"
        "        await inner(scope, receive, send)\n"
        "    return wrapped\n"
        "fastapi.routing.request_response = replacement\n"
        "ask(TestClient(app))\n"
        "print(sorted(set(paths)))"
    )
    assert printed.strip() == "['/items/3', '/items/three', '/lines', '/sync']"


def test_solve_dependencies_can_be_called_by_a_program(hooked: Hooked) -> None:
    printed = hooked(
        "import asyncio\n"
        "from contextlib import AsyncExitStack\n"
        "from typing import Annotated\n"
        "from fastapi import Depends, Request\n"
        "from fastapi.dependencies.utils import get_dependant, solve_dependencies\n"
        "made = []\n"
        "def database():\n"
        "    made.append('database')\n"
        "    yield 'db'\n"
        "    made.append('left')\n"
        "async def service(db: Annotated[str, Depends(database)], limit: int = 5):\n"
        "    return f'service of {db}'\n"
        "def command(service: Annotated[str, Depends(service)], db: Annotated[str, Depends(database)]): ...\n"
        "async def main():\n"
        "    dependant = get_dependant(path='', call=command)\n"
        "    cache = {}\n"
        "    async with AsyncExitStack() as stack:\n"
        "        scope = {'type': 'http', 'headers': [], 'query_string': '', 'fastapi_inner_astack': stack,\n"
        "                 'fastapi_function_astack': stack}\n"
        "        for _ in range(2):\n"
        "            solved = await solve_dependencies(request=Request(scope), dependant=dependant, async_exit_stack=stack,\n"
        "                                              embed_body_fields=False, dependency_cache=cache)\n"
        "        print(solved.values, solved.errors, len(cache))\n"
        "    print(made)\n"
        "asyncio.run(main())"
    )
    assert printed.splitlines() == ["{'service': 'service of db', 'db': 'db'} [] 2", "['database', 'left']"]


def test_solve_dependencies_gives_the_errors_and_the_values_without_them(hooked: Hooked) -> None:
    printed = hooked(
        "import asyncio\n"
        "from contextlib import AsyncExitStack\n"
        "from fastapi import Request\n"
        "from fastapi.dependencies.utils import get_dependant, solve_dependencies\n"
        "def command(a: int, b: int): ...\n"
        "async def main():\n"
        "    async with AsyncExitStack() as stack:\n"
        "        scope = {'type': 'http', 'headers': [], 'query_string': 'a=x&b=2', 'fastapi_inner_astack': stack,\n"
        "                 'fastapi_function_astack': stack}\n"
        "        solved = await solve_dependencies(request=Request(scope), dependant=get_dependant(path='', call=command),\n"
        "                                          async_exit_stack=stack, embed_body_fields=False)\n"
        "        print(solved.values, [error['loc'] for error in solved.errors])\n"
        "asyncio.run(main())"
    )
    assert printed.strip() == "{'b': 2} [('query', 'a')]"


def test_solve_dependencies_takes_overrides_that_are_not_hashable(hooked: Hooked) -> None:
    printed = hooked(
        "import asyncio\n"
        "from contextlib import AsyncExitStack\n"
        "from dataclasses import dataclass\n"
        "from types import SimpleNamespace\n"
        "from fastapi import Depends, Request\n"
        "from fastapi.dependencies.utils import get_dependant, solve_dependencies\n"
        "@dataclass\n"
        "class User:\n"
        "    name: str\n"
        "    def __call__(self): return self.name\n"
        "def user(): return 'nobody'\n"
        "def command(name: str = Depends(user)): ...\n"
        "async def main():\n"
        "    async with AsyncExitStack() as stack:\n"
        "        scope = {'type': 'http', 'headers': [], 'query_string': '', 'fastapi_inner_astack': stack,\n"
        "                 'fastapi_function_astack': stack}\n"
        "        dependant = get_dependant(path='', call=command)\n"
        "        for override in [User('a'), User('b')]:\n"
        "            solved = await solve_dependencies(request=Request(scope), dependant=dependant, async_exit_stack=stack,\n"
        "                                              dependency_overrides_provider=SimpleNamespace(\n"
        "                                                  dependency_overrides={user: override}),\n"
        "                                              embed_body_fields=False)\n"
        "            print(solved.values['name'])\n"
        "asyncio.run(main())"
    )
    assert printed.split() == ["a", "b"]


def test_a_tree_that_is_changed_after_its_first_use_is_solved_as_it_is_then(hooked: Hooked) -> None:
    """Integrations wrap `dependant.call` and add dependencies while an application runs."""
    printed = hooked(
        f"{APP}\n"
        "count('solve_dependencies')\n"
        "client = TestClient(app)\n"
        "ask(client)\n"
        "from fastapi.dependencies.utils import get_parameterless_sub_dependant\n"
        "seen = []\n"
        "route = next(route for route in app.routes if getattr(route, 'path', None) == '/sync')\n"
        "extra = get_parameterless_sub_dependant(depends=Depends(lambda: seen.append('extra')), path='/sync')\n"
        "route.dependant.dependencies.insert(0, extra)\n"
        "client.get('/sync')\n"
        "print(seen)"
    )
    assert printed.strip() == "['extra']"
