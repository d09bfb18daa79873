"""The names that applications import, and from where."""

import importlib

import pytest
import starlette.applications
import starlette.exceptions
import starlette.requests
import starlette.responses
import starlette.routing

import tercel

NAMES = {
    "tercel": (
        "FastAPI APIRouter Request Response WebSocket WebSocketDisconnect WebSocketException HTTPException BackgroundTasks "
        "UploadFile Path Query Header Cookie Body Form File Depends Security status"
    ),
    "tercel.applications": "FastAPI",
    "tercel.background": "BackgroundTasks",
    "tercel.concurrency": "run_in_threadpool iterate_in_threadpool run_until_first_complete contextmanager_in_threadpool",
    "tercel.datastructures": "UploadFile URL Address Headers QueryParams State FormData Default DefaultPlaceholder",
    "tercel.dependencies.utils": "get_dependant",
    "tercel.encoders": "jsonable_encoder ENCODERS_BY_TYPE",
    "tercel.exception_handlers": (
        "http_exception_handler request_validation_exception_handler websocket_request_validation_exception_handler"
    ),
    "tercel.exceptions": (
        "HTTPException WebSocketException FastAPIError ValidationException RequestValidationError ResponseValidationError "
        "WebSocketRequestValidationError DependencyScopeError FastAPIDeprecationWarning"
    ),
    "tercel.middleware": "Middleware",
    "tercel.middleware.cors": "CORSMiddleware",
    "tercel.middleware.gzip": "GZipMiddleware",
    "tercel.middleware.httpsredirect": "HTTPSRedirectMiddleware",
    "tercel.middleware.trustedhost": "TrustedHostMiddleware",
    "tercel.openapi.docs": "get_swagger_ui_html get_redoc_html get_swagger_ui_oauth2_redirect_html swagger_ui_default_parameters",
    "tercel.openapi.models": "OpenAPI Operation Parameter Schema",
    "tercel.openapi.utils": "get_openapi",
    "tercel.params": "Path Query Header Cookie Body Form File Depends Security Param ParamTypes",
    "tercel.requests": "Request HTTPConnection",
    "tercel.responses": (
        "Response JSONResponse HTMLResponse PlainTextResponse RedirectResponse StreamingResponse FileResponse ORJSONResponse "
        "UJSONResponse EventSourceResponse"
    ),
    "tercel.routing": "APIRoute APIRouter APIWebSocketRoute Mount iter_route_contexts",
    "tercel.security": (
        "APIKeyCookie APIKeyHeader APIKeyQuery HTTPAuthorizationCredentials HTTPBasic HTTPBasicCredentials HTTPBearer HTTPDigest "
        "OAuth2 OAuth2AuthorizationCodeBearer OAuth2PasswordBearer OAuth2PasswordRequestForm OAuth2PasswordRequestFormStrict "
        "SecurityScopes OpenIdConnect"
    ),
    "tercel.sse": "EventSourceResponse ServerSentEvent format_sse_event",
    "tercel.staticfiles": "StaticFiles",
    "tercel.templating": "Jinja2Templates",
    "tercel.websockets": "WebSocket WebSocketDisconnect WebSocketState",
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names.split()])
def test_a_public_name_can_be_imported(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_classes_are_those_of_starlette_or_below_them():
    assert issubclass(tercel.FastAPI, starlette.applications.Starlette)
    assert issubclass(tercel.APIRouter, starlette.routing.Router)
    assert issubclass(tercel.HTTPException, starlette.exceptions.HTTPException)
    assert tercel.Request is starlette.requests.Request
    assert tercel.Response is starlette.responses.Response


def test_status_codes_have_names():
    assert (tercel.status.HTTP_201_CREATED, tercel.status.WS_1008_POLICY_VIOLATION) == (201, 1008)
