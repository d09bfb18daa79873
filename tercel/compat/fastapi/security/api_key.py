"""FastAPI's `security.api_key`."""

from starlette.exceptions import HTTPException as HTTPException
from starlette.requests import HTTPConnection as HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED as HTTP_401_UNAUTHORIZED

from tercel.declare.security import APIKeyBase as APIKeyBase
from tercel.openapi.models import APIKey as APIKey
from tercel.openapi.models import APIKeyIn as APIKeyIn
from tercel.security.api_key import APIKeyCookie as APIKeyCookie
from tercel.security.api_key import APIKeyHeader as APIKeyHeader
from tercel.security.api_key import APIKeyQuery as APIKeyQuery
from tercel.security.base import SecurityBase as SecurityBase
