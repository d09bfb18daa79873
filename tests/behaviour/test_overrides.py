"""`dependency_overrides`: keyed by the original callable, in force from the moment they are set, wherever it is used."""

from typing import Annotated, Any

import pytest

from tercel import APIRouter, Depends, Query, Security
from tercel.security import SecurityScopes


async def original(q: str = "default"):
    return {"original": q}


def test_an_override_takes_the_place_of_a_dependency_of_the_signature(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    app.dependency_overrides[original] = lambda: {"override": True}
    assert client(app).get("/?q=x").json() == {"override": True}


def test_an_override_set_and_removed_between_requests_is_in_force_at_once(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    connected = client(app)
    assert connected.get("/").json() == {"original": "default"}
    app.dependency_overrides[original] = lambda: "one"
    assert connected.get("/").json() == "one"
    app.dependency_overrides[original] = lambda: "two"
    assert connected.get("/").json() == "two"
    del app.dependency_overrides[original]
    assert connected.get("/").json() == {"original": "default"}
    app.dependency_overrides = {original: lambda: "three"}
    assert connected.get("/").json() == "three"
    app.dependency_overrides.clear()
    assert connected.get("/").json() == {"original": "default"}
    app.dependency_overrides.update({original: lambda: "four"})
    assert connected.get("/").json() == "four"
    app.dependency_overrides.pop(original)
    assert connected.get("/").json() == {"original": "default"}
    app.dependency_overrides.setdefault(original, lambda: "five")
    assert connected.get("/").json() == "five"
    app.dependency_overrides |= {original: lambda: "six"}
    assert connected.get("/").json() == "six"


def test_an_override_has_parameters_of_its_own(make_app, client):
    app = make_app()

    async def override(number: int, k: Annotated[list[str], Query()]):
        return {"number": number, "k": k}

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    app.dependency_overrides[original] = override
    connected = client(app)
    assert connected.get("/?number=1&k=a&k=b").json() == {"number": 1, "k": ["a", "b"]}
    answer = connected.get("/?number=x")
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["query", "number"], ["query", "k"]]


def test_an_override_has_dependencies_of_its_own_which_may_be_overridden_too(make_app, client):
    app = make_app()

    async def helper():
        return "helper"

    async def override(value: Annotated[str, Depends(helper)]):
        return value

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    app.dependency_overrides[original] = override
    connected = client(app)
    assert connected.get("/").json() == "helper"
    app.dependency_overrides[helper] = lambda: "other helper"
    assert connected.get("/").json() == "other helper"


def test_an_override_that_needs_the_original_gets_the_override_of_nothing(make_app, client):
    app = make_app()

    async def base():
        return "base"

    async def override(value: Annotated[str, Depends(base)]):
        return f"override of {value}"

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    app.dependency_overrides[original] = override
    assert client(app).get("/").json() == "override of base"


@pytest.mark.parametrize("where", ["app", "router", "include", "route"])
def test_an_override_takes_the_place_of_a_dependency_given_by_a_list(make_app, client, journal, where):
    def guard():
        journal("original")

    given = {place: [Depends(guard)] if place == where else [] for place in ("app", "router", "include", "route")}
    app = make_app(dependencies=given["app"])
    router = APIRouter(dependencies=given["router"])

    @router.get("/", dependencies=given["route"])
    def endpoint():
        return "ok"

    app.include_router(router, dependencies=given["include"])
    app.dependency_overrides[guard] = lambda: journal("override")
    assert client(app).get("/").json() == "ok"
    assert journal.entries == ["override"]


def test_an_override_reaches_dependencies_of_dependencies(make_app, client):
    app = make_app()

    def outer(value: Annotated[dict, Depends(original)]):
        return ["outer", value]

    @app.get("/")
    def endpoint(value: Annotated[list, Depends(outer)]):
        return value

    app.dependency_overrides[original] = lambda: "override"
    assert client(app).get("/").json() == ["outer", "override"]


def test_the_dependencies_of_what_is_overridden_do_not_run(make_app, client, journal):
    app = make_app()

    def inner():
        journal("inner")

    def outer(value: Annotated[None, Depends(inner)]):
        journal("outer")

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(outer)]):
        return "ok"

    app.dependency_overrides[outer] = lambda: journal("override")
    client(app).get("/")
    assert journal.entries == ["override"]


def test_an_override_may_be_a_generator_and_is_then_ended(make_app, client, journal):
    app = make_app()

    async def override():
        journal("enter")
        yield "override"
        journal("exit")

    @app.get("/")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    app.dependency_overrides[original] = override
    assert client(app).get("/").json() == "override"
    assert journal.until("exit") == ["enter", "exit"]


def test_an_override_keeps_the_scope_of_the_declaration(make_app, client, journal):
    app = make_app()

    def dependency():
        yield

    def override():
        yield
        journal("exit")

    @app.get("/")
    def endpoint(value: Annotated[None, Depends(dependency, scope="function")]):
        return "ok"

    app.dependency_overrides[dependency] = override
    connected = client(app)
    connected.get("/")
    assert journal.entries == ["exit"]


def test_an_override_sees_the_security_scopes_of_the_declaration(make_app, client):
    app = make_app()

    def user(scopes: SecurityScopes):
        return "original"

    def override(scopes: SecurityScopes):
        return scopes.scopes

    @app.get("/")
    def endpoint(value: Annotated[list, Security(user, scopes=["a", "b"])]):
        return value

    app.dependency_overrides[user] = override
    assert client(app).get("/").json() == ["a", "b"]


def test_overridden_dependencies_are_shared_within_a_request(make_app, client, journal):
    app = make_app()

    def override():
        journal("override")
        return len(journal)

    @app.get("/")
    def endpoint(a: Annotated[dict, Depends(original)], b: Annotated[dict, Depends(original)]):
        return [a, b]

    app.dependency_overrides[original] = override
    assert client(app).get("/").json() == [1, 1]


@pytest.mark.differs("already in force for the later dependencies of the same request; see docs/differences.md")
def test_an_override_set_while_a_request_is_answered_is_in_force_from_the_next_one_on(make_app, client):
    app = make_app()

    async def configure():
        app.dependency_overrides[original] = lambda: "override"

    @app.get("/")
    def endpoint(_: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(original)]):
        return value

    connection = client(app)
    assert connection.get("/").json() != "override"
    assert connection.get("/").json() == "override"


def test_an_override_of_a_websocket_dependency_is_in_force(make_app, client):
    from tercel import WebSocket

    app = make_app()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, value: Annotated[dict, Depends(original)]):
        await websocket.accept()
        await websocket.send_json(value)
        await websocket.close()

    app.dependency_overrides[original] = lambda: "override"
    with client(app).websocket("/ws") as socket:
        assert socket.receive_json() == "override"
        socket.receive_close()


def test_an_override_for_a_route_of_a_router_included_later_is_in_force(make_app, client):
    app = make_app()
    app.dependency_overrides[original] = lambda: "override"
    router = APIRouter()

    @router.get("/late")
    def endpoint(value: Annotated[dict, Depends(original)]):
        return value

    connected = client(app)
    app.include_router(router)
    assert connected.get("/late").json() == "override"
