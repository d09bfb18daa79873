"""Errors: HTTPException, validation errors, handlers by status, class and ancestry, and what reaches the server."""

import inspect
from asyncio import sleep
from contextvars import ContextVar

import pytest
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware

from tercel import APIRouter, Depends, FastAPI, HTTPException, Request
from tercel.exception_handlers import http_exception_handler, request_validation_exception_handler
from tercel.exceptions import RequestValidationError, ResponseValidationError
from tercel.responses import JSONResponse, PlainTextResponse


class Base(Exception):
    pass


class Derived(Base):
    pass


def answering(text, status=418):
    async def handler(request, error):
        return PlainTextResponse(f"{text}: {type(error).__name__}", status)

    return handler


# -- HTTPException -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (HTTPException(404), 404, {"detail": "Not Found"}),
        (HTTPException(404, "gone"), 404, {"detail": "gone"}),
        (HTTPException(400, detail={"code": 7}), 400, {"detail": {"code": 7}}),
        (HTTPException(400, detail=["a"]), 400, {"detail": ["a"]}),
        (HTTPException(418, detail=None), 418, {"detail": "I'm a Teapot"}),
        (StarletteHTTPException(403, "starlette"), 403, {"detail": "starlette"}),
    ],
)
def test_an_http_exception_becomes_its_status_and_detail(serve, error, status, body):
    def endpoint():
        raise error

    answer = serve(endpoint).get("/")
    assert answer.status_code == status
    assert answer.json() == body
    assert answer.headers["content-type"] == "application/json"


def test_headers_of_an_http_exception_are_sent(serve):
    def endpoint():
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic", "X-Why": "no"})

    answer = serve(endpoint).get("/")
    assert (answer.headers["www-authenticate"], answer.headers["x-why"]) == ("Basic", "no")


@pytest.mark.parametrize("status", [204, 304])
def test_an_http_exception_with_a_status_without_a_body_has_none(serve, status):
    def endpoint():
        raise HTTPException(status, "dropped", headers={"x-kept": "1"})

    answer = serve(endpoint).get("/")
    assert (answer.status_code, answer.content, answer.headers["x-kept"]) == (status, b"", "1")


def test_unknown_paths_and_wrong_methods_have_the_shape_of_all_errors(serve):
    def endpoint():
        return "x"

    connected = serve(endpoint, "/known")
    unknown = connected.get("/unknown")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
    wrong = connected.post("/known")
    assert (wrong.status_code, wrong.json(), wrong.headers["allow"]) == (405, {"detail": "Method Not Allowed"}, "GET")


def test_an_http_exception_can_be_raised_by_async_and_sync_code_anywhere_in_the_tree(make_app, client):
    app = make_app()

    async def refuse():
        raise HTTPException(402)

    def nested(value=Depends(refuse)):
        return value

    @app.get("/dependency", dependencies=[Depends(nested)])
    def one():
        return "unreachable"

    @app.get("/async")
    async def two():
        raise HTTPException(409)

    connected = client(app)
    assert connected.get("/dependency").status_code == 402
    assert connected.get("/async").status_code == 409


# -- handlers ------------------------------------------------------------------------------------------------------------------


def test_a_handler_for_a_class_answers_for_its_subclasses(make_app, client):
    app = make_app()
    app.add_exception_handler(Base, answering("base"))

    @app.get("/")
    def endpoint():
        raise Derived

    answer = client(app).get("/")
    assert (answer.status_code, answer.text) == (418, "base: Derived")


def test_the_handler_of_the_nearest_ancestor_answers(make_app, client):
    app = make_app(exception_handlers={Base: answering("base"), Derived: answering("derived")})

    @app.get("/{kind}")
    def endpoint(kind: str):
        raise Derived if kind == "derived" else Base

    connected = client(app)
    assert connected.get("/derived").text == "derived: Derived"
    assert connected.get("/base").text == "base: Base"


def test_a_handler_may_be_a_plain_function(make_app, client):
    app = make_app()

    @app.exception_handler(Base)
    def handler(request: Request, error: Base):
        return JSONResponse({"path": request.url.path}, 400)

    @app.get("/here")
    async def endpoint():
        raise Base

    assert client(app).get("/here").json() == {"path": "/here"}


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after waiting"])
def test_a_handler_sees_the_context_variables_that_were_set_on_the_way_to_the_error(make_app, client, waits):
    variable = ContextVar("variable", default="nothing")
    app = make_app()

    async def dependency():
        variable.set("set by a dependency")

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint():
        if waits:
            await sleep(0)
        variable.set(variable.get() + ", then by the endpoint")
        raise Derived

    @app.exception_handler(Base)
    async def handle(request, error):
        if waits:
            await sleep(0)
        return PlainTextResponse(variable.get(), 418)

    answer = client(app).get("/")
    assert (answer.status_code, answer.text) == (418, "set by a dependency, then by the endpoint")


