"""Who is it, and what may they do: `POST /token` and the dependency `require_role`.

`require_role("admin")` returns a dependency. Hung on a route, or on a whole router, it answers 401 to who has not signed in and 403
to who has the wrong role, before the endpoint runs.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from pydantic import BaseModel
from sqlalchemy import select

from demo.database import SessionDep
from demo.errors import AppError
from demo.inputs import USERNAME_PATTERN
from demo.passwords import PasswordsDep
from demo.tables import User
from demo.tokens import TokensDep
from tercel import APIRouter, Depends
from tercel.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm

__all__ = ["CurrentUser", "Role", "require_role", "router"]

Role = Literal["admin", "editor", "viewer"]

router = APIRouter(tags=["who may do what"])

# Reads `Authorization: Bearer …`, answers 401 when there is none, and tells the docs page where to sign in.
bearer_token = OAuth2PasswordBearer(tokenUrl="token")


class Token(BaseModel):
    """The answer of RFC 6749 §5.1."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int
    role: str


@router.post("/token")
async def sign_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    session: SessionDep,
    passwords: PasswordsDep,
    tokens: TokensDep,
) -> Token:
    """Exchange a user name and a password for a token."""
    # A form takes any string. What cannot be a user name is not asked of the database.
    user = None
    if re.fullmatch(USERNAME_PATTERN, form.username):
        user = await session.scalar(select(User).where(User.username == form.username))
    password_hash = user.password_hash if user else None
    if not await passwords.verify(password_hash, form.password) or user is None:
        # The same answer for an unknown name and for a wrong password.
        raise AppError(401, "WRONG_CREDENTIALS", "Wrong user name or password.", {"WWW-Authenticate": "Bearer"})
    return Token(access_token=tokens.issue(user.id), expires_in=int(tokens.lifetime_s), role=user.role)


async def get_current_user(
    token: Annotated[str, Depends(bearer_token)],
    tokens: TokensDep,
    session: SessionDep,
) -> User:
    """The user whom the request's token names. Asked on every request: who was deleted a moment ago is refused now."""
    user = await session.get(User, tokens.read(token).user_id)
    if user is None:
        raise AppError(401, "INVALID_TOKEN", "The token's user is gone.", {"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def require_role(*roles: Role) -> Callable[..., Awaitable[User]]:
    """A dependency that lets only users with one of the roles pass, and returns the user."""

    async def check_role(user: CurrentUser) -> User:
        if user.role not in roles:
            raise AppError(403, "WRONG_ROLE", f"This takes the role {' or '.join(roles)}; you are {user.role}.")
        return user

    return check_role
