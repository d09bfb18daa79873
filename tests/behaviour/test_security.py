"""Security schemes: what they take from a request, what they answer without it, and how they are documented."""

import base64
from typing import Annotated

import pytest

from tercel import Depends, FastAPI, HTTPException, Security, WebSocket
from tercel.responses import JSONResponse
from tercel.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    HTTPDigest,
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    OAuth2PasswordRequestFormStrict,
    OpenIdConnect,
    SecurityScopes,
)
from tercel.security.http import HTTPBase

BASIC = "Basic " + base64.b64encode(b"ada:s:ecret").decode()

SCHEMES = {
    "base": (
        lambda **o: HTTPBase(scheme="Other", **o),
        {"authorization": "Other x"},
        {"scheme": "Other", "credentials": "x"},
        "Other",
    ),
    "basic": (HTTPBasic, {"authorization": BASIC}, {"username": "ada", "password": "s:ecret"}, "Basic"),
    "bearer": (HTTPBearer, {"authorization": "bearer abc"}, {"scheme": "bearer", "credentials": "abc"}, "Bearer"),
    "digest": (HTTPDigest, {"authorization": "Digest abc"}, {"scheme": "Digest", "credentials": "abc"}, "Digest"),
    "header key": (lambda **o: APIKeyHeader(name="X-Key", **o), {"x-key": "k"}, "k", "APIKey"),
    "cookie key": (lambda **o: APIKeyCookie(name="key", **o), {"cookie": "key=k"}, "k", "APIKey"),
    "oauth2": (OAuth2, {"authorization": "Anything x"}, "Anything x", "Bearer"),
    "password": (lambda **o: OAuth2PasswordBearer(tokenUrl="token", **o), {"authorization": "Bearer abc"}, "abc", "Bearer"),
    "code": (
        lambda **o: OAuth2AuthorizationCodeBearer(authorizationUrl="a", tokenUrl="t", **o),
        {"authorization": "Bearer abc"},
        "abc",
        "Bearer",
    ),
    "openid": (lambda **o: OpenIdConnect(openIdConnectUrl="/o", **o), {"authorization": "Bearer abc"}, "Bearer abc", "Bearer"),
}

schemes = pytest.mark.parametrize("name", list(SCHEMES))


@schemes
def test_a_scheme_gives_what_the_client_sent(serve, name):
    make, headers, value, _ = SCHEMES[name]
    scheme = make()

    def endpoint(credentials: Annotated[object, Security(scheme)]):
        return credentials

    assert serve(endpoint).get("/", headers=headers).json() == value


@schemes
def test_without_credentials_a_scheme_answers_401_with_its_challenge(serve, name):
    make, _, _, challenge = SCHEMES[name]

    def endpoint(credentials: Annotated[object, Security(make())]):
        return credentials

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    assert answer.headers["www-authenticate"].startswith(challenge)


@schemes
def test_a_handler_of_http_exceptions_sees_the_refusals_that_it_sees_on_fastapi(make_app, client, name):
    app = make_app()

    @app.exception_handler(HTTPException)
    async def handle(request, error):
        return JSONResponse({"handled": error.detail}, error.status_code)

    @app.get("/")
    def endpoint(credentials: Annotated[object, Security(SCHEMES[name][0]())]):
        return credentials

    body = client(app).get("/").json()
    # These raise Starlette's class, which is above the one that the handler is for.
    of_starlette = name in ("header key", "cookie key", "openid")
    assert body == ({"detail": "Not authenticated"} if of_starlette else {"handled": "Not authenticated"})


@schemes
def test_a_scheme_may_leave_the_refusal_to_the_endpoint(serve, name):
    make, _, _, _ = SCHEMES[name]

    def endpoint(credentials: Annotated[object, Security(make(auto_error=False))]):
        return credentials

    assert serve(endpoint).get("/").json() is None


@schemes
def test_a_scheme_works_on_websockets(make_app, client, name):
    make, headers, value, _ = SCHEMES[name]
    app = make_app()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, credentials: Annotated[object, Security(make())]):
        await websocket.accept()
        await websocket.send_json(credentials.model_dump() if hasattr(credentials, "model_dump") else credentials)
        await websocket.close()

    connected = client(app)
    with connected.websocket("/ws", headers=headers) as socket:
        assert socket.receive_json() == value
        socket.receive_close()
    refusal = connected.refused("/ws")
    assert (refusal.status_code, refusal.json()) == (401, {"detail": "Not authenticated"})


def test_a_key_may_be_a_query_parameter(serve):
    def endpoint(key: Annotated[str, Security(APIKeyQuery(name="key"))]):
        return key

    connected = serve(endpoint)
    assert connected.get("/?key=k").json() == "k"
    assert connected.get("/").status_code == 401
    assert connected.get("/?key=").status_code == 401


