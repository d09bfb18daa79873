"""Attacks on what the framework makes of user data: headers, cookies, redirects, pages, events, credentials, and errors."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.attacks.attacker import Response, Service, Socket

INJECTIONS = ["\r\nX-Evil: yes", "\nX-Evil: yes", "\rX-Evil: yes", "\r\n\r\n<p>evil", "\0", "\x0b", "\x7f"]
"""What splits a header, or ends it early for some recipients."""


def assert_not_split(found: Response) -> None:
    """A whole response without a field of the attacker's. `Wire.head` refuses fields with control characters already."""
    assert found.complete
    assert found.get("x-evil") is None
    assert b"evil" not in found.body


# -- headers -------------------------------------------------------------------------------------------------------------------

REFUSED = {
    "/own-field?value=": "x-own",
    "/injected-field?value=": "x-injected",
    "/stream-field?value=": "x-stream",
    "/error-field?value=": "x-error",
    "/media-type?value=text/": "content-type",
    "/set-cookie?path=/": "set-cookie",
    "/set-cookie?domain=a": "set-cookie",
    "/set-cookie?expires=a": "set-cookie",
    "/own-cookie?path=/": "set-cookie",
    "/own-cookie?domain=a": "set-cookie",
    "/download?filename=a&kind=inline": "content-disposition",
}


@pytest.mark.parametrize("target", REFUSED)
def test_a_header_that_would_split_is_refused_by_name(attacked: Service, target: str) -> None:
    for text in INJECTIONS:
        before = len(attacked.lines)
        found = attacked.get(target + quote(text))
        assert_not_split(found)
        assert (found.status, found.body) == (500, b"Internal Server Error")
        # Recent versions of Python refuse control characters in cookies themselves.
        attacked.saw(f"header {REFUSED[target]} has a control character|CookieError: Control characters", since=before)


def test_a_header_name_that_would_split_is_refused(attacked: Service) -> None:
    for text in (*INJECTIONS, " ", ":", "\xe9", "\u20ac"):
        found = attacked.get("/own-field?name=X-" + quote(text))
        assert_not_split(found)
        assert found.status == 500


def test_a_header_beyond_latin_1_is_the_programs_error(attacked: Service) -> None:
    for text in ("\u20ac", "\U0001f600"):
        for target in ("/own-field?value=", "/injected-field?value=", "/error-field?value="):
            assert attacked.get(target + quote(text)).status == 500


def test_the_connection_lives_on_after_a_header_was_refused(attacked: Service) -> None:
    with attacked.connect() as wire:
        assert wire.get("/own-field?value=%0d%0aX-Evil:%20yes").status == 500
        assert wire.get("/own-field?value=fine")["x-own"] == "fine"


@pytest.mark.parametrize("target", ["/set-cookie?value=", "/own-cookie?value="])
def test_a_cookies_value_is_quoted(attacked: Service, target: str) -> None:
    for text in (*INJECTIONS, "a; Domain=evil", 'a"; Path=/evil', "a,b=c"):
        found = attacked.get(target + quote(text))
        assert_not_split(found)
        if found.status == 500 and text in INJECTIONS:  # by recent versions of Python, see above
            continue
        assert found.status == 200
        assert re.fullmatch(r'c="(?:[^"\\;]|\\.)*"; Path=/; SameSite=lax', found["set-cookie"])


def test_a_cookies_name_is_a_token(attacked: Service) -> None:
    for text in (*INJECTIONS, " ", ";", "=", '"', "\xe9"):
        assert attacked.get("/set-cookie?key=k" + quote(text)).status == 500


def test_a_file_name_is_encoded(attacked: Service) -> None:
    for text in (*INJECTIONS, '"; x="y', "\u20ac", "a b"):
        found = attacked.get("/download?filename=" + quote(text))
        assert_not_split(found)
        assert (found.status, found.body) == (200, b"0123456789")
        assert re.fullmatch(r"attachment; filename\*=utf-8''[A-Za-z0-9%._~/-]+", found["content-disposition"])


def test_a_redirect_target_is_encoded(attacked: Service) -> None:
    for text in (*INJECTIONS, "<script>", '"', "\\", " ", "\u20ac"):
        found = attacked.get("/redirect?to=http://a/" + quote(text))
        assert_not_split(found)
        assert re.fullmatch(r"http://a/[!-~]*", found["location"])
        assert not set('<>"\\') & set(found["location"])


