"""The benchmark is only worth something if it refuses wrong answers and reports what it found. Peers are not started here:
`make bench ARGS=--check` verifies what they answer.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.apps import limit_app, many_app
from bench.contenders import BASELINE, CONTENDERS, Contender, choose_contenders
from bench.environments import LOCKS, ROOT, Failure
from bench.goals import GOALS, make_goal_table, replace_summary
from bench.load import Sample, _make_lua, verify, verify_refusals
from bench.picture import draw_all, draw_overview
from bench.report import make_history_line, make_report
from bench.results import Cell, Run
from bench.run import main, run_round
from bench.servers import choose_cores
from bench.startup import make_contender
from bench.workloads import WORKLOADS, choose_workloads
from tercel.server import serving

HTTP = [workload for workload in WORKLOADS if not workload.is_websocket]


@pytest.fixture(scope="module", params=["asgi_app", "starlette_app", "fastapi_app"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette announces httpx2; which of the two is installed is not this suite's business
        from starlette.testclient import TestClient
    with TestClient(importlib.import_module(f"bench.apps.{request.param}").app) as opened:
        yield opened


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_application_answers_every_workload(client: Any, workload: Any) -> None:
    if workload.is_websocket:
        with client.websocket_connect(workload.path) as socket:
            socket.send_text(workload.expected)
            assert socket.receive_text() == workload.expected
        return
    response = client.request(workload.method, workload.path, headers=dict(workload.headers), content=workload.body)
    assert workload.find_fault(response.status_code, response.headers["content-type"], response.content) is None
    for refusal in workload.refusals:
        refused = client.request(workload.method, refusal.path, headers=dict(refusal.headers), content=refusal.body)
        assert refused.status_code == refusal.statuses[0], refusal.why


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_hand_written_handlers_answer_every_workload(workload: Any) -> None:
    async def ask() -> None:
        async with serving(limit_app.app) as server:
            await asyncio.to_thread(verify, workload, server.port)
            await asyncio.to_thread(verify_refusals, workload, server.port)

    asyncio.run(ask())


def test_an_answer_without_validation_or_without_keeping_the_connection_is_a_fault() -> None:
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"application/json")]
        if scope["path"] == "/":
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b'{"message":"hello"}' if scope["path"] == "/" else b'{"item_id":42,"q":"falcon","limit":20}'
        await send({"type": "http.response.body", "body": body})

    hello, typed = choose_workloads(["W1"])[0], choose_workloads(["W2"])[0]

    async def ask() -> None:
        async with serving(careless) as server:
            with pytest.raises(Failure, match="the connection was not kept"):
                await asyncio.to_thread(verify, hello, server.port)
            await asyncio.to_thread(verify, typed, server.port)
            with pytest.raises(Failure, match="a path parameter that is no number: status 200 instead of 422"):
                await asyncio.to_thread(verify_refusals, typed, server.port)

    asyncio.run(ask())


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_every_contender_has_an_application_and_pinned_packages(contender: Any) -> None:
    words = " ".join([*contender.command, *contender.variables.values()])
    modules = re.findall(r"bench\.apps\.(\w+)", words)
    assert modules
    assert all((ROOT / "bench" / "apps" / f"{module}.py").is_file() for module in modules)
    if contender.locked:
        lock = (LOCKS / f"{contender.environment}.txt").read_text("utf-8")
        pins = set(re.findall(r"^([^ \n]+==[^ \n]+)", lock, re.MULTILINE))
        asked = next(other for other in CONTENDERS if other.name == contender.environment).packages
        assert {re.sub(r"\[.*\]", "", package) for package in asked if "==" in package} <= pins
        assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\w)", lock) if "==" in part)


CRASHES = """
import asyncio, json, os, sys
async def answer(reader, writer):
    try:
        while line := await reader.readline():
            path = line.split()[1].decode()
            while (await reader.readline()).strip():
                pass
            if path == "/list":
                os._exit(3)
            body = json.dumps({"message": "hello"}).encode()
            head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
            writer.write(head + body)
    except OSError:
        pass
async def main():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("wrk") is None and not os.environ.get("CI"), reason="wrk makes the load and is not installed")
def test_a_server_that_dies_is_a_fault_of_its_workload_and_is_started_again_for_the_next() -> None:
    contender = Contender("crashes", "Crashes", (), ("-c", CRASHES, "{port}"))
    workloads = choose_workloads(["W1", "W5", "W9"])
    run = Run([contender], workloads, 1, 1.0, "make bench", choose_cores())
    run.cells = {(contender.name, workload.name): Cell() for workload in workloads}
    run_round(run, 0, {"crashes": Path(sys.executable)})
    assert run.cells["crashes", "W1"].samples
    assert "the server ended" in (run.cells["crashes", "W5"].fault or "")
    assert run.cells["crashes", "W9"].samples


