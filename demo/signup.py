"""`POST /signup/`: the account is there when the answer is, the mail follows.

Handing a mail over may take seconds. A background task runs after the response has been sent, so that nobody waits for it; what the
client was promised is only what has happened already.
"""

from typing import Annotated

from pydantic import BaseModel, EmailStr, Field
from sqlalchemy.exc import IntegrityError

from demo.database import SessionDep
from demo.errors import AppError
from demo.feed import HubDep
from demo.inputs import Text, Username
from demo.mail import MailerDep
from demo.passwords import PasswordsDep
from demo.tables import User
from tercel import APIRouter, BackgroundTasks, status

__all__ = ["router"]

router = APIRouter(tags=["sign-up"])

WELCOME = """Hello {username},

your account is ready. You are a viewer; ask an admin if you want to be more.
"""


class SignUp(BaseModel):
    """What a new user gives."""

    username: Username
    email: EmailStr = Field(max_length=320)
    password: Annotated[Text, Field(min_length=8, max_length=128)]


class Welcome(BaseModel):
    """The new account."""

    id: int
    username: str
    role: str
    message: str


@router.post("/signup/", status_code=status.HTTP_201_CREATED)
async def sign_up(
    new: SignUp,
    session: SessionDep,
    passwords: PasswordsDep,
    mailer: MailerDep,
    hub: HubDep,
    background: BackgroundTasks,
) -> Welcome:
    """Create an account with the role `viewer`."""
    user = User(username=new.username, email=new.email, password_hash=await passwords.hash(new.password), role="viewer")
    session.add(user)
    try:
        await session.commit()
    except IntegrityError:
        # Asking first whether the name is free would not help: somebody else may take it between the question and the insert.
        raise AppError(409, "ALREADY_TAKEN", "This user name or this address has an account already.") from None
    background.add_task(mailer.send, new.email, "Welcome to the mews", WELCOME.format(username=new.username))
    hub.publish("signups", {"username": new.username})
    return Welcome(id=user.id, username=user.username, role=user.role, message="Your account is ready; a mail is on its way.")
