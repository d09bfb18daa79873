"""Security schemes: callables to depend on, each of which reads a credential from the request and describes itself in OpenAPI.

They find credentials and never judge them; checking a password or a token is the application's work. A missing or malformed
credential is answered with 401 and a challenge (RFC 9110 §15.5.2), or is None with `auto_error=False`. Every scheme works for
WebSockets too. Knows nothing of routes. Read `tercel.openapi.models` next for the models behind `model`.
"""

from base64 import b64decode
from typing import Annotated, Any, cast

from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection

from tercel.declare.params import Form
from tercel.declare.scopes import SecurityBase, SecurityScopes
from tercel.http.errors import HTTPException
from tercel.openapi import models

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "HTTPAuthorizationCredentials",
    "HTTPBase",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "HTTPDigest",
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "OpenIdConnect",
    "SecurityBase",
    "SecurityScopes",
    "get_authorization_scheme_param",
]


def get_authorization_scheme_param(authorization_header_value: str | None) -> tuple[str, str]:
    """The scheme and the rest of an Authorization field (RFC 9110 §11.4); two empty strings when there is none."""
    scheme, _, param = (authorization_header_value or "").partition(" ")
    return scheme, param.strip()


class _Scheme(SecurityBase):
    """A scheme that can refuse a request."""

    auto_error: bool
    _refusal: type[StarletteHTTPException] = HTTPException
    """What refuses a request; FastAPI raises Starlette's class in some schemes, which handlers of `HTTPException` do not catch."""

    def _describe(self, model: models.SecurityBase, scheme_name: str | None, auto_error: bool) -> None:
        self.model = model
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def _challenge(self) -> dict[str, str]:
        raise NotImplementedError

    def make_not_authenticated_error(self) -> StarletteHTTPException:
        """The error that refuses a request; override it to answer differently."""
        return self._refusal(status_code=401, detail="Not authenticated", headers=self._challenge())

    def _refuse(self) -> None:
        if self.auto_error:
            raise self.make_not_authenticated_error()


# -- API keys ------------------------------------------------------------------------------------------------------------------


class APIKeyBase(_Scheme):
    """A key that is sent under a name; empty counts as missing.

    Args:
        location: where it is sent.
        name: of the parameter, header field or cookie.
        description: for the documentation.
        scheme_name: the class's name when left out.
        auto_error: False gives the endpoint None instead of answering 401.
    """

    model: models.APIKey
    _refusal = StarletteHTTPException

    def __init__(
        self, location: models.APIKeyIn, name: str, description: str | None, scheme_name: str | None, auto_error: bool
    ) -> None:
        model = models.APIKey.model_validate({"in": location, "name": name, "description": description})
        self._describe(model, scheme_name, auto_error)

    def _challenge(self) -> dict[str, str]:
        # There is no registered scheme for API keys, yet a 401 must carry a challenge.
        return {"WWW-Authenticate": "APIKey"}

    def check_api_key(self, api_key: str | None) -> str | None:
        """The key if there is one.

        Raises:
            HTTPException: 401, there is none and `auto_error` is on.
        """
        if api_key:
            return api_key
        self._refuse()
        return None


class APIKeyQuery(APIKeyBase):
    """An API key in the query string, where it ends up in logs and browser histories; prefer a header.

    Args:
        name: of the query parameter.
        scheme_name: see `APIKeyBase`.
        description: see `APIKeyBase`.
        auto_error: see `APIKeyBase`.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        super().__init__(models.APIKeyIn.query, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The key."""
        return self.check_api_key(request.query_params.get(self.model.name))


class APIKeyHeader(APIKeyBase):
    """An API key in a header field.

    Args:
        name: of the header field, in any letter case.
        scheme_name: see `APIKeyBase`.
        description: see `APIKeyBase`.
        auto_error: see `APIKeyBase`.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        super().__init__(models.APIKeyIn.header, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The key."""
        return self.check_api_key(request.headers.get(self.model.name))


class APIKeyCookie(APIKeyBase):
    """An API key in a cookie.

    Args:
        name: of the cookie.
        scheme_name: see `APIKeyBase`.
        description: see `APIKeyBase`.
        auto_error: see `APIKeyBase`.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        super().__init__(models.APIKeyIn.cookie, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The key."""
        return self.check_api_key(request.cookies.get(self.model.name))


