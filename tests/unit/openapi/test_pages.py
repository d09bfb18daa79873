"""The pages: they load what they are told to, and nothing that a caller passes can break out of its place."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.responses import HTMLResponse

from tercel.openapi import pages

EVIL = """"'><script>alert(1)</script><!--&\\"""


def text_of(response: HTMLResponse) -> str:
    assert response.media_type == "text/html"
    return bytes(response.body).decode()


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.title = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "title":
            self.title += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def swagger(**options: Any) -> Page:
    return Page(text_of(pages.get_swagger_ui_html(**{"openapi_url": "/openapi.json", "title": "T", **options})))


def redoc(**options: Any) -> Page:
    return Page(text_of(pages.get_redoc_html(**{"openapi_url": "/openapi.json", "title": "T", **options})))


@pytest.mark.parametrize("function", [pages.get_swagger_ui_html, pages.get_redoc_html])
def test_every_address_can_be_replaced(function: Any) -> None:
    addresses = {name: f"/own/{name}?a=1&b=2" for name in inspect.signature(function).parameters if name.endswith("_url")}
    page = Page(text_of(function(title="T", **addresses)))
    used = [value for _, attributes in page.elements for value in attributes.values()]
    used += [json.loads(f'"{found}"') for script in page.scripts for found in re.findall(r"'(.*?)'", script)]
    assert set(addresses.values()) <= set(used)


def test_swagger_ui_is_configured_over_the_defaults() -> None:
    script = swagger(swagger_ui_parameters={"deepLinking": False, "syntaxHighlight": {"theme": "obsidian"}}).scripts[0]
    assert "url: '/openapi.json'," in script
    assert '"dom_id": "#swagger-ui",' in script
    assert '"deepLinking": false,' in script
    assert '"deepLinking": true' not in script
    assert '"syntaxHighlight": {"theme": "obsidian"},' in script
    assert pages.swagger_ui_default_parameters["deepLinking"] is True


def test_swagger_ui_starts_oauth_only_on_request() -> None:
    plain = swagger().scripts[0]
    assert "initOAuth" not in plain
    assert "oauth2RedirectUrl" not in plain
    script = swagger(init_oauth={"clientId": "c"}, oauth2_redirect_url="/docs/oauth2-redirect").scripts[0]
    assert 'ui.initOAuth({"clientId": "c"})' in script
    assert "oauth2RedirectUrl: window.location.origin + '/docs/oauth2-redirect'," in script


def test_the_title_is_text() -> None:
    assert swagger(title="A & B <x>").title == "A & B <x>"
    assert redoc(title="A & B <x>").title == "A & B <x>"


@pytest.mark.parametrize("function", [pages.get_swagger_ui_html, pages.get_redoc_html])
def test_text_from_outside_adds_no_element(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    harmless = {name: "x" for name in parameters if name.endswith("_url") or name == "title"}
    evil = dict.fromkeys(harmless, EVIL)
    if "init_oauth" in parameters:
        harmless |= {"init_oauth": {"x": "x"}, "swagger_ui_parameters": {"x": "x"}}
        evil |= {"init_oauth": {EVIL: EVIL}, "swagger_ui_parameters": {EVIL: [EVIL]}}
    expected, page = (Page(text_of(function(**options))) for options in (harmless, evil))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]
    assert page.title == EVIL
    assert all("<" not in script for script in page.scripts)


def test_redoc_asks_google_for_fonts_unless_told_not_to() -> None:
    assert "fonts.googleapis.com" in str(redoc().elements)
    assert "fonts.googleapis.com" not in str(redoc(with_google_fonts=False).elements)


# -- scripts, run where Node.js is installed ---------------------------------------------------------------------------------------

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def run_js(code: str) -> Any:
    assert NODE is not None
    done = subprocess.run([NODE, "-e", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_swagger_ui_receives_text_unchanged() -> None:
    script = swagger(
        openapi_url=EVIL, oauth2_redirect_url=EVIL, init_oauth={"appName": EVIL}, swagger_ui_parameters={EVIL: EVIL}
    ).scripts[0]
    received = run_js(f"""
        const got = {{}};
        globalThis.window = {{location: {{origin: "o:"}}}};
        const ui = {{initOAuth: (given) => {{ got.oauth = given }}}};
        globalThis.SwaggerUIBundle = (options) => {{ got.options = options; return ui }};
        SwaggerUIBundle.presets = {{apis: 1}};
        SwaggerUIBundle.SwaggerUIStandalonePreset = 2;
        {{ {script} }}
        console.log(JSON.stringify(got));
    """)
    assert received["oauth"] == {"appName": EVIL}
    assert received["options"] == {
        **pages.swagger_ui_default_parameters,
        "url": EVIL,
        EVIL: EVIL,
        "oauth2RedirectUrl": "o:" + EVIL,
        "presets": [1, 2],
    }


def land(location: dict[str, str], flow: str, code: str | None = None) -> list[Any]:
    """What the landing page tells Swagger UI, which had sent the state `s`."""
    script = Page(text_of(pages.get_swagger_ui_oauth2_redirect_html())).scripts[0]
    assert "window.opener.swaggerUIRedirectOauth2" in script
    told: list[Any] = run_js(f"""
        const told = [];
        const auth = {{name: "auth", schema: new Map([["flow", {json.dumps(flow)}]]), code: {json.dumps(code)}}};
        globalThis.window = {{
            location: {json.dumps({"hash": "", "search": "", **location})},
            opener: {{swaggerUIRedirectOauth2: {{
                state: "s", redirectUrl: "/back", auth,
                callback: (given) => told.push(["callback", given.auth.code, given.token, given.isValid, given.redirectUrl]),
                errCb: (given) => told.push([given.level, given.message]),
            }}}},
            close: () => told.push(["close"]),
        }};
        {script}
        console.log(JSON.stringify(told));
    """)
    return told


@needs_node
def test_the_landing_page_hands_over_a_code() -> None:
    assert land({"search": "?code=a%20b&state=s"}, "authorizationCode") == [["callback", "a b", None, None, "/back"], ["close"]]


@needs_node
def test_the_landing_page_warns_of_another_state() -> None:
    warning, callback, closed = land({"search": "?code=c&state=other"}, "accessCode")
    assert warning[0] == "warning"
    assert callback[1] == "c"
    assert closed == ["close"]


@needs_node
def test_the_landing_page_hands_over_a_token_from_the_fragment() -> None:
    told = land({"hash": "#access_token=t=&state=s"}, "implicit")
    assert told == [["callback", None, {"access_token": "t=", "state": "s"}, True, "/back"], ["close"]]


@needs_node
def test_the_landing_page_reports_errors() -> None:
    (level, message), _ = land({"search": "?error=access_denied&error_description=No&state=s"}, "authorization_code")
    assert (level, message) == ("error", "[access_denied] No")
    (level, message), _ = land({"search": "?state=s"}, "authorization_code")
    assert level == "error"
    assert "Authorization failed" in message
