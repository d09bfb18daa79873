"""Collections that notice being changed: every way to change them counts, and looking does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from tercel import APIRouter, Depends, FastAPI
from tercel.routing.changes import Overrides, RouteList, changes
from tercel.testclient import TestClient


def key() -> None: ...


def other() -> None: ...


LIST_CHANGES: list[Callable[[Any], Any]] = [
    lambda routes: routes.append(4),
    lambda routes: routes.extend([4, 5]),
    lambda routes: routes.insert(0, 4),
    lambda routes: routes.remove(2),
    lambda routes: routes.pop(),
    lambda routes: routes.pop(0),
    lambda routes: routes.clear(),
    lambda routes: routes.sort(key=lambda item: -item),
    lambda routes: routes.reverse(),
    lambda routes: routes.__setitem__(0, 9),
    lambda routes: routes.__setitem__(slice(0, 2), [9]),
    lambda routes: routes.__delitem__(0),
    lambda routes: routes.__iadd__([4]),
    lambda routes: routes.__imul__(2),
]


@pytest.mark.parametrize("number", range(len(LIST_CHANGES)))
def test_every_change_of_a_list_of_routes_counts_and_does_what_it_does_to_a_list(number: int) -> None:
    change = LIST_CHANGES[number]
    routes, plain = RouteList([1, 2, 3]), [1, 2, 3]
    count, version = changes.count, routes.version
    result, expected = change(routes), change(plain)
    assert routes == plain
    assert changes.count > count
    assert routes.version > version
    if expected is plain:
        assert result is routes
    else:
        assert result == expected


DICT_CHANGES: list[Callable[[Any], Any]] = [
    lambda overrides: overrides.__setitem__(other, key),
    lambda overrides: overrides.__delitem__(key),
    lambda overrides: overrides.clear(),
    lambda overrides: overrides.pop(key),
    lambda overrides: overrides.pop(other, None),
    lambda overrides: overrides.popitem(),
    lambda overrides: overrides.setdefault(other, key),
    lambda overrides: overrides.update({other: key}),
    lambda overrides: overrides.__ior__({other: key}),
]


@pytest.mark.parametrize("number", range(len(DICT_CHANGES)))
def test_every_change_of_overrides_counts_and_does_what_it_does_to_a_dict(number: int) -> None:
    change = DICT_CHANGES[number]
    overrides, plain = Overrides({key: other}), {key: other}
    count, version = changes.count, overrides.version
    result, expected = change(overrides), change(plain)
    assert overrides == plain
    assert changes.count > count
    assert overrides.version > version
    if expected is plain:
        assert result is overrides
    else:
        assert result == expected


def test_a_change_that_fails_does_not_count() -> None:
    routes, overrides = RouteList([1]), Overrides()
    count = changes.count
    for change in (lambda: routes.remove(7), lambda: routes.__delitem__(3), lambda: overrides.pop(key), overrides.popitem):
        with pytest.raises((ValueError, IndexError, KeyError)):
            change()
    assert changes.count == count


def test_looking_does_not_count() -> None:
    routes, overrides = RouteList([1, 2]), Overrides({key: other})
    count = changes.count
    assert (routes[0], list(routes), 2 in routes, len(routes), [*routes, 3]) == (1, [1, 2], True, 2, [1, 2, 3])
    assert (overrides[key], overrides.get(other), list(overrides), dict(overrides)) == (other, None, [key], {key: other})
    assert changes.count == count


def test_no_two_collections_ever_have_the_same_version() -> None:
    versions = []
    for number in range(20):
        overrides = Overrides({key: other})
        versions.append(overrides.version)
        if number % 2:
            overrides[other] = key
            versions.append(overrides.version)
    assert len(versions) == len(set(versions))


# -- what depends on it ------------------------------------------------------------------------------------------------------------


def number() -> int:
    return 0


def numbered(value: int) -> Callable[[], int]:
    return lambda: value


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_overrides_that_are_replaced_again_and_again_are_always_those_in_force(engine: Any) -> None:
    """As a suite does that sets them in each test and takes them away after it."""
    app = FastAPI(engine=engine)

    @app.get("/")
    def endpoint(number: Annotated[int, Depends(number)]) -> int:
        return number

    client = TestClient(app)
    answers = []
    for value in range(1, 30):
        app.dependency_overrides = {number: numbered(value)}
        answers.append(client.get("/").json())
        app.dependency_overrides = {}
    assert answers == list(range(1, 30))
    assert client.get("/").json() == 0


def test_the_version_of_a_router_never_comes_back() -> None:
    """Whatever is added and removed in between, so that nothing that was frozen before is served again."""
    router, inner = APIRouter(), APIRouter()
    inner.add_api_route("/inner", number)
    versions = [router._get_routes_version()]

    def noted() -> None:
        versions.append(router._get_routes_version())

    for round_number in range(3):
        router.add_api_route(f"/{round_number}", number)
        noted()
        router.include_router(inner)
        noted()
        inner.add_api_route(f"/inner/{round_number}", number)
        noted()
        router.routes.pop()
        noted()
        router.routes = list(router.routes)
        noted()
    assert versions == sorted(set(versions))


def test_routes_that_are_replaced_are_served_with_the_next_request() -> None:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", numbered(1))
    app.add_api_route("/b", numbered(2))
    client = TestClient(app)
    assert client.get("/a").json() == 1
    app.router.routes = []
    app.add_api_route("/b", numbered(3))
    assert [client.get("/a").status_code, client.get("/b").json()] == [404, 3]


def test_a_dict_that_is_not_ours_is_looked_into() -> None:
    class Provider:
        dependency_overrides: dict[Any, Any] = {}

    provider = Provider()
    router = APIRouter(dependency_overrides_provider=provider)

    @router.get("/")
    def endpoint(number: Annotated[int, Depends(number)]) -> int:
        return number

    client = TestClient(router)
    assert client.get("/").json() == 0
    provider.dependency_overrides[number] = numbered(5)
    assert client.get("/").json() == 5
    provider.dependency_overrides[number] = numbered(6)
    assert client.get("/").json() == 6
