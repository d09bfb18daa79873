"""`make bench-micro`, `bench-compare` and `bench-scale`: what they verify, how they count, what they report."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import compare, micro, micro_cases, scale
from bench.apps import limit_app
from bench.compare import Comparison, check_out
from bench.contenders import choose_contenders
from bench.environments import Failure
from bench.micro import read_counts, read_result
from bench.scale import CONNECTIONS, Point, Scaled, make_contender, measure_idle
from bench.workloads import choose_workloads
from tercel.server import serving

# -- stages ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", micro_cases.make_cases(), ids=lambda case: case.name)
def test_both_sides_of_a_stage_return_the_same_and_anything_else_is_refused(case: micro_cases.Case) -> None:
    asyncio.run(micro_cases.verify(case))
    with pytest.raises(ValueError, match=f"{case.name}, Tercel: "):
        asyncio.run(micro_cases.verify(replace(case, expected=("something", "else"))))

    async def wrong() -> Any:
        return (200, b"wrong")

    with pytest.raises(ValueError, match=f"{case.name}, by hand: "):
        asyncio.run(micro_cases.verify(replace(case, control=wrong)))


def test_instructions_are_those_by_which_two_processes_differ(tmp_path: Path) -> None:
    for pid, total in ((11, 1_000_200), (12, 1_000_600), (13, 500), (14, 900)):
        (tmp_path / str(pid)).write_text(f"events: Ir\nfn=(below)\n1 {total}\nsummary: {total}\n")
    processes = {"match": {"own": [[100, 11], [300, 12]], "control": [[100, 13], [300, 14]]}}
    assert read_counts(processes, tmp_path) == {"match": {"own": 2.0, "control": 2.0}}
    with pytest.raises(Failure, match="nothing for process 15"):
        read_counts({"match": {"own": [[100, 11], [300, 15]]}}, tmp_path)


def test_a_program_without_a_result_has_failed() -> None:
    assert read_result('a warning\nRESULT {"match": {"own": 1.5}}\n') == {"match": {"own": 1.5}}
    with pytest.raises(Failure, match="without a result"):
        read_result("a warning\n")


def test_the_report_of_stages_has_medians_and_says_when_nothing_was_counted() -> None:
    rounds = [{"take": {"own": own, "control": 200.0}} for own in (100.0, 300.0, 150.0)]
    report = micro.make_report(rounds, {"take": {"own": 10_000.0, "control": 5_000.0}}, (0, 1), "make bench-micro")
    assert "| take | 150 | 200 | 0.75 | 10,000 | 5,000 | 2.00 |" in report
    assert "| take | 150 | 200 | 0.75 | | | |" in micro.make_report(rounds, None, (0, 1), "make bench-micro")
    assert "apt-get install valgrind" in micro.make_report(rounds, None, (0, 1), "make bench-micro")


# -- two revisions -----------------------------------------------------------------------------------------------------------------


def test_a_ratio_above_one_is_faster_whatever_the_unit() -> None:
    rates = Comparison("W1", "per second", True, [100.0, 100.0, 200.0], [110.0, 120.0, 210.0])
    times = Comparison("take", "ns", False, [300.0, 330.0, 315.0], [200.0, 220.0, 210.0])
    once = Comparison("W5", "per second", True, [100.0], [200.0])
    counted = Comparison("render", "instructions", False, [20_000.0], [10_000.0])
    slower = Comparison("W2", "per second", True, [100.0, 100.0, 100.0], [90.0, 80.0, 85.0])
    unclear = Comparison("W4", "per second", True, [100.0, 100.0, 100.0], [90.0, 130.0, 110.0])
    same = Comparison("match", "instructions", False, [11_041.0], [11_026.0])
    broken = Comparison("W3", "per second", True, [100.0], [100.0], "wrong answer: status 500")
    assert rates.ratios == pytest.approx([1.1, 1.2, 1.05])
    lines = compare.make_report([rates, times, slower, unclear, same, broken, once, counted], ["Base: x"]).splitlines()
    assert "- Base: x" in lines
    assert "| W1 | per second | 100 | 120 | 1.100 (1.050 to 1.200) | faster |" in lines
    assert "| take | ns | 315 | 210 | 1.500 (1.500 to 1.500) | faster |" in lines
    assert "| W2 | per second | 100 | 85 | 0.850 (0.800 to 0.900) | slower |" in lines
    assert "| W4 | per second | 100 | 110 | 1.100 (0.900 to 1.300) | no difference shown |" in lines
    assert "| match | instructions | 11,041 | 11,026 | 1.001 | no difference shown |" in lines
    assert "| W5 | per second | 100 | 200 | 2.000 | too few rounds to tell |" in lines
    assert "| render | instructions | 20,000 | 10,000 | 2.000 | faster |" in lines
    assert "| W3 | per second | | | failed | wrong answer: status 500 |" in lines


def test_who_is_measured_first_changes_from_round_to_round() -> None:
    seen: list[Any] = []

    def measured(server: Any) -> float:
        seen.append(server)
        if server == "broken":
            raise Failure("it ended")
        return float(len(seen))

    base, new = "base", "new"
    assert compare._take_turns(0, measured, base, new) == (1.0, 2.0)  # type: ignore[arg-type]
    assert compare._take_turns(1, measured, base, new) == (4.0, 3.0)  # type: ignore[arg-type]
    assert seen == ["base", "new", "new", "base"]
    failure = compare._take_turns(0, measured, "broken", new)  # type: ignore[arg-type]
    assert isinstance(failure, Failure)


def test_a_revision_is_checked_out_once_and_an_unknown_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = tmp_path / "project", tmp_path / "project" / ".cache"
    root.mkdir()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "--quiet")
    for version in ("1", "2"):
        (root / "pyproject.toml").write_text(version)
        git("add", "pyproject.toml")
        git("commit", "--quiet", "--message", version)
    monkeypatch.setattr(compare, "ROOT", root)
    monkeypatch.setattr(compare, "CACHE", cache)
    commit, folder = check_out("HEAD~1")
    assert folder == cache / "revisions" / commit
    assert (folder / "pyproject.toml").read_text() == "1"
    (folder / "mark").touch()
    assert check_out(commit) == (commit, folder)
    assert (folder / "mark").exists()
    with pytest.raises(Failure, match="no revision 'nothing'"):
        check_out("nothing")


# -- scale -------------------------------------------------------------------------------------------------------------------------


def test_workers_are_told_to_the_servers_that_have_them() -> None:
    fastapi, tercel, limit = choose_contenders(["fastapi", "tercel", "limit"])
    assert make_contender(fastapi, 2).command[-4:] == ("--workers", "2", "--timeout-keep-alive", "120")
    assert make_contender(tercel, 1).command[-4:] == ("--workers", "1", "--keep-alive-timeout", "120")
    assert make_contender(limit, 2).name == "limit-2"
    with pytest.raises(ValueError, match="robyn cannot be scaled"):
        make_contender(choose_contenders(["robyn"])[1], 2)


def test_more_open_files_than_the_system_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    monkeypatch.setattr(scale.resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(scale.resource, "setrlimit", lambda _, pair: limits.append(pair))
    with pytest.raises(Failure, match="10,500 open files are needed and 4,096 allowed"):
        scale.raise_limit(10_500)
    scale.raise_limit(2000)
    scale.raise_limit(500)
    assert limits == [(2000, 4096)]


class FakeServer:
    """A port, and memory that grows by 2 MB between two looks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.held_mb = 50.0

    def all_resident_mb(self) -> float:
        self.held_mb += 2
        return self.held_mb


