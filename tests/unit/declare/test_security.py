"""Security schemes: which credentials they find, how they refuse, and how they describe themselves."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, get_type_hints

import anyio
import pytest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection

from tercel.declare import security
from tercel.declare.markers import Form
from tercel.declare.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBase,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    HTTPDigest,
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    OAuth2PasswordRequestFormStrict,
    OpenIdConnect,
    SecurityBase,
    SecurityScopes,
    get_authorization_scheme_param,
)
from tercel.http.errors import HTTPException


def connection(kind: str = "http", query: bytes = b"", **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return HTTPConnection({"type": kind, "path": "/", "headers": raw, "query_string": query})


def found(scheme: Any, sent: HTTPConnection) -> Any:
    return anyio.run(scheme, sent)


def refusal(scheme: Any, sent: HTTPConnection) -> tuple[int, Any, Any]:
    with pytest.raises(StarletteHTTPException) as caught:
        found(scheme, sent)
    error = caught.value
    return error.status_code, error.detail, dict(error.headers or {})


def basic(credentials: bytes) -> HTTPConnection:
    return connection(authorization=f"Basic {b64encode(credentials).decode()}")


FLOWS: Any = {"password": {"tokenUrl": "token", "scopes": {"a": "A"}}}
SCHEMES: list[tuple[Any, dict[str, Any]]] = [
    (APIKeyQuery, {"name": "key"}),
    (APIKeyHeader, {"name": "x-key"}),
    (APIKeyCookie, {"name": "key"}),
    (HTTPBase, {"scheme": "other"}),
    (HTTPBasic, {}),
    (HTTPBearer, {}),
    (HTTPDigest, {}),
    (OAuth2, {"flows": FLOWS}),
    (OAuth2PasswordBearer, {"tokenUrl": "token"}),
    (OAuth2AuthorizationCodeBearer, {"authorizationUrl": "authorize", "tokenUrl": "token"}),
    (OpenIdConnect, {"openIdConnectUrl": "/openid"}),
]
CHALLENGES = ["APIKey"] * 3 + ["Other", "Basic", "Bearer", "Digest"] + ["Bearer"] * 4


@pytest.mark.parametrize(
    ("value", "parts"), [(None, ("", "")), ("", ("", "")), ("Basic", ("Basic", "")), ("A  b c ", ("A", "b c"))]
)
def test_an_authorization_field_is_taken_apart(value: str | None, parts: tuple[str, str]) -> None:
    assert get_authorization_scheme_param(value) == parts


@pytest.mark.parametrize(("scheme", "arguments", "challenge"), [(*s, c) for s, c in zip(SCHEMES, CHALLENGES, strict=True)])
def test_nothing_sent_is_refused_with_401_and_a_challenge_or_is_none(scheme: Any, arguments: Any, challenge: str) -> None:
    for kind in ("http", "websocket"):
        assert refusal(scheme(**arguments), connection(kind)) == (401, "Not authenticated", {"WWW-Authenticate": challenge})
        assert found(scheme(**arguments, auto_error=False), connection(kind)) is None
    of_starlette = scheme in (APIKeyQuery, APIKeyHeader, APIKeyCookie, OpenIdConnect)
    assert type(scheme(**arguments).make_not_authenticated_error()) is (StarletteHTTPException if of_starlette else HTTPException)


@pytest.mark.parametrize(("scheme", "arguments"), SCHEMES)
def test_a_scheme_is_named_after_its_class_unless_it_has_a_name(scheme: Any, arguments: Any) -> None:
    class Own(scheme):  # type: ignore[misc]
        pass

    assert scheme(**arguments).scheme_name == scheme.__name__
    assert Own(**arguments).scheme_name == "Own"
    described = scheme(**arguments, scheme_name="named", description="text")
    assert (described.scheme_name, described.model.description) == ("named", "text")
    assert isinstance(described, SecurityBase)


@pytest.mark.parametrize(("scheme", "arguments"), SCHEMES)
def test_a_subclass_may_refuse_differently(scheme: Any, arguments: Any) -> None:
    class Forbidding(scheme):  # type: ignore[misc]
        def make_not_authenticated_error(self) -> HTTPException:
            return HTTPException(403, "no")

    assert refusal(Forbidding(**arguments), connection())[0] == 403


def test_api_keys_are_found_where_they_are_sent() -> None:
    assert found(APIKeyQuery(name="key"), connection(query=b"key=a&key=b")) == "b"
    assert found(APIKeyHeader(name="X-Key"), connection(x_key="a")) == "a"
    assert found(APIKeyCookie(name="key"), connection(cookie="key=a")) == "a"
    assert refusal(APIKeyQuery(name="key"), connection(query=b"key="))[0] == 401


def test_any_scheme_is_accepted_by_the_base() -> None:
    scheme = HTTPBase(scheme="Other")
    assert found(scheme, connection(authorization="Thing some value ")) == HTTPAuthorizationCredentials(
        scheme="Thing", credentials="some value"
    )
    assert refusal(scheme, connection(authorization="Thing"))[2] == {"WWW-Authenticate": "Other"}


@pytest.mark.parametrize(("scheme", "name"), [(HTTPBearer, "bEARER"), (HTTPDigest, "DIGEST")])
def test_the_right_scheme_is_accepted_in_any_letter_case_and_no_other(scheme: Any, name: str) -> None:
    assert found(scheme(), connection(authorization=f"{name} abc")) == HTTPAuthorizationCredentials(scheme=name, credentials="abc")
    for wrong in ("Other abc", name, f"{name}  "):
        assert refusal(scheme(), connection(authorization=wrong))[0] == 401
        assert found(scheme(auto_error=False), connection(authorization=wrong)) is None


def test_user_name_and_password_are_decoded() -> None:
    assert found(HTTPBasic(), basic(b"user:pass:word")) == HTTPBasicCredentials(username="user", password="pass:word")
    assert found(HTTPBasic(), basic(b":")) == HTTPBasicCredentials(username="", password="")
    assert found(HTTPBasic(auto_error=False), connection(authorization="Bearer x")) is None


@pytest.mark.parametrize("sent", [basic(b"no colon"), basic("é:é".encode()), connection(authorization="Basic !"), basic(b"")])
@pytest.mark.parametrize("auto_error", [True, False])
def test_unreadable_user_names_are_refused_even_where_none_are_needed(sent: HTTPConnection, auto_error: bool) -> None:
    assert refusal(HTTPBasic(realm="a b", auto_error=auto_error), sent) == (
        401,
        "Not authenticated",
        {"WWW-Authenticate": 'Basic realm="a b"'},
    )


@pytest.mark.parametrize(("scheme", "arguments"), [SCHEMES[8], SCHEMES[9]])
def test_bearer_tokens_are_found_without_their_scheme(scheme: Any, arguments: Any) -> None:
    assert found(scheme(**arguments), connection(authorization="bearer  token ")) == "token"
    assert refusal(scheme(**arguments), connection(authorization="Basic token"))[0] == 401


@pytest.mark.parametrize(("scheme", "arguments"), [SCHEMES[7], SCHEMES[10]])
def test_the_whole_field_is_given_where_the_scheme_is_open(scheme: Any, arguments: Any) -> None:
    assert found(scheme(**arguments), connection(authorization="Anything at all")) == "Anything at all"


@pytest.mark.parametrize(
    ("scheme", "model"),
    [
        (APIKeyQuery(name="k"), {"type": "apiKey", "in": "query", "name": "k"}),
        (APIKeyHeader(name="k"), {"type": "apiKey", "in": "header", "name": "k"}),
        (APIKeyCookie(name="k"), {"type": "apiKey", "in": "cookie", "name": "k"}),
        (HTTPBase(scheme="Other"), {"type": "http", "scheme": "Other"}),
        (HTTPBasic(), {"type": "http", "scheme": "basic"}),
        (HTTPBearer(bearerFormat="JWT"), {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
        (HTTPDigest(), {"type": "http", "scheme": "digest"}),
        (OAuth2(), {"type": "oauth2", "flows": {}}),
        (OAuth2(flows=FLOWS), {"type": "oauth2", "flows": {"password": {"scopes": {"a": "A"}, "tokenUrl": "token"}}}),
        (
            OAuth2PasswordBearer("token", scopes={"a": "A"}, refreshUrl="refresh"),
            {"type": "oauth2", "flows": {"password": {"refreshUrl": "refresh", "scopes": {"a": "A"}, "tokenUrl": "token"}}},
        ),
        (
            OAuth2AuthorizationCodeBearer("authorize", "token"),
            {
                "type": "oauth2",
                "flows": {"authorizationCode": {"scopes": {}, "authorizationUrl": "authorize", "tokenUrl": "token"}},
            },
        ),
        (OpenIdConnect(openIdConnectUrl="/o"), {"type": "openIdConnect", "openIdConnectUrl": "/o"}),
    ],
)
def test_a_scheme_describes_itself_for_openapi(scheme: Any, model: dict[str, Any]) -> None:
    assert scheme.model.model_dump(mode="json", by_alias=True, exclude_none=True) == model


def test_scopes_are_known_as_a_list_and_as_text() -> None:
    assert (SecurityScopes().scopes, SecurityScopes().scope_str) == ([], "")
    assert SecurityScopes(["a", "b"]).scope_str == "a b"


def test_the_password_form_splits_scopes() -> None:
    form = OAuth2PasswordRequestForm(username="u", password="p", scope="a b  c")
    assert (form.grant_type, form.username, form.password, form.scopes) == (None, "u", "p", ["a", "b", "c"])
    assert (form.client_id, form.client_secret) == (None, None)
    strict = OAuth2PasswordRequestFormStrict("password", "u", "p", "", "id", "secret")
    assert (strict.grant_type, strict.scopes, strict.client_id, strict.client_secret) == ("password", [], "id", "secret")


@pytest.mark.parametrize("form", [OAuth2PasswordRequestForm, OAuth2PasswordRequestFormStrict])
def test_every_field_of_the_password_form_is_a_form_field(form: type[Any]) -> None:
    hints = get_type_hints(form.__init__, include_extras=True)
    hints.pop("return")
    assert list(hints) == ["grant_type", "username", "password", "scope", "client_id", "client_secret"]
    assert all(isinstance(hint.__metadata__[0], Form) for hint in hints.values())


def test_every_public_name_exists() -> None:
    assert all(hasattr(security, name) for name in security.__all__)
