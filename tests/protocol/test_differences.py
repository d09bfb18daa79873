"""`docs/server-differences.md` says what Tercel answers, and why wherever others answer otherwise."""

from __future__ import annotations

import json

import pytest

from bench.apps.echo_app import app
from tercel.server import serving
from tests.protocol.peer import config
from tools.differential.cases import CASES
from tools.differential.observe import observe_all
from tools.differential.page import PAGE, RESULTS, Results, answered_alike, render
from tools.differential.reasons import REASONS
from tools.differential.servers import OTHERS, OWN


@pytest.fixture(scope="module")
def results() -> Results:
    """What was answered when the page was written."""
    told: Results = json.loads(RESULTS.read_text("utf-8"))
    return told


@pytest.mark.anyio
async def test_tercel_answers_what_the_page_says(results: Results) -> None:
    async with serving(app, config(lifespan="off")) as server:
        found = await observe_all(server.port, CASES)
    assert found == {name: answers[OWN] for name, answers in results["answers"].items()}


def test_every_stream_was_sent_to_every_server(results: Results) -> None:
    assert list(results["answers"]) == list(CASES)
    titles = {OWN, *(contender.title for contender in OTHERS)}
    assert all(set(answers) == titles for answers in results["answers"].values())


def test_every_difference_is_explained_and_nothing_else(results: Results) -> None:
    assert {name for name, answers in results["answers"].items() if not answered_alike(answers)} == set(REASONS)


def test_the_page_was_made_from_what_was_answered(results: Results) -> None:
    assert PAGE.read_text("utf-8") == render(results)


def test_tercel_takes_no_stream_for_two_requests_and_never_keeps_silent(results: Results) -> None:
    own = [answers[OWN] for answers in results["answers"].values()]
    assert not [
        answer for answer in own if "smuggled" in answer or "waits" in answer or "garbage" in answer or "no answer" in answer
    ]