# -- the Authorization field ---------------------------------------------------------------------------------------------------


class HTTPBasicCredentials(BaseModel):
    """What HTTP Basic carries. Compare the password with `secrets.compare_digest`."""

    username: str
    password: str


class HTTPAuthorizationCredentials(BaseModel):
    """An Authorization field taken apart: `Bearer abc` has the scheme `Bearer`, as sent, and the credentials `abc`."""

    scheme: str
    credentials: str


class HTTPBase(_Scheme):
    """Any scheme of the Authorization field (RFC 9110 §11.6.2), whichever the client chose.

    Args:
        scheme: the name in the documentation and in the challenge.
        scheme_name: the class's name when left out.
        description: for the documentation.
        auto_error: False gives the endpoint None instead of answering 401.
    """

    model: models.HTTPBase

    # The scheme that must have been sent, in lower case; None accepts every scheme.
    _required: str | None = None

    def __init__(
        self, *, scheme: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        self._describe(models.HTTPBase(scheme=scheme, description=description), scheme_name, auto_error)

    def make_authenticate_headers(self) -> dict[str, str]:
        """The challenge of a 401 (RFC 9110 §11.6.1)."""
        return {"WWW-Authenticate": self.model.scheme.title()}

    def _challenge(self) -> dict[str, str]:
        return self.make_authenticate_headers()

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        """The credentials, unchecked."""
        scheme, credentials = get_authorization_scheme_param(request.headers.get("Authorization"))
        # RFC 9110 §11.1: scheme names are case-insensitive.
        if scheme and credentials and self._required in (None, scheme.lower()):
            return HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)
        self._refuse()
        return None


class HTTPBasic(HTTPBase):
    """User name and password (RFC 7617), which every browser can ask for.

    Args:
        scheme_name: see `HTTPBase`.
        realm: what the browser shows when it asks.
        description: see `HTTPBase`.
        auto_error: False gives the endpoint None when nothing was sent; what was sent but cannot be read is refused all the same.
    """

    _required = "basic"

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        realm: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme="basic", scheme_name=scheme_name, description=description, auto_error=auto_error)
        self.realm = realm

    def make_authenticate_headers(self) -> dict[str, str]:
        """The challenge, with the realm if there is one."""
        return {"WWW-Authenticate": f'Basic realm="{self.realm}"' if self.realm else "Basic"}

    async def __call__(self, request: HTTPConnection) -> HTTPBasicCredentials | None:  # type: ignore[override]
        """User name and password, unchecked."""
        scheme, param = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme.lower() != self._required:
            self._refuse()
            return None
        try:
            # RFC 7617 §2: no encoding is defined beyond ASCII; the first colon separates, so a user name has none.
            username, separator, password = b64decode(param).decode("ascii").partition(":")
        except ValueError as error:
            raise self.make_not_authenticated_error() from error
        if not separator:
            raise self.make_not_authenticated_error()
        return HTTPBasicCredentials(username=username, password=password)