@pytest.mark.parametrize(("name", "kind", "code"), [("robyn", "peer", 0), ("fastapi", "peer", 1), ("tercel", "own", 1)])
def test_a_run_fails_with_what_must_work_and_shows_a_peer_that_ends(
    name: str, kind: Any, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contender = Contender(name, "Crashes", (), ("-c", CRASHES, "{port}"), kind=kind)
    monkeypatch.setattr("bench.run.choose_contenders", lambda names: [contender])
    monkeypatch.setattr("bench.run.require_tools", lambda workloads: None)  # it ends before there is any load
    monkeypatch.setattr("bench.run.ensure_environment", lambda contender: Path(sys.executable))
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None)  # this process has other tests to run
    asked = ["--only", name, "--work", "W5", "--rounds", "1", "--output", str(tmp_path / "results.md")]
    assert main(asked) == code
    report = (tmp_path / "results.md").read_text("utf-8")
    assert "- Crashes, W5: the server ended" in report
    assert report in capsys.readouterr().out
    assert main([*asked, "--check"]) == 1


@pytest.mark.parametrize("name", ["tercel", "tercel-pure", "limit", "fastapi"])
def test_what_must_work_is_tercel_its_limit_and_the_reference(name: str) -> None:
    run = make_complete_run()
    run.cells["socketify", "W3"].fault = run.cells["asgi", "W1"].fault = "the server ended"
    assert not run.failed
    run.cells[name, "W8"].fault = "wrong answer: status 500"
    assert run.failed


@pytest.mark.parametrize("workload", HTTP, ids=lambda workload: workload.name)
def test_a_wrong_status_type_or_body_is_a_fault(workload: Any) -> None:
    good = workload.expected if isinstance(workload.expected, bytes) else json.dumps(workload.expected).encode()
    kind = f"{workload.media_type}; charset=utf-8"
    assert workload.find_fault(workload.status, kind, good) is None
    assert "status" in workload.find_fault(500, kind, good)
    assert "content type" in workload.find_fault(workload.status, "text/html", good)
    assert "body" in workload.find_fault(workload.status, kind, good[:-1])
    assert "body" in workload.find_fault(workload.status, kind, b"{}")


def test_the_reference_case_has_twelve_headers_with_host() -> None:
    (plain,) = choose_workloads(["h12-w2"])
    assert len(plain.headers) + 1 == 12


def test_names_choose_in_the_order_of_the_table() -> None:
    assert [workload.name for workload in choose_workloads(["H12", "W3", "w1"])] == ["W1", "W3", "H12-W2", "H12-W4"]
    assert choose_workloads([]) == list(WORKLOADS)
    assert [contender.name for contender in choose_contenders(["tercel"])] == [BASELINE, "tercel"]
    with pytest.raises(ValueError, match="no workload W99"):
        choose_workloads(["W99"])
    with pytest.raises(ValueError, match="no contender flask"):
        choose_contenders(["flask"])


def test_the_load_script_escapes_what_lua_would_read() -> None:
    (posted,) = choose_workloads(["W3"])
    script = _make_lua(posted)
    assert 'wrk.method = "POST"' in script
    assert 'wrk.headers["Content\\045Type"] = "application\\047json"' in script
    assert "wrk.body" in script
    assert "St James\\039" not in script.replace("\\032", " ").replace("\\039", "'")


def make_run() -> Run:
    contenders, workloads = choose_contenders(["fastapi", "tercel", "asgi"]), choose_workloads(["W1", "W2"])
    run = Run(contenders, workloads, 3, 1.0, "make bench", (0, 1))
    run.cells = {(contender.name, workload.name): Cell() for contender in contenders for workload in workloads}
    for number, (base, fast) in enumerate([(100.0, 900.0), (50.0, 500.0), (200.0, 1000.0)]):
        run.cells["fastapi", "W1"].samples[number] = Sample(base, 1.0, 2.0, 0.1, 1.0)
        run.cells["tercel", "W1"].samples[number] = Sample(fast, 1.0, 2.0, 0.99, 0.9)
        run.cells["asgi", "W1"].samples[number] = Sample(fast, 1.0, 2.0, 0.1, 0.5)
    run.cells["tercel", "W2"].fault = "wrong answer: status 500"
    return run


def test_ratios_are_medians_over_rounds_and_faults_are_shown() -> None:
    run = make_run()
    assert run.ratio("tercel", "W1") == 9.0
    assert run.ratio("tercel", "W2") is None
    assert run.cells["fastapi", "W1"].spread == 1.5
    report = make_report(run)
    assert "| Tercel | > 0.90 (9.0x) | failed |" in report
    assert "- Tercel, W2: wrong answer: status 500" in report
    assert "Neither core was busy during: W1 asgi." in report