@pytest.mark.parametrize("target", ["/ws/accept?value=a", "/ws/accept?protocol=a", "/ws/denies?value=a"])
def test_a_header_of_a_handshake_that_would_split_is_refused(attacked: Service, target: str) -> None:
    for text in INJECTIONS:
        with Socket(attacked, target + quote(text), "Sec-WebSocket-Protocol: a, b") as found:
            assert_not_split(found.response)
            assert (found.response.status, found.response.body) == (500, b"Internal Server Error")


def test_a_subprotocol_beyond_ascii_ends_no_worker(attacked: Service) -> None:
    with Socket(attacked, "/ws/accept?protocol=a", "Sec-WebSocket-Protocol: \x80\xff") as found:
        assert found.response.status in (101, 400)
    assert attacked.get("/slash/").json == "slash"


def test_the_reason_of_a_close_is_a_text_of_at_most_123_bytes(attacked: Service) -> None:
    for text in ("\r\nX-Evil: yes", "\xe9" * 200, "\0" * 124):
        with Socket(attacked, "/ws/reason?value=" + quote(text)) as found:
            code, reason = found.closed()
            assert code == 4000
            assert text.startswith(reason)
            assert len(reason.encode()) <= 123


# -- places: hosts, redirects for slashes, proxies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil/path",
        "evil#",
        "evil?x",
        "user@evil",
        "test,evil",
        "evil%zz",
        "a b",
        "[::1",
        "evil:x",
        "evil:80:90",
        "evil\\x",
        '"><script>',
        "\xe9",
    ],
)
def test_a_host_that_is_none_is_400(attacked: Service, host: str) -> None:
    assert attacked.request("/url", f"Host: {host}").status == 400


@pytest.mark.parametrize("host", ["", "a:99999", "a:"])
def test_an_empty_or_impossible_host_does_not_get_into_a_url(attacked: Service, host: str) -> None:
    found = attacked.request("/url", f"Host: {host}").json
    assert found["base"] == f"http://127.0.0.1:{attacked.port}/"


@pytest.mark.parametrize(
    "target",
    [
        "/whole//evil.com",
        "/whole/%2f%2fevil.com",
        "/whole/%5cevil.com",
        "/whole/a%3fb",
        "/slash?next=//evil.com",
        "/slash?a=%0d%0aX:y",
        "/slash",
    ],
)
def test_a_redirect_for_a_slash_stays_on_the_host(attacked: Service, target: str) -> None:
    found = attacked.get(target)
    assert found.status == 307
    assert re.match(r"http://test/(whole|slash)/", found["location"])
    assert not {"\\", "\r", "\n"} & set(found["location"])


@pytest.mark.parametrize(
    "target",
    [
        "//evil.com/slash",
        "//evil.com/..",
        "/%2fevil.com/whole/x",
        "/\\evil.com/slash",
        "//evil.com",
        "/./slash",
        "//evil.com/..;/slash",
    ],
)
def test_a_path_that_looks_like_a_host_is_not_one(attacked: Service, target: str) -> None:
    found = attacked.get(target)
    assert (found.status, found.get("location")) == (404, None)


@pytest.mark.parametrize("mount", ["/pages", "/front"])
def test_a_redirect_to_a_folder_stays_on_the_host(attacked: Service, mount: str) -> None:
    found = attacked.get(f"{mount}//evil.com/%2e%2e/folder")
    assert found.status == 307
    assert found["location"].startswith(f"http://test{mount}/")


FORWARDED = [
    "X-Forwarded-Host: evil.com",
    "X-Forwarded-Prefix: /evil",
    "Forwarded: host=evil.com;proto=https",
    "X-Original-URL: /evil",
]


def test_a_proxy_is_believed_only_what_was_agreed(attacked: Service) -> None:
    assert attacked.request("/url", *FORWARDED).json == {
        "url": "http://test/url",
        "base": "http://test/",
        "made": "http://test/slash/",
    }


def test_a_proxy_that_is_not_trusted_is_not_believed(start: Callable[..., Service], site: Path) -> None:
    options = ["--forwarded-allow-ips", "10.0.0.1"]
    for field in ("host", "prefix", "proto", "for"):
        options += ["--forwarded-field", f"x-forwarded-{field}"]
    service = start(*options, app="careless:app", variables={"ATTACKED": str(site)})
    fields = [*FORWARDED, "X-Forwarded-Proto: https", "X-Forwarded-For: 6.6.6.6"]
    assert service.request("/url", *fields).json["url"] == "http://test/url"
    assert b"/evil" not in service.request("/docs", *fields).body


