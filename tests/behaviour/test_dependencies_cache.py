"""What counts as the same dependency within one request, and what a callable may look like to be one."""

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Annotated, TypeVar

import pytest

from tercel import APIRouter, Depends, FastAPI, Query, Request, Security
from tercel.security import SecurityScopes

T = TypeVar("T")


def counter():
    """A dependency that returns how often it has been called."""
    calls = 0

    def count():
        nonlocal calls
        calls += 1
        return calls

    return count


def test_a_dependency_used_twice_runs_once_per_request(make_app, client):
    app = make_app()
    count = counter()

    def outer(value: Annotated[int, Depends(count)]):
        return value

    @app.get("/")
    def endpoint(a: Annotated[int, Depends(outer)], b: Annotated[int, Depends(count)]):
        return [a, b]

    connected = client(app)
    assert connected.get("/").json() == [1, 1]
    assert connected.get("/").json() == [2, 2]


def test_without_cache_a_dependency_runs_again(make_app, client):
    app = make_app()
    count = counter()

    @app.get("/")
    def endpoint(
        a: Annotated[int, Depends(count)], b: Annotated[int, Depends(count, use_cache=False)], c: Annotated[int, Depends(count)]
    ):
        return [a, b, c]

    assert client(app).get("/").json() == [1, 2, 1]


def test_the_value_of_an_uncached_dependency_serves_later_ones_if_it_came_first(make_app, client):
    app = make_app()
    count = counter()

    @app.get("/")
    def endpoint(
        a: Annotated[int, Depends(count, use_cache=False)],
        b: Annotated[int, Depends(count)],
        c: Annotated[int, Depends(count, use_cache=False)],
    ):
        return [a, b, c]

    assert client(app).get("/").json() == [1, 1, 2]


def test_an_uncached_input_of_a_cached_dependency_runs_again_although_its_value_is_not_used(make_app, client, journal):
    app = make_app()

    def inner():
        journal("inner")

    def outer(value: Annotated[None, Depends(inner, use_cache=False)]):
        journal("outer")

    @app.get("/")
    def endpoint(a: Annotated[None, Depends(outer)], b: Annotated[None, Depends(outer)]):
        return None

    client(app).get("/")
    assert journal.entries == ["inner", "outer", "inner"]


def test_the_same_invalid_input_is_reported_for_each_place_that_needs_the_dependency(make_app, client):
    app = make_app()

    def number(n: int):
        return n

    @app.get("/")
    def endpoint(a: Annotated[int, Depends(number)], b: Annotated[int, Depends(number)]):
        return [a, b]

    assert [error["loc"] for error in client(app).get("/").json()["detail"]] == [["query", "n"], ["query", "n"]]


def test_a_dependency_that_does_not_look_at_scopes_is_shared_between_security_and_depends(make_app, client):
    app = make_app()
    count = counter()

    def user(scopes: SecurityScopes, value: Annotated[int, Depends(count)]):
        return [value, scopes.scopes]

    @app.get("/")
    def endpoint(a: Annotated[list, Security(user, scopes=["one"])], b: Annotated[list, Security(user, scopes=["two"])]):
        return [a, b]

    assert client(app).get("/").json() == [[1, ["one"]], [1, ["two"]]]


def test_a_dependency_that_sees_scopes_runs_once_for_each_set_of_scopes(make_app, client):
    app = make_app()
    count = counter()

    def user(scopes: SecurityScopes):
        return count()

    @app.get("/")
    def endpoint(
        a: Annotated[int, Security(user, scopes=["x", "y"])],
        b: Annotated[int, Security(user, scopes=["y", "x"])],
        c: Annotated[int, Security(user, scopes=["x"])],
        d: Annotated[int, Depends(user)],
    ):
        return [a, b, c, d]

    # The order of the scopes does not matter for the cache.
    assert client(app).get("/").json() == [1, 1, 2, 3]


