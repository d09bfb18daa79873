"""What only some may do: admins delete users, editors and admins read drafts.

The role is required of the whole router, so that a route which somebody adds later cannot be without it. The two routers have to be
read together with `auth`, which says what `require_role` does.
"""

from typing import Annotated

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from demo.auth import require_role
from demo.database import SessionDep
from demo.errors import AppError
from demo.inputs import RowId
from demo.tables import Post, User
from tercel import APIRouter, Depends, status

__all__ = ["admin_router", "editor_router"]

admin_router = APIRouter(prefix="/admin", tags=["who may do what"], dependencies=[Depends(require_role("admin"))])
editor_router = APIRouter(prefix="/editor", tags=["who may do what"], dependencies=[Depends(require_role("admin", "editor"))])


class UserOut(BaseModel):
    """A user as admins see it: without the hash of the password."""

    id: int
    username: str
    email: str
    role: str


class PostOut(BaseModel):
    """A draft."""

    id: int
    title: str
    body: str
    author: str


@admin_router.get("/users/", response_model=list[UserOut])
async def list_users(session: SessionDep) -> list[User]:
    """The hundred newest users. The response model takes from each row what it names, and nothing else leaves the server."""
    return list(await session.scalars(select(User).order_by(User.id.desc()).limit(100)))


@admin_router.delete("/users/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_user(
    user_id: RowId,
    session: SessionDep,
    me: Annotated[User, Depends(require_role("admin"))],
) -> None:
    """Delete a user and the posts of that user."""
    if user_id == me.id:
        raise AppError(409, "OWN_ACCOUNT", "You cannot delete your own account: nobody might be left who can.")
    user = await session.get(User, user_id, options=[selectinload(User.posts)])
    if user is None:
        raise AppError(404, "NO_SUCH_USER", f"There is no user {user_id}.")
    await session.delete(user)
    await session.commit()


@editor_router.get("/posts/")
async def list_posts(session: SessionDep) -> list[PostOut]:
    """All drafts with the names of their authors, in two queries however many there are."""
    posts = await session.scalars(select(Post).options(selectinload(Post.author)).order_by(Post.id))
    return [PostOut(id=post.id, title=post.title, body=post.body, author=post.author.username) for post in posts]
