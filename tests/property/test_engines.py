"""Random endpoints and random requests: the compiled engine does what the interpreter does, in the same order.

An endpoint is generated as data (`Endpoint`, `Node`, `Parameter`), built once for each engine, and asked the same requests. What
is compared are status, headers, body, what was raised to the server, and the journal of everything that user code did. This module
must not know how either engine works. `tests/behaviour` says what is right; this says that both agree.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

api: Any = pytest.importorskip("tercel")

EXAMPLES = int(os.environ.get("TERCEL_EXAMPLES", "60"))


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    price: float = Field(1.0, ge=0)
    tags: list[str] = []


class Pair(BaseModel):
    left: int
    right: int | None = None


class Page(BaseModel):
    limit: int = Field(10, le=100)
    after: str | None = None


SCALARS: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "nullable": int | None,
    "literal": Literal["a", "b"],
    "enum": Color,
    "date": date,
    "small": Annotated[int, Field(ge=0, le=9)],
    "short": Annotated[str, Field(max_length=3)],
}
LISTS: dict[str, Any] = {"ints": list[int], "strs": list[str]}
BODIES: dict[str, Any] = {"item": Item, "pair": Pair, "items": list[Item], "mapping": dict[str, int], "optional": Item | None}
DEFAULTS: dict[str, Any] = {"int": 7, "float": 0.5, "str": "d", "bool": True, "nullable": None, "literal": "a", "enum": Color.BLUE}
TEXTS = ["1", "0", "-3", "2.5", "true", "red", "a", "abcdef", "", "2024-01-31", "nope", "ü", "1,2"]
VALUES: list[Any] = [
    1,
    "x",
    None,
    [],
    {},
    {"name": "n"},
    {"name": "n", "price": -1},
    {"left": 1},
    {"left": "x"},
    [{"name": "n"}],
    {"k": 1},
]


@dataclass(frozen=True)
class Parameter:
    """One parameter of an endpoint or a dependency."""

    name: str
    place: str  # path, query, header, cookie, body, form, page, injected
    kind: str
    default: bool = False
    alias: bool = False
    as_default: bool = False  # `= Query()` rather than `Annotated[…, Query()]`


@dataclass(frozen=True)
class Use:
    """How a dependency is used by its parent."""

    node: int
    cache: bool = True
    function_scope: bool = False
    scopes: tuple[str, ...] = ()  # OAuth2 scopes, with `Security` instead of `Depends`


@dataclass(frozen=True)
class Node:
    """A dependency: what it takes, what it is and how it misbehaves."""

    style: str  # sync, async, gen, agen, class
    parameters: tuple[Parameter, ...]
    uses: tuple[Use, ...]
    acts: str = "nothing"  # nothing, raise, header, status, task, raise after, translate


@dataclass(frozen=True)
class Endpoint:
    """A route: its dependencies, its parameters, and what it does with them."""

    nodes: tuple[Node, ...]
    listed: tuple[Use, ...]
    parameters: tuple[Parameter, ...]
    uses: tuple[Use, ...]
    style: str = "async"
    acts: str = "return"  # return, raise, fail, respond, model, bad model, stream
    status: int | None = None


@dataclass(frozen=True)
class Question:
    """A request, in the words of the parameters."""

    path: tuple[str, str]
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[tuple[str, str], ...]
    body: Any
    broken_body: str  # no, syntax, type, missing


# -- building --------------------------------------------------------------------------------------------------------------------


class Failure(Exception):
    """What user code raises and nobody handles."""


def annotated(parameter: Parameter) -> inspect.Parameter:
    """The parameter as it would stand in a signature."""
    name, kind = parameter.name, inspect.Parameter.KEYWORD_ONLY
    if parameter.place == "injected":
        security = importlib.import_module(f"{api.__name__}.security")
        injected = {
            "request": api.Request,
            "response": api.Response,
            "tasks": api.BackgroundTasks,
            "scopes": security.SecurityScopes,
        }
        annotation = injected[parameter.kind]
        return inspect.Parameter(name, kind, annotation=annotation)
    if parameter.place == "page":
        return inspect.Parameter(name, kind, annotation=Annotated[Page, api.Query()])
    kinds = {**SCALARS, **LISTS, **BODIES}
    marker_class = {
        "path": api.Path,
        "query": api.Query,
        "header": api.Header,
        "cookie": api.Cookie,
        "body": api.Body,
        "form": api.Form,
    }[parameter.place]
    options = {"alias": f"{name}-x"} if parameter.alias and parameter.place != "path" else {}
    has_default = parameter.default and parameter.place != "path" and parameter.kind in DEFAULTS
    if parameter.as_default:
        given = {"default": DEFAULTS[parameter.kind]} if has_default else {}
        return inspect.Parameter(name, kind, annotation=kinds[parameter.kind], default=marker_class(**given, **options))
    default = DEFAULTS[parameter.kind] if has_default else inspect.Parameter.empty
    return inspect.Parameter(name, kind, annotation=Annotated[kinds[parameter.kind], marker_class(**options)], default=default)


def shown(values: dict[str, Any]) -> dict[str, str]:
    """Values of parameters as text that does not depend on the run."""
    ours = {"tercel", "starlette", api.__name__}
    values = {name: value.scopes if name == "scopes" else value for name, value in values.items()}
    return {
        name: type(value).__name__ if type(value).__module__.partition(".")[0] in ours else repr(value)
        for name, value in values.items()
    }


def act(node: Node, name: str, values: dict[str, Any], journal: list[Any]) -> None:
    """What a dependency does before it returns."""
    journal.append((name, shown(values)))
    if node.acts == "raise":
        raise api.HTTPException(400 + len(name), name)
    response, tasks = values.get("response"), values.get("tasks")
    if node.acts == "header" and response is not None:
        response.headers.append("x-by", name)
    if node.acts == "status" and response is not None:
        response.status_code = 203
    if node.acts == "task" and tasks is not None:
        tasks.add_task(journal.append, ("task", name))


def make_dependency(node: Node, name: str, signature: inspect.Signature, journal: list[Any]) -> Callable[..., Any]:
    """A callable of the style that the node asks for."""

    def plain(**values: Any) -> Any:
        act(node, name, values, journal)
        return name

    async def awaited(**values: Any) -> Any:
        return plain(**values)

    def leave() -> None:
        journal.append((name, "exit"))
        if node.acts == "raise after":
            raise Failure(name)

    def generator(**values: Any) -> Any:
        plain(**values)
        try:
            yield name
        except Failure as error:
            journal.append((name, "saw", str(error)))
            if node.acts == "translate":
                raise api.HTTPException(418, name) from error
            raise
        finally:
            leave()

    async def async_generator(**values: Any) -> Any:
        plain(**values)
        try:
            yield name
        except Failure as error:
            journal.append((name, "saw", str(error)))
            if node.acts == "translate":
                raise api.HTTPException(418, name) from error
            raise
        finally:
            leave()

    class Class:
        __signature__ = signature

        def __init__(self, **values: Any) -> None:
            plain(**values)

        def __repr__(self) -> str:
            return name

    if node.style == "class":
        return Class
    made: Any = {"sync": plain, "async": awaited, "gen": generator, "agen": async_generator}[node.style]
    made.__signature__ = signature
    made.__name__ = name
    return made  # type: ignore[no-any-return]


def used(uses: tuple[Use, ...], made: list[Callable[..., Any]], nodes: tuple[Node, ...], in_request_scope: bool) -> list[Any]:
    """`Depends` for each use; a generator that lives as long as the request cannot need one that does not."""
    found = []
    for use in uses:
        function_scope = use.function_scope and not in_request_scope and nodes[use.node].style in ("gen", "agen")
        if use.scopes:
            found.append(api.Security(made[use.node], scopes=list(use.scopes), use_cache=use.cache))
        else:
            found.append(api.Depends(made[use.node], use_cache=use.cache, scope="function" if function_scope else None))
    return found


def signature_of(parameters: tuple[Parameter, ...], depends: list[Any]) -> inspect.Signature:
    """A signature of keyword parameters: those of the declaration, then the dependencies."""
    kind = inspect.Parameter.KEYWORD_ONLY
    unique = {parameter.name: parameter for parameter in parameters}
    return inspect.Signature(
        [annotated(parameter) for parameter in unique.values()]
        + [inspect.Parameter(f"d{n}", kind, default=marker, annotation=Any) for n, marker in enumerate(depends)]
    )


def make_endpoint(declared: Endpoint, signature: inspect.Signature, journal: list[Any]) -> Callable[..., Any]:
    """The function of the route."""

    def answer(**values: Any) -> Any:
        journal.append(("endpoint", shown(values)))
        match declared.acts:
            case "raise":
                raise api.HTTPException(409, {"why": "endpoint"}, {"x-why": "endpoint"})
            case "fail":
                raise Failure("endpoint")
            case "respond":
                return api.Response(b"own", 202, {"x-own": "1"})
            case "model":
                return {"name": "n", "extra": "dropped"}
            case "bad model":
                return {"price": "x"}
        return shown(values)

    async def awaited(**values: Any) -> Any:
        return answer(**values)

    async def streamed(**values: Any) -> Any:
        yield answer(**values)
        yield 2

    made: Any = streamed if declared.acts == "stream" else awaited if declared.style == "async" else answer
    made.__signature__ = signature
    made.__name__ = "endpoint"
    return made  # type: ignore[no-any-return]


def build(declared: Endpoint, engine: str | None, journal: list[Any]) -> Any:
    """The application with this one endpoint; `engine` None is for an application class without engines."""
    made: list[Callable[..., Any]] = []
    for n, node in enumerate(declared.nodes):
        depends = used(node.uses, made, declared.nodes, in_request_scope=node.style in ("gen", "agen"))
        made.append(make_dependency(node, f"n{n}", signature_of(node.parameters, depends), journal))
    app = api.FastAPI(openapi_url=None) if engine is None else api.FastAPI(openapi_url=None, engine=engine)
    signature = signature_of(declared.parameters, used(declared.uses, made, declared.nodes, in_request_scope=False))
    options: dict[str, Any] = {"response_model": Item} if "model" in declared.acts and declared.status != 204 else {}
    app.post(
        "/{p1}/{p2}",
        dependencies=used(declared.listed, made, declared.nodes, in_request_scope=False),
        status_code=declared.status,
        **options,
    )(make_endpoint(declared, signature, journal))
    return app


# -- asking ----------------------------------------------------------------------------------------------------------------------


def encoded(question: Question, forms: bool) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and content type of a request."""
    if question.broken_body == "missing":
        return b"", []
    if forms:
        pairs = [f"{name}={value}" for name, value in question.query]
        return "&".join(pairs).encode(), [(b"content-type", b"application/x-www-form-urlencoded")]
    raw = json.dumps(question.body).encode()
    if question.broken_body == "syntax":
        raw = raw[:-1] + b"{"
    return raw, [(b"content-type", b"text/plain" if question.broken_body == "type" else b"application/json")]