def test_a_handler_for_a_status_answers_every_http_exception_with_it(make_app, client):
    app = make_app()

    @app.exception_handler(404)
    async def missing(request, error):
        return PlainTextResponse(f"nothing at {request.url.path}", 404)

    @app.get("/found")
    def endpoint():
        raise HTTPException(404)

    connected = client(app)
    assert connected.get("/found").text == "nothing at /found"
    assert connected.get("/unknown").text == "nothing at /unknown"


def test_a_handler_for_a_status_wins_over_one_for_the_class(make_app, client):
    app = make_app(exception_handlers={StarletteHTTPException: answering("class"), 404: answering("status", 404)})

    @app.get("/{status}")
    def endpoint(status: int):
        raise HTTPException(status)

    connected = client(app)
    assert connected.get("/404").text == "status: HTTPException"
    assert connected.get("/400").text == "class: HTTPException"


def test_a_handler_for_405_replaces_the_answer_to_wrong_methods(make_app, client):
    app = make_app(exception_handlers={405: answering("method", 405)})

    @app.get("/")
    def endpoint():
        return "x"

    assert client(app).post("/").text == "method: HTTPException"


def test_a_handler_for_the_frameworks_http_exception_does_not_see_the_routers_own(make_app, client):
    app = make_app(exception_handlers={HTTPException: answering("mine")})

    @app.get("/")
    def endpoint():
        raise HTTPException(400)

    connected = client(app)
    assert connected.get("/").text == "mine: HTTPException"
    assert connected.get("/unknown").json() == {"detail": "Not Found"}


def test_a_handler_for_starlettes_http_exception_sees_all_of_them(make_app, client):
    app = make_app(exception_handlers={StarletteHTTPException: answering("all")})

    @app.get("/")
    def endpoint():
        raise HTTPException(400)

    connected = client(app)
    assert connected.get("/").text == "all: HTTPException"
    assert connected.get("/unknown").text == "all: HTTPException"


def test_validation_errors_can_be_answered_in_another_shape(make_app, client):
    app = make_app()

    @app.exception_handler(RequestValidationError)
    async def handler(request: Request, error: RequestValidationError):
        return JSONResponse({"body": error.body, "fields": [item["loc"][-1] for item in error.errors()]}, 400)

    class Item(BaseModel):
        n: int

    @app.post("/")
    def endpoint(item: Item, q: int):
        return item

    answer = client(app).post("/", json={"n": "x"})
    assert (answer.status_code, answer.json()) == (400, {"body": {"n": "x"}, "fields": ["q", "n"]})


def test_the_body_of_a_validation_error_is_what_could_be_read(make_app, client, journal):
    app = make_app()

    @app.exception_handler(RequestValidationError)
    async def handler(request, error):
        journal(error.body)
        return await request_validation_exception_handler(request, error)

    @app.post("/model")
    def model(item: dict[str, int]):
        return item

    @app.get("/none")
    def none(q: int):
        return q

    connected = client(app)
    json_type = {"content-type": "application/json"}
    connected.post("/model", content=b'{"a": ', headers=json_type)
    connected.post("/model", content=b"[]", headers=json_type)
    connected.post("/model", content=b"raw")
    connected.post("/model")
    connected.get("/none")
    assert journal.entries == ['{"a": ', [], b"raw", None, None]


def test_default_handlers_can_be_called_from_others(make_app, client, journal):
    app = make_app()

    @app.exception_handler(StarletteHTTPException)
    async def handler(request, error):
        journal(error.status_code)
        return await http_exception_handler(request, error)

    connected = client(app)
    assert connected.get("/unknown").json() == {"detail": "Not Found"}
    assert journal.entries == [404]


def test_an_exception_raised_by_a_handler_reaches_the_server(make_app, client):
    app = make_app()

    @app.exception_handler(Base)
    async def handler(request, error):
        raise ValueError("in handler")

    @app.get("/")
    def endpoint():
        raise Base

    assert str(client(app).expect_error(ValueError, "GET", "/")) == "in handler"


def test_a_handler_may_raise_the_exception_again(make_app, client):
    app = make_app()

    @app.exception_handler(Base)
    async def handler(request, error):
        raise error

    @app.get("/")
    def endpoint():
        raise Derived

    client(app).expect_error(Derived, "GET", "/")


def test_handlers_of_a_mounted_application_are_its_own(make_app, client):
    inner = make_app(exception_handlers={Base: answering("inner")})
    outer = make_app(exception_handlers={Base: answering("outer")})
    for app in (inner, outer):

        @app.get("/x")
        def endpoint():
            raise Base

    outer.mount("/inner", inner)
    connected = client(outer)
    assert connected.get("/x").text == "outer: Base"
    assert connected.get("/inner/x").text == "inner: Base"


def test_what_a_mounted_application_does_not_handle_is_its_own_500_and_reaches_the_server(make_app, client):
    inner = make_app()
    outer = make_app(exception_handlers={Base: answering("outer")})

    @inner.get("/x")
    def endpoint():
        raise Base

    outer.mount("/inner", inner)
    assert client(outer, raise_errors=False).get("/inner/x").text == "Internal Server Error"
    # The handler of the outer application comes too late; Starlette says so with a RuntimeError.
    error = client(outer).expect_error(Exception, "GET", "/inner/x")
    assert isinstance(error, Base) or isinstance(error.__cause__ or error.__context__, Base)