class HTTPBearer(HTTPBase):
    """A bearer token (RFC 6750 §2.1).

    Args:
        bearerFormat: a hint in the documentation, such as `JWT`.
        scheme_name: see `HTTPBase`.
        description: see `HTTPBase`.
        auto_error: see `HTTPBase`.
    """

    _required = "bearer"

    def __init__(
        self,
        *,
        bearerFormat: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        self._describe(models.HTTPBearer(bearerFormat=bearerFormat, description=description), scheme_name, auto_error)


class HTTPDigest(HTTPBase):
    """Digest credentials (RFC 7616) as they were sent; the exchange of nonces is the application's.

    Args:
        scheme_name: see `HTTPBase`.
        description: see `HTTPBase`.
        auto_error: see `HTTPBase`.
    """

    _required = "digest"

    def __init__(self, *, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True) -> None:
        super().__init__(scheme="digest", scheme_name=scheme_name, description=description, auto_error=auto_error)


# -- OAuth 2.0 and OpenID Connect ----------------------------------------------------------------------------------------------


class _BearerField(_Scheme):
    """A scheme whose credential is the Authorization field and whose challenge is `Bearer` (RFC 6750 §3)."""

    def _challenge(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}

    def _whole_field(self, request: HTTPConnection) -> str | None:
        authorization = request.headers.get("Authorization")
        if authorization:
            return authorization
        self._refuse()
        return None

    def _bearer_token(self, request: HTTPConnection) -> str | None:
        scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme.lower() == "bearer":
            return token
        self._refuse()
        return None


class OAuth2(_BearerField):
    """OAuth 2.0 with any flows; gives the whole Authorization field.

    Args:
        flows: how clients obtain a token (OpenAPI 3.1 §4.8.28).
        scheme_name: the class's name when left out.
        description: for the documentation.
        auto_error: False gives the endpoint None instead of answering 401.
    """

    model: models.OAuth2

    def __init__(
        self,
        *,
        flows: models.OAuthFlows | dict[str, dict[str, Any]] = models.OAuthFlows(),
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        model = models.OAuth2(flows=cast(models.OAuthFlows, flows), description=description)
        self._describe(model, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The Authorization field."""
        return self._whole_field(request)


class OAuth2PasswordBearer(OAuth2):
    """A bearer token obtained with user name and password (RFC 6749 §4.3).

    Args:
        tokenUrl: where `OAuth2PasswordRequestForm` is sent; relative to the documentation page.
        scheme_name: see `OAuth2`.
        scopes: names and what they allow, for the documentation.
        description: see `OAuth2`.
        auto_error: see `OAuth2`.
        refreshUrl: where an expired token is renewed.
    """

    def __init__(
        self,
        tokenUrl: str,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
        refreshUrl: str | None = None,
    ) -> None:
        flow = models.OAuthFlowPassword(tokenUrl=tokenUrl, refreshUrl=refreshUrl, scopes=scopes or {})
        super().__init__(
            flows=models.OAuthFlows(password=flow), scheme_name=scheme_name, description=description, auto_error=auto_error
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The token."""
        return self._bearer_token(request)


class OAuth2AuthorizationCodeBearer(OAuth2):
    """A bearer token obtained through the user's browser (RFC 6749 §4.1).

    Args:
        authorizationUrl: where the user is sent to agree.
        tokenUrl: where the client exchanges the code for a token.
        refreshUrl: where an expired token is renewed.
        scheme_name: see `OAuth2`.
        scopes: names and what they allow, for the documentation.
        description: see `OAuth2`.
        auto_error: see `OAuth2`.
    """

    def __init__(
        self,
        authorizationUrl: str,
        tokenUrl: str,
        refreshUrl: str | None = None,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        flow = models.OAuthFlowAuthorizationCode(
            authorizationUrl=authorizationUrl, tokenUrl=tokenUrl, refreshUrl=refreshUrl, scopes=scopes or {}
        )
        super().__init__(
            flows=models.OAuthFlows(authorizationCode=flow),
            scheme_name=scheme_name,
            description=description,
            auto_error=auto_error,
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The token."""
        return self._bearer_token(request)


class OpenIdConnect(_BearerField):
    """OpenID Connect, described by its discovery document; gives the whole Authorization field.

    Args:
        openIdConnectUrl: of the discovery document.
        scheme_name: the class's name when left out.
        description: for the documentation.
        auto_error: False gives the endpoint None instead of answering 401.
    """

    model: models.OpenIdConnect
    _refusal = StarletteHTTPException

    def __init__(
        self,
        *,
        openIdConnectUrl: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        model = models.OpenIdConnect(openIdConnectUrl=openIdConnectUrl, description=description)
        self._describe(model, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The Authorization field."""
        return self._whole_field(request)


class OAuth2PasswordRequestForm:
    """The form a client sends for a token (RFC 6749 §4.3.2); use it as `Annotated[OAuth2PasswordRequestForm, Depends()]`.

    Attributes:
        grant_type: `password`, or None: clients that leave it out are tolerated here.
        username: as sent.
        password: as sent.
        scopes: the scopes asked for, which are sent as one string separated by spaces (RFC 6749 §3.3).
        client_id: sent by clients that authenticate in the form rather than with HTTP Basic.
        client_secret: likewise.
    """

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form(json_schema_extra={"format": "password"})],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form(json_schema_extra={"format": "password"})] = None,
    ) -> None:
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The same form, of which RFC 6749 §4.3.2 requires `grant_type=password`."""

    def __init__(
        self,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        super().__init__(
            grant_type=grant_type,
            username=username,
            password=password,
            scope=scope,
            client_id=client_id,
            client_secret=client_secret,
        )
