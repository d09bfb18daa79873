"""Static files that were sent before: whatever is kept in memory, each answer is what the disk says now."""

import os
import time

import pytest

from tercel.responses import PlainTextResponse
from tercel.staticfiles import StaticFiles

OLD_S = time.time() - 3600
NAMES = ("content-type", "content-length", "etag", "last-modified", "accept-ranges")


def write(path, text, modified_s=OLD_S):
    path.write_text(text)
    os.utime(path, (modified_s, modified_s))


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    write(folder / "page.txt", "first")
    write(tmp_path / "secret.txt", "secret")
    return folder


@pytest.fixture
def get(make_app, client, site):
    """Asks often enough for the file to be kept, if it ever is."""
    app = make_app()
    app.mount("/static", StaticFiles(directory=site))
    connected = client(app)

    def ask(path="/static/page.txt", **options):
        answers = [connected.get(path, **options) for _ in range(4)]
        seen = {(answer.status_code, answer.content, *(answer.headers.get(name) for name in NAMES)) for answer in answers}
        assert len(seen) == 1
        return answers[-1]

    ask.connected = connected
    return ask


def test_every_answer_is_the_same(get):
    answer = get()
    assert (answer.status_code, answer.text, answer.headers["content-length"]) == (200, "first", "5")
    assert all(name in answer.headers for name in NAMES)
    assert get("/static/page.txt?version=2").text == "first"


def test_a_changed_file_is_sent_as_it_is_now(get, site):
    etag = get().headers["etag"]
    write(site / "page.txt", "other", OLD_S + 60)  # of the same length
    answer = get()
    assert (answer.text, answer.headers["etag"] != etag) == ("other", True)
    write(site / "page.txt", "longer", OLD_S + 60)
    assert get().text == "longer"


def test_a_file_that_was_written_just_now_may_be_written_again_at_once(get, site):
    for text in ("aaaaa", "bbbbb", "ccccc"):
        (site / "page.txt").write_text(text)
        assert get().text == text


def test_a_removed_file_is_missing_and_may_come_back(get, site):
    get()
    (site / "page.txt").unlink()
    assert get().status_code == 404
    write(site / "page.txt", "again", OLD_S + 60)
    assert get().text == "again"


def test_a_file_that_became_a_link_to_the_outside_is_not_followed(get, site):
    get()
    (site / "page.txt").unlink()
    (site / "page.txt").symlink_to(site.parent / "secret.txt")
    assert get().status_code == 404


def test_a_kept_file_knows_ranges_conditions_and_other_methods(get):
    etag = get().headers["etag"]
    part = get.connected.get("/static/page.txt", headers={"range": "bytes=1-2"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "ir", "bytes 1-2/5")
    unchanged = get.connected.get("/static/page.txt", headers={"if-none-match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    later = get.connected.get("/static/page.txt", headers={"if-modified-since": get().headers["last-modified"]})
    assert later.status_code == 304
    head = get.connected.request("HEAD", "/static/page.txt")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    assert get.connected.post("/static/page.txt").status_code == 405


def test_a_route_that_comes_before_the_mount_still_comes_first(get, site, make_app, client):
    app = make_app()

    @app.get("/static/page.txt", response_class=PlainTextResponse)
    async def page():
        return "from a route"

    app.mount("/static", StaticFiles(directory=site))
    write(site / "other.txt", "other")
    connected = client(app)
    for _ in range(4):
        assert connected.get("/static/page.txt").text == "from a route"
        assert connected.get("/static/other.txt").text == "other"


def test_a_large_file_is_whole_each_time(get, site):
    (site / "large.bin").write_bytes(bytes(range(256)) * 1000)
    os.utime(site / "large.bin", (OLD_S, OLD_S))
    assert get("/static/large.bin").content == bytes(range(256)) * 1000
