# ruff: noqa: F401 - names, for others to import
"""FastAPI's `security.oauth2`."""

from starlette.requests import HTTPConnection as HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED as HTTP_401_UNAUTHORIZED

from tercel.exceptions import HTTPException as HTTPException
from tercel.openapi.models import OAuth2 as OAuth2Model
from tercel.openapi.models import OAuthFlows as OAuthFlowsModel
from tercel.param_functions import Form as Form
from tercel.security.base import SecurityBase as SecurityBase
from tercel.security.oauth2 import OAuth2 as OAuth2
from tercel.security.oauth2 import OAuth2AuthorizationCodeBearer as OAuth2AuthorizationCodeBearer
from tercel.security.oauth2 import OAuth2PasswordBearer as OAuth2PasswordBearer
from tercel.security.oauth2 import OAuth2PasswordRequestForm as OAuth2PasswordRequestForm
from tercel.security.oauth2 import OAuth2PasswordRequestFormStrict as OAuth2PasswordRequestFormStrict
from tercel.security.oauth2 import SecurityScopes as SecurityScopes
from tercel.security.utils import get_authorization_scheme_param as get_authorization_scheme_param