async def ask(app: Any, question: Question, forms: bool) -> tuple[Any, ...]:
    """Status, headers, body and what was raised to the server."""
    body, headers = encoded(question, forms)
    headers += [(name.encode(), value.encode("utf-8")) for name, value in question.headers]
    if question.cookies:
        headers.append((b"cookie", "; ".join(f"{name}={value}" for name, value in question.cookies).encode()))
    path = "/" + "/".join(question.path)
    sent: list[Any] = []
    received = False

    async def receive() -> dict[str, Any]:
        nonlocal received
        if received:
            await asyncio.Event().wait()
        received = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": "&".join(f"{name}={value}" for name, value in question.query).encode(),
        "root_path": "",
        "headers": headers,
        "client": ("c", 1),
        "server": ("s", 80),
    }
    raised: tuple[str, str] | None = None
    try:
        await app(scope, receive, send)
    except Exception as error:
        raised = (type(error).__name__, str(error).partition("\n  File")[0])
    starts = [message for message in sent if message["type"] == "http.response.start"]
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    head = [(message["status"], sorted(message["headers"])) for message in starts]
    return head, content, raised


# -- strategies ------------------------------------------------------------------------------------------------------------------


def parameters(places: list[str]) -> st.SearchStrategy[tuple[Parameter, ...]]:
    """Up to four parameters in the given places; one name is always in one place and of one kind of container."""

    def one(place: str) -> st.SearchStrategy[Parameter]:
        if place == "injected":
            return st.sampled_from(["request", "response", "tasks", "scopes"]).map(lambda kind: Parameter(kind, place, kind))
        if place == "page":
            return st.just(Parameter("page", place, "page"))
        kinds = {
            "body": [*BODIES, "int", "str"],
            "form": ["int", "str", "nullable", "ints"],
            "query": [*SCALARS, *LISTS],
            "header": ["int", "str", "nullable", "strs"],
            "cookie": ["int", "str", "nullable"],
        }.get(place, ["int", "str", "float", "enum", "small"])
        names = ["p1", "p2"] if place == "path" else [f"{place[0]}1", f"{place[0]}_2"]
        return st.builds(
            Parameter,
            name=st.sampled_from(names),
            place=st.just(place),
            kind=st.sampled_from(kinds),
            default=st.booleans(),
            alias=st.booleans(),
            as_default=st.booleans(),
        )

    return st.lists(st.sampled_from(places).flatmap(one), max_size=4, unique_by=lambda item: item.name).map(tuple)


