"""The stages of a request one by one, each beside the same done by hand: run in the environment that is measured.

    python -m bench.micro_cases time 0.2       # nanoseconds, as JSON
    python -m bench.micro_cases count 200      # under valgrind: process ids by number of rounds, as JSON

Both sides of a case get the same exchange and have to leave the same answer on it, which is verified before anything is measured.
Nothing suspends, so the event loop has no part in it. Read `bench/micro.py` next, which starts this and reports.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import parse_qsl

from pydantic import TypeAdapter

from bench.apps.content import UserIn, UserOut
from tercel import Depends, FastAPI, Query, Response
from tercel.http.exchange import Exchange, Head
from tercel.telemetry import TelemetryConfig

__all__ = ["Case", "make_cases", "verify"]

REPEATS = 5
"""Of which the fastest counts: what disturbs a measurement only makes it slower."""


class MicroExchange(Exchange):
    """An exchange without a socket; its answer is what the handler gave to it last."""

    __slots__ = ("answer", "known")

    native: ClassVar[bool] = True

    def __init__(self, path: str, query: str = "", path_params: dict[str, Any] | None = None) -> None:
        self.method, self.path, self.query_string, self.root_path = "GET", path, query.encode(), ""
        self.headers = []
        self.path_params = path_params or {}
        self.started, self.entry, self.view, self.rescue = False, None, None, None
        self.answer: tuple[int, bytes] | None = None
        self.known = b""

    @property
    def scope(self) -> Any:
        raise AssertionError("the direct path builds no scope")

    async def body(self) -> bytes:
        return self.known

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.known

    @property
    def known_body(self) -> bytes:
        return self.known

    @property
    def disconnected(self) -> bool:
        return False

    def cancelled_on_disconnect(self, unless_started: Exchange | None = None) -> AbstractContextManager[None]:
        raise AssertionError("no case asks for it")

    async def respond(self, head: Head, body: bytes) -> None:
        self.respond_at_once(head, body)

    def respond_at_once(self, head: Head, body: bytes) -> bool:
        self.answer = (head.status, body)
        return True

    async def start(self, head: Head) -> None:
        raise AssertionError("no case streams")

    async def write(self, data: bytes) -> None:
        raise AssertionError("no case streams")

    async def finish(self) -> None:
        raise AssertionError("no case streams")

    @property
    def receive(self) -> Any:
        raise AssertionError("no ASGI messages on the direct path")

    @property
    def send(self) -> Any:
        raise AssertionError("no ASGI messages on the direct path")


Side = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One stage.

    Args:
        name: of the stage.
        title: what is done.
        own: Tercel's way; returns what is compared.
        control: the same by hand.
        expected: what both return.
    """

    name: str
    title: str
    own: Side
    control: Side
    expected: Any


# -- the application, and the same by hand ---------------------------------------------------------------------------------------

_NONE: Final = TelemetryConfig(tracing=False, metrics=False, logs=False)
"""Else an application asks at each request whether telemetry is on, once OpenTelemetry was imported."""


def _make_many() -> FastAPI:
    app = FastAPI(telemetry=_NONE, openapi_url=None)

    async def endpoint(item_id: str) -> None: ...

    for number in range(100):
        app.get(f"/group{number}/items/{{item_id}}")(endpoint)
    return app


def _match() -> Case:
    table = _make_many()._freeze().table
    path = "/group99/items/seven"
    by_hand = {f"/group{number}/items": f"/group{number}/items/{{item_id}}" for number in range(100)}

    async def own() -> Any:
        hit = table.match_http("GET", path, None)
        return hit.entry.path, hit.params

    async def control() -> Any:
        head, _, text = path.rpartition("/")
        return by_hand[head], {"item_id": text}

    return Case("match", "one of 100 routes by its path", own, control, ("/group99/items/{item_id}", {"item_id": "seven"}))


def _handler(app: FastAPI, ex: MicroExchange) -> Side:
    """The compiled handler of the route for an exchange."""
    served = app._freeze().table.match_http("GET", ex.path, None).entry.payload

    async def own() -> Any:
        ex.view = None
        await served.handler(ex)
        return ex.answer

    return own


