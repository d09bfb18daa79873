# ruff: noqa: F401 - names, for others to import
"""FastAPI's `security.http`."""

from starlette.requests import HTTPConnection as HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED as HTTP_401_UNAUTHORIZED

from tercel.exceptions import HTTPException as HTTPException
from tercel.openapi.models import HTTPBase as HTTPBaseModel
from tercel.openapi.models import HTTPBearer as HTTPBearerModel
from tercel.security.base import SecurityBase as SecurityBase
from tercel.security.http import HTTPAuthorizationCredentials as HTTPAuthorizationCredentials
from tercel.security.http import HTTPBase as HTTPBase
from tercel.security.http import HTTPBasic as HTTPBasic
from tercel.security.http import HTTPBasicCredentials as HTTPBasicCredentials
from tercel.security.http import HTTPBearer as HTTPBearer
from tercel.security.http import HTTPDigest as HTTPDigest
from tercel.security.utils import get_authorization_scheme_param as get_authorization_scheme_param