def test_the_history_line_holds_the_commit_rates_and_ratios() -> None:
    line = make_history_line(make_run())
    assert "\n" not in line
    values = json.loads(line)
    assert values["commit"]
    assert values["rates_per_s"]["tercel"] == {"W1": 900.0}
    assert values["ratios"]["tercel"] == {"W1": 9.0}


def make_complete_run() -> Run:
    run = Run(list(CONTENDERS), list(WORKLOADS), 3, 1.0, "make bench ROUNDS=3 SECONDS=1", (0, 1))
    for place, contender in enumerate(CONTENDERS):
        for workload in WORKLOADS:
            cell = run.cells[contender.name, workload.name] = Cell()
            for number in range(3 if contender.takes(workload.name) else 0):
                cell.samples[number] = Sample(1000.0 * (place + 1) * (1 + number / 10), 1.0, 2.0, 0.1, 1.0)
    run.cells["sanic", "W7"].fault = "wrong answer: status 500"
    return run


def test_the_toughest_peer_is_a_framework_and_a_faulty_one_is_none() -> None:
    run = make_complete_run()
    run.cells["litestar", "W1"].fault = "the server ended"
    toughest = run.toughest_peer("W1")
    assert toughest is not None
    assert toughest.name == "starlette"
    run.cells["weft", "W2"].samples[0] = run.cells["weft", "W2"].samples[1] = Sample(9e9, 1.0, 2.0, 0.1, 1.0)
    toughest = run.toughest_peer("W2")
    assert toughest is not None
    assert toughest.kind == "peer"


def test_goals_say_what_is_reached_and_what_is_not() -> None:
    run = make_complete_run()
    table = make_goal_table(run)
    assert set(GOALS) == {workload.name for workload in WORKLOADS}
    compared = "Litestar on uvicorn 20.0x | **no** (0.10) | 33% (**not** 80%) | 5.0x (reached)"
    assert table[2] == f"| W1 | 2.0x | 10x | **no** | 3.0x | {compared} |"
    for number in range(3):
        run.cells["tercel", "W1"].samples[number] = Sample(50_000.0 * (1 + number / 10), 1.0, 2.0, 0.1, 1.0)
    assert "| W1 | 50.0x | 10x | yes |" in "\n".join(make_goal_table(run))
    assert "## Goals" in make_report(run)


def test_pictures_are_well_formed_and_show_every_contender_and_what_failed() -> None:
    run = make_complete_run()
    every, overview = ElementTree.fromstring(draw_all(run)), ElementTree.fromstring(draw_overview(run))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text or "" for element in every.iter(f"{space}text")]
    bars = [element for element in every.iter(f"{space}rect") if element.get("class") != "paper"]
    taking_part = [contender.name for workload in WORKLOADS for contender in CONTENDERS if contender.takes(workload.name)]
    assert taking_part.count("tercel-threads") == 1
    assert len(bars) == len(taking_part) - 1
    assert texts.count("no valid result") == 1
    assert texts.count("Sanic") == len(WORKLOADS)
    first = sum(contender.takes(WORKLOADS[0].name) for contender in CONTENDERS)
    widths = [float(bar.get("width", 0)) for bar in bars[:first]]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[-1] == pytest.approx(len(CONTENDERS), rel=0.02)
    assert [element.text for element in overview.iter(f"{space}text") if element.text in GOALS] == [
        workload.name for workload in WORKLOADS
    ]


def test_the_readme_gets_three_numbers_between_its_markers_and_keeps_the_rest(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- BENCH: begin, by make bench -->\nold\n<!-- BENCH: end -->\nafter\n", "utf-8")
    assert replace_summary(readme, make_complete_run())
    text = readme.read_text("utf-8")
    assert text.startswith("before\n<!-- BENCH: begin, by make bench -->\n![")
    assert text.endswith("<!-- BENCH: end -->\nafter\n")
    assert "old" not in text
    assert text.count("- **2.0x** ") == 3
    assert replace_summary(readme, make_complete_run())
    assert readme.read_text("utf-8") == text
    readme.write_text("no markers\n", "utf-8")
    assert not replace_summary(readme, make_complete_run())
    assert "<!-- BENCH: begin" in (ROOT / "README.md").read_text("utf-8")


def test_the_application_of_many_routes_has_as_many_as_it_says_and_answers_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.testclient import TestClient

    monkeypatch.setattr(many_app, "COUNT", 100)
    for app in (many_app.make_app(), many_app.make_starlette()):
        client = TestClient(app)
        assert client.get("/group9/plain1").json() == {"message": "hello"}
        assert client.get("/group10/plain1").status_code == 404
    document = TestClient(many_app.make_app()).get("/openapi.json").text
    assert document.count("operationId") == 100
    command = make_contender("tercel", 1000)
    assert "bench.apps.many_app:app" in command.command
    assert command.variables["BENCH_ROUTES"] == "1000"
