# ruff: noqa: F401 - names, for others to import
"""FastAPI's `security.open_id_connect_url`."""

from starlette.exceptions import HTTPException as HTTPException
from starlette.requests import HTTPConnection as HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED as HTTP_401_UNAUTHORIZED

from tercel.openapi.models import OpenIdConnect as OpenIdConnectModel
from tercel.security.base import SecurityBase as SecurityBase
from tercel.security.open_id_connect_url import OpenIdConnect as OpenIdConnect
