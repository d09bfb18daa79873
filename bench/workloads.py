"""The workloads W1 to W10 and H12: what is asked, and what must come back. Pure data and checks; knows no framework and no server.

The expected answers are written out here, independent of the applications' code. JSON is compared as values, since key order and
spaces are a framework's own; everything else byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

__all__ = ["WORKLOADS", "Refusal", "Workload", "choose_workloads"]

ECHO_TEXT: Final = "a message of forty bytes, there and back"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request with wrong input, made once beside the measured one: who does not look at its input does less work.

    Args:
        why: what is wrong.
        statuses: that are right; 400 stands beside 422 for frameworks that have no other.
    """

    why: str
    path: str
    statuses: tuple[int, ...]
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request.

    Args:
        name: short name, as in `--work`.
        title: for the table.
        method: request method; "WEBSOCKET" for an echo over a socket.
        path: request target.
        headers: sent beside Host.
        body: sent with its length, if not empty.
        status: expected.
        media_type: expected, without parameters.
        expected: a value for JSON, bytes for anything else.
        refusals: what has to be refused, with the same method.
    """

    name: str
    title: str
    method: str
    path: str
    expected: Any
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int = 200
    media_type: str = "application/json"
    refusals: tuple[Refusal, ...] = ()

    @property
    def is_websocket(self) -> bool:
        return self.method == "WEBSOCKET"

    def find_fault(self, status: int, content_type: str, body: bytes) -> str | None:
        """What is wrong with a response, or None."""
        if status != self.status:
            return f"status {status} instead of {self.status}: {body[:80]!r}"
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != self.media_type:
            return f"content type {content_type!r} instead of {self.media_type}"
        if self.media_type != "application/json":
            return None if body == self.expected else f"body of {len(body)} bytes differs: {body[:60]!r}"
        try:
            value = json.loads(body)
        except ValueError:
            return f"body is not JSON: {body[:80]!r}"
        return None if value == self.expected else f"body differs: {body[:120]!r}"


def _make_rows() -> list[dict[str, Any]]:
    start = datetime(2026, 1, 1, 12, 0, 30)
    return [
        {
            "id": number,
            "name": f"item {number}",
            "price": number * 1.25,
            "created": (start + timedelta(hours=number)).isoformat(),
            "active": not number % 2,
        }
        for number in range(100)
    ]


_USER: Final = {
    "name": "Ada Lovelace",
    "age": 36,
    "tags": ["mathematics", "engines", "poetry"],
    "address": {"street": "12 St James's Square", "city": "London", "zip_code": "SW1Y 4JH"},
}
_TOKEN: Final = ("X-Token", "secret-token")

# What a browser sends with a fetch() of its own site; with Host they are twelve.
_BROWSER: Final = (
    ("Connection", "keep-alive"),
    ("sec-ch-ua", '"Chromium";v="142", "Not?A_Brand";v="24"'),
    ("sec-ch-ua-platform", '"Linux"'),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"),
    ("Accept", "application/json, text/plain, */*"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Referer", "http://127.0.0.1/app/overview"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cookie", "session=5f0c2a7be1d94c3f8a6b; theme=dark"),
)

_W2: Final = Workload(
    "W2",
    "three validated parameters",
    "GET",
    "/items/42?q=falcon&limit=20",
    {"item_id": 42, "q": "falcon", "limit": 20},
    refusals=(
        Refusal("a path parameter that is no number", "/items/here?q=falcon&limit=20", (422, 400, 404)),
        Refusal("a missing parameter", "/items/42?limit=20", (422, 400)),
        Refusal("a parameter out of range", "/items/42?q=falcon&limit=101", (422, 400)),
    ),
)
_W4: Final = Workload(
    "W4",
    "three levels of dependencies, one a generator",
    "GET",
    "/me",
    {"name": "ada"},
    headers=(_TOKEN,),
    refusals=(
        Refusal("no token", "/me", (422, 400)),
        Refusal("a token of nobody", "/me", (401,), headers=(("X-Token", "another-token"),)),
    ),
)

WORKLOADS: Final[tuple[Workload, ...]] = (
    Workload("W1", "JSON hello", "GET", "/", {"message": "hello"}),
    _W2,
    Workload(
        "W3",
        "nested body, response model",
        "POST",
        "/users",
        _USER,
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({**_USER, "password": "difference"}).encode(),
        status=201,
        refusals=(
            Refusal(
                "a wrong type in the nested object",
                "/users",
                (422, 400),
                headers=(("Content-Type", "application/json"),),
                body=json.dumps({**_USER, "password": "difference", "address": {"street": 1, "city": [], "zip_code": 2}}).encode(),
            ),
        ),
    ),
    _W4,
    Workload("W5", "100 models", "GET", "/list", _make_rows()),
    Workload("W6", "WebSocket echo, messages", "WEBSOCKET", "/ws", ECHO_TEXT),
    Workload(
        "W7",
        "stream of 100 chunks",
        "GET",
        "/stream",
        b"".join(b"chunk %02d\n" % number for number in range(100)),
        media_type="text/plain",
    ),
    Workload(
        "W8",
        "static file of 10 KB",
        "GET",
        "/static/10k.txt",
        (Path(__file__).parent / "apps" / "static" / "10k.txt").read_bytes(),
        media_type="text/plain",
    ),
    Workload("W9", "JSON hello that suspends once", "GET", "/suspend", {"message": "hello"}),
    Workload(
        "W10",
        "sync endpoint and dependency",
        "GET",
        "/sync",
        {"token": "secret-token"},
        headers=(_TOKEN,),
        refusals=(Refusal("no token", "/sync", (422, 400)),),
    ),
    replace(_W2, name="H12-W2", title="W2 with a browser's twelve headers", headers=_BROWSER),
    replace(_W4, name="H12-W4", title="W4 with a browser's twelve headers", headers=(*_BROWSER, _TOKEN)),
)


def choose_workloads(names: Sequence[str]) -> list[Workload]:
    """The named workloads in the order of the table; all of them for no name. `H12` stands for both of its requests.

    Raises:
        ValueError: there is no workload of that name.
    """
    known = {workload.name.upper() for workload in WORKLOADS} | {"H12"}
    wanted = {name.upper() for name in names}
    if unknown := wanted - known:
        raise ValueError(
            f"no workload {', '.join(sorted(unknown))}; there are {', '.join(w.name for w in WORKLOADS)}, and H12 for both"
        )
    return [
        workload
        for workload in WORKLOADS
        if not wanted or workload.name.upper() in wanted or workload.name.upper().partition("-")[0] in wanted
    ]
