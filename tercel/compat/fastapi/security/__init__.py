"""FastAPI's `security`."""

from tercel.security import APIKeyCookie as APIKeyCookie
from tercel.security import APIKeyHeader as APIKeyHeader
from tercel.security import APIKeyQuery as APIKeyQuery
from tercel.security import HTTPAuthorizationCredentials as HTTPAuthorizationCredentials
from tercel.security import HTTPBasic as HTTPBasic
from tercel.security import HTTPBasicCredentials as HTTPBasicCredentials
from tercel.security import HTTPBearer as HTTPBearer
from tercel.security import HTTPDigest as HTTPDigest
from tercel.security import OAuth2 as OAuth2
from tercel.security import OAuth2AuthorizationCodeBearer as OAuth2AuthorizationCodeBearer
from tercel.security import OAuth2PasswordBearer as OAuth2PasswordBearer
from tercel.security import OAuth2PasswordRequestForm as OAuth2PasswordRequestForm
from tercel.security import OAuth2PasswordRequestFormStrict as OAuth2PasswordRequestFormStrict
from tercel.security import OpenIdConnect as OpenIdConnect
from tercel.security import SecurityScopes as SecurityScopes
