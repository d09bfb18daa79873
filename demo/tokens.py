"""JSON Web Tokens: what the server hands out at sign-in and recognises later without having stored anything.

A token says who somebody is and until when. What they may do is not in it: `auth` looks that up, so that a change takes effect at
once.
"""

import time
from dataclasses import dataclass
from typing import Annotated

import jwt

from demo.errors import AppError
from demo.inputs import LARGEST_ROW_ID
from tercel import Depends
from tercel.requests import HTTPConnection

__all__ = ["Claims", "Tokens", "TokensDep"]

ALGORITHM = "HS256"
LONGEST_TOKEN = 512  # characters; ours have about 140. A long one is refused before anything parses what an attacker nested in it


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    user_id: int
    expires_at: float  # seconds since the epoch


class Tokens:
    """Makes and reads tokens.

    Args:
        secret: at least 32 bytes (RFC 7518 §3.2); who knows it can be anybody.
        lifetime_s: how long a token is good for.
    """

    def __init__(self, secret: str, lifetime_s: float) -> None:
        self._secret = secret
        self.lifetime_s = lifetime_s

    def issue(self, user_id: int) -> str:
        """A token for a user who has just proved to be one."""
        claims = {"sub": str(user_id), "exp": time.time() + self.lifetime_s}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """What the token says.

        Raises:
            AppError: 401, whatever is wrong with it: the reason would help only who forges one.
        """
        try:
            if len(token) > LONGEST_TOKEN:
                raise jwt.InvalidTokenError
            # The list of algorithms is not taken from the token: "none" is one, too.
            claims = jwt.decode(token, self._secret, algorithms=[ALGORITHM], options={"require": ["sub", "exp"]})
            user_id = int(claims["sub"])
            if not 1 <= user_id <= LARGEST_ROW_ID:
                raise jwt.InvalidTokenError
        except (jwt.InvalidTokenError, ValueError):
            raise AppError(401, "INVALID_TOKEN", "The token is not valid or has expired.", {"WWW-Authenticate": "Bearer"}) from None
        return Claims(user_id=user_id, expires_at=float(claims["exp"]))


async def get_tokens(connection: HTTPConnection) -> Tokens:
    """The instance that knows the secret of this start."""
    tokens: Tokens = connection.state.tokens
    return tokens


TokensDep = Annotated[Tokens, Depends(get_tokens)]
