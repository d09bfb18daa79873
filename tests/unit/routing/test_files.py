"""`KeptFiles`: what is kept, what is not, and when it is forgotten."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tercel.http.asgi import ASGIExchange
from tercel.routing import files
from tercel.routing.files import KeptFiles, kept_files

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("a.txt", "b.txt"):
        write(tmp_path / name, name)
    return tmp_path


def write(path: Path, text: str, age_s: float = 3600) -> None:
    path.write_text(text)
    then_s = time.time() - age_s
    os.utime(path, (then_s, then_s))


def mounted(site: Path, **options: Any) -> KeptFiles:
    kept = kept_files(Mount("/static", StaticFiles(directory=site, **options)))
    assert kept is not None
    return kept


async def asked(kept: KeptFiles, path: str = "/static/a.txt", method: str = "GET", **headers: str) -> bytes | None:
    """The body of what is answered from memory, or None."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b"", "root_path": ""}
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    answering = kept.answer_at_once(ASGIExchange(scope, receive, send))
    if answering is None:
        return None
    await answering
    assert messages[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in messages)


async def test_a_file_is_answered_from_memory_once_it_was_kept(site: Path) -> None:
    kept = mounted(site)
    assert await asked(kept) is None
    await kept.keep("/static/a.txt", "a.txt")
    assert await asked(kept) == b"a.txt"
    assert await asked(kept, "/static/b.txt") is None


@pytest.mark.parametrize(
    "options", [{"method": "HEAD"}, {"method": "POST"}, {"range": "bytes=0-"}, {"if_none_match": "x"}, {"if_modified_since": "x"}]
)
async def test_whatever_may_be_answered_otherwise_is_left_to_starlette(site: Path, options: Any) -> None:
    kept = mounted(site)
    await kept.keep("/static/a.txt", "a.txt")
    assert await asked(kept, **options) is None
    assert await asked(kept) == b"a.txt"


async def test_a_change_is_seen_at_the_next_request(site: Path) -> None:
    kept = mounted(site)
    await kept.keep("/static/a.txt", "a.txt")
    write(site / "a.txt", "A.txt", age_s=1800)
    assert await asked(kept) is None
    await kept.keep("/static/a.txt", "a.txt")
    assert await asked(kept) == b"A.txt"
    (site / "a.txt").unlink()
    assert await asked(kept) is None


async def test_a_file_that_has_just_changed_is_not_kept(site: Path) -> None:
    kept = mounted(site)
    write(site / "a.txt", "new", age_s=0)
    await kept.keep("/static/a.txt", "a.txt")
    assert await asked(kept) is None


async def test_what_is_large_missing_or_no_file_is_not_kept(site: Path) -> None:
    kept = mounted(site)
    write(site / "large", "x" * 65_537)
    (site / "folder").mkdir()
    for name in ("large", "missing", "folder", "x" * 5000, "nul\x00"):
        await kept.keep(f"/static/{name}", name)
        assert await asked(kept, f"/static/{name}") is None


async def test_memory_is_bounded(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_ALL_MAX_BYTES", 9)
    kept = mounted(site)
    await kept.keep("/static/a.txt", "a.txt")
    await kept.keep("/static/b.txt", "b.txt")
    assert (await asked(kept), await asked(kept, "/static/b.txt")) == (None, b"b.txt")


class Own(StaticFiles):
    pass


async def test_only_plain_static_files_below_a_literal_path_are_kept(site: Path) -> None:
    changed: Any = StaticFiles(directory=site)
    changed.lookup_path = lambda path: ("", None)
    for route in (
        Mount("/{name}", StaticFiles(directory=site)),
        Mount("/static", Own(directory=site)),
        Mount("/static", changed),
        Mount("/static", StaticFiles(directory=site, packages=[("tercel", ".")])),
        Mount("/static", Starlette()),
        PlainTextResponse(""),
    ):
        assert kept_files(route) is None


async def test_replacing_a_method_ends_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = mounted(site)
    await kept.keep("/static/a.txt", "a.txt")
    kept.files.get_response = kept.files.get_response  # type: ignore[method-assign]
    assert await asked(kept) is None
    monkeypatch.setattr(StaticFiles, "get_response", lambda *arguments: None)
    assert kept_files(Mount("/static", StaticFiles(directory=site))) is None
