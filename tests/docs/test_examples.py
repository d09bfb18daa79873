"""The files in examples/ are the programs of the pages; `TERCEL_DOCS=write` copies the files into the pages."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

from tercel import FastAPI
from tests.docs.pages import EXAMPLES, PAGES, ROOT, Program, programs_of

SHOWN = {program.file: program for page in PAGES for program in programs_of(page) if program.file}


def _write(program: Program, source: str) -> None:
    block = program.blocks[0]
    text = block.page.read_text()
    assert text.count(block.text) == 1, f"{block.where} cannot be told apart"
    block.page.write_text(text.replace(block.text, source))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_shown_on_a_page_as_it_is(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    assert name in SHOWN, f"no page has a block that begins with `# {name}`"
    source = path.read_text()
    if os.environ.get("TERCEL_DOCS") == "write" and SHOWN[name].blocks[0].text != source:
        _write(SHOWN[name], source)
    else:
        assert SHOWN[name].blocks[0].text == source, (
            "run `TERCEL_DOCS=write python -m pytest tests/docs` and look at the difference"
        )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_an_application_that_can_be_served(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    app = runpy.run_path(str(path))["app"]
    assert isinstance(app, FastAPI)
    assert app.openapi()["openapi"] == "3.1.0"


def test_every_file_that_a_page_shows_exists() -> None:
    assert [name for name in SHOWN if not (ROOT / str(name)).is_file()] == []