def test_a_prefix_of_a_trusted_proxy_is_a_path_in_the_pages(start: Callable[..., Service], site: Path) -> None:
    service = start("--forwarded-field", "x-forwarded-prefix", app="careless:app", variables={"ATTACKED": str(site)})
    assert b"url: '/api/v1/openapi.json'" in service.request("/docs", "X-Forwarded-Prefix: /api/v1").body
    assert service.request("/openapi.json", "X-Forwarded-Prefix: /api/v1").json["servers"] == [{"url": "/api/v1"}]
    for prefix in ("//evil.com", "/'\"><script>alert(1)</script>", "/..", "evil", "/a%22", "/\\evil.com", "https://evil.com"):
        page = service.request("/docs", f"X-Forwarded-Prefix: {prefix}")
        assert (page.status, b"url: '/openapi.json'" in page.body) == (200, True)
        assert "servers" not in service.request("/openapi.json", f"X-Forwarded-Prefix: {prefix}").json


def test_only_trusted_hosts_reach_the_application(start: Callable[..., Service], site: Path) -> None:
    service = start(app="careless:trusting", variables={"ATTACKED": str(site)})
    for host in ("good.example", "www.good.example", "good.example:8000"):
        assert service.request("/url", f"Host: {host}").status == 200
    for host in ("evil.com", "good.example.evil.com", "evilgood.example", "good.example.", "127.0.0.1", ""):
        assert service.request("/url", f"Host: {host}").status == 400


# -- pages -------------------------------------------------------------------------------------------------------------------------


