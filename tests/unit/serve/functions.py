"""Functions around one route, for tests of middleware functions and of how responses come up to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from tercel.compile.match import Entry, RouteTable
from tercel.http.exchange import Exchange, Head
from tercel.http.handlers import http_exception_handler
from tercel.serve.dispatch import Assembly, Served
from tercel.serve.failures import Handlers
from tercel.serve.middleware import AroundRoutes

Handler = Callable[[Any], Any]
HEAD = Head(200, [(b"content-type", b"text/plain")])


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def unused_stack(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the stack is for other event loops")


def around(handler: Handler, *functions: Any, at_once: bool = False, stack: Any = unused_stack) -> AroundRoutes:
    """Functions around one route for every path.

    Args:
        handler: of the route.
        functions: outermost first; one that only passes on by default.
        at_once: the handler does nothing after its response.
        stack: for other event loops.
    """
    regex, _, convertors = compile_path("/{rest:path}")
    served = Served(handler, ["GET"], said={"endpoint": handler})
    served.ends_with_response = at_once
    table = RouteTable([Entry("/{rest:path}", regex, convertors, frozenset({"GET"}), "http", served)])

    async def missed(ex: Exchange) -> None:
        raise HTTPException(404)

    assembly = Assembly(table, missed, Handlers({HTTPException: http_exception_handler}, False), {})
    return AroundRoutes(assembly, functions or [pass_on], "the application", stack)


async def say_hello(ex: Exchange) -> None:
    await ex.respond(HEAD, b"hello")
