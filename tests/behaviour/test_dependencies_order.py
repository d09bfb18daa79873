"""The order of steps is public API: what runs before what, what is skipped, and which answer wins when several are possible."""

import contextvars
import sys
from typing import Annotated

import pytest
from pydantic import BaseModel

from tercel import APIRouter, Body, Cookie, Depends, Header, HTTPException, Query, Request, Response, Security
from tercel.security import SecurityScopes


class Order(BaseModel):
    quantity: int


def noting(journal, name, *needs):
    """A dependency that writes its name."""

    async def dependency():
        journal(name)
        return name

    dependency.__name__ = name
    return dependency


def places(response):
    return [error["loc"] for error in response.json()["detail"]]


def test_a_body_that_is_not_json_answers_422_before_any_dependency_runs(make_app, client, journal):
    app = make_app()

    @app.post("/orders", dependencies=[Depends(noting(journal, "dependency"))])
    def create(order: Order):
        journal("endpoint")

    answer = client(app).post("/orders", content=b"{oops", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": [
            {
                "type": "json_invalid",
                "loc": ["body", 1],
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": "Expecting property name enclosed in double quotes"},
            }
        ]
    }
    assert journal.entries == []


def test_a_body_that_is_json_but_invalid_is_judged_after_the_dependencies(make_app, client, journal):
    app = make_app()

    @app.post("/orders", dependencies=[Depends(noting(journal, "dependency"))])
    def create(order: Order):
        journal("endpoint")

    answer = client(app).post("/orders", json={"quantity": "many"})
    assert answer.status_code == 422
    assert journal.entries == ["dependency"]


def test_a_dependency_that_refuses_wins_over_an_invalid_path_parameter(make_app, client):
    app = make_app()

    async def signed_in():
        raise HTTPException(401, "who are you")

    @app.get("/items/{item_id}", dependencies=[Depends(signed_in)])
    def read(item_id: int):
        return item_id

    answer = client(app).get("/items/nan")
    assert (answer.status_code, answer.json()) == (401, {"detail": "who are you"})


@pytest.mark.parametrize("place", ["query", "header", "cookie", "body"])
def test_a_dependency_that_refuses_wins_over_every_invalid_parameter_of_the_endpoint(make_app, client, place):
    app = make_app()

    def refuse():
        raise HTTPException(403, "no")

    marker = {"query": Query(), "header": Header(), "cookie": Cookie(), "body": Body()}[place]

    @app.post("/")
    def endpoint(value: Annotated[int, marker], _: Annotated[None, Depends(refuse)]):
        return value

    assert client(app).post("/").status_code == 403


def test_a_later_dependency_that_refuses_wins_over_an_invalid_input_of_an_earlier_one(make_app, client):
    app = make_app()

    async def needs_number(number: int):
        return number

    async def refuse():
        raise HTTPException(401)

    @app.get("/")
    def endpoint(a: Annotated[int, Depends(needs_number)], b: Annotated[None, Depends(refuse)]):
        return a

    assert client(app).get("/?number=x").status_code == 401


def test_a_dependency_with_an_invalid_input_is_skipped_with_what_needs_it_while_siblings_run(make_app, client, journal):
    app = make_app()

    async def inner(number: int):
        journal("inner")

    async def outer(value: Annotated[None, Depends(inner)]):
        journal("outer")

    async def outermost(value: Annotated[None, Depends(outer)]):
        journal("outermost")

    async def sibling():
        journal("sibling")

    @app.get("/")
    async def endpoint(
        before: Annotated[None, Depends(sibling)],
        bad: Annotated[None, Depends(outermost)],
        after: Annotated[None, Depends(noting(journal, "after"))],
    ):
        journal("endpoint")

    answer = client(app).get("/?number=x")
    assert answer.status_code == 422
    assert places(answer) == [["query", "number"]]
    assert journal.entries == ["sibling", "after"]


def test_other_inputs_of_a_skipped_dependency_still_run(make_app, client, journal):
    app = make_app()

    async def bad(number: int):
        journal("bad")

    async def outer(
        one: Annotated[None, Depends(bad)],
        two: Annotated[str, Depends(noting(journal, "two"))],
        three: Annotated[str, Depends(noting(journal, "three"))],
    ):
        journal("outer")

    @app.get("/")
    async def endpoint(value: Annotated[None, Depends(outer)]):
        journal("endpoint")

    assert client(app).get("/").status_code == 422
    assert journal.entries == ["two", "three"]