class _Scripts(HTMLParser):
    """The scripts of a page and where its title ends, as a browser reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.title = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "title":
            self.title += data


@pytest.mark.parametrize(("target", "scripts"), [("/docs", 2), ("/redoc", 1)])
def test_a_title_and_parameters_do_not_get_out_of_their_place(attacked: Service, target: str, scripts: int) -> None:
    page = _Scripts(attacked.get(target).body.decode())
    assert page.title.startswith("</title><script>alert(1)</script> - ")
    assert len(page.scripts) == scripts
    assert not [script for script in page.scripts if re.search(r"^\s*alert", script)]


def test_the_landing_page_of_a_login_holds_nothing_of_the_request(attacked: Service) -> None:
    plain = attacked.get("/docs/oauth2-redirect").body
    assert attacked.get("/docs/oauth2-redirect?code=%3Cscript%3E&state='\"&error=</script>").body == plain


@pytest.mark.parametrize("target", ["/docs", "/redoc"])
def test_a_page_holds_nothing_of_its_address(attacked: Service, target: str) -> None:
    assert attacked.get(f"{target}?x=</script><script>alert(3)</script>").body == attacked.get(target).body


def test_a_path_that_is_not_found_is_not_shown(attacked: Service) -> None:
    found = attacked.get("/%3Cscript%3Ealert(1)%3C/script%3E")
    assert (found["content-type"], found.json) == ("application/json", {"detail": "Not Found"})


# -- events ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["event", "id"])
def test_an_event_whose_field_would_hold_a_line_is_refused(attacked: Service, field: str) -> None:
    for text in ("a\nb", "a\rb", "a\r\ndata: evil", "\n"):
        before = len(attacked.lines)
        found = attacked.get(f"/events?{field}={quote(text)}")
        assert (found.body, found.complete) == (b'data: "first"\n\n', False)
        attacked.saw(f"SSE '{field}' must be a single line", since=before)


def test_an_event_id_with_nul_is_refused(attacked: Service) -> None:
    assert not attacked.get("/events?id=a%00b").complete


@pytest.mark.parametrize("line", ["\r", "\n", "\r\n"])
def test_lines_of_a_comment_and_of_data_stay_inside(attacked: Service, line: str) -> None:
    for field, prefix in (("comment", b": "), ("raw", b"data: ")):
        found = attacked.get(f"/events?{field}={quote(f'a{line}data: evil{line}{line}event: evil')}")
        lines = re.split(rb"\r\n|\r|\n", found.body.removeprefix(b'data: "first"\n\n'))
        assert [one for one in lines if one and not one.startswith(prefix)] == []
        assert found.body.count(b"\n\n") == 2
    assert attacked.get(f"/events?data={quote(f'a{line}b')}").body.count(b"\n") == 4


# -- credentials -------------------------------------------------------------------------------------------------------------------


def _basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


NO_BASIC = [
    "",
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic a",
    "Basic " + "=" * 50,
    "Basic \xff",
    _basic(b"no colon"),
    _basic(b"\xff:\xff"),
]
NO_BASIC += [
    _basic("é:ü".encode()),
    _basic(b"a:b")[:-2] + "\xe9",
    "Basic\tYTpi",
    "Bearer YTpi",
    "Other x",
    " ",
    "\xff",
    "Basic " + "YTpi" * 5000 + "a",
]


@pytest.mark.parametrize("given", NO_BASIC, ids=lambda given: given[:20])
def test_what_is_no_basic_credential_is_401(attacked: Service, given: str) -> None:
    found = attacked.request("/basic", f"Authorization: {given}")
    assert (found.status, found["www-authenticate"], found.json) == (401, "Basic", {"detail": "Not authenticated"})


def test_basic_credentials(attacked: Service) -> None:
    for text, parts in ((b"a:b:c", ["a", "b:c"]), (b":", ["", ""]), (b"a\0:b", ["a\0", "b"])):
        assert attacked.request("/basic", f"Authorization: {_basic(text)}").json == parts


@pytest.mark.parametrize(("target", "challenge"), [("/bearer", "Bearer"), ("/digest", "Digest"), ("/oauth2", "Bearer")])
def test_what_is_no_credential_is_401(attacked: Service, target: str, challenge: str) -> None:
    wrong = ["", "Basic YTpi", f"{challenge}\tx", "\xff", "x", f"x{challenge} x", f'"{challenge}" x']
    wrong += [] if target == "/oauth2" else [challenge, f"{challenge} "]  # as in FastAPI: an empty token, which no program accepts
    for given in wrong:
        found = attacked.request(target, f"Authorization: {given}")
        assert (found.status, found["www-authenticate"]) == (401, challenge), given
    assert attacked.get(target).status == 401
    assert attacked.request(target, f"Authorization: {challenge.upper()} \xff").json == "\xff"


def test_the_first_of_two_authorizations_counts(attacked: Service) -> None:
    assert attacked.request("/basic", "Authorization: Bearer a", f"Authorization: {_basic(b'a:b')}").status == 401


def test_an_empty_key_is_none(attacked: Service) -> None:
    for target, field in (
        ("/key", "X-Key: "),
        ("/cookie-key", "Cookie: key="),
        ("/key", "X-Other: a"),
        ("/cookie-key", "Cookie: key"),
    ):
        assert attacked.request(target, field).status == 401


# -- errors ------------------------------------------------------------------------------------------------------------------------

FAILURES = ["/fails", "/fails/thread", "/fails/dependency", "/fails/model", "/fails/encoding", "/part/fails", "/behind/fails"]


@pytest.mark.parametrize("target", [*FAILURES, "/behind/middleware"])
def test_an_error_says_nothing_of_itself(attacked: Service, target: str) -> None:
    before = len(attacked.lines)
    for accept in ("*/*", "text/html"):
        found = attacked.request(target, f"Accept: {accept}")
        assert (found.status, found.body) == (500, b"Internal Server Error")
    attacked.saw("Exception in the application for GET ", since=before)


@pytest.mark.parametrize(
    ("target", "begun"), [("/fails/stream", b""), ("/fails/stream-late", b"x"), ("/fails/events", b'data: "x"\n\n')]
)
def test_an_error_in_a_stream_cuts_it_and_says_nothing_of_itself(attacked: Service, target: str, begun: bytes) -> None:
    found = attacked.get(target)
    assert (found.body, found.complete) == (begun, False)


def test_an_error_behind_the_answer_says_nothing_of_itself(attacked: Service) -> None:
    before = len(attacked.lines)
    found = attacked.get("/fails/teardown")
    assert (found.status, found.json) == (200, "x")
    attacked.saw("a secret of the program", since=before)


def test_an_error_before_a_handshake_says_nothing_of_itself(attacked: Service) -> None:
    with Socket(attacked, "/ws/fails") as found:
        assert (found.response.status, found.response.body) == (500, b"Internal Server Error")


def test_in_debug_mode_the_text_of_an_error_is_escaped(attacked: Service) -> None:
    target = "/debugging/fails?text=" + quote("<script>alert(1)</script>")
    page = attacked.request(target, "Accept: text/html")
    assert (page.status, page["content-type"]) == (500, "text/html; charset=utf-8")
    assert b"<script>alert" not in page.body
    assert b"&lt;script&gt;alert(1)" in page.body
    assert attacked.get(target)["content-type"] == "text/plain; charset=utf-8"


# -- other origins -----------------------------------------------------------------------------------------------------------------


def test_credentials_for_every_origin_are_warned_about(attacked: Service) -> None:
    """Any site may then read what a visitor with cookies can; Starlette's middleware answers with the origin that asks."""
    assert attacked.request("/open/", "Origin: https://evil.example", "Cookie: a=b").json == "hello"
    attacked.saw("allow_credentials")
