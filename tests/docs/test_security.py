"""SECURITY.md names a test for each advisory, and each of them exists."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import ROOT, functions_of

_ROW = re.compile(r"^\| (?P<advisory>[^|]+) \| (?P<project>[^|]+) \| [^|]+ \| `(?P<file>[\w/]+\.py)::(?P<test>\w+)` \|$")
_ID = re.compile(r"CVE-\d{4}-\d{4,}|\(no id looked up\)")
PROJECTS = {"Starlette", "python-multipart", "uvicorn", "granian", "aiohttp", "h11", "Sanic", "Tornado", "Werkzeug"}
"""Those whose advisories have to be covered."""


def _rows() -> list[str]:
    _, _, table = (ROOT / "SECURITY.md").read_text().partition("<!-- ADVISORIES: begin.")
    table, end, _ = table.partition("<!-- ADVISORIES: end -->")
    assert end
    return [line for line in table.splitlines() if line.startswith("|")][2:]


def test_every_advisory_names_a_test_that_exists() -> None:
    missing, covered = [], set()
    for row in _rows():
        match = _ROW.match(row)
        assert match is not None, row
        assert all(_ID.fullmatch(one) for one in match["advisory"].split(", ")), row
        covered.update(match["project"].split(", "))
        if match["test"] not in functions_of(match["file"]):
            missing.append(row)
    assert missing == []
    assert covered >= PROJECTS


def test_the_oldest_python_multipart_is_the_one_that_is_named() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    oldest = [one.partition(">=")[2] for one in dependencies if one.startswith("python-multipart")]
    said = re.search(r"python-multipart\s+has to be ([\d.]*\d)", (ROOT / "SECURITY.md").read_text())
    assert said is not None
    assert oldest == [said[1]]
    assert f"### python-multipart is required, from {said[1]}" in (ROOT / "docs/differences.md").read_text()
