"""Packages whose source distributions have no tests, used as their documentation says; run by `make ecosystem` on both sides."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.testclient import TestClient


def statuses(client: TestClient, *paths: str) -> list[int]:
    return [client.get(path).status_code for path in paths]


@pytest.mark.parametrize("middleware", [None, "SlowAPIMiddleware", "SlowAPIASGIMiddleware"])
def test_slowapi(middleware: str | None) -> None:
    import slowapi
    import slowapi.middleware
    from slowapi.errors import RateLimitExceeded
    from slowapi.util import get_remote_address

    limiter = slowapi.Limiter(key_func=get_remote_address, default_limits=["3/minute"] if middleware else [])
    app, router = FastAPI(), APIRouter(prefix="/in")
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, slowapi._rate_limit_exceeded_handler)
    if middleware:
        app.add_middleware(getattr(slowapi.middleware, middleware))

    @app.get("/twice")
    @limiter.limit("2/minute")
    async def twice(request: Request) -> str:
        return "x"

    @app.get("/once/{number}")
    @limiter.limit("1/minute")
    def once(request: Request, response: Response, number: int) -> int:
        return number

    @router.get("/shared")
    @limiter.shared_limit("2/minute", scope="all")
    async def shared(request: Request, number: int = 1) -> int:
        return number

    app.include_router(router, prefix="/v1")
    client = TestClient(app)
    assert statuses(client, "/twice", "/twice", "/twice") == [200, 200, 429]
    assert statuses(client, "/once/x", "/once/1", "/once/1") == [422, 200, 429]
    assert statuses(client, *["/v1/in/shared"] * 3) == [200, 200, 429]
    assert client.get("/twice").json() == {"error": "Rate limit exceeded: 2 per 1 minute"}


@pytest.mark.parametrize("package", ["fastapi_utils", "fastapi_restful"])
def test_class_based_views(package: str) -> None:
    cbv = pytest.importorskip(f"{package}.cbv").cbv
    router = pytest.importorskip(f"{package}.inferring_router").InferringRouter()

    def given(start: int = 5) -> int:
        return start

    @cbv(router)
    class View:
        start: int = Depends(given)

        def __init__(self, mark: str = Header("none")) -> None:
            self.mark = mark

        @router.get("/one")
        def one(self) -> dict:
            return {"start": self.start, "mark": self.mark}

        @router.get("/two/{more}")
        async def two(self, more: int) -> int:
            return self.start + more

    app = FastAPI()
    app.include_router(router, prefix="/view")
    client = TestClient(app)
    assert client.get("/view/one?start=3", headers={"mark": "m"}).json() == {"start": 3, "mark": "m"}
    assert client.get("/view/two/4").json() == 9
    assert statuses(client, "/view/two/x", "/view/one?start=x") == [422, 422]
    parameters = app.openapi()["paths"]["/view/two/{more}"]["get"]["parameters"]
    assert sorted(each["name"] for each in parameters) == ["mark", "more", "start"]


def test_fastapi_filter() -> None:
    from fastapi_filter import FilterDepends, with_prefix
    from fastapi_filter.contrib.sqlalchemy import Filter
    from sqlalchemy import select
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        age: Mapped[int]

    class Street(Filter):
        name__in: list[str] | None = None

        class Constants(Filter.Constants):
            model = User

    class Users(Filter):
        age__lt: int | None = None
        age__in: list[int] | None = None
        street: Street | None = FilterDepends(with_prefix("street", Street))
        order_by: list[str] = ["age"]

        class Constants(Filter.Constants):
            model = User

    app = FastAPI()

    @app.get("/")
    async def users(chosen: Users = FilterDepends(Users)) -> Any:
        return [chosen.model_dump(), str(chosen.sort(select(User)))[-24:]]

    client = TestClient(app)
    found, order = client.get("/?age__in=1,2&street__name__in=a,b&order_by=-age").json()
    assert (found["age__in"], found["street"]["name__in"], order.endswith("age DESC")) == ([1, 2], ["a", "b"], True)
    assert statuses(client, "/?age__in=x", "/?order_by=nothing", "/?age__lt=4") == [422, 422, 200]


def test_strawberry() -> None:
    import strawberry
    from strawberry.fastapi import BaseContext, GraphQLRouter

    noted: list[int] = []

    class Context(BaseContext):
        def __init__(self, user: str) -> None:
            self.user = user

    def user(name: str = "me") -> str:
        return name

    def context(user: str = Depends(user)) -> Context:
        return Context(user)

    class Query:
        @strawberry.field
        def hello(self, info: strawberry.Info, number: int = 1) -> str:
            info.context.background_tasks.add_task(noted.append, number)
            info.context.response.headers["x-number"] = str(number)
            return f"{info.context.user} {info.context.request.url.path}"

    class Subscription:
        @strawberry.subscription
        async def count(self, to: int = 3) -> AsyncGenerator[int, None]:
            for number in range(to):
                yield number

    schema = strawberry.Schema(strawberry.type(Query), subscription=strawberry.type(Subscription))
    app = FastAPI()
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    client = TestClient(app)
    answer = client.post("/graphql?name=you", json={"query": "{hello(number: 3)}"})
    assert (answer.json(), answer.headers["x-number"], noted) == ({"data": {"hello": "you /graphql"}}, "3", [3])
    assert [client.post("/graphql", content=b"{").status_code, client.put("/graphql").status_code] == [400, 405]
    with client.websocket_connect("/graphql", ["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": "subscription {count(to: 2)}"}})
        assert [socket.receive_json().get("payload") for _ in range(3)] == [{"data": {"count": 0}}, {"data": {"count": 1}}, None]


def test_fastapi_versioning() -> None:
    from fastapi_versioning import VersionedFastAPI, version

    app = FastAPI()

    @app.get("/a")
    @version(1)
    def first() -> int:
        return 1

    @app.get("/a")
    @version(2)
    async def second() -> int:
        return 2

    client = TestClient(VersionedFastAPI(app, version_format="{major}", prefix_format="/v{major}", enable_latest=True))
    assert [client.get(path).json() for path in ("/v1/a", "/v2/a", "/latest/a")] == [1, 2, 2]
    assert list(client.get("/v2/openapi.json").json()["paths"]) == ["/a"]


def test_fastapi_cache2() -> None:
    from fastapi_cache import FastAPICache
    from fastapi_cache.backends.inmemory import InMemoryBackend
    from fastapi_cache.decorator import cache

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        FastAPICache.init(InMemoryBackend(), prefix="x")
        yield

    app, calls = FastAPI(lifespan=lifespan), []

    @app.get("/async")
    @cache(expire=60)
    async def asynchronous(number: int = 1) -> int:
        calls.append(number)
        return len(calls)

    @app.get("/sync")
    @cache(expire=60)
    def synchronous(request: Request, number: int = 1) -> int:
        calls.append(number)
        return len(calls)

    with TestClient(app) as client:
        assert [client.get(path).json() for path in ("/async", "/async", "/async?number=2", "/sync", "/sync")] == [1, 1, 2, 3, 3]
        assert client.get("/async").headers["x-fastapi-cache"] == "HIT"
        assert statuses(client, "/async?number=x") == [422]


def test_fastapi_login() -> None:
    from fastapi_login import LoginManager

    manager = LoginManager("a secret of at least thirty-two bytes", token_url="/auth", use_cookie=True)

    @manager.user_loader()
    def load(name: str) -> Any:
        return {"name": name} if name == "ann" else None

    app = FastAPI()

    @app.get("/")
    def who(user: Any = Depends(manager)) -> Any:
        return user

    token = manager.create_access_token(data={"sub": "ann"})
    client = TestClient(app)
    assert statuses(client, "/") == [401]
    assert client.get("/", headers={"authorization": f"Bearer {token}"}).json() == {"name": "ann"}
    client.cookies.set("access-token", token)
    assert client.get("/").json() == {"name": "ann"}


@pytest.mark.parametrize("middleware", ["ContextMiddleware", "RawContextMiddleware"])
def test_starlette_context_and_asgi_correlation_id(middleware: str) -> None:
    import starlette_context.middleware
    from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
    from starlette_context import context, plugins

    app = FastAPI()
    app.add_middleware(getattr(starlette_context.middleware, middleware), plugins=(plugins.CorrelationIdPlugin(),))
    app.add_middleware(CorrelationIdMiddleware, header_name="X-Own", validator=None)

    def seen() -> list[Any]:
        return [correlation_id.get(), context.get("X-Correlation-ID")]

    @app.get("/async")
    async def asynchronous(before: Any = Depends(seen)) -> Any:
        return [before, seen()]

    @app.get("/sync")
    def synchronous(before: Any = Depends(seen)) -> Any:
        return [before, seen()]

    @app.get("/error")
    async def error() -> None:
        raise ValueError

    @app.exception_handler(ValueError)
    async def handle(request: Request, exc: ValueError) -> Response:
        return Response(f"{correlation_id.get()} {context.exists()}")

    theirs = "3d3c0a9e6a4f4c8e9d6b0b8f2c1f7a10"
    client = TestClient(app, headers={"X-Own": "own", "X-Correlation-ID": theirs})
    for path in ("/async", "/sync"):
        assert client.get(path).json() == [["own", theirs]] * 2
    assert client.get("/error").text == "own True"


def test_fastapi_injector() -> None:
    from fastapi_injector import Injected, InjectorMiddleware, attach_injector, request_scope
    from injector import Injector

    class Service:
        pass

    injector, app = Injector([lambda binder: binder.bind(Service, to=Service, scope=request_scope)]), FastAPI()
    app.add_middleware(InjectorMiddleware, injector=injector)
    attach_injector(app, injector)

    @app.get("/async")
    async def asynchronous(one: Any = Injected(Service), two: Any = Injected(Service)) -> bool:
        return one is two

    @app.get("/sync")
    def synchronous(one: Any = Injected(Service), two: Any = Injected(Service)) -> bool:
        return one is two

    assert [TestClient(app).get(path).json() for path in ("/async", "/sync")] == [True, True]


def test_fastapi_limiter() -> None:
    from fastapi_limiter.depends import RateLimiter
    from pyrate_limiter import Duration, Limiter, Rate

    app = FastAPI()

    @app.get("/", dependencies=[Depends(RateLimiter(limiter=Limiter(Rate(2, Duration.HOUR))))])
    async def limited() -> int:
        return 1

    assert statuses(TestClient(app), "/", "/", "/") == [200, 200, 429]


def test_taskiq_fastapi() -> None:
    import taskiq_fastapi
    from taskiq import InMemoryBroker, TaskiqDepends

    app, broker = FastAPI(), InMemoryBroker(await_inplace=True)
    app.state.value = 7

    def of_request(request: Request = TaskiqDepends()) -> int:
        return request.app.state.value

    @broker.task
    async def task(value: int = TaskiqDepends(of_request)) -> int:
        return value

    taskiq_fastapi.populate_dependency_context(broker, app)

    @app.get("/")
    async def run() -> Any:
        return (await (await task.kiq()).wait_result()).return_value

    assert TestClient(app).get("/").json() == 7


def test_fastapi_permissions() -> None:
    from fastapi_permissions import Allow, Deny, Everyone, configure_permissions

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __acl__(self) -> list[Any]:
            return [(Allow, "user:ann", "view"), (Deny, Everyone, "view")]

    def principals(user: str = "nobody") -> list[str]:
        return [Everyone, f"user:{user}"]

    def get_item(number: int) -> Any:
        return Item(number)

    permission, app = configure_permissions(principals), FastAPI()

    @app.get("/{number}")
    async def view(item: Any = permission("view", get_item)) -> int:
        return item.number

    assert statuses(TestClient(app), "/3?user=ann", "/3", "/x") == [200, 403, 422]


def test_fastapi_sessions() -> None:
    from fastapi_sessions.frontends.implementations import CookieParameters, SessionCookie

    cookie = SessionCookie(cookie_name="c", identifier="i", auto_error=True, secret_key="s", cookie_params=CookieParameters())
    app = FastAPI()

    @app.get("/", dependencies=[Depends(cookie)])
    async def inside(session: Any = Depends(cookie)) -> Any:
        return session

    @app.post("/")
    async def enter(response: Response) -> None:
        cookie.attach_to_response(response, UUID(int=5))

    client = TestClient(app)
    assert [client.get("/").status_code, client.post("/").status_code] == [403, 200]
    assert client.get("/").json() == str(UUID(int=5))


def test_sqladmin_and_starlette_admin() -> None:
    from sqladmin import Admin, ModelView
    from sqlalchemy import create_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
    from sqlalchemy.pool import StaticPool
    from starlette_admin.contrib.sqla import Admin as OtherAdmin
    from starlette_admin.contrib.sqla import ModelView as OtherView

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    class UserView(ModelView, model=User):
        column_list = (User.id, User.name)
        form_columns = (User.name,)

    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    Base.metadata.create_all(engine)
    first, second = FastAPI(), FastAPI()
    Admin(first, engine).add_view(UserView)
    other = OtherAdmin(engine)
    other.add_view(OtherView(User))
    other.mount_to(second)
    with TestClient(first) as client:
        created = client.post("/admin/user/create", data={"name": "ann", "save": "Save"}, follow_redirects=False)
        assert (created.status_code, "ann" in client.get("/admin/user/list").text) == (302, True)
        assert statuses(client, "/admin/user/details/1", "/admin/nowhere", "/admin/statics/css/main.css") == [200, 404, 200]
    with TestClient(second) as client:
        assert "ann" in client.get("/admin/user/list").text
        assert statuses(client, "/admin/user/create", "/admin/nowhere") == [200, 404]
        assert client.post("/admin/user/create", data={"name": "bob"}).status_code == 403  # without its token


def test_nicegui() -> None:
    from nicegui import app as pages
    from nicegui import ui

    app = FastAPI()

    @app.get("/plain")
    def plain() -> int:
        return 1

    @ui.page("/show/{number}")
    def show(number: int, text: str = "nothing") -> None:
        ui.label(f"shown {number} {text}")

    @pages.get("/also/{number}")
    def also(number: int) -> int:
        return number

    ui.run_with(app, mount_path="/gui", storage_secret="s")
    with TestClient(app) as client:
        assert client.get("/plain").json() == 1
        assert "shown 3 it" in client.get("/gui/show/3?text=it").text
        assert statuses(client, "/gui/show/x", "/gui/also/4", "/gui/also/x", "/gui/nowhere") == [422, 200, 422, 404]


def test_ariadne() -> None:
    from ariadne import QueryType, gql, make_executable_schema
    from ariadne.asgi import GraphQL

    query = QueryType()

    @query.field("hello")
    def hello(_: Any, info: Any) -> str:
        return info.context["request"].url.path

    graphql, app = GraphQL(make_executable_schema(gql("type Query { hello: String! }"), query)), FastAPI()
    app.mount("/mounted", graphql)

    @app.post("/endpoint")
    async def endpoint(request: Request) -> Any:
        return await graphql.handle_request(request)

    client = TestClient(app)
    for path in ("/mounted/", "/endpoint"):
        assert client.post(path, json={"query": "{hello}"}).json() == {"data": {"hello": path}}