@contextmanager
def running(app: Any, **settings: Any) -> Iterator[int]:
    """An application on Tercel's server in another thread; its port."""
    started, ended = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with serving(app, **settings) as server:
            found.extend((server.port, asyncio.get_running_loop()))
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(ended.set)
        thread.join(30)


async def closes(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"{}"})


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def test_the_rest_of_an_answer_is_not_the_end_of_a_connection() -> None:
    ours, theirs = scale.socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"the body behind its head")
        assert not scale._is_closed(ours)
        theirs.sendall(b"the rest")
        theirs.close()
        assert scale._is_closed(ours)


def test_an_idle_connection_is_answered_and_left_open() -> None:
    (workload,) = choose_workloads(["W2"])
    with running(limit_app.app) as port:
        server: Any = FakeServer(port)
        assert measure_idle(server, workload, 20) == pytest.approx(100.0)
    with running(refuses) as port, pytest.raises(Failure, match="idle connection 1 was not answered with 200"):
        measure_idle(FakeServer(port), workload, 20)  # type: ignore[arg-type]


def test_idle_connections_that_the_server_closes_are_a_fault() -> None:
    (workload,) = choose_workloads(["W2"])
    with running(closes) as port, pytest.raises(Failure, match="the server closed idle connections before 50 were open"):
        measure_idle(FakeServer(port), workload, 50)  # type: ignore[arg-type]


def test_the_report_of_scale_has_ratios_within_a_round_and_what_failed() -> None:
    def points(*rates: float) -> list[Point]:
        return [Point(rate, 1.0, 2.0, 3.0, 1) for rate in rates]

    found = {
        ("fastapi", 1): Scaled({10: points(100, 200)}, [50.0], [10.0]),
        ("tercel", 1): Scaled({10: points(1000, 1000)}, [40.0, 44.0], [2.0, 3.0]),
        ("tercel", 2): Scaled(faults=["did not start: x", "did not start: x"]),
    }
    titles = {"fastapi": "FastAPI on uvicorn", "tercel": "Tercel"}
    lines = scale.make_report(found, titles, (0, 1), "make bench-scale", 2.0).splitlines()
    assert "| 1 | 10 | FastAPI on uvicorn | 150 |  | 1.0 | 2.0 | 3.0 | 2 |" in lines
    assert "| 1 | 10 | Tercel | 1,000 | 7.5x | 1.0 | 2.0 | 3.0 | 2 |" in lines
    assert "| 1 | Tercel | 42 | 2.5 |" in lines
    assert "| 2 | Tercel |  | failed |" in lines
    assert lines.count("- Tercel, 2 workers: did not start: x") == 1
    assert sum(line.startswith("| 2 | ") and "| failed |" in line for line in lines) == len(CONNECTIONS) + 1
