"""Every program in README.md and docs/*.md runs, and every check under it holds."""

from __future__ import annotations

import pytest

from tests.docs.pages import PAGES, Program, programs_of

PROGRAMS = [pytest.param(program, id=program.where) for page in PAGES for program in programs_of(page)]

pytestmark = [
    # Starlette announces httpx2; which of the two is installed is not the documentation's business.
    pytest.mark.filterwarnings("ignore:Using .httpx. with"),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documentation_runs_and_does_what_the_page_says(program: Program) -> None:
    program.run()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documentation_is_followed_by_a_check(program: Program) -> None:
    assert any("assert " in block.text or "raises(" in block.text for block in program.tests), f"{program.where} asserts nothing"
