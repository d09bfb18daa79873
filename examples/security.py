# examples/security.py
import secrets
from typing import Annotated

from tercel import Depends, FastAPI, HTTPException, Security
from tercel.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm, SecurityScopes

app = FastAPI()
bearer = OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "look at posts", "write": "change posts"})
PEOPLE = {"ada": {"password": "lovelace", "scopes": ["read", "write"]}, "bo": {"password": "peep", "scopes": ["read"]}}
tokens: dict[str, str] = {}


@app.post("/token")
async def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    person = PEOPLE.get(form.username)
    if person is None or not secrets.compare_digest(str(person["password"]).encode(), form.password.encode()):
        raise HTTPException(401, "wrong name or password")
    token = secrets.token_urlsafe()
    tokens[token] = form.username
    return {"access_token": token, "token_type": "bearer"}


async def current_user(needed: SecurityScopes, token: Annotated[str, Depends(bearer)]) -> str:
    user = tokens.get(token)
    if user is None:
        raise HTTPException(401, "unknown token", headers={"WWW-Authenticate": "Bearer"})
    missing = [scope for scope in needed.scopes if scope not in PEOPLE[user]["scopes"]]
    if missing:
        raise HTTPException(403, f"needs {', '.join(missing)}")
    return user


@app.get("/posts")
async def posts(user: Annotated[str, Security(current_user, scopes=["read"])]) -> str:
    return f"posts for {user}"


@app.delete("/posts/{number}")
async def delete(number: int, user: Annotated[str, Security(current_user, scopes=["read", "write"])]) -> str:
    return f"{user} deleted {number}"
