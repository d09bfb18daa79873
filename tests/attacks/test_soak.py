"""Nothing stays of requests of any kind, and an idle connection costs little: `make soak` and `tools.soak.idle` in seconds."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from tercel.server.protocols import compiled_connection
from tests.protocol.feeding import needs_compiled
from tools.soak.__main__ import OWN_VISITS, Running, kinds_for, running, soak
from tools.soak.census import NOISE_OBJECTS, Census, growth
from tools.soak.idle import KINDS, OPTIONS, idle_kib, many_files
from tools.soak.leaking import LEAKS
from tools.soak.visits import VISITS, visit

REQUESTS = 1_500
COUNT = 2_000
# One object for each visit would be sixty.
NOISE_OBJECTS_OF_SIXTY = 50
SERVERS = [pytest.param("compiled", marks=needs_compiled), "pure", "uvicorn"]


@pytest.mark.parametrize("server", SERVERS)
def test_requests_of_every_kind_leave_nothing_behind(server: str) -> None:
    with running(server) as process:
        before, after, count = asyncio.run(soak(process, REQUESTS, kinds_for(server)))
        assert process.process.poll() is None
    assert count >= REQUESTS * 2 // 5
    assert growth(before, after, count) == []


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running("pure" if compiled_connection() is None else "compiled") as process:
        yield process


@pytest.mark.parametrize("kind", VISITS)
def test_a_kind_of_visit_leaves_nothing_behind(served: Running, kind: str) -> None:
    async def main() -> tuple[Census, Census]:
        for _ in range(20):
            await visit(kind, served.port)
        before = await served.census()
        for _ in range(60):
            await visit(kind, served.port)
        return before, await served.settled(before, 60, NOISE_OBJECTS_OF_SIXTY)

    before, after = asyncio.run(main())
    assert growth(before, after, 60, NOISE_OBJECTS_OF_SIXTY) == [], (before, after)


CENSUS = Census(rss_kib=50_000, files=16, threads=4, tasks=5, lines=30, objects=60_000, blocks=250_000, own={"tercel.X": 1})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": 17}, "files: 16 to 17"),
        ({"tasks": 6}, "tasks: 5 to 6"),
        ({"threads": 21}, "threads: 4 to 21"),
        ({"lines": 31}, "lines: 30 to 31"),
        ({"threads": 5, "objects": 60_300}, "objects: 60000 to 60300"),
        ({"objects": 61_000}, "objects: 60000 to 61000"),
        ({"blocks": 251_000}, "blocks: 250000 to 251000"),
        ({"rss_kib": 60_000}, "resident memory: 50000 KiB to 60000 KiB"),
        ({"own": {"tercel.X": 2}}, "objects of tercel.X: 1 to 2"),
    ],
)
def test_what_grows_is_reported(change: dict[str, int], says: str) -> None:
    assert growth(CENSUS, CENSUS, 1000) == []
    assert growth(CENSUS, dataclasses.replace(CENSUS, objects=60_000 + NOISE_OBJECTS), 1000) == []
    assert growth(CENSUS, dataclasses.replace(CENSUS, **change), 1000) == [says]


def test_a_leak_in_the_application_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same application, whose ordinary endpoint keeps something of each kind for each request."""
    monkeypatch.setattr("tools.soak.__main__.SETTLE_TIMEOUT_S", 0)
    with running("pure", "tools.soak.leaking:app") as process:
        before, after, count = asyncio.run(soak(process, 300, ["ordinary requests"]))
        grown = growth(before, after, count)
    assert {line.split(":")[0] for line in grown} >= LEAKS


def test_visits_for_uvicorn_are_left_out_by_name() -> None:
    assert set(VISITS) > OWN_VISITS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [pytest.param("compiled", marks=needs_compiled), "pure"])
def test_an_idle_connection_costs_little(protocol: str, kind: str) -> None:
    with many_files(), running(protocol, "tools.soak.service:app", *OPTIONS) as server:
        each_kib = idle_kib(server, kind, COUNT)
    assert each_kib < LIMITS_KIB[kind], f"{each_kib:.2f} KiB for each"


LIMITS_KIB = {"fresh": 10, "kept alive": 10, "WebSocket": 40}