def test_own_scopes_alone_separate_two_uses_of_a_dependency(make_app, client):
    app = make_app()
    count = counter()

    @app.get("/")
    def endpoint(
        a: Annotated[int, Security(count)],
        b: Annotated[int, Security(count, scopes=["s"])],
        c: Annotated[int, Security(count, scopes=["s"])],
    ):
        return [a, b, c]

    assert client(app).get("/").json() == [1, 2, 2]


def test_scopes_do_not_reach_siblings(make_app, client):
    app = make_app()

    def one(scopes: SecurityScopes):
        return scopes.scopes

    def two(scopes: SecurityScopes):
        return scopes.scopes

    def both(a: Annotated[list, Security(one, scopes=["a"])], b: Annotated[list, Security(two, scopes=["b"])]):
        return [a, b]

    @app.get("/")
    def endpoint(value: Annotated[list, Security(both, scopes=["c"])]):
        return value

    assert client(app).get("/").json() == [["c", "a"], ["c", "b"]]


def test_the_text_of_security_scopes_joins_the_scopes(make_app, client):
    app = make_app()

    def joined(scopes: SecurityScopes):
        return scopes.scope_str

    @app.get("/joined")
    def read(value: Annotated[str, Security(joined, scopes=["a", "b"])]):
        return value

    assert client(app).get("/joined").json() == "a b"


def test_a_dependency_may_be_a_class_whose_parameters_come_from_the_request(make_app, client):
    app = make_app()

    class Page:
        def __init__(self, skip: int = 0, limit: int = 10):
            self.skip = skip
            self.limit = limit

    @app.get("/")
    def endpoint(page: Annotated[Page, Depends()]):
        return [page.skip, page.limit]

    connected = client(app)
    assert connected.get("/?skip=3").json() == [3, 10]
    assert connected.get("/?skip=x").status_code == 422


def test_depends_without_a_callable_uses_the_annotation(make_app, client):
    app = make_app()

    class Page:
        def __init__(self, skip: int = 0):
            self.skip = skip

    @app.get("/")
    def endpoint(page: Page = Depends()):
        return page.skip

    assert client(app).get("/?skip=3").json() == 3


@pytest.mark.parametrize("kind", ["sync", "async", "sync generator", "async generator"])
def test_an_object_with_a_call_method_is_a_dependency(make_app, client, kind):
    app = make_app()

    class Dependency:
        def __init__(self, greeting):
            self.greeting = greeting

    def plain(self, name: str):
        return f"{self.greeting} {name}"

    async def awaited(self, name: str):
        return f"{self.greeting} {name}"

    def generator(self, name: str):
        yield f"{self.greeting} {name}"

    async def async_generator(self, name: str):
        yield f"{self.greeting} {name}"

    Dependency.__call__ = {"sync": plain, "async": awaited, "sync generator": generator, "async generator": async_generator}[kind]

    @app.get("/")
    def endpoint(value: Annotated[str, Depends(Dependency("hello"))]):
        return value

    assert client(app).get("/?name=ada").json() == "hello ada"


def test_a_bound_method_is_a_dependency(make_app, client):
    app = make_app()

    class Service:
        async def current(self, name: str):
            return name.upper()

        @classmethod
        def kind(cls):
            return cls.__name__

        @staticmethod
        def constant():
            return 1

    @app.get("/")
    def endpoint(
        a: Annotated[str, Depends(Service().current)],
        b: Annotated[str, Depends(Service.kind)],
        c: Annotated[int, Depends(Service.constant)],
    ):
        return [a, b, c]

    assert client(app).get("/?name=x").json() == ["X", "Service", 1]


@pytest.mark.parametrize("kind", ["sync", "async", "generator"])
def test_a_partial_is_a_dependency_without_the_arguments_that_it_holds(make_app, client, kind):
    app = make_app()

    def plain(prefix: str, name: str):
        return prefix + name

    async def awaited(prefix: str, name: str):
        return prefix + name

    def generator(prefix: str, name: str):
        yield prefix + name

    function = {"sync": plain, "async": awaited, "generator": generator}[kind]

    @app.get("/")
    def endpoint(value: Annotated[str, Depends(functools.partial(function, "given "))]):
        return value

    assert client(app).get("/?name=ada").json() == "given ada"


