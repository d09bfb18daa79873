"""An application with one of everything that a document can show, built from any module with the public names.

`test_golden.py` builds it from Tercel; `golden.json` is the document of the same application on FastAPI 0.165, the same with
pydantic 2.12 to 2.14. To make it anew: `json.dump(build(fastapi).openapi(), file, indent=1)`.
"""

import datetime
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Json, computed_field


class Kind(str, Enum):  # noqa: UP042 - the older spelling is the common one
    """Kinds of things.\f Not for readers."""

    small = "small"
    large = "large"


class Thing(BaseModel):
    """A thing.

    With a second paragraph.\f Not for readers.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, json_schema_extra={"examples": [{"name": "pen"}]})

    name: str = Field(min_length=1, max_length=50, pattern="^[a-z]+$", examples=["pen"])
    kind: Kind = Kind.small
    price: float | None = Field(default=None, gt=0, description="in euro")
    added: datetime.datetime
    parts: list["Thing"] = []
    tags: set[str] = set()
    secret: bytes = b""
    code: str = Field(validation_alias=AliasChoices("code", "sku"), serialization_alias="articleCode")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return self.name.title()


@dataclass
class Position:
    x: float
    y: float = 0.0


class Cat(BaseModel):
    pet: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    pet: Literal["dog"]
    size: Kind | None = None


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=100, gt=0, le=100)
    order_by: Literal["created_at", "updated_at"] = "created_at"
    tags: list[str] = []


class CommonHeaders(BaseModel):
    host_name: str
    if_modified_since: str | None = None
    x_tag: list[str] = []


class Problem(BaseModel):
    message: str


class Login(BaseModel):
    username: str
    password: str


def _declare_security(fw: Any, app: Any) -> None:
    oauth2 = fw.security.OAuth2PasswordBearer(tokenUrl="token", scopes={"me": "Read me.", "items": "Read items."}, auto_error=False)
    key = fw.security.APIKeyCookie(name="session", description="a cookie")

    async def user(scopes: fw.security.SecurityScopes, token: Annotated[str | None, fw.Depends(oauth2)]) -> str:
        return f"{token}{scopes}"

    async def admin(user: Annotated[str, fw.Security(user, scopes=["me"])], key: Annotated[str, fw.Security(key)]) -> str:
        return user + key

    @app.post("/token", tags=["users"])
    def token(form: Annotated[fw.security.OAuth2PasswordRequestForm, fw.Depends()]) -> dict[str, str]:
        return {}

    @app.get("/users/me/items/", tags=["users"])
    def own_items(user: Annotated[str, fw.Security(user, scopes=["items"])]) -> list[Thing]:
        return []

    @app.get("/admin", dependencies=[fw.Depends(admin), fw.Security(fw.security.HTTPBasic(realm="r"))], tags=["users"])
    def admin_page(credentials: Annotated[Any, fw.Depends(fw.security.HTTPBearer(bearerFormat="JWT"))]) -> None: ...


def _declare_parameters(fw: Any, app: Any) -> None:
    def paging(
        skip: int = 0, limit: Annotated[int, fw.Query(le=50)] = 10, hidden: Annotated[int, fw.Query(include_in_schema=False)] = 0
    ) -> None: ...

    def strict_paging(
        skip: Annotated[int, fw.Query(ge=0, description="from where")], base: Annotated[None, fw.Depends(paging)]
    ) -> None: ...

    @app.get("/parameters/{item_id}/{kind}/{rest:path}")
    async def parameters(
        item_id: Annotated[uuid.UUID, fw.Path(title="The id", description="of the item")],
        kind: Kind,
        rest: str,
        page: Annotated[None, fw.Depends(strict_paging)],
        q: Annotated[str | None, fw.Query(alias="item-query", min_length=3, pattern="^fixed", deprecated=True)] = None,
        many: Annotated[list[int] | None, fw.Query(description="several")] = None,
        when: datetime.date | datetime.timedelta | None = None,
        shown: Annotated[
            str, fw.Query(openapi_examples={"one": {"summary": "first", "value": "a"}, "two": {"value": "b", "description": "B"}})
        ] = "a",
        data: Annotated[Json[list[int]] | None, fw.Query()] = None,  # type: ignore[type-arg]
        user_agent: Annotated[str | None, fw.Header()] = None,
        odd_name: Annotated[str | None, fw.Header(convert_underscores=False)] = None,
        ads_id: Annotated[str | None, fw.Cookie(examples=["x"])] = None,
    ) -> None:
        """Parameters of all kinds.

        In a second paragraph.
        \f
        Not for readers.
        """

    @app.get("/models")
    async def models(
        filters: Annotated[Filters, fw.Query()],
        headers: Annotated[CommonHeaders, fw.Header()],
        cookies: Annotated[Problem | None, fw.Cookie()] = None,
    ) -> None: ...


def _declare_bodies(fw: Any, app: Any) -> None:
    @app.post("/things", status_code=201, response_model_exclude_unset=True, response_description="The thing made")
    def make_thing(thing: Thing) -> Thing:
        return thing

    @app.put("/things/{thing_id}", deprecated=True, summary="Replace", description="*Markdown*", operation_id="replace_thing")
    def replace_thing(
        thing_id: int,
        thing: Annotated[Thing, fw.Body(openapi_examples={"normal": {"value": {"name": "pen"}}})],
        position: Position,
        importance: Annotated[int, fw.Body(gt=0)] = 1,
    ) -> Position | None: ...

    @app.patch("/things/{thing_id}")
    def change_thing(thing_id: int, change: Annotated[dict[str, Any], fw.Body(embed=True, examples=[{"a": 1}])]) -> dict[str, Any]:
        return change

    @app.delete("/things/{thing_id}", status_code=204)
    def remove_thing(thing_id: int) -> None: ...

    @app.post("/pets")
    def add_pet(pet: Annotated[Cat | Dog, fw.Body(discriminator="pet")]) -> Cat | Dog:
        return pet

    @app.post("/own")
    def own_type(text: Annotated[str, fw.Body(media_type="text/plain")]) -> None: ...

    @app.post("/login")
    def login(form: Annotated[Login, fw.Form()]) -> None: ...

    @app.post("/upload")
    def upload(
        file: fw.UploadFile,
        small: Annotated[bytes, fw.File(description="a small file")],
        more: Annotated[list[fw.UploadFile], fw.File()],
        note: Annotated[str, fw.Form(max_length=9)] = "",
    ) -> None: ...


def _declare_responses(fw: Any, app: Any) -> None:
    @app.get(
        "/responses",
        responses={
            200: {"content": {"image/png": {}}, "description": "Thing or image"},
            404: {"model": Problem, "description": "Not here"},
            "4XX": {"model": Problem},
            "default": {"description": "Anything"},
        },
    )
    def several(q: int) -> list[Thing | None]:
        return []

    @app.get("/html", response_class=fw.responses.HTMLResponse, responses={403: {"model": Problem}})
    def html() -> str:
        return ""

    @app.get("/redirect", response_class=fw.responses.RedirectResponse)
    def redirect() -> str:
        return "/"

    @app.get("/lines")
    async def lines() -> AsyncIterator[Thing]:
        for thing in ():
            yield thing

    @app.get("/events", response_class=fw.sse.EventSourceResponse)
    async def events() -> AsyncIterator[Problem]:
        for problem in ():
            yield problem

    @app.get("/raw", response_class=fw.responses.StreamingResponse)
    def raw() -> Any:
        yield b""

    @app.get("/extra", openapi_extra={"x-own": {"a": [1]}, "responses": {"418": {"description": "Teapot"}}})
    def extra() -> int:
        return 1

    @app.get("/invisible", include_in_schema=False)
    def invisible() -> Problem: ...


def _declare_routers(fw: Any, app: Any) -> None:
    def tenant(tenant: Annotated[str, fw.Header()]) -> None: ...

    callbacks = fw.APIRouter()

    @callbacks.post("{$callback_url}/invoices/{$request.body.id}")
    def paid(body: Problem) -> Position: ...

    inner = fw.APIRouter(prefix="/inner", tags=["inner"], responses={410: {"description": "Gone"}}, deprecated=True)

    @inner.post("/pay", callbacks=callbacks.routes)
    def pay(callback_url: str | None = None) -> None: ...

    outer = fw.APIRouter(prefix="/outer", tags=["outer"], dependencies=[fw.Depends(tenant)])
    outer.include_router(inner, prefix="/v1")

    @outer.api_route("/both", methods=["POST"], name="both of them")
    def both() -> None: ...

    app.include_router(outer, responses={409: {"model": Problem}})

    @app.webhooks.post("thing-added")
    def thing_added(thing: Thing) -> None:
        """Sent when a thing was added."""


def build(fw: Any) -> Any:
    """The application.

    Args:
        fw: a module with the public names and its modules `security`, `responses` and `sse`.
    """
    app = fw.FastAPI(
        title="Shop",
        summary="Sells things",
        description="Every feature of the document, once.",
        version="2.5.0",
        terms_of_service="https://example.com/terms/",
        contact={"name": "The shop", "url": "https://example.com/contact/", "email": "shop@example.com"},
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[
            {"name": "users", "description": "People"},
            {"name": "inner", "externalDocs": {"url": "https://example.com/"}},
        ],
        servers=[{"url": "/", "description": "here"}, {"url": "https://example.com"}],
        openapi_external_docs={"url": "https://example.com/docs", "description": "More"},
    )
    for declare in (_declare_security, _declare_parameters, _declare_bodies, _declare_responses, _declare_routers):
        declare(fw, app)
    return app