def uses_of(count: int) -> st.SearchStrategy[tuple[Use, ...]]:
    """Up to three uses of the first nodes."""
    if not count:
        return st.just(())
    scopes = st.just(()) | st.lists(st.sampled_from(["a", "b"]), unique=True, max_size=2).map(tuple)
    return st.lists(st.builds(Use, st.integers(0, count - 1), st.booleans(), st.booleans(), scopes), max_size=3).map(tuple)


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    """Any endpoint."""
    places = ["path", "query", "header", "cookie", "page", "injected", draw(st.sampled_from(["body", "form", "query"]))]
    nodes: list[Node] = []
    for n in range(draw(st.integers(0, 4))):
        nodes.append(
            Node(
                style=draw(st.sampled_from(["sync", "async", "gen", "agen", "class"])),
                parameters=draw(parameters(places)),
                uses=draw(uses_of(n)),
                acts=draw(
                    st.sampled_from(
                        ["nothing", "nothing", "nothing", "header", "status", "task", "raise", "raise after", "translate"]
                    )
                ),
            )
        )
    some = uses_of(len(nodes))
    return Endpoint(
        nodes=tuple(nodes),
        listed=draw(some),
        parameters=draw(parameters(places)),
        uses=draw(some),
        style=draw(st.sampled_from(["sync", "async"])),
        acts=draw(st.sampled_from(["return", "return", "return", "raise", "fail", "respond", "model", "bad model", "stream"])),
        status=draw(st.sampled_from([None, None, 201, 204])),
    )