@pytest.mark.parametrize("scheme", ["basic", "bearer", "digest", "password", "code"])
def test_credentials_of_another_kind_are_refused(serve, scheme):
    def endpoint(credentials: Annotated[object, Security(SCHEMES[scheme][0]())]):
        return credentials

    connected = serve(endpoint)
    assert connected.get("/", headers={"authorization": "Strange abc"}).status_code == 401
    assert connected.get("/", headers={"authorization": ""}).status_code == 401


@pytest.mark.parametrize("sent", ["Basic notbase64!", "Basic " + base64.b64encode(b"no colon").decode(), "Basic"])
def test_malformed_basic_credentials_are_a_401(serve, sent):
    def endpoint(credentials: Annotated[object, Security(HTTPBasic())]):
        return credentials

    answer = serve(endpoint).get("/", headers={"authorization": sent})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Basic"


def test_basic_names_its_realm(serve):
    def endpoint(credentials: Annotated[object, Security(HTTPBasic(realm="simple"))]):
        return credentials

    assert serve(endpoint).get("/").headers["www-authenticate"] == 'Basic realm="simple"'


def test_the_password_form_takes_its_fields(serve):
    def endpoint(form: Annotated[OAuth2PasswordRequestForm, Depends()]):
        return [form.grant_type, form.username, form.password, form.scopes, form.client_id]

    connected = serve(endpoint, method="POST")
    given = {"username": "u", "password": "p", "scope": "a b"}
    assert connected.post("/", data=given).json() == [None, "u", "p", ["a", "b"], None]
    assert connected.post("/", data={**given, "grant_type": "password", "client_id": "c"}).json() == [
        "password",
        "u",
        "p",
        ["a", "b"],
        "c",
    ]
    assert connected.post("/", data={**given, "grant_type": "other"}).status_code == 422
    assert connected.post("/", data={"username": "u"}).status_code == 422


def test_the_strict_password_form_needs_the_grant_type(serve):
    def endpoint(form: Annotated[OAuth2PasswordRequestFormStrict, Depends()]):
        return form.grant_type

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"username": "u", "password": "p"}).status_code == 422
    assert connected.post("/", data={"username": "u", "password": "p", "grant_type": "password"}).json() == "password"


def test_scopes_decide_who_may_do_what(make_app, client):
    app = make_app()
    bearer = OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "Read", "write": "Write"})

    def user(scopes: SecurityScopes, token: Annotated[str, Depends(bearer)]):
        held = token.split("+")
        if missing := [scope for scope in scopes.scopes if scope not in held]:
            raise HTTPException(403, missing, {"WWW-Authenticate": f'Bearer scope="{scopes.scope_str}"'})
        return held

    def active(current: Annotated[list, Security(user, scopes=["read"])]):
        return current

    @app.get("/write")
    def endpoint(current: Annotated[list, Security(active, scopes=["write"])]):
        return current

    connected = client(app)

    def send(token):
        return connected.get("/write", headers={"authorization": f"Bearer {token}"})

    assert send("read+write").json() == ["read", "write"]
    refused = send("read")
    assert (refused.status_code, refused.json()["detail"], refused.headers["www-authenticate"]) == (
        403,
        ["write"],
        'Bearer scope="write read"',
    )
    assert connected.get("/write").status_code == 401


def test_schemes_and_scopes_are_documented():
    app = FastAPI()
    bearer = OAuth2PasswordBearer(tokenUrl="token", scopes={"a": "A"}, description="how to sign in")
    key = APIKeyHeader(name="X-Key", scheme_name="Key")

    def user(token: Annotated[str, Depends(bearer)]):
        return token

    @app.get("/x", dependencies=[Security(user, scopes=["a"]), Depends(key)])
    def endpoint():
        return None

    document = app.openapi()
    assert document["components"]["securitySchemes"] == {
        "OAuth2PasswordBearer": {
            "type": "oauth2",
            "description": "how to sign in",
            "flows": {"password": {"scopes": {"a": "A"}, "tokenUrl": "token"}},
        },
        "Key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    }
    assert document["paths"]["/x"]["get"]["security"] == [{"OAuth2PasswordBearer": ["a"]}, {"Key": []}]


def test_a_scheme_is_a_dependency_that_can_be_overridden(make_app, client):
    app = make_app()
    bearer = HTTPBearer()

    @app.get("/")
    def endpoint(credentials: Annotated[object, Depends(bearer)]):
        return credentials

    app.dependency_overrides[bearer] = lambda: "override"
    assert client(app).get("/").json() == "override"