# -- errors of the server ------------------------------------------------------------------------------------------------------


def test_an_exception_that_nobody_handles_is_a_500_without_details(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint():
        raise Base("secret")

    answer = client(app, raise_errors=False).get("/")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        500,
        "Internal Server Error",
        "text/plain; charset=utf-8",
    )


def test_an_exception_that_nobody_handles_reaches_the_server_with_its_traceback(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint():
        raise Base("why")

    error = client(app).expect_error(Base, "GET", "/")
    last = inspect.getinnerframes(error.__traceback__)[-1]
    assert (last.function, last.filename) == ("endpoint", __file__)


@pytest.mark.parametrize("key", [500, Exception])
def test_a_handler_for_every_exception_answers_and_the_server_sees_it_all_the_same(make_app, client, key):
    app = make_app(exception_handlers={key: answering("sorry", 500)})

    @app.get("/")
    def endpoint():
        raise Base

    answer = client(app, raise_errors=False).get("/")
    assert (answer.status_code, answer.text) == (500, "sorry: Base")
    client(app).expect_error(Base, "GET", "/")


def test_in_debug_mode_an_exception_answers_with_its_traceback(make_app, client):
    app = make_app(debug=True)

    @app.get("/")
    def endpoint():
        raise Base("visible")

    as_text = client(app, raise_errors=False).get("/")
    assert (as_text.status_code, "Base: visible" in as_text.text) == (500, True)
    as_page = client(app, raise_errors=False).get("/", headers={"accept": "text/html"})
    assert as_page.headers["content-type"].startswith("text/html")
    assert "visible" in as_page.text


def test_a_response_that_cannot_be_made_is_a_500(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint():
        return {"a": object.__new__(type("Odd", (), {"__slots__": ()}))}

    assert client(app, raise_errors=False).get("/").status_code == 500


# -- text of validation errors -------------------------------------------------------------------------------------------------


def test_the_text_of_a_validation_error_names_the_endpoint(make_app, client, journal):
    app = make_app()

    @app.exception_handler(RequestValidationError)
    async def handler(request, error):
        journal(str(error))
        return PlainTextResponse("seen", 422)

    @app.get("/items/{n}")
    def read_item(n: int):
        return n

    client(app).get("/items/x")
    (text,) = journal.entries
    line = inspect.getsourcelines(read_item)[1]
    assert text.startswith("1 validation error:\n  {'type': 'int_parsing'")
    assert f'File "{__file__}", line {line}, in read_item' in text
    assert text.endswith("GET /items/{n}")


def test_the_text_of_a_validation_error_names_the_mounted_path(make_app, client, journal):
    inner = make_app()

    @inner.exception_handler(ResponseValidationError)
    async def handler(request, error):
        journal(str(error))
        return PlainTextResponse("seen", 500)

    @inner.get("/items", response_model=int)
    def read_items():
        return "x"

    outer = make_app()
    outer.mount("/v1", inner)
    client(outer).get("/v1/items")
    assert journal.entries[0].endswith("GET /v1/items")


def test_a_validation_error_made_by_hand_says_what_it_knows():
    errors = [{"type": "missing", "loc": ("body", "name"), "msg": "Field required"}]
    assert str(RequestValidationError(errors)).startswith("1 validation error:\n  {'type': 'missing'")
    assert "Endpoint: GET /api" in str(RequestValidationError(errors, endpoint_ctx={"path": "GET /api"}))


def test_an_http_exception_of_a_router_included_under_a_prefix_is_handled_by_the_application(make_app, client):
    app = make_app(exception_handlers={Base: answering("app")})
    router = APIRouter()

    @router.get("/x")
    def endpoint():
        raise Base

    app.include_router(router, prefix="/r")
    assert client(app).get("/r/x").text == "app: Base"


@pytest.mark.parametrize("middleware", [False, True])
def test_a_dependency_may_add_handlers_while_requests_run(make_app, client, middleware):
    """Integrations do so where the application did not register theirs."""
    app = make_app()
    if middleware:
        app.add_middleware(GZipMiddleware)

    class Refused(Exception):
        pass

    async def answer(request, exc):
        return JSONResponse({"refused": True}, status_code=401)

    def guard(request: Request, prepared: bool = False):
        if prepared:
            by_class, _ = request.scope["starlette.exception_handlers"]
            assert any(cls in by_class for cls in HTTPException.__mro__)
            by_class[Refused] = answer
        raise Refused

    @app.get("/", dependencies=[Depends(guard)])
    def endpoint():
        raise AssertionError

    asked = client(app, raise_errors=False)
    assert asked.get("/").status_code == 500
    assert asked.get("/?prepared=1").status_code == 401
    assert asked.get("/").status_code == 401


def test_handlers_given_to_the_constructor_are_copied():
    handlers = {Base: answering("one")}
    app = FastAPI(exception_handlers=handlers)
    assert Base in app.exception_handlers
    assert StarletteHTTPException in app.exception_handlers
    assert list(handlers) == [Base]
