"""From an exchange to its handler: what is found, what is refused, what is written into the scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Match, compile_path

from tercel.compile.match import Entry, RouteTable
from tercel.http.exchange import Head
from tercel.http.handlers import http_exception_handler
from tercel.serve.dispatch import Assembly, Served, update_scope
from tercel.serve.failures import Handlers
from tests.unit.compile.exchanges import NativeExchange, Recorded, asgi_exchange, http_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def saying(text: str) -> Callable[[Any], Any]:
    async def handle(ex: Any) -> None:
        await ex.respond(Head(200, []), f"{text} {ex.path_params}".encode())

    return handle


def entry(path: str, handler: Callable[[Any], Any], methods: list[str] | None = None, **said: Any) -> Entry:
    regex, _, convertors = compile_path(path)
    served = Served(handler, methods, said=said)
    return Entry(path, regex, convertors, None if methods is None else frozenset(methods), "http", served)


def probed(answer: tuple[Match, dict[str, Any]], handler: Callable[[Any], Any]) -> Entry:
    return Entry("", None, {}, None, "scan", Served(handler, ["GET"]), None, lambda scope: answer)


def assembly(*entries: Entry, missed: Callable[[Any], Any] = saying("missed"), **said: Any) -> Assembly:
    return Assembly(RouteTable(entries), missed, Handlers({HTTPException: http_exception_handler}, False), said)


async def answered(made: Assembly, path: str = "/", method: str = "GET", **scope: Any) -> Recorded:
    """By `answer`; what middleware gets from `asgi` is the same, apart from exceptions."""
    ex, server = asgi_exchange(path=path, method=method, **scope)
    ex.root_path = scope.get("root_path", "")
    await made.answer(ex)
    return server


# -- finding -----------------------------------------------------------------------------------------------------------------------


async def test_the_handler_of_the_route_answers_with_its_path_parameters() -> None:
    made = assembly(entry("/items/{item_id:int}", saying("item"), ["GET"]), entry("/items/all", saying("all"), ["GET"]))
    assert (await answered(made, "/items/3")).body == b"item {'item_id': 3}"
    assert (await answered(made, "/items/all")).body == b"all {}"


async def test_what_no_route_matches_is_missed() -> None:
    seen = []

    async def missed(ex: Any) -> None:
        seen.append((ex.entry.said, ex.path_params))
        await ex.respond(Head(404, []), b"")

    made = assembly(entry("/a", saying("a")), missed=missed, app="the application")
    assert (await answered(made, "/b")).status == 404
    assert seen == [({"app": "the application"}, {})]


async def test_another_method_is_refused_with_those_that_are_allowed_in_their_order() -> None:
    made = assembly(entry("/a", saying("a"), ["PUT", "GET"]), entry("/a", saying("a"), ["DELETE"]))
    server = await answered(made, "/a", "POST")
    assert (server.status, server.headers["allow"], server.body) == (405, "PUT, GET", b'{"detail":"Method Not Allowed"}')
    assert (await answered(made, "/a", "DELETE")).status == 200


async def test_the_root_path_is_not_part_of_the_path_that_is_matched() -> None:
    made = assembly(entry("/a", saying("a")))
    assert (await answered(made, "/api/a", root_path="/api")).body == b"a {}"
    assert (await answered(made, "/a", root_path="/api")).body == b"a {}"


async def test_a_route_that_decides_for_itself_is_asked_in_its_place() -> None:
    full = probed((Match.FULL, {"endpoint": "own", "fastapi": {"more": 1}}), saying("probed"))
    nothing = probed((Match.NONE, {}), saying("nothing"))
    made = assembly(nothing, full, entry("/a", saying("a")))
    ex, server = asgi_exchange(path="/a", fastapi={"before": 1})
    await made.answer(ex)
    assert server.body == b"probed {}"
    assert (ex.scope["endpoint"], ex.scope["fastapi"]) == ("own", {"before": 1, "more": 1})


async def test_a_route_that_decides_for_itself_also_refuses_for_itself() -> None:
    async def refuse(ex: Any) -> None:
        await ex.respond(Head(405, [(b"allow", b"own")]), b"")

    server = await answered(assembly(probed((Match.PARTIAL, {"endpoint": "own"}), refuse)), "/a")
    assert (server.status, server.headers["allow"]) == (405, "own")


async def test_an_exchange_that_was_used_before_begins_anew() -> None:
    ex = NativeExchange()
    ex.view = "left over"
    await assembly(entry("/", saying("a"))).answer(ex)
    assert ex.view is None
    assert ex.entry is not None


async def test_what_a_handler_raises_is_answered() -> None:
    async def handler(ex: Any) -> None:
        raise HTTPException(418, "teapot")

    server = await answered(assembly(entry("/", handler)))
    assert (server.status, server.body) == (418, b'{"detail":"teapot"}')


async def test_a_probe_that_raises_is_a_server_error() -> None:
    def probe(scope: Any) -> Any:
        raise LookupError("probe")

    made = assembly(Entry("", None, {}, None, "scan", Served(saying("x")), None, probe))
    ex, server = asgi_exchange()
    with pytest.raises(LookupError, match="probe"):
        await made.answer(ex)
    assert (server.status, server.body) == (500, b"Internal Server Error")


# -- the scope ---------------------------------------------------------------------------------------------------------------------


def test_a_match_is_described_in_the_scope() -> None:
    served = Served(
        saying("x"), said={"endpoint": "e", "router": "inner"}, framework={"context": "c"}, form_limits={"max_files": 1}
    )
    scope = http_scope(router="outer", path_params={"a": 1}, fastapi={"form_limits": {"max_fields": 2, "max_files": 9}})
    served.describe(scope, {"b": 2})
    assert (scope["endpoint"], scope["router"], scope["path_params"]) == ("e", "outer", {"a": 1, "b": 2})
    assert scope["fastapi"] == {"context": "c", "form_limits": {"max_fields": 2, "max_files": 1}}


def test_where_there_is_nothing_to_say_the_scope_gets_no_part_of_the_framework() -> None:
    scope = http_scope()
    Served(saying("x"), said={"router": "own"}).describe(scope, {})
    assert (scope["router"], "fastapi" in scope) == ("own", False)


def test_what_a_payload_was_given_may_change_afterwards() -> None:
    said = {"endpoint": "e"}
    served = Served(saying("x"), said=said)
    said["endpoint"] = "other"
    assert served.said == {"endpoint": "e"}


def test_an_update_of_the_scope_keeps_what_the_framework_said() -> None:
    scope: dict[str, Any] = {"fastapi": {"a": 1}, "endpoint": "old"}
    update_scope(scope, {"fastapi": {"b": 2}, "endpoint": "new", "path_params": {}})
    assert scope == {"fastapi": {"a": 1, "b": 2}, "endpoint": "new", "path_params": {}}
    update_scope(scope, {"fastapi": None})
    assert scope["fastapi"] is None


# -- inside of middleware ----------------------------------------------------------------------------------------------------------


async def through_asgi(made: Assembly, **scope: Any) -> tuple[dict[str, Any], Recorded]:
    server = Recorded()
    given = http_scope(**scope)
    await made.asgi(given, server.receive, server.send)
    return given, server


async def test_inside_of_middleware_the_match_is_always_described() -> None:
    made = assembly(entry("/items/{item_id}", saying("item"), ["GET"], endpoint="e"))
    scope, server = await through_asgi(made, path="/items/3", path_params={"outer": "1"})
    assert (scope["endpoint"], scope["path_params"]) == ("e", {"outer": "1", "item_id": "3"})
    assert server.body == b"item {'outer': '1', 'item_id': '3'}"


async def test_inside_of_middleware_a_route_that_decides_for_itself_has_the_last_word() -> None:
    made = assembly(probed((Match.FULL, {"path_params": {"own": 1}}), saying("probed")))
    scope, _ = await through_asgi(made, path="/a")
    assert scope["path_params"] == {"own": 1}


async def test_inside_of_middleware_what_is_missed_is_missed_and_what_is_refused_is_handled_by_the_scope() -> None:
    made = assembly(entry("/a", saying("a"), ["GET"]))
    assert (await through_asgi(made, path="/b"))[1].body == b"missed {}"
    handlers = ({HTTPException: http_exception_handler}, {})
    _, server = await through_asgi(made, path="/a", method="PUT", **{"starlette.exception_handlers": handlers})
    assert (server.status, server.headers["allow"]) == (405, "GET")


async def test_inside_of_middleware_what_no_handler_takes_is_raised_unanswered() -> None:
    async def handler(ex: Any) -> None:
        raise LookupError("mine")

    server = Recorded()
    with pytest.raises(LookupError, match="mine"):
        await assembly(entry("/", handler)).asgi(http_scope(), server.receive, server.send)
    assert server.sent == []
