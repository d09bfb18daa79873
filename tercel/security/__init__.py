"""Security schemes as dependencies."""

from tercel.declare.security import APIKeyCookie as APIKeyCookie
from tercel.declare.security import APIKeyHeader as APIKeyHeader
from tercel.declare.security import APIKeyQuery as APIKeyQuery
from tercel.declare.security import HTTPAuthorizationCredentials as HTTPAuthorizationCredentials
from tercel.declare.security import HTTPBasic as HTTPBasic
from tercel.declare.security import HTTPBasicCredentials as HTTPBasicCredentials
from tercel.declare.security import HTTPBearer as HTTPBearer
from tercel.declare.security import HTTPDigest as HTTPDigest
from tercel.declare.security import OAuth2 as OAuth2
from tercel.declare.security import OAuth2AuthorizationCodeBearer as OAuth2AuthorizationCodeBearer
from tercel.declare.security import OAuth2PasswordBearer as OAuth2PasswordBearer
from tercel.declare.security import OAuth2PasswordRequestForm as OAuth2PasswordRequestForm
from tercel.declare.security import OAuth2PasswordRequestFormStrict as OAuth2PasswordRequestFormStrict
from tercel.declare.security import OpenIdConnect as OpenIdConnect
from tercel.declare.security import SecurityScopes as SecurityScopes

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "HTTPAuthorizationCredentials",
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
    "SecurityScopes",
]