@pytest.mark.parametrize("kind", ["sync", "async", "generator", "async generator"])
def test_a_wrapped_function_keeps_its_signature_and_its_kind(make_app, client, kind, journal):
    app = make_app()

    def noting(function: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            journal("wrapper")
            return function(*args, **kwargs)

        return wrapper

    @noting
    def plain(name: str):
        return name

    @noting
    async def awaited(name: str):
        return name

    @noting
    def generator(name: str):
        yield name

    @noting
    async def async_generator(name: str):
        yield name

    dependency = {"sync": plain, "async": awaited, "generator": generator, "async generator": async_generator}[kind]

    @app.get("/")
    def endpoint(value: Annotated[str, Depends(dependency)]):
        return value

    assert client(app).get("/?name=ada").json() == "ada"
    assert journal.entries == ["wrapper"]


def test_an_endpoint_may_be_an_object_or_a_partial(make_app, client):
    app = make_app()

    class Endpoint:
        async def __call__(self, name: str):
            return f"object {name}"

    def function(prefix: str, name: str):
        return f"{prefix} {name}"

    app.get("/object")(Endpoint())
    app.get("/partial")(functools.partial(function, "partial"))
    connected = client(app)
    assert connected.get("/object?name=a").json() == "object a"
    assert connected.get("/partial?name=a").json() == "partial a"


def test_default_values_of_depends_and_annotated_cannot_be_combined():
    app = FastAPI()
    with pytest.raises(AssertionError, match="Cannot specify `Depends` in `Annotated` and default value together for 'value'"):

        @app.get("/")
        def endpoint(value: Annotated[int, Depends(lambda: 1)] = Depends(lambda: 2)):
            return value


def test_a_marker_in_annotated_and_depends_as_default_cannot_be_combined():
    app = FastAPI()
    with pytest.raises(
        AssertionError, match="Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a default value together"
    ):

        @app.get("/")
        def endpoint(value: Annotated[int, Query()] = Depends(lambda: 2)):
            return value


def test_depends_and_security_are_values():
    def f():
        return None

    assert hash(Depends(f)) == hash(Depends(f))
    assert Depends(f) == Depends(f)
    assert Depends(f) != Depends(f, use_cache=False)
    assert Security(f, scopes=("a",)) == Security(f, scopes=("a",))
    with pytest.raises(FrozenInstanceError):
        Depends(f).dependency = None


def test_a_dependency_without_a_callable_cannot_stand_alone():
    app = FastAPI()
    with pytest.raises(AssertionError, match="A parameter-less dependency must have a callable dependency"):

        @app.get("/", dependencies=[Depends()])
        def endpoint():
            return None


def test_an_async_dependency_runs_on_the_event_loop_and_a_sync_one_does_not(make_app, client):
    app = make_app()

    async def on_loop():
        return threading.get_ident()

    def in_thread():
        return threading.get_ident()

    @app.get("/")
    async def endpoint(a: Annotated[int, Depends(on_loop)], b: Annotated[int, Depends(in_thread)]):
        return [a == threading.get_ident(), b == threading.get_ident()]

    assert client(app).get("/").json() == [True, False]


def test_a_route_keeps_working_when_its_router_is_included_twice(make_app, client):
    app = make_app()
    router = APIRouter()
    count = counter()

    @router.get("/n")
    def endpoint(request: Request, value: Annotated[int, Depends(count)]):
        return [request.url.path, value]

    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    connected = client(app)
    assert connected.get("/a/n").json() == ["/a/n", 1]
    assert connected.get("/b/n").json() == ["/b/n", 2]


def test_the_signature_of_a_decorated_endpoint_is_left_alone():
    app = FastAPI()

    def endpoint(q: int = 1):
        return q

    assert app.get("/")(endpoint) is endpoint
    assert inspect.signature(endpoint) == inspect.signature(lambda q=1: q).replace(
        parameters=[inspect.Parameter("q", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=1, annotation=int)]
    )
    assert endpoint(3) == 3