async def _item(item_id: int, q: str, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Response:
    return _DONE if (item_id, q, limit) == (42, "falcon", 20) else _WRONG


_DONE, _WRONG = Response(b"done"), Response(b"wrong")
_DONE_HEAD = Head(200, [])


def _take() -> Case:
    app = FastAPI(telemetry=_NONE, openapi_url=None)
    app.get("/items/{item_id}")(_item)
    ex = MicroExchange("/items/42", "q=falcon&limit=20", {"item_id": "42"})

    async def control() -> Any:
        query = dict(parse_qsl(ex.query_string.decode()))
        item_id, limit = int(ex.path_params["item_id"]), int(query.get("limit", "10"))
        if not 1 <= limit <= 100:
            raise ValueError(limit)
        response = await _item(item_id, query["q"], limit)
        ex.respond_at_once(_DONE_HEAD, response.body)
        return ex.answer

    return Case("take", "three validated parameters", _handler(app, ex), control, (200, b"done"))


async def _token() -> str:
    return "secret"


async def _user(token: Annotated[str, Depends(_token)]) -> AsyncIterator[str]:
    yield token + "-user"


async def _active(user: Annotated[str, Depends(_user)]) -> str:
    return user


async def _me(user: Annotated[str, Depends(_active)]) -> Response:
    return _DONE if user == "secret-user" else _WRONG


def _resolve() -> Case:
    app = FastAPI(telemetry=_NONE, openapi_url=None)
    app.get("/me")(_me)
    ex = MicroExchange("/me")

    async def control() -> Any:
        users = _user(await _token())
        try:
            response = await _me(await _active(await anext(users)))
            ex.respond_at_once(_DONE_HEAD, response.body)
        except BaseException as error:
            await users.athrow(error)
            raise
        await anext(users, None)
        return ex.answer

    return Case("resolve", "three levels of dependencies, one a generator", _handler(app, ex), control, (200, b"done"))


_POSTED = UserIn.model_validate(
    {
        "name": "Ada Lovelace",
        "age": 36,
        "tags": ["mathematics", "engines"],
        "address": {"street": "12 St James's Square", "city": "London", "zip_code": "SW1Y 4JH"},
        "password": "difference",
    }
)


async def _create() -> Any:
    return _POSTED


def _render() -> Case:
    app = FastAPI(telemetry=_NONE, openapi_url=None)
    app.get("/users", response_model=UserOut)(_create)
    ex, adapter = MicroExchange("/users"), TypeAdapter(UserOut)

    async def control() -> Any:
        result = adapter.validate_python(await _create(), from_attributes=True)
        ex.respond_at_once(_DONE_HEAD, adapter.dump_json(result))
        return ex.answer

    expected = adapter.dump_json(adapter.validate_python(_POSTED.model_dump()))
    return Case("render", "a nested result through its response model", _handler(app, ex), control, (200, expected))


def make_cases() -> list[Case]:
    """All of them, in the order of a request."""
    return [_match(), _take(), _resolve(), _render()]


# -- measuring ---------------------------------------------------------------------------------------------------------------------


async def verify(case: Case) -> None:
    """Both sides, several times: the handler is compiled by the first, and no answer may depend on the one before.

    Raises:
        ValueError: one of them returns something else.
    """
    for name, side in (("Tercel", case.own), ("by hand", case.control)):
        for _ in range(3):
            found = await side()
            if found != case.expected:
                raise ValueError(f"{case.name}, {name}: {found!r} instead of {case.expected!r}")


async def _run(side: Side, count: int) -> None:
    for _ in range(count):
        await side()


async def _time(cases: list[Case], seconds: float) -> dict[str, dict[str, float]]:
    """Nanoseconds of one round, by case and side."""
    found: dict[str, dict[str, float]] = {}
    for case in cases:
        found[case.name] = {}
        for name, side in (("own", case.own), ("control", case.control)):
            begun = time.perf_counter_ns()
            await _run(side, 500)
            count = max(500, int(500 * seconds * 1e9 / max(time.perf_counter_ns() - begun, 1) / REPEATS))
            times = []
            for _ in range(REPEATS):
                begun = time.perf_counter_ns()
                await _run(side, count)
                times.append((time.perf_counter_ns() - begun) / count)
            found[case.name][name] = min(times)
        await verify(case)
    return found


def _count(cases: list[Case], count: int) -> dict[str, dict[str, list[list[int]]]]:
    """Runs each side in processes of its own, `count` and three times as many rounds: what they need more is that of the rounds."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for case in cases:
        found[case.name] = {}
        for name, side in (("own", case.own), ("control", case.control)):
            asyncio.run(_run(side, 60))  # the interpreter adapts its code to what it meets
            pairs = found[case.name][name] = []
            for rounds in (count, 3 * count):
                pid = os.fork()
                if pid == 0:
                    asyncio.run(_run(side, rounds))
                    os._exit(0)
                if os.waitpid(pid, 0)[1] != 0:
                    raise SystemExit(f"{case.name}, {name}: the measured process failed")
                pairs.append([rounds, pid])
    return found


async def _verify_all(cases: list[Case]) -> None:
    for case in cases:
        await verify(case)


def main() -> None:
    what, amount = sys.argv[1:3]
    cases = make_cases()
    asyncio.run(_verify_all(cases))
    print("RESULT", json.dumps(_count(cases, int(amount)) if what == "count" else asyncio.run(_time(cases, float(amount)))))


if __name__ == "__main__":
    main()
