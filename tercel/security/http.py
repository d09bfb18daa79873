"""HTTP authentication."""

from tercel.declare.security import HTTPAuthorizationCredentials as HTTPAuthorizationCredentials
from tercel.declare.security import HTTPBase as HTTPBase
from tercel.declare.security import HTTPBasic as HTTPBasic
from tercel.declare.security import HTTPBasicCredentials as HTTPBasicCredentials
from tercel.declare.security import HTTPBearer as HTTPBearer
from tercel.declare.security import HTTPDigest as HTTPDigest

__all__ = [
    "HTTPAuthorizationCredentials",
    "HTTPBase",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "HTTPDigest",
]
