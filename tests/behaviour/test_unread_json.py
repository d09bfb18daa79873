"""`await request.json()` of a body that is no JSON: the client's mistake, whoever reads the body."""

import json

import pytest

from tercel import Depends, Request
from tercel.exceptions import RequestValidationError
from tercel.middleware.gzip import GZipMiddleware
from tercel.responses import JSONResponse

PARSING = {"detail": "There was an error parsing the body"}


async def pass_on(request: Request, call_next):
    return await call_next(request)


def around_nothing(app):
    pass


def around_by_a_function(app):
    app.middleware("http")(pass_on)


def around_by_a_class(app):
    app.add_middleware(GZipMiddleware)


@pytest.fixture(params=[around_nothing, around_by_a_function, around_by_a_class])
def reading(request, make_app):
    """An application that reads JSON by hand, in an endpoint and in a dependency that is left afterwards."""
    app = make_app()
    request.param(app)
    app.state.journal = []

    async def given(request: Request):
        try:
            yield await request.json()
        except Exception as error:
            app.state.journal.append(type(error).__name__)
            raise

    async def held():
        try:
            yield
        except Exception as error:
            app.state.journal.append(type(error).__name__)
            raise

    @app.post("/endpoint")
    async def endpoint(request: Request, held: None = Depends(held)):
        return {"given": await request.json()}

    @app.post("/dependency")
    async def dependency(value: object = Depends(given)):
        return {"given": value}

    @app.post("/caught")
    async def caught(request: Request):
        try:
            return {"given": await request.json()}
        except json.JSONDecodeError as error:
            return {"stopped at": error.pos}

    @app.post("/other")
    async def other(request: Request):
        await request.json()
        return json.loads("[")

    return app


@pytest.mark.parametrize("path", ["/endpoint", "/dependency"])
def test_a_body_that_is_no_json_is_a_422_as_for_a_declared_body(reading, client, path):
    answer = client(reading).post(path, content=b'{"a": oops}')
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": [
            {
                "type": "json_invalid",
                "loc": ["body", 6],
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": "Expecting value"},
            }
        ]
    }
    assert client(reading).post(path, json=[1]).json() == {"given": [1]}


@pytest.mark.parametrize(
    "body", [b'"\xff"', b"[" * 200_000, b"9" * 5_000], ids=["not UTF-8", "too deep", "more digits than Python reads"]
)
def test_a_body_that_breaks_the_parser_is_a_400(reading, client, body):
    answer = client(reading).post("/endpoint", content=body)
    assert (answer.status_code, answer.json()) == (400, PARSING)


def test_no_body_is_a_422(reading, client):
    assert client(reading).post("/endpoint").status_code == 422


def test_a_dependency_around_the_endpoint_sees_the_error_that_the_parser_raised(reading, client):
    client(reading).post("/endpoint", content=b"oops")
    assert reading.state.journal == ["JSONDecodeError"]


def test_an_endpoint_can_still_catch_the_error(reading, client):
    assert client(reading).post("/caught", content=b"[1, oops").json() == {"stopped at": 4}


def test_json_that_is_not_the_body_stays_a_server_error(reading, client):
    assert client(reading, raise_errors=False).post("/other", json={}).status_code == 500
    client(reading).expect_error(json.JSONDecodeError, "POST", "/other", json={})


def test_the_handler_of_invalid_requests_answers(reading, client):
    @reading.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError):
        return JSONResponse({"body": error.body}, 418)

    answer = client(reading).post("/endpoint", content=b"oops")
    assert (answer.status_code, answer.json()) == (418, {"body": "oops"})


def test_a_handler_for_its_own_class_comes_first(reading, client):
    @reading.exception_handler(ValueError)
    async def wrong(request: Request, error: ValueError):
        return JSONResponse({"class": type(error).__name__}, 409)

    assert client(reading).post("/endpoint", content=b"oops").json() == {"class": "JSONDecodeError"}


@pytest.mark.parametrize("key", [Exception, 500])
def test_a_handler_for_everything_decides_as_on_fastapi(reading, client, key):
    @reading.exception_handler(key)
    async def everything(request: Request, error: Exception):
        return JSONResponse({"class": type(error).__name__}, 503)

    answer = client(reading, raise_errors=False).post("/endpoint", content=b"oops")
    assert (answer.status_code, answer.json()) == (503, {"class": "JSONDecodeError"})