def names_of(declared: Endpoint, place: str) -> list[str]:
    """Under which names clients may send what is taken from a place."""
    every = [parameter for node in declared.nodes for parameter in node.parameters] + list(declared.parameters)
    names = ["limit", "after"] if place == "query" else []
    for parameter in every:
        if parameter.place == place or (place == "query" and parameter.place == "form"):
            names += [parameter.name, parameter.name.replace("_", "-"), f"{parameter.name}-x"]
    return sorted(set(names))


def questions(declared: Endpoint) -> st.SearchStrategy[Question]:
    """Requests that hit the names of an endpoint often."""
    texts = st.sampled_from([text for text in TEXTS if text])
    plain = st.sampled_from([text for text in TEXTS if text.isascii()])

    def pairs(place: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
        names = names_of(declared, place)
        return st.lists(st.tuples(st.sampled_from(names), values), max_size=6).map(tuple) if names else st.just(())

    names = names_of(declared, "body")
    keyed = st.dictionaries(st.sampled_from(names), st.sampled_from(VALUES)) if names else st.just({})
    return st.builds(
        Question,
        path=st.tuples(plain.filter(bool), plain.filter(bool)),
        query=pairs("query", plain),
        headers=pairs("header", texts),
        cookies=pairs("cookie", plain),
        body=keyed | st.sampled_from(VALUES),
        broken_body=st.sampled_from(["no", "no", "no", "no", "syntax", "type", "missing"]),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Endpoint, list[Question]]:
    """An endpoint and a few requests for it."""
    declared = draw(endpoints())
    return declared, draw(st.lists(questions(declared), min_size=1, max_size=4))


def run_case(declared: Endpoint, asked: list[Question], engine: str | None) -> list[Any]:
    """Everything that can be seen of one engine answering the requests, in order."""
    journal: list[Any] = []
    app = build(declared, engine, journal)
    forms = any(parameter.place == "form" for node in (*declared.nodes, declared) for parameter in node.parameters)

    async def run() -> list[Any]:
        seen = []
        for question in asked:
            journal.clear()
            seen.append((await ask(app, question, forms), list(journal)))
        return seen

    return asyncio.run(run())


@pytest.mark.tercel_only("it has two engines")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(cases())
def test_both_engines_answer_alike_and_do_the_same_things_in_the_same_order(case: tuple[Endpoint, list[Question]]) -> None:
    declared, asked = case
    interpreted = run_case(declared, asked, "interpreted")
    compiled = run_case(declared, asked, "compiled")
    for question, one, other in zip(asked, interpreted, compiled, strict=True):
        assert one == other, question
