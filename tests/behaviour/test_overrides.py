"""`dependency_overrides`: keyed by the original callable, in force from the moment they are set, wherever it is used."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tercel import APIRouter, BackgroundTasks, Depends, HTTPException, Query, Request, Response, Security, WebSocket
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


# -- overrides that are written while a request is answered -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_an_override_set_by_a_dependency_is_in_force_for_those_that_follow(make_app, client, kind):
    app = make_app()

    async def configure():
        app.dependency_overrides[original] = lambda: "override"

    def configure_in_thread():
        app.dependency_overrides[original] = lambda: "override"

    def synchronous():
        return "not overridden"

    @app.get("/")
    def endpoint(
        _: Annotated[None, Depends(configure if kind == "async" else configure_in_thread)],
        between: Annotated[str, Depends(synchronous)],
        value: Annotated[Any, Depends(original)],
        q: int,
    ):
        return [between, value, q]

    connection = client(app)
    assert connection.get("/?q=3").json() == ["not overridden", "override", 3]
    app.dependency_overrides.clear()
    assert connection.get("/?q=4").json() == ["not overridden", "override", 4]


def test_synchronous_dependencies_override_one_another_within_one_thread(make_app, client):
    app = make_app()

    def configure():
        app.dependency_overrides[plain] = lambda x: ["override", x]

    def plain():
        return "original"

    @app.get("/")
    def endpoint(
        a: Annotated[Any, Depends(plain, use_cache=False)],
        _: Annotated[None, Depends(configure)],
        b: Annotated[Any, Depends(plain, use_cache=False)],
    ):
        return [a, b]

    connection = client(app)
    assert connection.get("/?x=1").json() == ["original", ["override", "1"]]
    app.dependency_overrides.clear()
    refused = connection.get("/")
    assert refused.status_code == 422
    assert [error["loc"] for error in refused.json()["detail"]] == [["query", "x"]]


def test_the_plan_changes_as_often_as_overrides_are_written(make_app, client, journal):
    app = make_app()

    def stage(name):
        async def dependency():
            journal(name)
            app.dependency_overrides[original] = lambda: name
            return name

        return Depends(dependency)

    uncached = Depends(original, use_cache=False)

    @app.get("/")
    def endpoint(a=stage("a"), b=uncached, c=stage("c"), d=uncached, e=stage("e"), f=uncached):
        return [a, b, c, d, e, f]

    app.dependency_overrides[original] = lambda: "before"
    assert client(app).get("/").json() == ["a", "a", "c", "c", "e", "e"]
    assert journal.entries == ["a", "c", "e"]


def test_what_is_resolved_already_stays_when_an_override_is_set_for_it(make_app, client):
    app = make_app()

    async def configure(value: Annotated[Any, Depends(original)]):
        app.dependency_overrides[original] = lambda: "override"
        return value

    async def late():
        return "late"

    @app.get("/")
    def endpoint(
        a: Annotated[Any, Depends(configure)],
        _: Annotated[str, Depends(late)],
        b: Annotated[Any, Depends(original)],
        c: Annotated[Any, Depends(original, use_cache=False)],
    ):
        return [a, b, c]

    first = {"original": "default"}
    assert client(app).get("/").json() == [first, first, "override"]


def test_a_body_that_was_validated_early_is_there_for_an_override_set_on_the_way(make_app, client, journal):
    app = make_app()

    class Order(BaseModel):
        item: str

    async def configure(tasks: BackgroundTasks, response: Response):
        response.headers["x-configured"] = "yes"
        tasks.add_task(journal, "task")
        app.dependency_overrides[original] = override

    def override(order: Order):
        yield order.item
        journal("left")

    @app.post("/", status_code=201)
    async def endpoint(_: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(original)], order: Order) -> list[str]:
        return [value, order.item]

    connection = client(app)
    answer = connection.post("/", json={"item": "perch"})
    assert (answer.status_code, answer.json(), answer.headers["x-configured"]) == (201, ["perch", "perch"], "yes")
    assert journal.until("left") == ["task", "left"]
    app.dependency_overrides.clear()
    refused = connection.post("/", json={"item": 3})
    assert refused.status_code == 422
    assert [error["loc"] for error in refused.json()["detail"]] == [["body", "item"], ["body", "item"]]


def test_generators_from_before_and_after_an_override_is_set_are_left_in_order(make_app, client, journal):
    app = make_app()

    async def opened():
        app.dependency_overrides[original] = other
        yield "opened"
        journal("leave opened")

    async def other(request: Request):
        yield request.url.path
        journal("leave other")

    @app.get("/path")
    async def endpoint(a: Annotated[str, Depends(opened)], b: Annotated[Any, Depends(original, scope="function")]):
        return [a, b]

    connection = client(app)
    for _ in range(2):
        assert connection.get("/path").json() == ["opened", "/path"]
        assert journal.until("leave opened") == ["leave other", "leave opened"]
        journal.clear()
        app.dependency_overrides.clear()


@pytest.mark.parametrize("failing", ["override", "endpoint", "exit"])
def test_an_error_after_an_override_was_set_reaches_each_generator_once(make_app, client, journal, failing):
    app = make_app()

    async def opened():
        app.dependency_overrides[original] = other
        try:
            yield "opened"
        except Exception as error:
            journal(repr(error))
            raise
        finally:
            journal("leave opened")

    async def other():
        if failing == "override":
            raise HTTPException(418, "override")
        yield "other"
        if failing == "exit":
            raise HTTPException(418, "exit")

    @app.get("/")
    async def endpoint(a: Annotated[str, Depends(opened)], b: Annotated[Any, Depends(original, scope="function")]):
        if failing == "endpoint":
            raise HTTPException(418, "endpoint")

    connection = client(app)
    for _ in range(2):
        answer = connection.get("/")
        assert (answer.status_code, answer.json()) == (418, {"detail": failing})
        assert journal.until("leave opened") == [f"HTTPException(status_code=418, detail='{failing}')", "leave opened"]
        journal.clear()
        app.dependency_overrides.clear()


def test_an_exit_that_fails_after_an_override_was_set_fails_once(make_app, client, journal):
    app = make_app()

    async def opened():
        app.dependency_overrides[original] = lambda: "override"
        yield "opened"
        journal("leave opened")
        raise RuntimeError("too late")

    @app.get("/")
    async def endpoint(a: Annotated[str, Depends(opened)], b: Annotated[Any, Depends(original)]):
        return b

    assert client(app, raise_errors=False).get("/").json() == "override"
    assert journal.until("leave opened") == ["leave opened"]


def test_overrides_replaced_as_a_whole_are_in_force_for_dependencies_that_follow(make_app, client):
    app = make_app()
    mine = {original: lambda: "mine"}

    async def configure():
        app.dependency_overrides = mine

    @app.get("/")
    def endpoint(_: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(original)]):
        return value

    connection = client(app)
    assert connection.get("/").json() == "mine"
    assert app.dependency_overrides is mine
    mine[original] = lambda: "changed"  # in a dict that is the program's own
    assert connection.get("/").json() == "changed"


def test_a_dict_of_another_provider_is_looked_at_between_dependencies(make_app, client):
    class Provider:
        dependency_overrides: dict[Any, Any]

    provider = Provider()
    provider.dependency_overrides = {}
    router = APIRouter(dependency_overrides_provider=provider)

    async def configure():
        provider.dependency_overrides[original] = lambda: "override"

    @router.get("/")
    async def endpoint(_: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(original)]):
        return value

    app = make_app(routes=router.routes)
    connection = client(app)
    assert connection.get("/").json() == "override"
    provider.dependency_overrides.clear()
    assert connection.get("/").json() == "override"


def test_an_override_set_by_a_dependency_of_a_websocket_is_in_force_for_those_that_follow(make_app, client):
    app = make_app()

    async def configure():
        app.dependency_overrides[original] = lambda: "override"

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(configure)], value: Annotated[Any, Depends(original)]):
        await websocket.accept()
        await websocket.send_json(value)
        await websocket.close()

    with client(app).websocket("/ws") as socket:
        assert socket.receive_json() == "override"
        socket.receive_close()


def test_an_override_of_a_websocket_dependency_is_in_force(make_app, client):
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
