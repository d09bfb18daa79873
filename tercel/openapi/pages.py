"""The pages that show the document in a browser: Swagger UI, its OAuth2 landing page, ReDoc.

Only text: the pages load their scripts, and those load the document. Whatever comes from the caller is escaped for the place where
it stands. The module must not know the application. Read `tercel.openapi.document` for the other half.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from tercel.http.encode import jsonable_encoder

__all__ = ["get_redoc_html", "get_swagger_ui_html", "get_swagger_ui_oauth2_redirect_html", "swagger_ui_default_parameters"]

swagger_ui_default_parameters: dict[str, Any] = {
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
}
"""What Swagger UI is configured with; `swagger_ui_parameters` adds to it or overrides it."""

# Inside <script>, text ends at the first `</script`, and `<!--` changes how what follows is read (HTML §4.12.1.3).
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_IN_QUOTES = str.maketrans({"'": "\\u0027"})


def _html(text: str) -> str:
    return escape(str(text))


def _js_value(value: Any) -> str:
    return json.dumps(jsonable_encoder(value)).translate(_IN_SCRIPT)


def _js_string(text: str) -> str:
    """A string literal in single quotes."""
    inside = json.dumps(str(text))[1:-1].replace('\\"', '"')
    return f"'{inside.translate(_IN_SCRIPT).translate(_IN_QUOTES)}'"


# -- Swagger UI --------------------------------------------------------------------------------------------------------------------


def get_swagger_ui_html(
    *,
    openapi_url: str,
    title: str,
    swagger_js_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js",
    swagger_css_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css",
    swagger_favicon_url: str = "https://fastapi.tiangolo.com/img/favicon.png",
    oauth2_redirect_url: str | None = None,
    init_oauth: dict[str, Any] | None = None,
    swagger_ui_parameters: dict[str, Any] | None = None,
) -> HTMLResponse:
    """The page of Swagger UI, where operations can be tried.

    Args:
        openapi_url: where the page finds the document.
        title: shown in the browser's tab.
        swagger_js_url: replace it, and the next two, to serve the page without a content delivery network.
        swagger_css_url: as above.
        swagger_favicon_url: as above.
        oauth2_redirect_url: path of the landing page for OAuth2 logins; without it they cannot be tried.
        init_oauth: argument for `ui.initOAuth`, such as `clientId` and `appName`.
        swagger_ui_parameters: Swagger UI's configuration, over `swagger_ui_default_parameters`.
    """
    parameters = swagger_ui_default_parameters | (swagger_ui_parameters or {})
    members = [f"url: {_js_string(openapi_url)},"]
    members += [f"{_js_value(key)}: {_js_value(value)}," for key, value in parameters.items()]
    if oauth2_redirect_url:
        members.append(f"oauth2RedirectUrl: window.location.origin + {_js_string(oauth2_redirect_url)},")
    configuration = "\n        ".join(members)
    start_oauth = f"\n      ui.initOAuth({_js_value(init_oauth)})" if init_oauth else ""
    return HTMLResponse(f"""<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{_html(title)}</title>
    <link rel="shortcut icon" href="{_html(swagger_favicon_url)}">
    <link rel="stylesheet" type="text/css" href="{_html(swagger_css_url)}">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="{_html(swagger_js_url)}"></script>
    <script>
      const ui = SwaggerUIBundle({{
        {configuration}
        presets: [
          SwaggerUIBundle.presets.apis,
          SwaggerUIBundle.SwaggerUIStandalonePreset
        ],
      }}){start_oauth}
    </script>
  </body>
</html>
""")


# Swagger UI opens the login in a window and leaves `swaggerUIRedirectOauth2` for the page to which the login comes back: the state
# that it sent, and callbacks for success and failure.
_OAUTH2_REDIRECT = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Swagger UI: OAuth2 Redirect</title>
  </head>
  <body>
    <script>
      "use strict";
      (() => {
        const login = window.opener.swaggerUIRedirectOauth2;
        const {auth, redirectUrl} = login;

        // The implicit flow answers in the fragment, the others in the query (RFC 6749, 4.2.2 and 4.1.2).
        const inFragment = /code|token|error/.test(window.location.hash);
        const text = inFragment ? window.location.hash.slice(1).replace("?", "&") : window.location.search.slice(1);
        const answer = {};
        for (const pair of text.split("&").filter(Boolean)) {
          const [name, ...rest] = pair.split("=");
          answer[decodeURIComponent(name)] = decodeURIComponent(rest.join("="));
        }

        const isValid = answer.state === login.state;
        const report = (level, message) => login.errCb({authId: auth.name, source: "auth", level, message});
        const flowsWithCode = ["accessCode", "authorizationCode", "authorization_code"];

        if (auth.code || !flowsWithCode.includes(auth.schema.get("flow"))) {
          login.callback({auth, token: answer, isValid, redirectUrl});
        } else {
          if (!isValid) {
            report("warning", "The login may be unsafe: the state that came back is not the one that was sent.");
          }
          if (answer.code) {
            delete login.state;
            auth.code = answer.code;
            login.callback({auth, redirectUrl});
          } else if (answer.error) {
            const parts = [`[${answer.error}]`, answer.error_description, answer.error_uri];
            report("error", parts.filter(Boolean).join(" "));
          } else {
            report("error", "[Authorization failed] The server sent no access code.");
          }
        }
        window.close();
      })();
    </script>
  </body>
</html>
"""


def get_swagger_ui_oauth2_redirect_html() -> HTMLResponse:
    """The page on which an OAuth2 login started in Swagger UI lands: it hands the answer to the window that opened it."""
    return HTMLResponse(_OAUTH2_REDIRECT)


# -- ReDoc -------------------------------------------------------------------------------------------------------------------------


def get_redoc_html(
    *,
    openapi_url: str,
    title: str,
    redoc_js_url: str = "https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js",
    redoc_favicon_url: str = "https://fastapi.tiangolo.com/img/favicon.png",
    with_google_fonts: bool = True,
) -> HTMLResponse:
    """The page of ReDoc, which is for reading.

    Args:
        openapi_url: where the page finds the document.
        title: shown in the browser's tab.
        redoc_js_url: replace it, and the next, to serve the page without a content delivery network.
        redoc_favicon_url: as above.
        with_google_fonts: False asks no third party for fonts.
    """
    fonts = ""
    if with_google_fonts:
        families = "family=Montserrat:300,400,700|Roboto:300,400,700"
        fonts = f'\n    <link rel="stylesheet" href="https://fonts.googleapis.com/css?{families}">'
    return HTMLResponse(f"""<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{_html(title)}</title>{fonts}
    <link rel="shortcut icon" href="{_html(redoc_favicon_url)}">
    <style>body {{ margin: 0; padding: 0; }}</style>
  </head>
  <body>
    <noscript>ReDoc needs JavaScript to show this documentation.</noscript>
    <redoc spec-url="{_html(openapi_url)}"></redoc>
    <script src="{_html(redoc_js_url)}"></script>
  </body>
</html>
""")
