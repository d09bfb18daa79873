"""The page in a real browser: everything on it works, and the browser has nothing to complain about."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.demo.browser import Browser, Tab, find_chromium, launched
from tests.demo.serving import Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this module."""
    executable = find_chromium()
    if executable is None:
        message = "no Chromium on PATH; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with launched(executable) as running:
        yield running


@pytest.fixture
def any_tab(browser: Browser, server: Served) -> Iterator[Tab]:
    """The page, loaded."""
    opened = browser.open(f"{server.url}/")
    yield opened
    opened.close()


@pytest.fixture
def tab(any_tab: Tab) -> Iterator[Tab]:
    """The page, loaded. At the end the browser must not have complained."""
    yield any_tab
    any_tab.run("1")  # whatever was reported until now arrives before the answer
    assert any_tab.complaints == []


def log_of(tab: Tab, element_id: str) -> str:
    return f"document.getElementById({element_id!r}).textContent"


def test_two_tabs_chat_with_each_other(tab: Tab, browser: Browser, server: Served) -> None:
    other = browser.open(f"{server.url}/")
    for one, name in ((tab, "ada"), (other, "bob")):
        one.type("chat-name", name)
        one.click("chat-toggle")
        one.until("!document.getElementById('chat-text').disabled")
    tab.until(f"{log_of(tab, 'chat-log')}.includes('bob joined the room')")
    tab.type("chat-text", "hello <b>bob</b>")
    tab.click("chat-send")
    other.until(f"{log_of(other, 'chat-log')}.includes('ada: hello <b>bob</b>')")
    other.type("chat-text", "hello ada")
    other.click("chat-send")
    tab.until(f"{log_of(tab, 'chat-log')}.includes('bob: hello ada')")
    assert tab.text("chat-state") == "here: ada, bob"
    other.click("chat-toggle")
    tab.until(f"{log_of(tab, 'chat-log')}.includes('bob left the room')")
    assert other.complaints == []
    other.close()


def test_events_arrive_by_themselves_and_go_on_after_an_interruption(tab: Tab) -> None:
    tab.until("document.querySelectorAll('#events-log li').length >= 3")
    tab.click("events-toggle")
    last = int(tab.until(f"{log_of(tab, 'events-state')}.match(/interrupted after (\\d+)/)?.[1]"))
    tab.click("events-toggle")
    tab.until(f"{log_of(tab, 'events-state')}.includes('going on after {last}')")
    counts = "[...document.querySelectorAll('#events-log li')].map((line) => parseInt(line.textContent))"
    tab.until(f"{counts}.at(-1) > {last}")
    seen = tab.run(counts)
    assert seen == list(range(seen[0], seen[-1] + 1)), "no count is lost and none comes twice"


def test_an_answer_streams_in_and_can_be_stopped(tab: Tab) -> None:
    tab.click("assistant-ask")
    tab.until(f"{log_of(tab, 'assistant-answer')}.length > 10")
    tab.until(f"{log_of(tab, 'assistant-state')}.startsWith('done')")
    assert len(tab.text("assistant-answer").split()) > 20
    tab.click("assistant-ask")
    tab.until(f"{log_of(tab, 'assistant-answer')}.length > 0")
    tab.click("assistant-stop")
    tab.until(f"{log_of(tab, 'assistant-state')}.startsWith('stopped')")
    tab.click("assistant-whole")
    tab.until(f"{log_of(tab, 'assistant-state')}.includes('in one piece')")


def test_the_report_counts_a_thousand_rows(tab: Tab) -> None:
    tab.click("report-run")
    assert tab.until(f"{log_of(tab, 'report-state')}").startswith("1000 rows in ")


def test_items_are_filtered_and_paged(tab: Tab) -> None:
    tab.until("document.querySelectorAll('#items-rows tr').length === 8")
    assert "X-Response-Time" in tab.text("items-state")
    tab.click("items-next")
    tab.until(f"{log_of(tab, 'items-state')}.startsWith('9 to 16')")
    tab.type("items-q", "%")
    tab.run("document.querySelector('#items-form button').click()")
    tab.until("document.querySelectorAll('#items-rows tr').length === 2")
    assert "100% leather lure" in tab.text("items-rows")


def test_a_sign_up_ends_in_the_outbox(tab: Tab, server: Served) -> None:
    name = f"browser-{server.name}"
    for field, text in (("username", name), ("email", f"{name}@example.com"), ("password", "long enough")):
        tab.type(f"signup-{field}", text)
    tab.click("signup-send")
    tab.until(f"{log_of(tab, 'signup-state')}.includes('the mail has arrived')")
    assert f"Hello {name}" in tab.text("outbox-log")


def test_the_feed_is_heard_after_signing_in(tab: Tab) -> None:
    tab.click("feed-connect")
    tab.until(f"{log_of(tab, 'feed-state')} === 'connected'")
    tab.run("document.querySelector('#feed-channels input[value=prices]').click()")
    tab.until(f'{log_of(tab, "feed-log")}.includes(\'"channel": "prices", "data"\')')
    tab.click("feed-nonsense")
    tab.until(f"{log_of(tab, 'feed-log')}.includes('INVALID_MESSAGE')")


def test_the_smaller_cards_show_their_answers(tab: Tab) -> None:
    tab.run("document.querySelector('#echo-form button').click()")
    tab.until(f"{log_of(tab, 'echo-log')} === 'kek kek kek'")
    tab.run("document.querySelector('#timed-form button').click()")
    tab.until(f"{log_of(tab, 'timed-log')}.includes('server ')")
    tab.click("external-run")
    tab.until(f"{log_of(tab, 'external-log')}.includes('Peregrine')")
    tab.click("gzip-good")
    tab.until(f"{log_of(tab, 'gzip-log')}.includes('2000 numbers')")
    tab.click("public-run")
    tab.until(f"{log_of(tab, 'public-log')}.includes('Starter kit')")
    tab.run("document.querySelector('#internal-form button').click()")
    tab.until(f"{log_of(tab, 'internal-log')}.includes('uptime_s')")


def test_who_may_do_what_is_tried_as_everybody(any_tab: Tab) -> None:
    tab = any_tab
    tab.click("roles-run")
    tab.until("document.getElementById('roles-rows').rows[3].cells[4].textContent !== ''")
    cells = "[...row.cells].slice(2).map((cell) => parseInt(cell.textContent))"
    table = f"[...document.getElementById('roles-rows').rows].map((row) => {cells})"
    assert tab.run(table) == [[200, 401, 401], [200, 403, 403], [200, 200, 403], [200, 200, 404]]
    # Chromium reports each refused request as an error. Nothing else may be reported.
    assert all("Failed to load resource" in complaint for complaint in tab.complaints)
