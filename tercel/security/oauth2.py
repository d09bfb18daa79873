"""OAuth2."""

from tercel.declare.security import OAuth2 as OAuth2
from tercel.declare.security import OAuth2AuthorizationCodeBearer as OAuth2AuthorizationCodeBearer
from tercel.declare.security import OAuth2PasswordBearer as OAuth2PasswordBearer
from tercel.declare.security import OAuth2PasswordRequestForm as OAuth2PasswordRequestForm
from tercel.declare.security import OAuth2PasswordRequestFormStrict as OAuth2PasswordRequestFormStrict
from tercel.declare.security import SecurityScopes as SecurityScopes

__all__ = [
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "SecurityScopes",
]
