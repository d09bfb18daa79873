"""Attacks on static files and `frontend()`: nothing outside of the folder is sent, and a Range costs a bounded amount of work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.attacks.attacker import Service

MOUNTS = ("/static", "/pages", "/linked", "/front", "/single")

OUTSIDE = [
    "../secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "%252e%252e/secret.txt",
    "%252e%252e%252fsecret.txt",
    "..\\secret.txt",
    "..%5csecret.txt",
    "%5c..%5csecret.txt",
    "..;/secret.txt",
    "..%3b/secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%c0%ae%c0%ae%c0%afsecret.txt",
    "%e0%80%ae%e0%80%ae/secret.txt",
    "%ff%fe/secret.txt",
    "%ff",
    "%uff0e%uff0e/secret.txt",
    "....//secret.txt",
    "file:///etc/passwd",
    "../site-neighbour/secret.txt",
    "..%2fsite-neighbour%2fsecret.txt",
    "folder/../../secret.txt",
    "folder/..%2f..%2fsecret.txt",
    "./.././secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc/passwd",
    "%2f%2fetc%2fpasswd",
    "%5cetc%5cpasswd",
    "~root/.profile",
    "file:%2f%2f%2fetc/passwd",
    "small.txt%00",
    "small.txt%00.html",
    "%00",
    "small.txt%0d%0aX-Evil:%20yes",
    "a" * 300,
    "a" * 5000,
    "a/" * 2000,
    "fifo",
]


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:40])
def test_nothing_outside_of_the_folder_is_sent(attacked: Service, mount: str, path: str) -> None:
    found = attacked.get(f"{mount}/{path}")
    assert (found.status, found.json) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_link_out_of_the_folder_is_followed_only_when_that_was_asked_for(attacked: Service, mount: str) -> None:
    followed = mount == "/linked"
    for path in ("link.txt", "linked-folder/secret.txt"):
        found = attacked.get(f"{mount}/{path}")
        assert (found.status == 200 and found.body == b"outside of the site") if followed else found.status == 404
    assert attacked.get(f"{mount}/linked-folder/../secret.txt").status == 404
    assert attacked.get(f"{mount}/inner.txt").body == b"0123456789"


@pytest.mark.parametrize("mount", ["/front", "/single"])
def test_a_link_that_leads_to_itself_is_not_found(attacked: Service, mount: str) -> None:
    assert attacked.get(f"{mount}/loop").status == 404


def test_a_path_with_dots_that_stays_inside_is_answered(attacked: Service) -> None:
    for mount in MOUNTS:
        for path in ("./small.txt", "folder/%2e%2e/small.txt", "folder/../small.txt"):
            assert attacked.get(f"{mount}/{path}").body == b"0123456789"


def test_a_folder_has_no_listing(attacked: Service) -> None:
    assert attacked.get("/static/folder").status == attacked.get("/static/").status == 404
    moved = attacked.get("/pages/folder")
    assert (moved.status, moved["location"]) == (307, "http://test/pages/folder/")
    assert attacked.get("/pages/folder/").body == b"<p>folder"


@pytest.mark.parametrize("mount", ["/static", "/front"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_files_are_only_read(attacked: Service, mount: str, method: str) -> None:
    assert attacked.request(f"{mount}/small.txt", method=method).status == 405


def test_head_is_get_without_the_file(attacked: Service) -> None:
    got, asked = attacked.get("/static/large.bin"), attacked.request("/static/large.bin", method="HEAD")
    assert len(got.body) == int(asked["content-length"]) == 1_048_576
    assert (asked["etag"], asked["last-modified"]) == (got["etag"], got["last-modified"])


# -- conditions and ranges (RFC 9110 §13, §14) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "If-Modified-Since: yesterday",
        "If-Modified-Since: ",
        "If-Modified-Since: Mon, 32 Foo 2020 99:99:99 GMT",
        "If-Modified-Since: " + "(" * 4000,
        "If-None-Match: " + '"a",' * 5000,
        "If-None-Match: \xff",
        'If-None-Match: "',
        'If-None-Match: "' + "x" * 20_000,
    ],
    ids=lambda field: field[:30],
)
def test_a_condition_that_means_nothing_is_ignored(attacked: Service, field: str) -> None:
    assert attacked.request("/static/small.txt", field).body == b"0123456789"


@pytest.mark.parametrize("date", ["Thu, 01 Jan 99999999999999 00:00:00 GMT", "Thu, 01 Jan 2037 00:00:00 +999999999999"])
def test_a_date_beyond_all_calendars_is_no_error(attacked: Service, date: str) -> None:
    assert attacked.request("/static/small.txt", f"If-Modified-Since: {date}").status in (200, 304)


def test_conditions(attacked: Service) -> None:
    first = attacked.get("/static/small.txt")
    for field in (f"If-None-Match: {first['etag']}", "If-None-Match: *", f"If-Modified-Since: {first['last-modified']}"):
        assert attacked.request("/static/small.txt", field).status == 304
    for tag in (first["etag"], first["last-modified"]):
        assert attacked.request("/static/small.txt", "Range: bytes=0-1", f"If-Range: {tag}").status == 206
    for tag in ('"other"', f"W/{first['etag']}", "Tue, 99 Nov 9999 00:00:00 GMT"):
        whole = attacked.request("/static/small.txt", "Range: bytes=0-1", f"If-Range: {tag}")
        assert (whole.status, whole.body) == (200, b"0123456789")


RANGES: dict[str, tuple[int, bytes | None]] = {
    "bytes=0-3": (206, b"0123"),
    "bytes=-3": (206, b"789"),
    "bytes=-100": (206, b"0123456789"),
    "bytes=9-": (206, b"9"),
    "bytes=0-99999999999999999999999": (206, b"0123456789"),
    "bytes=0-5,2-8": (206, b"012345678"),
    "bytes=" + ",".join(["0-0"] * 100): (206, b"0"),
    "bytes=" + ",".join(f"{at % 10}-" for at in range(5000)): (200, b"0123456789"),
    "bytes=10-": (416, None),
    "bytes=-0": (416, None),
    "bytes=99999999999999999999-": (416, None),
    "bytes=5-2": (400, None),
    "bytes=" + "9" * 5000 + "-": (400, None),
    "bytes=-" + "9" * 5000: (400, None),
    "bytes=": (400, None),
    "bytes": (400, None),
    "bytes=a-b": (400, None),
    "bytes=\xb2-3": (400, None),
    "lines=0-1": (400, None),
    "bytes=,,,": (400, None),
    "0" * 20_000 + "=0": (400, None),
    "bytes=" + ",".join(["0-"] * 10): (206, b"0123456789"),
}


@pytest.mark.parametrize("asked", RANGES, ids=lambda asked: f"{asked[:24]}.{len(asked)}")
def test_a_range_is_answered_or_refused(attacked: Service, asked: str) -> None:
    status, body = RANGES[asked]
    found = attacked.request("/static/small.txt", f"Range: {asked}")
    assert found.status == status
    assert found.complete
    if body is not None:
        assert found.body == body
    elif status == 416:
        assert found["content-range"] == "bytes */10"


@pytest.mark.parametrize("asked", ["bytes=0-3", "bytes=-3", "bytes=0-0,2-2", "bytes=5-2"])
def test_an_empty_file_has_no_range(attacked: Service, asked: str) -> None:
    found = attacked.request("/static/empty.txt", f"Range: {asked}")
    assert (found.status, found["content-range"], found.body) == (416, "bytes */0", b"")


def test_several_ranges_are_parts_with_their_places(attacked: Service, site: Path) -> None:
    whole = (site / "site" / "large.bin").read_bytes()
    found = attacked.request("/static/large.bin", "Range: bytes=1000000-1000010, 0-1,70000-140000")
    assert found.status == 206
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", found["content-type"])
    assert boundary is not None
    parts = found.body.split(b"--" + boundary[1].encode())
    assert (parts[0], parts[-1].strip()) == (b"", b"--")
    places = []
    for part in parts[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        place = re.search(rb"Content-Range: bytes (\d+)-(\d+)/1048576", head)
        assert place is not None
        places.append((int(place[1]), int(place[2])))
        assert data.removesuffix(b"\r\n") == whole[int(place[1]) : int(place[2]) + 1]
    assert places == [(0, 1), (70_000, 140_000), (1_000_000, 1_000_010)]


def test_overlapping_ranges_do_not_multiply_the_answer(attacked: Service) -> None:
    asked = ",".join(f"{at}-" for at in range(100))
    assert len(attacked.request("/static/large.bin", f"Range: bytes={asked}").body) == 1_048_576
    asked = ",".join(f"{at}-{at}" for at in range(0, 200, 2))
    apart = attacked.request("/static/large.bin", f"Range: bytes={asked}")
    assert apart.status == 206
    assert len(apart.body) < 20_000
    asked = ",".join(f"{at}-{at}" for at in range(0, 4000, 2))
    assert len(attacked.request("/static/large.bin", f"Range: bytes={asked}").body) == 1_048_576


def test_a_client_that_leaves_a_download_leaves_no_file_open(attacked: Service) -> None:
    for _ in range(20):
        wire = attacked.connect(receive_buffer_bytes=4096)
        wire.send(b"GET /static/large.bin HTTP/1.1\r\nHost: test\r\n\r\n")
        assert wire.head().status == 200
        wire.reset()
    attacked.until_answer("/open-files", b"0")