def test_errors_come_in_the_order_dependencies_path_query_header_cookie_body(make_app, client):
    app = make_app()

    def first(from_first: Annotated[int, Header()]):
        return from_first

    def second(from_second: Annotated[int, Query()]):
        return from_second

    @app.post("/{in_path}")
    def endpoint(
        order: Order,
        in_cookie: Annotated[int, Cookie()],
        in_header: Annotated[int, Header()],
        in_query: int,
        two: Annotated[int, Depends(second)],
        one: Annotated[int, Depends(first)],
        in_path: int,
    ):
        return None

    answer = client(app).post("/x", json={"quantity": "many"})
    assert answer.status_code == 422
    assert places(answer) == [
        ["query", "from_second"],
        ["header", "from-first"],
        ["path", "in_path"],
        ["query", "in_query"],
        ["header", "in-header"],
        ["cookie", "in_cookie"],
        ["body", "quantity"],
    ]


def test_within_one_place_errors_come_in_the_order_of_the_signature(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint(c: int, a: int, b: int):
        return None

    assert places(client(app).get("/?a=x")) == [["query", "c"], ["query", "a"], ["query", "b"]]


def test_errors_of_nested_dependencies_come_depth_first(make_app, client):
    app = make_app()

    def inner(q1: int):
        return q1

    def outer(q2: int, value: Annotated[int, Depends(inner)]):
        return q2

    @app.get("/")
    def endpoint(q3: int, value: Annotated[int, Depends(outer)]):
        return q3

    # `outer` has an input that failed, but its own parameters are looked at all the same.
    assert places(client(app).get("/")) == [["query", "q1"], ["query", "q2"], ["query", "q3"]]


def test_the_endpoint_does_not_run_when_anything_was_invalid(make_app, client, journal):
    app = make_app()

    @app.get("/{number}")
    def endpoint(number: int):
        journal("endpoint")

    assert client(app).get("/x").status_code == 422
    assert journal.entries == []


def test_dependencies_run_one_after_the_other_in_the_order_of_the_signature(make_app, client, journal):
    app = make_app()

    def in_thread(name):
        def dependency():
            journal(f"{name} begins")
            journal(f"{name} ends")

        return dependency

    @app.get("/")
    def endpoint(
        a: Annotated[None, Depends(in_thread("a"))],
        b: Annotated[str, Depends(noting(journal, "b"))],
        c: Annotated[None, Depends(in_thread("c"))],
        d: Annotated[None, Depends(in_thread("d"))],
    ):
        journal("endpoint")

    assert client(app).get("/").status_code == 200
    assert journal.entries == ["a begins", "a ends", "b", "c begins", "c ends", "d begins", "d ends", "endpoint"]


def test_a_dependency_runs_after_what_it_needs_and_before_its_siblings(make_app, client, journal):
    app = make_app()
    leaf = noting(journal, "leaf")

    async def branch(value: Annotated[str, Depends(leaf)]):
        journal("branch")

    @app.get("/")
    def endpoint(a: Annotated[None, Depends(branch)], b: Annotated[str, Depends(noting(journal, "sibling"))]):
        journal("endpoint")

    client(app).get("/")
    assert journal.entries == ["leaf", "branch", "sibling", "endpoint"]


def test_dependencies_of_app_include_router_and_route_run_before_those_of_the_signature(make_app, client, journal):
    app = make_app(dependencies=[Depends(noting(journal, "app 1")), Depends(noting(journal, "app 2"))])
    router = APIRouter(dependencies=[Depends(noting(journal, "router"))])

    @router.get("/", dependencies=[Depends(noting(journal, "route 1")), Depends(noting(journal, "route 2"))])
    def endpoint(value: Annotated[str, Depends(noting(journal, "signature"))]):
        journal("endpoint")

    app.include_router(router, prefix="/r", dependencies=[Depends(noting(journal, "include"))])
    assert client(app).get("/r/").status_code == 200
    assert journal.entries == ["app 1", "app 2", "include", "router", "route 1", "route 2", "signature", "endpoint"]


def test_dependencies_of_nested_includes_run_from_the_outside_in(make_app, client, journal):
    app = make_app()
    outer = APIRouter(dependencies=[Depends(noting(journal, "outer router"))])
    inner = APIRouter(dependencies=[Depends(noting(journal, "inner router"))])

    @inner.get("/x")
    def endpoint():
        journal("endpoint")

    outer.include_router(inner, dependencies=[Depends(noting(journal, "inner include"))])
    app.include_router(outer, dependencies=[Depends(noting(journal, "outer include"))])
    client(app).get("/x")
    assert journal.entries == ["outer include", "outer router", "inner include", "inner router", "endpoint"]


def test_a_dependency_of_the_route_may_refuse_before_the_parameters_of_the_endpoint_are_judged(make_app, client, journal):
    app = make_app()

    def refuse():
        raise HTTPException(404, "hidden")

    @app.get("/{number}", dependencies=[Depends(refuse)])
    def endpoint(number: int, other: Annotated[str, Depends(noting(journal, "signature"))]):
        return number

    assert client(app).get("/x").status_code == 404
    assert journal.entries == []


def test_a_refusal_stops_the_dependencies_that_come_after_it(make_app, client, journal):
    app = make_app()

    def refuse():
        journal("refuse")
        raise HTTPException(400)

    @app.get("/")
    def endpoint(
        a: Annotated[str, Depends(noting(journal, "before"))],
        b: Annotated[None, Depends(refuse)],
        c: Annotated[str, Depends(noting(journal, "after"))],
    ):
        journal("endpoint")

    assert client(app).get("/").status_code == 400
    assert journal.entries == ["before", "refuse"]


def test_context_variables_set_in_async_dependencies_are_seen_by_what_runs_later(make_app, client):
    app = make_app()
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="unset")

    async def plain():
        current.set("plain")

    async def managed():
        token = current.set(current.get() + "+managed")
        yield
        current.reset(token)

    def in_thread():
        return current.get()

    @app.get("/")
    async def endpoint(
        a: Annotated[None, Depends(plain)], b: Annotated[None, Depends(managed)], seen: Annotated[str, Depends(in_thread)]
    ):
        return [seen, current.get()]

    assert client(app).get("/").json() == ["plain+managed", "plain+managed"]


def test_context_variables_do_not_leak_into_the_next_request(make_app, client):
    app = make_app()
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="unset")

    @app.get("/set")
    async def set_it():
        current.set("set")
        return current.get()

    @app.get("/get")
    async def get_it():
        return current.get()

    connected = client(app)
    assert connected.get("/set").json() == "set"
    assert connected.get("/get").json() == "unset"


def test_the_response_parameter_is_one_object_for_the_whole_tree(make_app, client):
    app = make_app()

    def outer(response: Response):
        response.headers["x-from"] = "dependency"
        response.status_code = 202
        return response

    @app.get("/")
    def endpoint(response: Response, same: Annotated[Response, Depends(outer)]):
        response.headers.append("x-from", "endpoint")
        return response is same

    answer = client(app).get("/")
    assert (answer.status_code, answer.json()) == (202, True)
    assert answer.headers.get_list("x-from") == ["dependency", "endpoint"]


def test_request_parameters_of_all_dependencies_see_the_same_state(make_app, client):
    app = make_app()

    async def writes(request: Request):
        request.state.user = "ada"

    @app.get("/")
    def endpoint(request: Request, _: Annotated[None, Depends(writes)]):
        return request.state.user

    assert client(app).get("/").json() == "ada"


def test_security_scopes_reach_the_dependencies_from_the_outside_in_without_repeats(make_app, client, journal):
    app = make_app()

    def leaf(scopes: SecurityScopes):
        return scopes.scopes

    def middle(scopes: SecurityScopes, value: Annotated[list, Security(leaf, scopes=["read", "leaf"])]):
        return {"middle": scopes.scopes, "leaf": value}

    @app.get("/")
    def endpoint(value: Annotated[dict, Security(middle, scopes=["read", "write"])]):
        return value

    assert client(app).get("/").json() == {"middle": ["read", "write"], "leaf": ["read", "write", "leaf"]}


@pytest.mark.skipif(sys.version_info < (3, 13), reason="inspect.signature does not read such a callable, so FastAPI fails too")
def test_a_dependency_whose_call_is_a_descriptor_of_instances_is_called(make_app, client):
    class OfInstances:
        def __get__(self, instance, owner):
            return instance.function

    class Provider:
        __call__ = OfInstances()

        def __init__(self, function):
            self.function = function

    app = make_app()

    @app.get("/")
    def endpoint(doubled: Annotated[int, Depends(Provider(lambda number=4: 2 * number))]):
        return doubled

    assert client(app).get("/").json() == 8
